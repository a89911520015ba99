// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/synchronizer_parts.hpp"
#include "trireme/parallel/synchronizer_factory.hpp"
#include "trireme/world/server_directory.hpp"

#include <memory>
#include <string>
#include <utility>

namespace trireme::cli {

/// Until worker 0 has said that servers have their first values. Errors: timeout when it does not come.
void await_first_values(ServerDirectory& directory);

/// Of independent workers, the first gives servers their values, those of a checkpoint perhaps; the others wait until it has.
class OrderedSynchronizer final : public parallel::SynchronizerFactory {
 public:
  OrderedSynchronizer(std::shared_ptr<parallel::SynchronizerFactory> inner, std::shared_ptr<ServerDirectory> directory,
                      bool is_first)
      : inner_(std::move(inner)), directory_(std::move(directory)), is_first_(is_first) {}
  /// Errors: timeout when the first worker does not come.
  parallel::SynchronizerParts make(const parallel::SynchronizerSetup& setup) override;
  std::string settings() const override { return inner_->settings(); }

 private:
  std::shared_ptr<parallel::SynchronizerFactory> inner_;
  std::shared_ptr<ServerDirectory> directory_;
  bool is_first_;
};

}  // namespace trireme::cli
