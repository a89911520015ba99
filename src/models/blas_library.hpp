// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace trireme::models {

/// The core type that a process should ask the BLAS library for on this CPU; null when it has no choice to offer.
const char* wanted_blas_core() noexcept;

/// Limits the library to one thread from now on.
void use_one_blas_thread() noexcept;

}  // namespace trireme::models
