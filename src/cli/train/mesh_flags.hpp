// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/arguments.hpp"
#include "trireme/layout/mesh_shape.hpp"
#include "trireme/pipeline/schedule.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::cli {

/// A model that several ranks have together, and how its micro-batches go through its stages.
struct ModelMesh {
  /// data, pipeline and tensor, each once, in the order given (those that were not, of one rank, are the slowest); data may be
  /// -1, the ranks that the others leave.
  std::vector<layout::MeshAxis> axes{};
  pipeline::Schedule schedule{};      ///< checked: of the ranks of the pipeline axis
  std::string schedule_name{};        ///< "1f1b", or what tells a file's schedule from another
  std::vector<std::size_t> layers{};  ///< of every stage, in their order; empty: as even as can be
  bool sequence_parallel = false;     ///< tensor ranks share positions between their layers

  int ranks(const std::string& axis) const;
  /// Whether a rank has less than the whole model, or computes it by micro-batches; else all of it is as without a mesh.
  bool cuts_model() const { return ranks("pipeline") > 1 || ranks("tensor") > 1 || schedule.micro_batches > 1; }
};

/// The flags of ModelMesh.
class MeshFlags {
 public:
  /// Describes them; must live until `flags` have been parsed.
  explicit MeshFlags(Arguments& flags);
  /// Nothing without --mesh.
  /// Errors: invalid_argument naming the flag: axes that there are not, sizes that make no sense, a schedule that cannot run or
  ///         is of other ranks or micro-batches, more stages than `layers`, layers of stages that are not those, flags without --mesh, another model than gpt.
  std::optional<ModelMesh> checked(const Arguments& flags, const std::string& model, std::size_t layers) const;

 private:
  void settle_layers(const Arguments& flags, std::size_t layers, ModelMesh& choice) const;

  std::string mesh_, schedule_ = "1f1b", stage_layers_;
  int micro_batches_ = 0;  ///< unless given
  bool sequence_parallel_ = false;
};

}  // namespace trireme::cli
