// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>
#include <vector>

namespace trireme::testing {

/// What a rank found, as bytes that another process can read: one value, or the elements of a vector or string.
template <class R>
std::vector<std::byte> packed(const R& result) {
  std::vector<std::byte> bytes;
  const auto append = [&bytes](const auto& value) {
    static_assert(std::is_trivially_copyable_v<std::decay_t<decltype(value)>>);
    const std::size_t at = bytes.size();
    bytes.resize(at + sizeof value);
    std::memcpy(bytes.data() + at, &value, sizeof value);
  };
  if constexpr (std::is_trivially_copyable_v<R>) {
    append(result);
  } else {
    bytes.reserve(result.size() * sizeof(typename R::value_type));
    for (const typename R::value_type each : result) append(each);
  }
  return bytes;
}

template <class R>
R unpacked(std::span<const std::byte> bytes) {
  if constexpr (std::is_trivially_copyable_v<R>) {
    R result;
    std::memcpy(&result, bytes.data(), sizeof result);
    return result;
  } else {
    R result;
    typename R::value_type each;
    for (std::size_t at = 0; at < bytes.size(); at += sizeof each) {
      std::memcpy(&each, bytes.data() + at, sizeof each);
      result.push_back(each);
    }
    return result;
  }
}

}  // namespace trireme::testing
