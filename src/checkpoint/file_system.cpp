// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/file_system.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>

namespace trireme::checkpoint {
namespace {

constexpr std::uint64_t copy_bytes = std::uint64_t{8} << 20;  // at once

void copy_file(FileSystem& files, const std::string& from, const std::string& to) {
  const auto input = files.open(from);
  const auto output = files.create(to);
  std::vector<std::byte> piece;
  for (std::uint64_t begin = 0; begin < input->size(); begin += piece.size()) {
    piece.resize(static_cast<std::size_t>(std::min(copy_bytes, input->size() - begin)));
    input->read(begin, piece);
    output->write(piece);
  }
  output->sync();
}

}  // namespace

void FileSystem::replace(const std::string& from, const std::string& to) {
  remove(to);
  const std::optional<bool> linked = link(from, to);
  if (linked && !*linked) fail(ErrorCode::system, "replace " + to + ": another program has just made it");
  if (!linked) copy_file(*this, from, to);
  remove(from);
}

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
