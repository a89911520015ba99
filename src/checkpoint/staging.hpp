// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

namespace trireme::checkpoint {

/// Memory for the copy of a state: grows when it must, and is kept, so that all copies but the first find it warm. Move only.
class Staging {
 public:
  Staging() = default;
  Staging(Staging&& other) noexcept;
  Staging& operator=(Staging&& other) noexcept;
  ~Staging();

  /// Room for `bytes`; what was there is lost when it grows.  Errors: system when there is no such memory.
  std::span<std::byte> room(std::size_t bytes);
  /// The same, and every page of it is there.
  void touch(std::size_t bytes);

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace trireme::checkpoint
