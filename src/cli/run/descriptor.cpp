// SPDX-License-Identifier: Apache-2.0
#include "cli/run/descriptor.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>

#include <fcntl.h>

namespace trireme::cli {

Pipe Pipe::create() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail_system("pipe2", errno);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

}  // namespace trireme::cli
