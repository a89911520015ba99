// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/export.hpp"

#include "checkpoint/safetensors.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <set>
#include <vector>

namespace trireme::checkpoint {
namespace {

constexpr std::size_t bytes_at_once = std::size_t{8} << 20;  // at once

std::string temporary(const std::string& path) { return path + ".writing"; }

void write_all(OutputFile& file, std::span<const std::byte> bytes) {
  for (std::size_t begin = 0; begin < bytes.size(); begin += bytes_at_once)
    file.write(bytes.subspan(begin, std::min(bytes_at_once, bytes.size() - begin)));
}

std::span<const std::byte> bytes_of(const Parameter& tensor) {
  return {static_cast<const std::byte*>(tensor.value.data), tensor.value.size_bytes()};
}

void check(const Parameter& tensor, std::set<std::string>& names) {
  const std::string what = "export: tensor '" + tensor.name + "'";
  if (tensor.name.empty()) fail(ErrorCode::invalid_argument, "export: a tensor has no name");
  if (tensor.name == "__metadata__")
    fail(ErrorCode::invalid_argument, what + ": safetensors files keep this name for themselves");
  if (!names.insert(tensor.name).second) fail(ErrorCode::invalid_argument, what + " is there twice");
  if (tensor.value.device.kind != DeviceKind::cpu)
    fail(ErrorCode::unsupported, what + " is not in host memory: copy it there to export it");
  std::uint64_t count = 1;
  for (const std::int64_t extent : tensor.shape) {
    if (extent < 0 || __builtin_mul_overflow(count, static_cast<std::uint64_t>(extent), &count))
      fail(ErrorCode::invalid_argument, what + " has an impossible shape");
  }
  if (count != tensor.value.count)
    fail(ErrorCode::invalid_argument,
         what + " has " + std::to_string(tensor.value.count) + " values, and a shape of " + std::to_string(count));
}

/// In the order of the file.
std::vector<const Parameter*> checked(const ModelExport& model) {
  std::set<std::string> names;
  std::vector<const Parameter*> tensors;
  for (const auto list : {model.parameters, model.buffers}) {
    for (const Parameter& each : list) {
      check(each, names);
      tensors.push_back(&each);
    }
  }
  std::stable_sort(tensors.begin(), tensors.end(), [](const Parameter* a, const Parameter* b) {
    return size_of(a->value.dtype) > size_of(b->value.dtype);
  });
  return tensors;
}

std::vector<std::byte> header_of(std::span<const Parameter* const> tensors) {
  std::vector<SafeTensor> entries;
  std::uint64_t begin = 0;
  for (const Parameter* each : tensors) {
    const std::uint64_t end = begin + each->value.size_bytes();
    entries.push_back(
        {.name = each->name, .dtype = each->value.dtype, .shape = each->shape, .begin = begin, .end = end});
    begin = end;
  }
  return safetensors_header(entries, {{"format", "pt"}});
}

/// Does `work` on a new file and syncs it; what fails leaves none.
template <class Work>
void write_new(FileSystem& files, const std::string& path, Work&& work) {
  files.remove(path);
  const auto file = files.create(path);
  try {
    work(*file);
    file->sync();
  } catch (...) {
    try {
      files.remove(path);
    } catch (const Exception&) {  // the first failure is the one to tell of
    }
    throw;
  }
}

}  // namespace

void check_export_folder(FileSystem& files, const std::string& folder) {
  try {
    files.make_folder(folder);
    const std::string path = temporary(folder + "/" + exported_config);
    write_new(files, path, [](OutputFile& file) { write_all(file, std::as_bytes(std::span("{}\n", 3))); });
    files.remove(path);
  } catch (const Exception& failure) {
    fail(ErrorCode::invalid_argument, "cannot write in " + folder + ": " + failure.error().message);
  }
}

std::uint64_t export_model(FileSystem& files, const std::string& folder, const ModelExport& model) {
  const std::vector<const Parameter*> tensors = checked(model);
  const std::vector<std::byte> header = header_of(tensors);
  const std::string weights = folder + "/" + exported_weights;
  const std::string config = folder + "/" + exported_config;
  std::uint64_t written = header.size();
  files.make_folder(folder);
  write_new(files, temporary(weights), [&](OutputFile& file) {
    write_all(file, header);
    for (const Parameter* each : tensors) {
      write_all(file, bytes_of(*each));
      written += each->value.size_bytes();
    }
  });
  write_new(files, temporary(config),
            [&](OutputFile& file) { write_all(file, std::as_bytes(std::span(model.config))); });
  if (files.remove(config)) files.sync_folder(folder);
  files.replace(temporary(weights), weights);
  files.sync_folder(folder);
  files.replace(temporary(config), config);
  files.sync_folder(folder);
  return written;
}

}  // namespace trireme::checkpoint
