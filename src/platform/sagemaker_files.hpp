// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/scene.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace trireme::platform {

/// What resourceconfig.json says.
struct ResourceConfig {
  struct Group {
    std::string name;
    std::string instance_type;
    std::vector<std::string> hosts;
  };
  std::string current_host;
  std::string current_group;       ///< empty: not told
  std::vector<std::string> hosts;  ///< in the order of the file, which is the order of the world
  std::vector<Group> groups;
  std::string interface;  ///< empty: not told
};
/// Errors: invalid_argument "NAME: …" for what is no JSON, misses a key, or contradicts itself.
ResourceConfig parse_resource_config(const std::string& text, const std::string& name);

/// The channels of inputdataconfig.json, each below `data_folder`. Errors as above.
std::map<std::string, InputChannel> parse_input_data_config(const std::string& text, const std::string& name,
                                                            const std::string& data_folder);

/// The tree of folders that SageMaker lays out: /opt/ml below the root, or SAGEMAKER_BASE_DIR.
class SagemakerTree {
 public:
  explicit SagemakerTree(const Scene& scene);
  std::string operator/(std::string_view below) const { return base_ + "/" + std::string(below); }
  std::string resource_config() const { return *this / "input/config/resourceconfig.json"; }
  /// Where a path of the platform's own configuration is: /opt/ml moves with the tree.
  std::string moved(const std::string& path) const;

 private:
  std::string root_;
  std::string base_;
};

/// Whether this is a training job of SageMaker: one of its files is there, or its name is in the environment.
bool is_sagemaker(const Scene& scene);

/// Errors: as parse_resource_config; nothing when there is no such file.
std::optional<ResourceConfig> read_resource_config(const Scene& scene);

}  // namespace trireme::platform
