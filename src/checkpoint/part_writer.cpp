// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/part_writer.hpp"

#include "checkpoint/hash.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

namespace trireme::checkpoint {
namespace {

constexpr std::size_t write_bytes = std::size_t{8} << 20;  // at once

std::string folder_of(const StagedPart& part) { return part.folder + "/" + part.file.substr(0, part.file.rfind('/')); }

}  // namespace

Manifest describe(const StagedPart& part) {
  Manifest share;
  if (part.plan.data_bytes == 0) return share;
  for (const PartSlice& slice : part.plan.slices) {
    const StateTensor& tensor = part.tensors[slice.tensor];
    const auto bytes = part.data.subspan(slice.begin, slice.count * size_of(tensor.dtype));
    Slice one{.first = slice.first,
              .count = slice.count,
              .part = 0,
              .offset = part.header.size() + slice.begin,
              .chunk_xxh3 = chunk_hashes(bytes, chunk_bytes)};
    share.tensors.push_back({tensor.name, tensor.dtype, {}, {std::move(one)}});
  }
  share.parts.push_back({.file = part.file,
                         .bytes = part.header.size() + part.plan.data_bytes,
                         .header_bytes = part.header.size(),
                         .header_xxh3 = hash_of(part.header)});
  return share;
}

std::unique_ptr<OutputFile> create_in(FileSystem& files, const std::string& folder, const std::string& path) {
  constexpr int tries = 3;
  for (int i = 1;; ++i) {
    files.make_folder(folder);
    try {
      return files.create(path);
    } catch (const Exception&) {
      if (i == tries || files.size(path)) throw;
    }
  }
}

void write_part(FileSystem& files, const StagedPart& part) {
  if (part.plan.data_bytes == 0) return;
  const std::string path = part.folder + "/" + part.file;
  auto file = create_in(files, folder_of(part), path);
  try {
    file->write(part.header);
    for (std::size_t begin = 0; begin < part.data.size(); begin += write_bytes)
      file->write(part.data.subspan(begin, std::min(write_bytes, part.data.size() - begin)));
    file->sync();
    files.sync_folder(folder_of(part));
    files.sync_folder(part.folder);  // who made the folder may have ended before its name was durable
  } catch (...) {
    file.reset();  // object stores make it when it is closed
    try {
      files.remove(path);
    } catch (const Exception&) {  // the first failure is the one to tell of
    }
    throw;
  }
}

void merge_shares(std::span<const Manifest> shares, Manifest& manifest) {
  std::map<std::string, TensorRecord*, std::less<>> by_name;
  for (TensorRecord& each : manifest.tensors) by_name.emplace(each.name, &each);
  for (const Manifest& share : shares) {
    for (const TensorRecord& tensor : share.tensors) {
      const auto found = by_name.find(tensor.name);
      if (found == by_name.end())
        fail(ErrorCode::mismatch, "some rank saves a tensor '" + tensor.name + "'; rank 0 does not");
      for (Slice slice : tensor.slices) {
        slice.part = static_cast<std::uint32_t>(manifest.parts.size());
        found->second->slices.push_back(std::move(slice));
      }
    }
    manifest.parts.insert(manifest.parts.end(), share.parts.begin(), share.parts.end());
  }
  for (TensorRecord& tensor : manifest.tensors)
    std::sort(tensor.slices.begin(), tensor.slices.end(),
              [](const Slice& a, const Slice& b) { return a.first < b.first; });
}

}  // namespace trireme::checkpoint
