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

}  // namespace trireme::platform
