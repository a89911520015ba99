// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/byte_source.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace trireme::data {

/// Records in a stream of bytes, each framed as
///
///     magic 0xced7230a | part in the upper 3 bits, length in the lower 29 | that many bytes | zeros up to a multiple of 4
///
/// with both words little-endian. A record is one part (0), or a first (1), any middle ones (2) and a last (3): it was cut where
/// the magic itself stood in it, so that word goes between its parts.
/// Errors: corrupt naming the stream and the place, for another magic, parts out of their order, or an end within a record.
/// Source: the RecordIO of MXNet, which SageMaker wraps objects in (RecordWrapperType).
class RecordIoReader final : public ByteSource {
 public:
  static constexpr std::uint32_t magic = 0xced7230a;

  /// `inner` must outlive it; `name` is how errors call it.
  RecordIoReader(ByteSource& inner, std::string name) : inner_(inner), name_(std::move(name)) {}

  /// Goes on to the next record, behind the rest of the one before. False where there is none.
  bool next();
  /// Bytes of the record; less than `out` has only where the record ends.
  std::size_t read(std::span<std::uint8_t> out) override;

 private:
  enum class Place : unsigned char { between_records, in_part, at_joint, at_end };
  bool read_header(bool continues);
  void end_part();
  void take(std::span<std::uint8_t> out);

  ByteSource& inner_;
  std::string name_;
  std::uint64_t offset_ = 0;
  Place place_ = Place::between_records;
  bool is_last_part_ = true;
  std::uint32_t left_ = 0;        // bytes of the part under way
  std::uint32_t padding_ = 0;     // behind it
  std::uint32_t joint_left_ = 0;  // bytes of the magic that are still to be put between two parts
};

}  // namespace trireme::data
