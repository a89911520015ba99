// SPDX-License-Identifier: Apache-2.0
// decode() of entries of a checkpoint journal against hostile bytes. By the first byte of an input the rest is: a file as it
// is; a protobuf message, put behind a good head with its hash; or a script that makes a small manifest, mostly a sound one.
#include "checkpoint/check_manifest.hpp"
#include "checkpoint/entry.hpp"
#include "checkpoint/hash.hpp"
#include "fuzz_target.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace {

using namespace trireme;
using namespace trireme::checkpoint;
using Bytes = std::vector<std::byte>;

constexpr std::uint64_t most_counted = 1 << 16;  // larger parts are not counted byte by byte

Bytes framed(std::span<const std::byte> message) {
  const std::uint64_t head[2] = {message.size(), hash_of(message)};
  Bytes bytes(8 + sizeof head);
  std::memcpy(bytes.data(), "TRIREME\n", 8);
  std::memcpy(bytes.data() + 8, head, sizeof head);
  bytes.insert(bytes.end(), message.begin(), message.end());
  return bytes;
}

/// Numbers from the input; zeros behind its end.
class Script {
 public:
  explicit Script(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::uint64_t below(std::uint64_t limit) { return next() % limit; }
  /// Mostly 0.
  std::uint64_t error() {
    const std::uint8_t byte = next();
    if (byte < 224) return 0;
    return byte == 255 ? ~std::uint64_t{0} - below(32) : std::uint64_t{byte} - 239;  // also "negative"
  }

 private:
  std::uint8_t next() {
    if (bytes_.empty()) return 0;
    const auto byte = std::to_integer<std::uint8_t>(bytes_.front());
    bytes_ = bytes_.subspan(1);
    return byte;
  }
  std::span<const std::byte> bytes_;
};

Manifest scripted(Script script) {
  Manifest manifest{.attempt{.generation = 1}, .step = 1, .chunk_bytes = 1 + script.below(16), .json_file = "s/json"};
  manifest.parts.resize(script.below(4));
  for (std::size_t p = 0; p < manifest.parts.size(); ++p) {
    const std::uint64_t header = 8 + script.below(3) + script.error();
    manifest.parts[p] = {.file = "s/" + std::to_string(p), .bytes = header, .header_bytes = header, .header_xxh3 = p};
  }
  manifest.tensors.resize(manifest.parts.empty() ? 0 : script.below(5));
  for (std::size_t t = 0; t < manifest.tensors.size(); ++t) {
    TensorRecord& tensor = manifest.tensors[t];
    tensor.name = "t" + std::to_string(t);
    tensor.dtype = static_cast<DType>(script.below(dtype_count));
    std::uint64_t count = 0;
    for (std::uint64_t slices = script.below(4); slices > 0; --slices) {
      Slice slice{.first = count + script.error(),
                  .count = 1 + script.below(6) + script.error(),
                  .part = static_cast<std::uint32_t>(script.below(manifest.parts.size()) + script.error()),
                  .offset = 0,
                  .chunk_xxh3{}};
      count += slice.count;
      const std::uint64_t bytes = slice.count * size_of(tensor.dtype);
      if (slice.part < manifest.parts.size()) {
        slice.offset = manifest.parts[slice.part].bytes + script.error();
        if (script.below(16) != 15) manifest.parts[slice.part].bytes += bytes;  // else the next one lies on it
      }
      const std::uint64_t chunks = bytes / manifest.chunk_bytes + (bytes % manifest.chunk_bytes != 0) + script.error();
      slice.chunk_xxh3.resize(std::min<std::uint64_t>(chunks, 64));
      tensor.slices.push_back(std::move(slice));
    }
    tensor.shape = {static_cast<std::int64_t>(count + script.error())};
  }
  for (PartRecord& part : manifest.parts) part.bytes += script.error();
  return manifest;
}

/// Whether it is small enough to be counted element by element and byte by byte.
bool is_small(const Manifest& manifest) {
  std::uint64_t bytes = 0;
  for (const PartRecord& part : manifest.parts) {
    if (part.bytes > most_counted || (bytes += part.bytes) > most_counted) return false;
  }
  for (const TensorRecord& tensor : manifest.tensors) {
    for (const std::int64_t extent : tensor.shape) {
      if (extent < 0 || extent > 4096) return false;
    }
    if (tensor.shape.size() > 4) return false;
  }
  return true;
}

/// Every byte behind a header is one slice's, every element lies somewhere once. By counting, without the cleverness of
/// check_manifest.
bool holds_together(const Manifest& manifest) {
  std::vector<std::vector<int>> owners;
  for (const PartRecord& part : manifest.parts) {
    if (part.header_bytes < 8 || part.header_bytes > part.bytes) return false;
    owners.emplace_back(part.bytes);
    std::fill_n(owners.back().begin(), part.header_bytes, 1);
  }
  for (const TensorRecord& tensor : manifest.tensors) {
    std::uint64_t element = 0;
    for (const Slice& slice : tensor.slices) {
      if (slice.first != element || slice.count == 0 || slice.part >= owners.size()) return false;
      const std::uint64_t size = size_of(tensor.dtype);
      for (std::uint64_t i = 0; i < slice.count; ++i, ++element) {
        for (std::uint64_t b = 0; b < size; ++b) {
          const std::uint64_t at = slice.offset + i * size + b;
          if (at < slice.offset || at >= owners[slice.part].size() || owners[slice.part][at]++ != 0) return false;
        }
      }
      const std::uint64_t bytes = slice.count * size;
      if (slice.chunk_xxh3.size() != (bytes + manifest.chunk_bytes - 1) / manifest.chunk_bytes) return false;
    }
    if (element != tensor.count()) return false;
  }
  return std::all_of(owners.begin(), owners.end(), [](const std::vector<int>& part) {
    return std::all_of(part.begin(), part.end(), [](int times) { return times == 1; });
  });
}

/// What was accepted keeps the promises of decode().
void check_accepted(const Entry& entry, std::size_t size) {
  const Bytes again = encode(entry);
  promise(encode(decode(again, "fuzz input")) == again, "what is read is written back, and is then the same bytes");
  const auto* manifest = std::get_if<Manifest>(&entry);
  if (manifest == nullptr) return;
  promise(manifest->tensors.size() + manifest->parts.size() + manifest->values.size() <= size,
          "no more is said than there are bytes");
  std::set<std::string> files{manifest->json_file};
  promise(is_below(manifest->json_file), "names stay below the folder");
  for (const PartRecord& part : manifest->parts)
    promise(is_below(part.file) && files.insert(part.file).second, "names stay below the folder, each once");
  promise(manifest->bytes() <= std::uint64_t{1} << 62, "sums of bytes do not overflow");
  if (is_small(*manifest)) promise(holds_together(*manifest), "what is accepted holds together");
  (void)to_json(*manifest);
}

void read(std::span<const std::byte> bytes) {
  try {
    check_accepted(decode(bytes, "fuzz input"), bytes.size());
  } catch (const Exception& exception) {
    const Error& error = exception.error();
    promise(error.code == ErrorCode::corrupt || error.code == ErrorCode::unsupported, "bad bytes are corrupt");
    promise(error.message.find("fuzz input") != std::string::npos, "an error names its file");
    promise(error.message.size() < 2000 && error.message.find('\n') == std::string::npos, "an error is one line");
  }
}

void read_scripted(std::span<const std::byte> script) {
  const Manifest manifest = scripted(Script(script));
  const Bytes bytes = encode(manifest);
  bool accepted = true;
  try {
    decode(bytes, "fuzz input");
  } catch (const Exception&) {
    accepted = false;
  }
  if (is_small(manifest))
    promise(accepted == holds_together(manifest), "what holds together is accepted, and nothing else");
  read(bytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto rest = std::as_bytes(std::span(data, size)).subspan(1);
  switch (data[0] & 3) {
    case 0: read(rest); break;
    case 1: read(framed(rest)); break;
    default: read_scripted(rest); break;
  }
  return 0;
}
