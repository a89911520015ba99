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

std::string weights_hash(std::span<const Parameter> parameters) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  for (const Parameter& parameter : parameters) {
    if (parameter.value.device.kind != DeviceKind::cpu) {
      fail(ErrorCode::unsupported,
           "parameter '" + parameter.name + "' is not in host memory: copy it there to hash it");
    }
    if (parameter.value.count != 0) XXH3_64bits_update(&state, parameter.value.data, parameter.value.size_bytes());
  }
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016" PRIx64, static_cast<std::uint64_t>(XXH3_64bits_digest(&state)));
  return digits;
}

}  // namespace trireme::models
