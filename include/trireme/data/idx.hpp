// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/data/byte_source.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace trireme::data {

/// The most bytes of elements an IDX file may announce unless the caller says otherwise.
inline constexpr Bytes idx_limit{std::uint64_t{4} << 30};

/// An array of bytes in the IDX format of the MNIST family: 00 00 type rank, `rank` big-endian 32-bit dimensions, then
/// the elements in row-major order; plain or gzip. Element type u8, rank 1 to 4.
/// Cost:   memory grows with the bytes that are there, not with what a header claims.
/// Errors: all name the file. corrupt: no IDX header, truncated or trailing bytes, damaged gzip. unsupported: an
///         element type other than u8, a rank above 4. invalid_argument: no such file, a directory, more than `limit`.
/// Source: Y. LeCun, "The MNIST database", section "File formats".
class IdxFile {
 public:
  static IdxFile read(const std::filesystem::path& path, Bytes limit = idx_limit);
  /// From any bytes, plain or gzip; `name` is how errors call them. A pure function of the bytes.
  static IdxFile parse(ByteSource& source, std::string_view name, Bytes limit = idx_limit);

  /// The extent of every axis, the slowest first. At least one, at most four.
  std::span<const std::size_t> dimensions() const { return dimensions_; }
  /// product(dimensions()) elements.
  std::span<const std::uint8_t> elements() const { return elements_; }
  /// Gives the elements away without a copy.
  std::vector<std::uint8_t> take_elements() && { return std::move(elements_); }

 private:
  std::vector<std::size_t> dimensions_;
  std::vector<std::uint8_t> elements_;
};

}  // namespace trireme::data
