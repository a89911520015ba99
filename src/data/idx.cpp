// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/idx.hpp"

#include "trireme/base/array_memory.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace trireme::data {
namespace {

constexpr std::size_t max_rank = 4;

/// Errors: unsupported for the format's other types, corrupt for a code that is none of them.
void require_u8(std::uint8_t type, const std::string& name) {
  const char* other = nullptr;
  switch (type) {
    case 0x08: return;
    case 0x09: other = "i8"; break;
    case 0x0b: other = "i16"; break;
    case 0x0c: other = "i32"; break;
    case 0x0d: other = "f32"; break;
    case 0x0e: other = "f64"; break;
    default: fail(ErrorCode::corrupt, name + ": not an IDX file: unknown element type " + std::to_string(type));
  }
  fail(ErrorCode::unsupported, name + ": IDX elements of type " + other + " are not supported: store them as u8");
}

/// The product of the dimensions, which must not exceed `limit`.
std::size_t checked_product(std::span<const std::size_t> dimensions, Bytes limit, const std::string& name) {
  std::uint64_t product = 1;
  for (std::size_t extent : dimensions) {
    if (__builtin_mul_overflow(product, std::uint64_t{extent}, &product) || product > limit.value) {
      fail(ErrorCode::invalid_argument,
           name + ": the IDX header announces more than the limit of " + std::to_string(limit.value) + " bytes");
    }
  }
  return static_cast<std::size_t>(product);
}

/// On huge pages, as batches are gathered from anywhere in it.
std::vector<std::uint8_t> moved_to(std::vector<std::uint8_t> bytes, std::size_t size) {
  std::vector<std::uint8_t> larger;
  larger.reserve(size);
  ask_for_huge_pages(larger.data(), size);
  larger.assign(bytes.begin(), bytes.end());
  bytes = {};
  larger.resize(size);
  return larger;
}

std::vector<std::uint8_t> read_exactly(ByteSource& source, std::size_t total, const std::string& name) {
  constexpr std::size_t first_chunk = std::size_t{1} << 20;
  std::vector<std::uint8_t> bytes;
  std::size_t done = 0;
  while (done < total) {
    // Doubling: a short file with a large claim costs at most twice its own size.
    bytes = moved_to(std::move(bytes), std::min(total, std::max(first_chunk, 2 * done)));
    const std::size_t wanted = bytes.size() - done;
    const std::size_t got = source.read(std::span(bytes).subspan(done));
    done += got;
    if (got < wanted) {
      fail(ErrorCode::corrupt, name + ": truncated IDX file: the header announces " + std::to_string(total) +
                                   " bytes of elements, there are " + std::to_string(done));
    }
  }
  std::uint8_t extra = 0;
  if (source.read({&extra, 1}) != 0) {
    fail(ErrorCode::corrupt,
         name + ": trailing bytes after the " + std::to_string(total) + " the IDX header announces");
  }
  return bytes;
}

}  // namespace

IdxFile IdxFile::parse(ByteSource& source, std::string_view name_view, Bytes limit) {
  const std::string name(name_view);
  const auto content = gunzip_if_compressed(source, name);

  std::array<std::uint8_t, 4> magic{};
  if (content->read(magic) != magic.size()) fail(ErrorCode::corrupt, name + ": truncated IDX header");
  if (magic[0] != 0 || magic[1] != 0) {
    fail(ErrorCode::corrupt, name + ": not an IDX file: it does not start with two zero bytes");
  }
  require_u8(magic[2], name);
  const std::size_t rank = magic[3];
  if (rank == 0) fail(ErrorCode::corrupt, name + ": IDX header with rank 0");
  if (rank > max_rank) {
    fail(ErrorCode::unsupported, name + ": IDX rank " + std::to_string(rank) + " is not supported: at most 4");
  }

  std::array<std::uint8_t, 4 * max_rank> extents{};
  const auto used = std::span(extents).first(4 * rank);
  if (content->read(used) != used.size()) fail(ErrorCode::corrupt, name + ": truncated IDX header");
  IdxFile file;
  for (std::size_t axis = 0; axis < rank; ++axis) {
    const std::uint8_t* b = extents.data() + 4 * axis;
    file.dimensions_.push_back(std::size_t{b[0]} << 24 | std::size_t{b[1]} << 16 | std::size_t{b[2]} << 8 | b[3]);
  }
  file.elements_ = read_exactly(*content, checked_product(file.dimensions_, limit, name), name);
  return file;
}

IdxFile IdxFile::read(const std::filesystem::path& path, Bytes limit) {
  FileSource source(path);
  return parse(source, path.string(), limit);
}

}  // namespace trireme::data
