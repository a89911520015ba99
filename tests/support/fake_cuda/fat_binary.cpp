// SPDX-License-Identifier: Apache-2.0
#include "support/fake_cuda/fat_binary.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>

#include <dlfcn.h>

namespace trireme::testing {
namespace {

// As found in objects of CUDA 13.0; the format has no public description.
struct Wrapper {
  std::uint32_t magic, version;
  const std::byte* data;
};
struct Header {
  std::uint32_t magic;
  std::uint16_t version, header_bytes;
  std::uint64_t bytes;  ///< of all entries
};
struct Entry {
  std::uint16_t kind, version;
  std::uint32_t header_bytes;
  std::uint64_t bytes;
  std::uint32_t compressed_bytes;
  std::uint32_t unused[5];
  std::uint64_t flags;
  std::uint64_t unused_too;
  std::uint64_t plain_bytes;
};
constexpr std::uint32_t wrapper_magic = 0x466243b1, header_magic = 0xba55ed50;
constexpr std::uint16_t kind_ptx = 1;
constexpr std::uint64_t flag_lz4 = 0x2000, flag_zstd = 0x8000;
static_assert(offsetof(Entry, flags) == 40 && offsetof(Entry, plain_bytes) == 56);

template <class T>
T read(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Found at run time: the library is on every Debian, its header is not.
std::string from_zstd(const std::byte* data, std::size_t bytes, std::size_t plain_bytes) {
  static void* const library = ::dlopen("libzstd.so.1", RTLD_NOW);
  if (library == nullptr) throw std::runtime_error("PTX is compressed with zstd, and there is no libzstd.so.1");
  using FrameBytes = std::size_t (*)(const void*, std::size_t);
  using Decompress = std::size_t (*)(void*, std::size_t, const void*, std::size_t);
  static const auto frame_bytes = reinterpret_cast<FrameBytes>(::dlsym(library, "ZSTD_findFrameCompressedSize"));
  static const auto decompress = reinterpret_cast<Decompress>(::dlsym(library, "ZSTD_decompress"));
  std::string text(plain_bytes, '\0');
  // What lies behind the frame fills up to a multiple of eight bytes.
  if (frame_bytes == nullptr || decompress == nullptr) throw std::runtime_error("libzstd.so.1 lacks a function");
  if (decompress(text.data(), text.size(), data, frame_bytes(data, bytes)) != plain_bytes)
    throw std::runtime_error("PTX that zstd does not decompress");
  return text;
}

// A block of LZ4 (lz4_Block_format.md of its project): literals, then a match behind, in turn. nvcc of CUDA 12 compresses so.
std::string from_lz4(const std::byte* data, std::size_t bytes, std::size_t plain_bytes) {
  std::string text;
  text.reserve(plain_bytes);
  std::size_t at = 0;
  const auto next = [&] {
    if (at == bytes) throw std::runtime_error("PTX compressed with LZ4 that ends in the middle");
    return static_cast<std::size_t>(data[at++]);
  };
  const auto length_of = [&](std::size_t length) {
    if (length != 15) return length;
    for (std::size_t more = 255; more == 255; length += more) more = next();
    return length;
  };
  while (text.size() < plain_bytes) {
    const std::size_t token = next();
    for (std::size_t left = length_of(token >> 4); left != 0; --left) text += static_cast<char>(next());
    if (text.size() >= plain_bytes) break;  // the last one has no match
    const std::size_t low = next(), back = low | next() << 8;
    if (back == 0 || back > text.size()) throw std::runtime_error("PTX that LZ4 does not decompress");
    for (std::size_t left = length_of(token & 15) + 4; left != 0; --left) text += text[text.size() - back];
  }
  return text;
}

}  // namespace

std::string ptx_of(const void* fat_binary_wrapper) {
  const auto wrapper = read<Wrapper>(static_cast<const std::byte*>(fat_binary_wrapper));
  if (wrapper.magic != wrapper_magic) throw std::runtime_error("no fat binary of CUDA");
  const auto header = read<Header>(wrapper.data);
  if (header.magic != header_magic) throw std::runtime_error("a fat binary with another header");
  const std::byte* at = wrapper.data + header.header_bytes;
  const std::byte* const end = at + header.bytes;
  while (at < end) {
    const auto entry = read<Entry>(at);
    const std::byte* const data = at + entry.header_bytes;
    at = data + entry.bytes;
    if (entry.kind != kind_ptx) continue;
    std::string text;
    if ((entry.flags & flag_zstd) != 0) {
      text = from_zstd(data, entry.bytes, entry.plain_bytes);
    } else if ((entry.flags & flag_lz4) != 0) {
      text = from_lz4(data, entry.compressed_bytes, entry.plain_bytes);
    } else {
      text.assign(reinterpret_cast<const char*>(data), entry.bytes);
    }
    text.resize(std::strlen(text.c_str()));
    return text;
  }
  throw std::runtime_error("a fat binary without PTX: the last of CMAKE_CUDA_ARCHITECTURES must embed it");
}

}  // namespace trireme::testing
