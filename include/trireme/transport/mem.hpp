// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/transport/transport.hpp"

#include <memory>

namespace trireme::transport {

/// The links between ranks that are threads of one process. Shared by all of them.
class MemNetwork {
 public:
  explicit MemNetwork(int world_size);
  ~MemNetwork();
  struct Contents;
  const std::shared_ptr<Contents>& contents() const { return contents_; }

 private:
  std::shared_ptr<Contents> contents_;
};

std::unique_ptr<Transport> make_mem_transport(const MemNetwork& network, const Membership& self);

}  // namespace trireme::transport
