// SPDX-License-Identifier: Apache-2.0
// Byte strings: the lengths first, which only their givers know, then the bytes.
#include "trireme/base/error.hpp"
#include "trireme/comm/communicator.hpp"

#include <numeric>

namespace trireme {
namespace {

TensorView view_of(std::vector<std::byte>& bytes) { return {bytes.data(), bytes.size(), DType::u8}; }
ConstTensorView view_of(std::span<const std::byte> bytes) { return {bytes.data(), bytes.size(), DType::u8}; }

std::vector<std::vector<std::byte>> cut(std::span<const std::byte> all, std::span<const std::size_t> lengths) {
  std::vector<std::vector<std::byte>> objects;
  objects.reserve(lengths.size());
  std::size_t begin = 0;
  for (const std::size_t length : lengths) {
    const auto object = all.subspan(begin, length);
    objects.emplace_back(object.begin(), object.end());
    begin += length;
  }
  return objects;
}

std::vector<std::size_t> lengths_of_all(Communicator& communicator, std::size_t mine, const CallOptions& options) {
  static_assert(sizeof(std::size_t) == sizeof(std::uint64_t));
  std::vector<std::size_t> lengths(static_cast<std::size_t>(communicator.size()));
  communicator.all_gather(ConstTensorView(&mine, 1, DType::u64), TensorView(lengths.data(), lengths.size(), DType::u64),
                          options);
  return lengths;
}

std::size_t sum_of(std::span<const std::size_t> lengths) {
  return std::accumulate(lengths.begin(), lengths.end(), std::size_t{0});
}

}  // namespace

std::vector<std::byte> Communicator::broadcast_bytes(std::span<const std::byte> object, int root,
                                                     const CallOptions& options) {
  std::uint64_t length = object.size();
  broadcast(TensorView(&length, 1, DType::u64), root, options);
  std::vector<std::byte> bytes;
  if (rank() == root) bytes.assign(object.begin(), object.end());
  bytes.resize(length);
  broadcast(view_of(bytes), root, options);
  return bytes;
}

std::vector<std::vector<std::byte>> Communicator::gather_bytes(std::span<const std::byte> object, int root,
                                                               const CallOptions& options) {
  if (root < 0 || root >= size()) {
    fail(ErrorCode::invalid_argument,
         "gather_bytes: root " + std::to_string(root) + " is not a rank of 0.." + std::to_string(size() - 1));
  }
  const auto lengths = lengths_of_all(*this, object.size(), options);
  std::vector<std::byte> all(rank() == root ? sum_of(lengths) : 0);
  gather(view_of(object), view_of(all), lengths, root, options);
  if (rank() != root) return {};
  return cut(all, lengths);
}

std::vector<std::vector<std::byte>> Communicator::all_gather_bytes(std::span<const std::byte> object,
                                                                   const CallOptions& options) {
  const auto lengths = lengths_of_all(*this, object.size(), options);
  std::vector<std::byte> all(sum_of(lengths));
  all_gather(view_of(object), view_of(all), lengths, options);
  return cut(all, lengths);
}

}  // namespace trireme
