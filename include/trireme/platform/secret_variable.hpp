// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace trireme::platform {

/// Takes a variable that holds a secret out of this process's own environment, so that children and crash reports do not carry it.
/// What was copied from it before stays.
/// Threads: while there is one.
void scrub_variable(const char* name);

}  // namespace trireme::platform
