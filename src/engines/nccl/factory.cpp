// SPDX-License-Identifier: Apache-2.0
#include "engines/nccl/factory.hpp"

#include "engines/nccl/engine.hpp"

#include <utility>

namespace trireme::engines::nccl {

comm::DeviceEngineFactory factory(std::shared_ptr<Library> library, const EngineOptions& options) {
  return [library = std::move(library), options](comm::DeviceRoom room) {
    return std::make_unique<Engine>(library, std::move(room), options);
  };
}

}  // namespace trireme::engines::nccl
