// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/options.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <optional>
#include <string>

namespace trireme::cli {

/// What the platform says of places: where data comes from, where checkpoints and the model go. What was typed stands above it.
class PlatformPlaces {
 public:
  /// `cluster` must outlive it.
  PlatformPlaces(const platform::ClusterSpec& cluster, std::string root) : cluster_(cluster), root_(std::move(root)) {}

  /// Where nobody names another folder. Trials of a tuning job that share a checkpoint folder would go on from one another's, so
  /// each has a folder of its own in it, unless the platform has put the trial's name into the path already.
  std::optional<std::string> checkpoint_dir() const;
  /// Likewise, but as it is on SageMaker, where every trial is a job with a model folder of its own.
  std::optional<std::string> model_dir() const;

  /// Makes paths of this host of all that `options` name: channels and URIs; puts what the platform says where nothing was typed,
  /// and notes that in options.from_platform.
  /// Errors: invalid_argument naming the flag, for a channel that is not there or comes in a form the data set cannot be read from,
  ///         and for URIs that are not mounted.
  void settle(TrainOptions& options) const;

 private:
  std::string of_trial(const std::string& folder) const;
  std::string path_of(const char* flag, const std::string& text) const;
  const std::string* channel_of(const char* flag, const std::string& path) const;
  void settle_dataset(const char* flag, DatasetSpec& dataset, DataOptions& data) const;
  void settle_images(TrainOptions& options) const;

  const platform::ClusterSpec& cluster_;
  std::string root_;
};

}  // namespace trireme::cli
