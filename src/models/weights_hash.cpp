// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/weights_hash.hpp"

#include "trireme/base/error.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <bit>
#include <cinttypes>
#include <cstdint>
#include <cstdio>

static_assert(std::endian::native == std::endian::little, "the hash is defined over little-endian bytes");

namespace trireme::models {

struct WeightsHash::State {
  XXH3_state_t hash;
};

WeightsHash::WeightsHash() : state_(std::make_unique<State>()) { XXH3_64bits_reset(&state_->hash); }
WeightsHash::~WeightsHash() = default;

void WeightsHash::add(ConstTensorView values) {
  if (values.count != 0) XXH3_64bits_update(&state_->hash, values.data, values.size_bytes());
}

std::string WeightsHash::text() const {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016" PRIx64, static_cast<std::uint64_t>(XXH3_64bits_digest(&state_->hash)));
  return digits;
}

std::string weights_hash(std::span<const Parameter> parameters) {
  WeightsHash hash;
  for (const Parameter& parameter : parameters) {
    if (parameter.value.device.kind != DeviceKind::cpu) {
      fail(ErrorCode::unsupported,
           "parameter '" + parameter.name + "' is not in host memory: copy it there to hash it");
    }
    hash.add(parameter.value);
  }
  return hash.text();
}

}  // namespace trireme::models
