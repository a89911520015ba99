// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/byte_source.hpp"

#include "data/regular_file.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>

#include <unistd.h>

namespace trireme::data {

std::size_t MemorySource::read(std::span<std::uint8_t> out) {
  const std::size_t count = std::min(out.size(), rest_.size());
  std::copy_n(rest_.begin(), count, out.begin());
  rest_ = rest_.subspan(count);
  return count;
}

FileSource::FileSource(const std::filesystem::path& path)
    : name_(path.string()), descriptor_(open_regular_file(path)) {}

FileSource::~FileSource() { ::close(descriptor_); }

std::size_t FileSource::read(std::span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::read(descriptor_, out.data() + done, out.size() - done);
    if (got == 0) break;
    if (got < 0) {
      if (errno == EINTR) continue;
      fail_system("cannot read data file " + name_, errno);
    }
    done += static_cast<std::size_t>(got);
  }
  return done;
}

}  // namespace trireme::data
