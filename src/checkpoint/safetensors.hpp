// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/dtype.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace trireme::checkpoint {

/// A tensor of a safetensors file: where its bytes are, from the end of the header.
struct SafeTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t size_bytes() const { return end - begin; }
};

/// Texts that stand beside the tensors, by name.
using Metadata = std::map<std::string, std::string>;

/// No header is longer, its length included: the format's own limit.
inline constexpr std::uint64_t most_header_bytes = 8 + 100'000'000;

/// The header of a safetensors file, the 8 bytes of its length included: tensors stand in the order given, each at its `begin`,
/// without gaps; padded with spaces to a multiple of 64 bytes, so that tensors are as aligned as they are in the data.
/// Errors: invalid_argument when a name is not UTF-8, is "__metadata__" or is there twice, or the header is too long.
/// Source: https://github.com/huggingface/safetensors, "Format".
std::vector<std::byte> safetensors_header(std::span<const SafeTensor> tensors, const Metadata& metadata);

/// What a file says it holds.
struct SafeTensors {
  std::uint64_t header_bytes = 0;
  std::vector<SafeTensor> tensors;  ///< in the order of their bytes
  Metadata metadata;
};

/// Reads a header from anywhere: `begin` is the file from its first byte on, at least 8 bytes and the header, and `file_bytes`
/// the length of all of it. What it returns holds together: every tensor's bytes are those of its shape, and the tensors
/// cover the file without gap or overlap. Keys of a tensor that the format does not have are passed over.
/// Cost:   memory in proportion to the header, at most 100 MB of it.
/// Errors: corrupt, naming `where` and the tensor; unsupported for a dtype that DType does not have.
SafeTensors parse_safetensors(std::span<const std::byte> begin, std::uint64_t file_bytes, const std::string& where);

/// The length of the header, itself included, by the first 8 bytes of a file.  Errors: corrupt naming `where`.
std::uint64_t safetensors_header_bytes(std::span<const std::byte> begin, std::uint64_t file_bytes,
                                       const std::string& where);

}  // namespace trireme::checkpoint
