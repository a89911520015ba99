// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/language_model.hpp"
#include "trireme/data/aligned_buffer.hpp"
#include "trireme/models/mesh_gpt.hpp"
#include "trireme/parallel/mesh.hpp"

#include <algorithm>
#include <new>

namespace trireme::cli {
namespace {

models::GptOptions without_memory(models::GptOptions options) {
  options.memory_elsewhere = true;
  return options;
}

/// A leaf's rows go through the pipeline in the schedule's micro-batches.
models::MeshGptOptions mesh_options(const models::GptOptions& options, const ModelMesh& mesh, std::size_t rows) {
  const auto micro_batches = static_cast<std::size_t>(mesh.schedule.micro_batches);
  return {.gpt = options,
          .schedule = mesh.schedule,
          .micro_batch_rows = std::max<std::size_t>((rows + micro_batches - 1) / micro_batches, 1),
          .layers = mesh.layers,
          .sequence_parallel = mesh.sequence_parallel};
}

class MeshedGpt final : public LanguageModel, public ModelShares {
 public:
  MeshedGpt(const models::GptOptions& options, const ModelMesh& mesh, const TaskPlace& place)
      : model_(place.mesh->axis("tensor"), place.mesh->axis("pipeline"), mesh_options(options, mesh, place.most_rows)),
        whole_(models::Gpt<float>(without_memory(options)).parameters()),
        local_(whole_.size()),
        is_writer_(place.is_first) {
    const auto& placements = model_.placements();
    for (std::size_t p = 0; p < placements.size(); ++p) local_[placements[p].parameter] = p;
  }

  const models::GptOptions& options() const override { return model_.options().gpt; }
  const std::vector<Parameter>& parameters() const override { return model_.parameters(); }
  void use_gradients(std::span<const Parameter> parameters) override { model_.use_gradients(parameters); }
  ModelShares* shares() override { return this; }

  double forward_backward(std::span<const std::uint16_t> tokens, std::size_t rows, const PassPlace& place,
                          PassListener& listener) override {
    model_.set_place({.step = place.step, .first_row = place.first_row});
    return model_.forward_backward(tokens, rows, [&](std::size_t parameter) { listener.ready(parameter); });
  }
  models::TokenEvaluation evaluate(std::span<const std::uint16_t> tokens, std::size_t rows) override {
    return model_.evaluate(tokens, rows);
  }

  /// By a whole model, which is there for the while: unless this rank has no memory for it.
  std::vector<std::uint16_t> generate(std::span<const std::uint16_t> prompt, const Continuation& how) override {
    std::optional<models::Gpt<float>> dense;
    try {
      if (is_writer_) dense.emplace(options());
      const data::AlignedBuffer<float> room(2 * largest_tensor());  // of the gathering, and of the writing
    } catch (const std::bad_alloc&) {                               // what was trained is worth more than a sample
      dense.reset();
    }
    model_.for_each_logical([&](std::size_t parameter, std::span<const float> values) {
      if (dense) std::ranges::copy(values, dense->parameters()[parameter].value.as<float>().begin());
    });
    if (!dense) return {};
    try {
      return dense->generate(prompt, how.tokens, how.temperature, how.seed);
    } catch (const std::bad_alloc&) {
      return {};
    }
  }

  const std::vector<Parameter>& whole() const override { return whole_; }
  std::optional<std::size_t> local(std::size_t parameter) const override { return local_[parameter]; }
  void gather(std::size_t parameter, std::span<const float> own, std::span<float> all) override {
    model_.gather_logical(parameter, own, all);
  }
  void take(std::size_t parameter, std::span<const float> all, std::span<float> own) const override {
    const models::MeshPlacement& placement = model_.placements()[*local_[parameter]];
    if (placement.whole || own.size() == all.size()) {
      std::ranges::copy(all, own.begin());
      return;
    }
    auto to = own.begin();
    for (const layout::Interval& range : placement.ranges)
      to = std::ranges::copy(all.subspan(range.begin, range.size()), to).out;
  }
  void visit(const std::function<void(std::size_t parameter, const TensorView& value)>& use) override {
    model_.for_each_logical([&](std::size_t parameter, std::span<const float> values) {
      use(parameter, TensorView(const_cast<float*>(values.data()), values.size(), DType::f32));
    });
  }
  double norm(std::span<const TensorView> gradients, const Parts& parts) override {
    return model_.gradient_norm(gradients, {.owned = parts.owned, .data = parts.replicas});
  }

 private:
  std::size_t largest_tensor() const {
    std::size_t largest = 0;
    for (const Parameter& each : whole_) largest = std::max(largest, each.value.count);
    return largest;
  }

  models::MeshGpt<float> model_;
  std::vector<Parameter> whole_;
  std::vector<std::optional<std::size_t>> local_;  ///< by place in whole_
  bool is_writer_;
};

}  // namespace

std::unique_ptr<LanguageModel> make_meshed_gpt(const models::GptOptions& options, const ModelMesh& mesh,
                                               const TaskPlace& place) {
  return std::make_unique<MeshedGpt>(options, mesh, place);
}

}  // namespace trireme::cli
