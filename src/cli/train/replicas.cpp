// SPDX-License-Identifier: Apache-2.0
#include "cli/train/replicas.hpp"

#include "trireme/base/error.hpp"

#include <array>
#include <cstdint>
#include <span>

namespace trireme::cli {
namespace {

std::optional<Mesh> mesh_of(const Communicator& world, const std::optional<ModelMesh>& choice) {
  if (!choice) return std::nullopt;
  try {
    static_cast<void>(layout::MeshShape(choice->axes, world.size()));
  } catch (const Exception& refusal) {
    fail(ErrorCode::invalid_argument, "--mesh: " + refusal.error().message);
  }
  if (!choice->cuts_model()) return std::nullopt;
  return Mesh(world, choice->axes, {{"pipeline", "tensor"}});
}

}  // namespace

Replicas::Replicas(Communicator world, const std::optional<ModelMesh>& choice)
    : mesh_(mesh_of(world, choice)), across_(mesh_ ? mesh_->axis("data") : std::move(world)) {
  if (!mesh_) return;
  const Communicator& within = mesh_->communicator({"pipeline", "tensor"});
  if (within.size() > 1) within_ = within;
}

Replicas::Wishes Replicas::together(Wishes own) {
  if (!within_) return own;
  std::array<std::int32_t, 2> wishes{own.stop ? 1 : 0, own.checkpoint ? 1 : 0};
  within_->all_reduce(std::span<std::int32_t>(wishes), maximum, {.label = "wishes"});
  return {.stop = wishes[0] != 0, .checkpoint = wishes[1] != 0};
}

}  // namespace trireme::cli
