// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/machine.hpp"

#include "platform/processor_list.hpp"

#include <unistd.h>

namespace trireme::cli {

Machine describe_machine() {
  Machine machine;
  machine.processors = static_cast<int>(platform::allowed_processors().size());
  long pages = ::sysconf(_SC_PHYS_PAGES);
  long page_bytes = ::sysconf(_SC_PAGESIZE);
  if (pages > 0 && page_bytes > 0) {
    machine.memory_bytes = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
  }
  return machine;
}

}  // namespace trireme::cli
