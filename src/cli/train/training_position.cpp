// SPDX-License-Identifier: Apache-2.0
#include "cli/train/training_position.hpp"

#include "kernels/norm/norm.hpp"
#include "trireme/base/error.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace trireme::cli {
namespace {

void save_optional(checkpoint::StateWriter& writer, std::string_view name, const std::optional<double>& value) {
  if (value) writer.value(name, *value);
}

std::optional<double> restored_optional(const checkpoint::StateReader& reader, std::string_view name) {
  if (!reader.find_value(name)) return std::nullopt;
  return reader.real(name);
}

}  // namespace

void TrainingPosition::save_meter(checkpoint::StateWriter& writer, const char* name, const LossMeter& meter) const {
  const auto leaves = static_cast<std::int64_t>(parts_.leaves);
  if (parts_.saves)
    writer.shard(name, std::span(&leaves, 1), static_cast<std::size_t>(parts_.own.first), meter.sums());
  else
    writer.shard(name, std::span(&leaves, 1), 0, meter.sums().first(0));
  writer.value(std::string(name) + "_samples", meter.samples());
}

void TrainingPosition::save(checkpoint::StateWriter& writer) const {
  writer.value("step", parts_.step);
  writer.value("applied", parts_.applied);
  writer.value("total_steps", parts_.total_steps);
  writer.value("epochs", parts_.result.epochs);
  writer.value("train_loss", parts_.result.train_loss);
  if (parts_.result.stopped_early_at) writer.value("stopped_early_at", *parts_.result.stopped_early_at);
  const data::SamplerState sampler = parts_.sampler.state();
  writer.value("samples", sampler.count);
  writer.value("global_batch", sampler.global_batch);
  writer.value("leaves", static_cast<std::uint64_t>(parts_.leaves));
  save_meter(writer, "epoch_loss", parts_.epoch_loss);
  save_meter(writer, "recent_loss", parts_.recent_loss);
}

void TrainingPosition::restore(checkpoint::StateReader& reader) {
  const data::SamplerOptions& now = parts_.sampler.options();
  const std::uint64_t batch = reader.whole("global_batch"), samples = reader.whole("samples");
  if (batch != now.global_batch || samples != now.count) {
    fail(ErrorCode::invalid_argument,
         "the checkpoint is of batches of " + std::to_string(batch) + " out of " + std::to_string(samples) +
             " samples; now they are " + std::to_string(now.global_batch) + " out of " + std::to_string(now.count) +
             ", which have no place in common: give the same --batch-size and data, or another --checkpoint-dir");
  }
  parts_.step = reader.whole("step");
  parts_.applied = reader.whole("applied");
  parts_.result.epochs = reader.whole("epochs");
  parts_.result.train_loss = reader.real("train_loss");
  parts_.result.stopped_early_at.reset();
  if (reader.find_value("stopped_early_at")) parts_.result.stopped_early_at = reader.whole("stopped_early_at");
  // The step tells the batch that comes next, whether or not the loop has moved its cursor on yet.
  data::SamplerState sampler = parts_.sampler.state();
  sampler.cursor = {.epoch = parts_.step / parts_.sampler.steps_per_epoch(),
                    .step = parts_.step % parts_.sampler.steps_per_epoch()};
  parts_.sampler.restore(sampler);
  restore_meter(reader, "epoch_loss", parts_.epoch_loss, foreign_epoch_);
  restore_meter(reader, "recent_loss", parts_.recent_loss, foreign_recent_);
}

void TrainingPosition::restore_meter(checkpoint::StateReader& reader, const char* name, LossMeter& meter,
                                     std::vector<double>& foreign) {
  const std::span<double> sums = meter.restore(reader.whole(std::string(name) + "_samples"));
  const auto leaves = reader.whole("leaves");
  foreign.clear();
  if (leaves == static_cast<std::uint64_t>(parts_.leaves)) {
    reader.into(name, static_cast<std::size_t>(parts_.own.first), TensorView(sums));
    return;
  }
  if (leaves > reader.elements()) fail(ErrorCode::corrupt, "the checkpoint says that it has more leaves than it holds");
  foreign.resize(leaves);
  reader.into(name, TensorView(std::span(foreign)));
}

void TrainingPosition::restored() {
  for (const auto& [foreign, meter] :
       {std::pair(&foreign_epoch_, &parts_.epoch_loss), std::pair(&foreign_recent_, &parts_.recent_loss)}) {
    if (foreign->empty()) continue;
    // Other leaves: their sum counts for the first one, which one rank has.
    kernels::TreeSum sum;
    for (const double each : *foreign) sum.add(each);
    const std::span<double> sums = meter->restore(meter->samples());
    if (parts_.own.first == 0) sums.front() = sum.result();
  }
}

void save_scores(checkpoint::StateWriter& writer, const Selection& selection) {
  writer.value("best_step", selection.best_step());
  writer.value("worse", selection.worse());
  const Score& best = selection.best();
  writer.value("loss", best.loss);
  save_optional(writer, "accuracy", best.accuracy);
  save_optional(writer, "perplexity", best.perplexity);
  save_optional(writer, "error", best.error);
}

std::vector<std::vector<std::byte>>& restore_scores(checkpoint::StateReader& reader, Selection& selection,
                                                    std::span<const std::size_t> sizes) {
  const Score best{.loss = reader.real("loss"),
                   .accuracy = restored_optional(reader, "accuracy"),
                   .perplexity = restored_optional(reader, "perplexity"),
                   .error = restored_optional(reader, "error")};
  return selection.restore_best(reader.whole("best_step"), best, reader.whole("worse"), sizes);
}

void SelectionState::save(checkpoint::StateWriter& writer) const {
  save_scores(writer, selection_);
  std::size_t index = 0;
  for (const std::vector<std::byte>& values : selection_.values()) {
    const std::string name = "values/" + std::to_string(index);
    const ConstTensorView here(values.data(), values.size(), DType::u8);
    const Part part = parts_.empty() ? Part{.bytes = values.size(), .whole = values.size()} : parts_[index];
    ++index;
    const auto whole = static_cast<std::int64_t>(part.whole);
    if (parts_.empty())
      writer.tensor(name, std::span(&whole, 1), here);
    else if (saves_)
      writer.shard(name, std::span(&whole, 1), part.first, here);
    else
      writer.shard(name, std::span(&whole, 1), 0, ConstTensorView(values.data(), 0, DType::u8));
  }
}

void SelectionState::restore(checkpoint::StateReader& reader) {
  if (!reader.has_section()) {
    selection_.restore_best(0, {}, 0, {});
    return;
  }
  std::vector<std::size_t> sizes;
  for (const checkpoint::SavedTensor& each : reader.tensors())
    sizes.push_back(sizes.size() < parts_.size() ? parts_[sizes.size()].bytes : each.count);
  auto& values = restore_scores(reader, selection_, sizes);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string name = "values/" + std::to_string(i);
    const TensorView to(values[i].data(), values[i].size(), DType::u8);
    i < parts_.size() ? reader.into(name, parts_[i].first, to) : reader.into(name, to);
  }
}

}  // namespace trireme::cli
