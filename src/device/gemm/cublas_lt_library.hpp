// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "device/gemm/cublas_lt_api.hpp"

#include <memory>
#include <string>

namespace trireme::device::cublas_lt {

/// The library, loaded.
struct Library {
  Functions functions{};
  std::shared_ptr<void> handle;  ///< closes it
};

/// Errors: unsupported, saying what was tried and what to install.
Library load_library(const std::string& file);

/// Why it cannot be loaded, or empty.
std::string why_not(const std::string& file);

}  // namespace trireme::device::cublas_lt
