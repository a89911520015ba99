// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "interruption/source.hpp"

#include <cstdint>

namespace trireme::interruption {

/// The end of a Slurm job's time, which its environment tells. It is announced five minutes before. An end that had passed
/// before this began says nothing: the job has been given more time since.
class SlurmEnd final : public Source {
 public:
  /// `end`: Unix seconds. `moment`: now.
  SlurmEnd(std::int64_t end, const Moment& moment);
  std::string name() const override { return "Slurm"; }
  Reply ask(http::Client&, const Moment& moment) override;
  std::chrono::milliseconds pause(const Moment& moment) const override;
  bool is_remote() const override { return false; }

 private:
  std::chrono::seconds ahead(const Moment& moment) const;
  std::chrono::sys_seconds end_;
  bool has_passed_;
};

}  // namespace trireme::interruption
