// SPDX-License-Identifier: Apache-2.0
#include "platform/cluster_map.hpp"

#include "trireme/base/error.hpp"

#include <limits>

namespace trireme::platform {

ClusterMap::ClusterMap(const std::string& text, std::string name) : name_(std::move(name)) {
  json_ = parse_json(text, name_);
  const JsonPlace document(json_, name_);
  if (!document.at("cluster").value().is_object()) document.at("cluster").refuse("an object");
  const JsonPlace task = document.at("task");
  type_ = task.at("type").text();
  // Old writers give the index as a text.
  const JsonPlace index = task.at("index");
  if (const auto* digits = index.value().get_ptr<const std::string*>()) {
    const Json number = try_json(*digits).value_or(Json());
    index_ = JsonPlace(number, index.name()).number(0, std::numeric_limits<int>::max());
  } else {
    index_ = index.number(0, std::numeric_limits<int>::max());
  }
  if (const auto trial = task.find("trial"); trial && trial->value().is_string())
    trial_ = trial->value().get<std::string>();
}

std::vector<HostPort> ClusterMap::tasks(const std::string& type) const {
  std::vector<HostPort> tasks;
  const JsonPlace document(json_, name_);
  const JsonPlace cluster = document.at("cluster");
  const auto list = cluster.find(type);
  if (!list) return tasks;
  for (const JsonPlace& entry : list->elements()) tasks.push_back(parse_host_port(entry.text(), entry.name()));
  require_different_tasks(tasks, list->name());
  return tasks;
}

void ClusterMap::require_index_below(std::size_t count) const {
  if (static_cast<std::size_t>(index_) < count) return;
  fail(ErrorCode::invalid_argument, name_ + ": task.index=" + std::to_string(index_) + ", but the cluster has " +
                                        std::to_string(count) + " of type " + type_ + "; expected one of them");
}

void require_different_tasks(const std::vector<HostPort>& tasks, const std::string& name) {
  std::vector<std::string> texts;
  texts.reserve(tasks.size());
  for (const HostPort& task : tasks)
    texts.push_back(task.host + (task.port ? ":" + std::to_string(*task.port) : std::string()));
  require_different(texts, name);
}

std::vector<std::string> hosts_of(const std::vector<HostPort>& tasks) {
  std::vector<std::string> hosts;
  hosts.reserve(tasks.size());
  for (const HostPort& task : tasks) hosts.push_back(task.host);
  return hosts;
}

}  // namespace trireme::platform
