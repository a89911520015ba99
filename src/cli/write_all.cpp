// SPDX-License-Identifier: Apache-2.0
#include "cli/write_all.hpp"

#include <cerrno>
#include <cstddef>

#include <unistd.h>

namespace trireme::cli {

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const auto count = ::write(descriptor, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace trireme::cli
