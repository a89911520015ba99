// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace trireme::tracking {

/// CRC-32C (Castagnoli), reflected, of 0x1EDC6F41.
std::uint32_t crc32c(std::string_view bytes);

/// The bytes of an Event message: its wall time, and the version of the format, or a step's scalars.
std::string version_event(double wall_time);
std::string scalars_event(double wall_time, std::int64_t step, const std::map<std::string, double>& scalars);

/// A message in TFRecord's frame: u64 length, its masked CRC, the message, its masked CRC; little-endian.
std::string framed(std::string_view message);

}  // namespace trireme::tracking
