// SPDX-License-Identifier: Apache-2.0
#include "platform/sagemaker_files.hpp"

#include "platform/host_port.hpp"
#include "platform/json_text.hpp"
#include "platform/text_file.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <filesystem>

namespace trireme::platform {
namespace {

bool contains(const std::vector<std::string>& list, const std::string& text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

std::string optional_text(const JsonPlace& place, const std::string& key) {
  const auto member = place.find(key);
  return member ? member->text() : std::string();
}

std::vector<ResourceConfig::Group> parse_groups(const JsonPlace& document, const std::vector<std::string>& hosts) {
  std::vector<ResourceConfig::Group> groups;
  const auto list = document.find("instance_groups");
  if (!list) return groups;
  std::vector<std::string> names, grouped;
  for (const JsonPlace& each : list->elements()) {
    ResourceConfig::Group group{each.at("instance_group_name").text(), optional_text(each, "instance_type"),
                                each.at("hosts").texts()};
    for (const std::string& host : group.hosts) {
      if (!contains(hosts, host))
        fail(ErrorCode::invalid_argument, each.name() + ".hosts: " + host + " is not one of hosts");
    }
    names.push_back(group.name);
    grouped.insert(grouped.end(), group.hosts.begin(), group.hosts.end());
    groups.push_back(std::move(group));
  }
  require_different(names, list->name());
  require_different(grouped, list->name());
  return groups;
}

InputChannel::Mode parse_mode(const JsonPlace& channel) {
  const auto mode = channel.find("TrainingInputMode");
  if (!mode) return InputChannel::Mode::file;
  const std::string text = mode->text();
  if (text == "File") return InputChannel::Mode::file;
  if (text == "FastFile") return InputChannel::Mode::fast_file;
  if (text == "Pipe") return InputChannel::Mode::pipe;
  fail(ErrorCode::invalid_argument, mode->name() + "=" + text + ": expected File, FastFile or Pipe");
}

/// A channel's name becomes part of a path.
bool is_channel_name(const std::string& name) {
  const auto legal = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  return !name.empty() && name.size() <= 64 && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), legal);
}

}  // namespace

ResourceConfig parse_resource_config(const std::string& text, const std::string& name) {
  const Json json = parse_json(text, name);
  const JsonPlace document(json, name);
  ResourceConfig config;
  config.current_host = document.at("current_host").text();
  const JsonPlace hosts = document.at("hosts");
  config.hosts = hosts.texts();
  if (config.hosts.empty())
    fail(ErrorCode::invalid_argument, hosts.name() + " is empty: expected all hosts of the job");
  require_different(config.hosts, hosts.name());
  if (!contains(config.hosts, config.current_host))
    fail(ErrorCode::invalid_argument,
         name + ": current_host=" + config.current_host + " is not one of hosts; expected it among them");
  config.groups = parse_groups(document, config.hosts);
  config.current_group = optional_text(document, "current_group_name");
  if (config.current_group.empty()) config.current_group = optional_text(document, "current_instance_group");
  for (const auto& group : config.groups) {
    const bool here = contains(group.hosts, config.current_host);
    if (here && config.current_group.empty()) config.current_group = group.name;
    if (here && config.current_group != group.name)
      fail(ErrorCode::invalid_argument, name + ": current_group_name=" + config.current_group + ", but current_host=" +
                                            config.current_host + " is in instance group " + group.name);
  }
  config.interface = optional_text(document, "network_interface_name");
  return config;
}

std::map<std::string, InputChannel> parse_input_data_config(const std::string& text, const std::string& name,
                                                            const std::string& data_folder) {
  const Json json = parse_json(text, name);
  std::map<std::string, InputChannel> channels;
  for (const auto& [key, place] : JsonPlace(json, name).members()) {
    if (!is_channel_name(key))
      fail(ErrorCode::invalid_argument, name + ": expected a channel's name of letters, digits, dot, _ and -");
    channels.emplace(key, InputChannel{.path = data_folder + "/" + key,
                                       .mode = parse_mode(place),
                                       .sharded = optional_text(place, "S3DistributionType") == "ShardedByS3Key",
                                       .record_io = optional_text(place, "RecordWrapperType") == "RecordIO"});
  }
  return channels;
}

SagemakerTree::SagemakerTree(const Scene& scene)
    : root_(scene.root), base_(scene.text("SAGEMAKER_BASE_DIR").value_or("/opt/ml")) {
  const bool below = !root_.empty() && (base_ + "/").rfind(root_ + "/", 0) == 0;  // given with the root already
  if (!below) base_ = scene.path(base_);
  while (base_.size() > 1 && base_.back() == '/') base_.pop_back();
}

std::string SagemakerTree::moved(const std::string& path) const {
  constexpr std::string_view usual = "/opt/ml";
  const bool below = path.rfind(usual, 0) == 0 && (path.size() == usual.size() || path[usual.size()] == '/');
  return below ? base_ + path.substr(usual.size()) : root_ + path;
}

bool is_sagemaker(const Scene& scene) {
  if (scene.text("TRAINING_JOB_NAME") || scene.text("TRAINING_JOB_ARN")) return true;
  const SagemakerTree tree(scene);
  std::error_code ignored;
  for (const char* file : {"resourceconfig.json", "hyperparameters.json", "inputdataconfig.json"}) {
    if (std::filesystem::exists(tree / (std::string("input/config/") + file), ignored)) return true;
  }
  return false;
}

std::optional<std::string> awaited_file(const Environment& environment, const DetectOptions& options) {
  const Scene scene = scene_of(environment, options);
  if (!is_sagemaker(scene)) return std::nullopt;
  const std::string path = SagemakerTree(scene).resource_config();
  const auto text = read_text_file(path);
  if (text && try_json(*text)) return std::nullopt;
  return path;
}

std::optional<ResourceConfig> read_resource_config(const Scene& scene) {
  const std::string path = SagemakerTree(scene).resource_config();
  const auto text = read_text_file(path);
  if (!text) return std::nullopt;
  return parse_resource_config(*text, path);
}

}  // namespace trireme::platform
