// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/checkpoint/manifest.hpp"
#include "trireme/checkpoint/state.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace trireme::cli {

/// What a job was told, by flag (settings_of(), and the content of its data), as its checkpoints keep it.
class SettingsRecord final : public checkpoint::Stateful {
 public:
  using Settings = std::vector<std::pair<std::string, std::string>>;
  static constexpr const char* section = "settings";

  explicit SettingsRecord(Settings settings) : settings_(std::move(settings)) {}
  void save(checkpoint::StateWriter& writer) const override;
  void restore(checkpoint::StateReader&) override {}  // what it is told now counts

  /// Errors: invalid_argument naming the first flag that makes it another job: another model, other data, another batch.
  void check_same_job(const checkpoint::Manifest& manifest, const std::string& folder) const;
  /// "--learning-rate 0.01 (before: 0.1), …": what was told otherwise and may be; empty when nothing was.
  std::string changes_since(const checkpoint::Manifest& manifest) const;
  /// What `flag` was told in the checkpoint where that is not what it is told now; nothing where it is, or was not said.
  std::optional<std::string> former(const checkpoint::Manifest& manifest, const std::string& flag) const;
  std::string now(const std::string& flag) const;

 private:
  Settings settings_;
};

}  // namespace trireme::cli
