// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/file_system.hpp"

#include "trireme/base/error.hpp"

namespace trireme::checkpoint {

std::vector<std::byte> read_file(const FileSystem& files, const std::string& path, std::uint64_t most) {
  const auto file = files.open(path);
  if (file->size() > most) {
    fail(ErrorCode::corrupt, path + " has " + std::to_string(file->size()) + " bytes; no more than " +
                                 std::to_string(most) + " belong there");
  }
  std::vector<std::byte> bytes(file->size());
  file->read(0, bytes);
  return bytes;
}

}  // namespace trireme::checkpoint
