// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/host_port.hpp"
#include "platform/json_text.hpp"

#include <optional>
#include <string>
#include <vector>

namespace trireme::platform {

/// The form that CLUSTER_SPEC and TF_CONFIG share: lists of tasks by type, and which of them this one is.
class ClusterMap {
 public:
  /// Errors: invalid_argument "NAME: …" for what is no JSON or misses the task.
  ClusterMap(const std::string& text, std::string name);
  const std::string& name() const { return name_; }
  const std::string& type() const { return type_; }
  int index() const { return index_; }
  const std::string& trial() const { return trial_; }
  /// The tasks of a type; empty when there are none. Errors: invalid_argument for no list of host:port.
  std::vector<HostPort> tasks(const std::string& type) const;
  /// Refuses an index that is none of `count` tasks of this task's type.
  void require_index_below(std::size_t count) const;

 private:
  std::string name_;
  Json json_;
  std::string type_;
  int index_ = 0;
  std::string trial_;
};

/// Errors: invalid_argument "NAME: HOST:PORT is there twice".
void require_different_tasks(const std::vector<HostPort>& tasks, const std::string& name);

std::vector<std::string> hosts_of(const std::vector<HostPort>& tasks);

}  // namespace trireme::platform
