// SPDX-License-Identifier: Apache-2.0
#include "platform/scene.hpp"

#include <filesystem>

namespace trireme::platform {

bool Scene::exists(std::string_view absolute) const {
  std::error_code ignored;
  return std::filesystem::exists(path(absolute), ignored);
}

std::optional<std::string> Scene::text(std::string_view name) const {
  auto value = environment.find(name);
  if (value && value->empty()) value.reset();
  return value;
}

Scene scene_of(const Environment& environment, const DetectOptions& options) {
  Scene scene{.environment = environment, .root = options.root};
  if (scene.root.empty()) scene.root = environment.find("TRIREME_ROOT").value_or("");
  while (!scene.root.empty() && scene.root.back() == '/') scene.root.pop_back();
  return scene;
}

}  // namespace trireme::platform
