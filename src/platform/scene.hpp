// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/platform/cluster_spec.hpp"
#include "trireme/platform/environment.hpp"

#include <string>
#include <string_view>

namespace trireme::platform {

/// What detection looks at: the variables, the files below a root, and the platform once it is known.
struct Scene {
  const Environment& environment;
  std::string root{};  ///< put before every absolute path; no slash at its end
  std::string_view platform{};

  std::string path(std::string_view absolute) const { return root + std::string(absolute); }
  /// Whether there is such a file or folder.
  bool exists(std::string_view absolute) const;
  /// The value of a variable that is there and not empty.
  std::optional<std::string> text(std::string_view name) const;
};

/// The scene of these variables, without its platform. The environment must outlive it.
Scene scene_of(const Environment& environment, const DetectOptions& options);

}  // namespace trireme::platform
