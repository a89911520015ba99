// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/plan/predict.hpp"
#include "trireme/pipeline/check.hpp"

#include <cstdint>

namespace trireme::cli {

/// One stage of the model, on one rank.
struct StageSize {
  std::int64_t layers = 0;
  bool is_first = false;
  bool is_last = false;
};

/// What a rank of the pipeline axis has of the model.
struct RankStages {
  std::int64_t layers = 0;  ///< of all its stages
  bool has_first = false;
  bool has_last = false;
};

/// The sizes that a choice gives to ranks; of tensor ranks the greatest share.
class MeshSizes {
 public:
  MeshSizes(const PlanSetting& setting, const MeshChoice& choice);

  int stages() const { return choice_.stages(); }
  StageSize stage(int number) const;
  RankStages of_rank(const pipeline::ScheduleFacts& facts, int rank) const;

  double share() const { return share_; }            ///< of the weights of a layer that tensor ranks share
  double tokens() const { return tokens_; }          ///< of a micro-batch
  double activation() const { return activation_; }  ///< bytes of one
  double boundary() const { return boundary_; }      ///< bytes of activations {tokens, C}
  double table() const { return table_; }            ///< elements of a tensor rank's part
  double layer_parameters() const { return model_.shared_weights * share_ + model_.whole_weights; }
  /// Elements of what there is beside layers.
  double outer_parameters(const RankStages& rank) const;
  double parameters(const RankStages& rank) const;

 private:
  const ModelSize& model_;
  const MeshChoice& choice_;
  double share_, tokens_, activation_, boundary_, table_;
};

}  // namespace trireme::cli
