// SPDX-License-Identifier: Apache-2.0
#include "parallel/parameter_list.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <set>

namespace trireme::parallel {
namespace {

std::string describe(const Parameter& parameter, bool row_sparse) {
  std::string text = "'" + parameter.name + "' " + std::string(name_of(parameter.value.dtype)) + " {";
  for (std::size_t i = 0; i < parameter.shape.size(); ++i)
    text += (i == 0 ? "" : ", ") + std::to_string(parameter.shape[i]);
  return text + (row_sparse ? "}, row-sparse" : "}");
}

/// FNV-1a, 64 bits: enough to notice a difference, which is then looked up in full.
std::int64_t fingerprint(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return static_cast<std::int64_t>(hash);
}

/// The text of every rank, cut at 256 bytes.
std::vector<std::string> gather_texts(Communicator& communicator, const std::string& mine) {
  constexpr std::size_t width = 256;
  std::array<std::uint8_t, width> padded{};
  std::memcpy(padded.data(), mine.data(), std::min(mine.size(), width - 1));
  std::vector<std::uint8_t> all(width * static_cast<std::size_t>(communicator.size()));
  communicator.all_gather(std::span<const std::uint8_t>(padded), std::span<std::uint8_t>(all),
                          {.label = "parameter list"});
  std::vector<std::string> texts;
  for (int rank = 0; rank < communicator.size(); ++rank) {
    texts.emplace_back(reinterpret_cast<const char*>(all.data() + width * static_cast<std::size_t>(rank)));
  }
  return texts;
}

/// The first rank whose value differs from rank 0's, or 0.
template <class T>
int first_difference(const std::vector<T>& values, std::size_t stride = 1, std::size_t offset = 0) {
  for (std::size_t rank = 1; rank * stride < values.size(); ++rank) {
    if (values[rank * stride + offset] != values[offset]) return static_cast<int>(rank);
  }
  return 0;
}

void refuse(const std::string& what, int rank, const std::string& theirs, const std::string& zeros) {
  fail(ErrorCode::mismatch,
       "the ranks' " + what + ": rank 0 has " + zeros + "; rank " + std::to_string(rank) + " has " + theirs);
}

/// `first`: where the list's first parameter lies; `device`: the world's.
void check_place(const Parameter& parameter, const std::string& which, Device first, std::optional<Device> device) {
  const Device here = parameter.value.device;
  if (here != first || (parameter.gradient.data != nullptr && parameter.gradient.device != here)) {
    fail(ErrorCode::invalid_argument,
         which + ": all values and gradients must lie in host memory, or all on one device");
  }
  if (here.kind == DeviceKind::cpu) return;
  if (!device) {
    fail(ErrorCode::unsupported, which +
                                     " is in device memory, but this world has no device: open it with "
                                     "Options::device (TRIREME_DEVICE=cuda)");
  }
  if (here != *device) {
    fail(ErrorCode::invalid_argument, which + " is on cuda:" + std::to_string(here.index) +
                                          ", but the device of this rank is cuda:" + std::to_string(device->index));
  }
}

}  // namespace

void check_parameters(std::span<const Parameter> parameters, const std::vector<bool>& row_sparse, bool with_gradients,
                      bool with_values, std::optional<Device> device) {
  std::set<std::string> names;
  if (parameters.empty()) fail(ErrorCode::invalid_argument, "the parameter list is empty");
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const Parameter& each = parameters[p];
    const std::string which = "parameter " + describe(each, row_sparse[p]);
    if (each.name.empty()) fail(ErrorCode::invalid_argument, which + " has no name");
    if (!names.insert(each.name).second) fail(ErrorCode::invalid_argument, which + ": the name occurs twice");
    std::size_t count = 1;
    for (const auto extent : each.shape) {
      if (extent < 0 || __builtin_mul_overflow(count, static_cast<std::size_t>(extent), &count)) {
        fail(ErrorCode::invalid_argument, which + " has an impossible shape");
      }
    }
    if (each.value.count != count || each.gradient.count != count) {
      fail(ErrorCode::invalid_argument, which + ": its shape has " + std::to_string(count) + " elements, value " +
                                            std::to_string(each.value.count) + ", gradient " +
                                            std::to_string(each.gradient.count));
    }
    if (row_sparse[p] && (each.shape.empty() || each.shape.front() > std::numeric_limits<std::uint32_t>::max())) {
      fail(ErrorCode::invalid_argument, which + ": its first dimension has to number its rows in 32 bits");
    }
    const bool given = with_gradients || (row_sparse[p] && each.gradient.data != nullptr);
    const bool lacks_value = with_values && each.value.data == nullptr;
    if (count != 0 && (lacks_value || (with_gradients && each.gradient.data == nullptr))) {
      fail(ErrorCode::invalid_argument, which + (with_gradients ? ": value or gradient is null" : ": value is null"));
    }
    if (!with_values && each.stays) {
      fail(ErrorCode::unsupported, which +
                                       ": zero_stage 3 shares its values out between uses, and its model computes with "
                                       "them where they are: take zero_stage 2, or a model that borrows (Gpt)");
    }
    const auto value = reinterpret_cast<std::uintptr_t>(each.value.data);
    const auto gradient = reinterpret_cast<std::uintptr_t>(each.gradient.data);
    if (given && value != 0 && value < gradient + each.gradient.size_bytes() &&
        gradient < value + each.value.size_bytes()) {
      fail(ErrorCode::invalid_argument, which + ": value and gradient share memory");
    }
    check_place(each, which, parameters.front().value.device, device);
    if (row_sparse[p] && each.value.device.kind != DeviceKind::cpu)
      fail(ErrorCode::unsupported, which + " is in device memory, where this version has no row-sparse gradients");
    const bool narrow = each.value.dtype == DType::f16 || each.value.dtype == DType::bf16;
    const bool trained = narrow || each.value.dtype == DType::f32 || each.value.dtype == DType::f64;
    if (!trained || (each.gradient.dtype != each.value.dtype && !(narrow && each.gradient.dtype == DType::f32))) {
      fail(ErrorCode::unsupported,
           which + " with a gradient of " + std::string(name_of(each.gradient.dtype)) +
               ": f32, f64, f16 and bf16 are trained, with gradients of the same type, or f32 of "
               "16-bit ones");
    }
  }
}

void compare_parameters(Communicator& communicator, std::span<const Parameter> parameters,
                        const std::vector<bool>& row_sparse, const std::string& settings) {
  std::vector<std::int64_t> mine;
  std::uint64_t whole = 0;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    mine.push_back(fingerprint(describe(parameters[p], row_sparse[p])));
    whole = whole * 31 + static_cast<std::uint64_t>(mine.back());
  }
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const std::array<std::int64_t, 3> summary{static_cast<std::int64_t>(mine.size()), static_cast<std::int64_t>(whole),
                                            fingerprint(settings)};
  std::vector<std::int64_t> all(3 * ranks);
  communicator.all_gather(std::span<const std::int64_t>(summary), std::span<std::int64_t>(all),
                          {.label = "parameter list"});

  if (const int rank = first_difference(all, 3, 2); rank != 0) {
    const auto texts = gather_texts(communicator, settings);
    refuse("data-parallel settings differ", rank, texts[static_cast<std::size_t>(rank)], texts[0]);
  }
  if (const int rank = first_difference(all, 3, 0); rank != 0) {
    refuse("numbers of parameters differ", rank, std::to_string(all[3 * static_cast<std::size_t>(rank)]),
           std::to_string(all[0]));
  }
  if (first_difference(all, 3, 1) == 0) return;
  std::vector<std::int64_t> prints(mine.size() * ranks);
  communicator.all_gather(std::span<const std::int64_t>(mine), std::span<std::int64_t>(prints),
                          {.label = "parameter list"});
  for (std::size_t p = 0; p < mine.size(); ++p) {
    if (const int rank = first_difference(prints, mine.size(), p); rank != 0) {
      const auto texts = gather_texts(communicator, describe(parameters[p], row_sparse[p]));
      refuse("parameter lists differ at index " + std::to_string(p), rank, texts[static_cast<std::size_t>(rank)],
             texts[0]);
    }
  }
}

void compare_samplers(Communicator& communicator, const data::SamplerState& state) {
  const std::string mine = "count " + std::to_string(state.count) + ", global_batch " +
                           std::to_string(state.global_batch) + ", seed " + std::to_string(state.seed) +
                           (state.shuffle ? ", shuffled" : ", in order") + ", epoch " +
                           std::to_string(state.cursor.epoch) + ", step " + std::to_string(state.cursor.step);
  const std::array<std::int64_t, 1> print{fingerprint(mine)};
  std::vector<std::int64_t> all(static_cast<std::size_t>(communicator.size()));
  communicator.all_gather(std::span<const std::int64_t>(print), std::span<std::int64_t>(all), {.label = "sampler"});
  if (const int rank = first_difference(all, 1, 0); rank != 0) {
    const auto texts = gather_texts(communicator, mine);
    refuse("samplers differ", rank, texts[static_cast<std::size_t>(rank)], texts[0]);
  }
}

bool are_values_elsewhere(std::span<const Parameter> parameters) {
  const Parameter *with = nullptr, *without = nullptr;
  for (const Parameter& each : parameters) {
    if (each.value.count != 0) (each.value.data != nullptr ? with : without) = &each;
  }
  if (with != nullptr && without != nullptr) {
    fail(ErrorCode::invalid_argument, "'" + without->name + "' comes without values, but '" + with->name +
                                          "' with them: give all parameters memory, or none");
  }
  return without != nullptr;
}

void broadcast_values(Communicator& communicator, std::span<const Parameter> parameters, Stream stream) {
  for (const auto& each : parameters) communicator.broadcast(each.value, 0, {.stream = stream, .label = each.name});
}

}  // namespace trireme::parallel
