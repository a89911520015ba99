// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace trireme::testing {

using ByteVector = std::vector<std::uint8_t>;

/// An IDX file as bytes: the header of these dimensions and then `elements`, whatever their number.
inline ByteVector idx_bytes(const std::vector<std::uint32_t>& dimensions, const ByteVector& elements,
                            std::uint8_t type = 0x08) {
  ByteVector bytes = {0, 0, type, static_cast<std::uint8_t>(dimensions.size())};
  for (std::uint32_t extent : dimensions) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<std::uint8_t>(extent >> shift));
  }
  bytes.insert(bytes.end(), elements.begin(), elements.end());
  return bytes;
}

/// 0, 1, 2, … modulo `modulus`.
inline ByteVector counting_bytes(std::size_t count, unsigned modulus = 256) {
  ByteVector bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(i % modulus);
  return bytes;
}

/// One gzip member.
inline ByteVector gzip(const ByteVector& bytes) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("deflateInit2 failed");
  }
  ByteVector out(deflateBound(&stream, bytes.size()));
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (status != Z_STREAM_END) throw std::runtime_error("deflate failed");
  return out;
}

}  // namespace trireme::testing
