// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/checkpoint/file_system.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace trireme::checkpoint {

/// A trained model for other programs. What it names must stay while it is written.
struct ModelExport {
  std::span<const Parameter> parameters;
  std::span<const Parameter> buffers{};  ///< values without a gradient that belong to the model
  std::string config;                    ///< JSON: what the tensors are the weights of
};

/// The names of what export_model() writes.
inline constexpr const char* exported_weights = "model.safetensors";
inline constexpr const char* exported_config = "config.json";

/// Makes the folder and tries whether files can be made there; an export that it holds stays.
/// Errors: invalid_argument naming the folder and the reason.
void check_export_folder(FileSystem& files, const std::string& folder);

/// Writes `model.safetensors`, every tensor whole, under its own name and with its shape, row-major, metadata "format": "pt";
/// then `config.json`. Both are written under other names first ("….writing", those of an earlier attempt are
/// replaced) and are on the device before they take the place of an earlier export's. In between config.json is not there: where
/// it is, so is the model that it describes, whenever the writer died (on storage without renames and second names: or a
/// beginning of it). Not collective: one rank writes.
/// Shape:  tensors stand in the order given, but for those of larger elements, which come first, so that all are aligned.
/// Cost:   8 MiB at a time; no copy of the weights.  Returns the bytes of the weights' file.
/// Errors: invalid_argument naming a tensor whose name is empty, taken or the format's own, or whose shape is not that of its
///         values; unsupported naming one that is not in host memory; those of the file system.
std::uint64_t export_model(FileSystem& files, const std::string& folder, const ModelExport& model);

}  // namespace trireme::checkpoint
