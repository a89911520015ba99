// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/layout/interval.hpp"
#include "trireme/optim/optimizer.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace trireme::ps {

/// Index of a key in its plan.
using Key = std::uint32_t;

/// A logical tensor as servers know it.
struct TensorInfo {
  std::string name;
  std::vector<std::int64_t> shape;
  DType dtype = DType::f32;        ///< of the values
  DType accumulator = DType::f32;  ///< of gradients on the way and of their sum
  bool row_sparse = false;
  std::size_t count() const;
};

/// What travels as one: elements `range` of one tensor, on one server.
struct KeyInfo {
  std::uint32_t tensor = 0;
  layout::Interval range{};  ///< begins at an edge of a reduction block; of a row-sparse tensor at a whole row
  std::uint32_t server = 0;
  std::uint32_t loop = 0;  ///< which of that server's event loops owns it
  std::uint32_t replica =
      0;  ///< the server that is to hold its replica; where that one is not there, another does; == server: none
  std::uint32_t priority = 0;  ///< the lower, the sooner it is sent: layer order, first layer first
};

struct KeyPlanOptions {
  std::uint32_t servers = 1;
  std::uint32_t loops = 1;                    ///< event loops per server
  Bytes partition_bytes{4'096'000};           ///< about so much per key
  std::vector<double> shares{};               ///< of bytes, per server (any positive scale); empty: equal
  UpdateScope scope = UpdateScope::elements;  ///< beyond elements: all keys of a tensor on one loop of one server
  bool replicas = false;                      ///< on the next server, or another that is there; needs 2
};

/// Which elements of which tensors lie where: a pure function of tensors and options, so all workers and servers hold the
/// same. Balanced by bytes to within one partition (one tensor, where scope keeps tensors whole).
class KeyPlan {
 public:
  /// Errors: invalid_argument naming what does not fit: no servers, no tensors, shares of another length or not positive.
  KeyPlan(std::vector<TensorInfo> tensors, const KeyPlanOptions& options);
  static std::vector<TensorInfo> tensors_of(std::span<const Parameter> parameters,
                                            std::span<const std::string> row_sparse);

  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  const std::vector<KeyInfo>& keys() const { return keys_; }
  const KeyPlanOptions& options() const { return options_; }
  /// Keys of a tensor are consecutive, in ascending order of elements: [first, last).
  std::pair<Key, Key> keys_of(std::size_t tensor) const;
  Bytes bytes_of_server(std::uint32_t server) const;
  /// Equal on who holds the same plan; XXH3 over all of it.
  std::uint64_t fingerprint() const;
  /// One line for each server.
  std::string explain() const;

 private:
  std::vector<TensorInfo> tensors_;
  KeyPlanOptions options_;
  std::vector<KeyInfo> keys_;
  std::vector<Key> first_key_;
};

}  // namespace trireme::ps
