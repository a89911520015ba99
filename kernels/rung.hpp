// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace trireme::kernels {

/// Which body of a device kernel runs, as Isa says which loop of the host: `plain` takes one element after the other and looks
/// up everything as it goes; `fast` is made for the bandwidth, where the operation has such a body for the types and the
/// alignment at hand. The bits are the same.
enum class Rung { plain, fast };

}  // namespace trireme::kernels
