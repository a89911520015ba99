// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/temporary_folder.hpp"

#include <map>
#include <string>
#include <vector>

namespace trireme::testing {

/// A job as a platform starts it: variables, and files below a root of its own.
struct DoctorCase {
  const char* name;
  std::map<std::string, std::string> environment;
  /// Path below the root -> text; a path that ends in a slash is a folder. ROOT in a text is the root.
  std::map<std::string, std::string> files;
  /// What `trireme doctor --json` says: JSON of the keys that differ from those of an empty environment, ROOT being the
  /// root; or, beginning with "error: ", words of its one line on stderr, separated by " | ".
  const char* expected;
  int warnings = 0;  ///< of the description: contradictions and what cannot be told
};

/// Writes the files of a case below `root`.
void lay_out(const DoctorCase& job, const std::string& root);

/// Lays out every case, lets doctor look at it (the code of `trireme doctor --json`, TRIREME_GPU_COUNT=8 unless the case
/// says otherwise), and compares every key but gpus, engines, transports, interface and the texts of warnings.
void check(const std::vector<DoctorCase>& cases);

/// Replaces ROOT.
std::string below(const std::string& root, std::string text);

}  // namespace trireme::testing
