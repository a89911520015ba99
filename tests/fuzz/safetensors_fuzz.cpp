// SPDX-License-Identifier: Apache-2.0
// parse_safetensors() against hostile headers. By the first byte of an input the rest is the begin of a file as it is, or four
// bytes that say how much data there is and the JSON of a header, put behind its length.
#include "checkpoint/safetensors.hpp"
#include "fuzz_target.hpp"
#include "trireme/base/error.hpp"

#include <cstring>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace trireme;
using namespace trireme::checkpoint;
using Bytes = std::vector<std::byte>;

bool same(const SafeTensor& a, const SafeTensor& b) {
  return a.name == b.name && a.dtype == b.dtype && a.shape == b.shape && a.begin == b.begin && a.end == b.end;
}

void check_accepted(const SafeTensors& file, std::size_t size, std::uint64_t file_bytes) {
  promise(file.header_bytes <= size && file.tensors.size() <= size, "no more is said than there are bytes");
  std::uint64_t end = 0;
  std::set<std::string> names;
  for (const SafeTensor& each : file.tensors) {
    promise(each.begin == end && each.end >= each.begin, "the tensors cover the file in order");
    end = each.end;
    promise(names.insert(each.name).second, "every name is there once");
    bool is_empty = false;
    for (const std::int64_t extent : each.shape) {
      promise(extent >= 0, "no extent is negative");
      is_empty = is_empty || extent == 0;
    }
    std::uint64_t bytes = size_of(each.dtype);
    for (const std::int64_t extent : each.shape) bytes = is_empty ? 0 : bytes * static_cast<std::uint64_t>(extent);
    promise(bytes == each.size_bytes(), "a tensor has the bytes of its shape");
  }
  promise(end == file_bytes - file.header_bytes, "the tensors cover the file to its end");

  const Bytes header = safetensors_header(file.tensors, file.metadata);
  const SafeTensors again = parse_safetensors(header, header.size() + end, "fuzz input");
  promise(again.metadata == file.metadata && again.tensors.size() == file.tensors.size(), "it is written back");
  for (std::size_t i = 0; i < file.tensors.size(); ++i)
    promise(same(again.tensors[i], file.tensors[i]), "every tensor is written back");
}

void read(const Bytes& begin, std::uint64_t file_bytes) {
  try {
    check_accepted(parse_safetensors(begin, file_bytes, "fuzz input"), begin.size(), file_bytes);
  } catch (const Exception& exception) {
    const Error& error = exception.error();
    promise(error.code == ErrorCode::corrupt || error.code == ErrorCode::unsupported, "bad bytes are corrupt");
    promise(error.message.find("fuzz input") != std::string::npos, "an error names its file");
    promise(error.message.size() < 1000, "an error is no longer than a line");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto rest = std::as_bytes(std::span(data, size)).subspan(1);
  if (data[0] % 2 == 0) {
    read({rest.begin(), rest.end()}, rest.size());
    return 0;
  }
  if (rest.size() < 4) return 0;
  std::uint32_t data_bytes = 0;
  std::memcpy(&data_bytes, rest.data(), sizeof data_bytes);
  const std::uint64_t length = rest.size() - sizeof data_bytes;
  Bytes begin(sizeof length);
  std::memcpy(begin.data(), &length, sizeof length);
  begin.insert(begin.end(), rest.begin() + sizeof data_bytes, rest.end());
  read(begin, begin.size() + data_bytes);
  return 0;
}
