// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "interruption/source.hpp"
#include "interruption/times.hpp"

#include <string>

namespace trireme::interruption {

/// The metadata server of Compute Engine: `preempted` becomes TRUE about 30 s before the machine is gone, `maintenance-event`
/// TERMINATE_ON_HOST_MAINTENANCE at least a minute before. Its answers bear the header Metadata-Flavor, by which it is known.
class ComputeEngine final : public Source {
 public:
  explicit ComputeEngine(std::string address) : address_(std::move(address)) {}
  std::string name() const override { return "Compute Engine"; }
  Reply ask(http::Client& client, const Moment& moment) override;

 private:
  http::Response get(http::Client& client, const std::string& path) const;

  std::string address_;
  bool has_answered_ = false;
  FirstSight first_sight_;
};

}  // namespace trireme::interruption
