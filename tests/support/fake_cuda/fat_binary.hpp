// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace trireme::testing {

/// The PTX in what nvcc embeds into an object and hands to __cudaRegisterFatBinary. Throws std::runtime_error where there is none or
/// it is compressed in a way that is not known.
std::string ptx_of(const void* fat_binary_wrapper);

}  // namespace trireme::testing
