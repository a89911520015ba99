// SPDX-License-Identifier: Apache-2.0
#include "cli/train/process_age.hpp"

#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <string>

#include <time.h>
#include <unistd.h>

namespace trireme::cli {

double process_age() {
  std::ifstream file("/proc/self/stat");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  // The second field is the name in brackets, which may hold anything; the start is the 22nd, in ticks since boot.
  const std::size_t name_end = text.rfind(')');
  timespec now{};
  if (name_end == std::string::npos || ::clock_gettime(CLOCK_BOOTTIME, &now) != 0)
    return std::numeric_limits<double>::quiet_NaN();
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int field = 3; field < 22; ++field) fields >> skipped;
  double ticks = std::numeric_limits<double>::quiet_NaN();
  fields >> ticks;
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec) -
         ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

}  // namespace trireme::cli
