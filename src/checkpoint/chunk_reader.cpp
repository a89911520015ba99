// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/chunk_reader.hpp"

#include "checkpoint/hash.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <vector>

namespace trireme::checkpoint {

void FilePartSource::read(std::uint32_t part, std::uint64_t offset, std::span<std::byte> to) {
  auto& file = open_[part];
  if (file == nullptr) file = files_.open(folder_ + "/" + manifest_.parts[part].file);
  file->read(offset, to);
}

void check_chunks(const Manifest& manifest, const TensorRecord& tensor, const Slice& slice, std::size_t chunk,
                  std::span<const std::byte> bytes) {
  for (std::size_t begin = 0; begin < bytes.size(); begin += manifest.chunk_bytes, ++chunk) {
    const auto one = bytes.subspan(begin, std::min<std::size_t>(manifest.chunk_bytes, bytes.size() - begin));
    if (hash_of(one) == slice.chunk_xxh3[chunk]) continue;
    const std::uint64_t element = slice.first + chunk * manifest.chunk_bytes / size_of(tensor.dtype);
    fail(ErrorCode::corrupt, manifest.parts[slice.part].file + " is damaged: tensor '" + tensor.name +
                                 "', elements from " + std::to_string(element) + " on, are not what was saved");
  }
}

void check_header(PartSource& source, const Manifest& manifest, std::uint32_t part) {
  const PartRecord& record = manifest.parts[part];
  std::vector<std::byte> header(record.header_bytes);
  source.read(part, 0, header);
  if (hash_of(header) != record.header_xxh3)
    fail(ErrorCode::corrupt, record.file + " is damaged: its header is not what was saved");
}

}  // namespace trireme::checkpoint
