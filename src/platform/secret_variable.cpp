// SPDX-License-Identifier: Apache-2.0
#include "trireme/platform/secret_variable.hpp"

#include <cstdlib>
#include <cstring>

namespace trireme::platform {

void scrub_variable(const char* name) {
  // Overwritten first: /proc/PID/environ and a core file show the bytes, not the list that unsetenv shortens.
  if (char* text = ::getenv(name)) ::explicit_bzero(text, std::strlen(text));
  ::unsetenv(name);
}

}  // namespace trireme::platform
