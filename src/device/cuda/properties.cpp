// SPDX-License-Identifier: Apache-2.0
#include "device/cuda/properties.hpp"

#include "device/cuda/failure.hpp"

#include <array>
#include <cstddef>

namespace trireme::device {
namespace {

/// "GPU-00112233-4455-6677-8899-aabbccddeeff", as nvidia-smi writes it.
std::string text_of(const cudaUUID_t& uuid) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text = "GPU-";
  for (std::size_t i = 0; i < sizeof uuid.bytes; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    const auto byte = static_cast<unsigned char>(uuid.bytes[i]);
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

/// In the lower-case letters of the kernel's folders.
std::string bus_of(int device) {
  std::array<char, 32> text{};
  check(::cudaDeviceGetPCIBusId(text.data(), static_cast<int>(text.size()), device), "cudaDeviceGetPCIBusId", device);
  std::string bus = text.data();
  for (char& c : bus) {
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  }
  return bus;
}

}  // namespace

Properties properties_of(int device) {
  cudaDeviceProp said{};
  check(::cudaGetDeviceProperties(&said, device), "cudaGetDeviceProperties", device);
  return {.name = said.name,
          .uuid = text_of(said.uuid),
          .bus = bus_of(device),
          .memory_bytes = said.totalGlobalMem,
          .multiprocessors = said.multiProcessorCount,
          .major = said.major,
          .minor = said.minor};
}

}  // namespace trireme::device
