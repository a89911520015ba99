// SPDX-License-Identifier: Apache-2.0
#include "cli/train/mesh_flags.hpp"

#include "cli/train/content_hash.hpp"
#include "trireme/base/error.hpp"
#include "trireme/pipeline/check.hpp"
#include "trireme/pipeline/generate.hpp"
#include "trireme/pipeline/schedule_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <numeric>
#include <span>
#include <string_view>
#include <system_error>

namespace trireme::cli {
namespace {

constexpr std::array<const char*, 3> axis_names{"data", "pipeline", "tensor"};
constexpr int interleaved_chunks = 2;  // stages of each rank, where a name says no more
constexpr int most_micro_batches = 1 << 16;

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, message); }

/// Errors of what `flag` said are told by its name.
template <class Use>
auto of_flag(const char* flag, Use use) {
  try {
    return use();
  } catch (const Exception& refusal) {
    refuse(std::string(flag) + ": " + refusal.error().message);
  }
}

std::vector<layout::MeshAxis> axes_of(const std::string& text) {
  std::vector<layout::MeshAxis> axes = of_flag("--mesh", [&] { return layout::parse_mesh_axes(text); });
  for (const layout::MeshAxis& axis : axes) {
    const std::string named = "--mesh: axis '" + axis.name + "'";
    if (std::find(axis_names.begin(), axis_names.end(), axis.name) == axis_names.end())
      refuse(named + ": a mesh of train has the axes data, pipeline and tensor");
    if (std::count_if(axes.begin(), axes.end(), [&](const auto& each) { return each.name == axis.name; }) > 1)
      refuse(named + " stands twice");
    if (axis.size == -1 && axis.name != "data")
      refuse(named + " has -1 ranks: data alone may take the ranks that the others leave");
    if (axis.size < 1 && axis.size != -1)
      refuse(named + " has " + std::to_string(axis.size) + " ranks: give at least 1");
  }
  for (const char* name : axis_names) {
    if (std::none_of(axes.begin(), axes.end(), [&](const auto& each) { return each.name == name; }))
      axes.insert(axes.begin(), {name, 1});
  }
  return axes;
}

std::string names() {
  std::string list;
  for (const std::string& each : pipeline::schedule_names()) list += (list.empty() ? "" : ", ") + each;
  return list;
}

bool is_name(const std::string& text) {
  const std::vector<std::string>& all = pipeline::schedule_names();
  return std::find(all.begin(), all.end(), text) != all.end();
}

/// A schedule of a file has its own ranks and micro-batches.
pipeline::Schedule read(const std::string& path, int ranks, int micro_batches) {
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    refuse("--pipeline-schedule is '" + path + "', which is no file and none of: " + names());
  const pipeline::Schedule schedule = of_flag("--pipeline-schedule", [&] { return pipeline::read_schedule(path); });
  const std::string named = "--pipeline-schedule: " + path + " ";
  if (schedule.ranks.size() != static_cast<std::size_t>(ranks)) {
    refuse(named + "has " + std::to_string(schedule.ranks.size()) + " ranks, and the pipeline axis of --mesh " +
           std::to_string(ranks));
  }
  if (micro_batches != 0 && schedule.micro_batches != micro_batches) {
    refuse(named + "has " + std::to_string(schedule.micro_batches) + " micro-batches, and --micro-batches says " +
           std::to_string(micro_batches));
  }
  return schedule;
}

/// "3,4,5".
std::vector<std::size_t> layers_of(const std::string& text) {
  std::vector<std::size_t> layers;
  for (std::string_view rest = text;;) {
    const std::size_t comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    std::uint16_t count = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), count);
    if (error != std::errc() || end != part.data() + part.size() || count == 0) {
      refuse("--stage-layers is '" + text + "': give the layers of each stage, 1 at least, as in 3,4,5");
    }
    layers.push_back(count);
    if (comma == std::string_view::npos) return layers;
    rest.remove_prefix(comma + 1);
  }
}

/// What tells a user's schedule from another: hosts may keep it under any name.
std::string content_of(const pipeline::Schedule& schedule) {
  ContentHash hash;
  const std::string text = pipeline::to_text(schedule);
  hash.add(std::as_bytes(std::span(text)));
  return "file " + hash.text();
}

}  // namespace

int ModelMesh::ranks(const std::string& axis) const {
  for (const layout::MeshAxis& each : axes) {
    if (each.name == axis) return each.size;
  }
  return 1;
}

MeshFlags::MeshFlags(Arguments& flags) {
  flags.option(
      "--mesh", mesh_,
      "of gpt: ranks by axes, data=2,pipeline=2,tensor=2: replicas, that share out batches; stages of layers; "
      "shares of each layer. They multiply to the number of ranks; the last axis is that of neighbours; data=-1: "
      "what the others leave (default: all ranks are replicas)");
  flags.option(
      "--pipeline-schedule", schedule_,
      "with --mesh: who does what when on the pipeline axis: gpipe, 1f1b (default), interleaved (two stages for "
      "each rank), zb-h1, zb-v, or a file with a line of actions for each rank");
  flags
      .option("--micro-batches", micro_batches_,
              "with --mesh: parts in which the samples of a pass go through the pipeline (default: as many as the "
              "pipeline has ranks, or those of the file)",
              {.least = 1, .most = most_micro_batches})
      .without_standard();
  flags
      .option(
          "--stage-layers", stage_layers_,
          "with --mesh: layers of each stage of the pipeline, in their order, as in 3,4,5 (default: as even as can be)")
      .without_standard();
  flags.flag(
      "--sequence-parallel", sequence_parallel_,
      "with --mesh: norms, dropout and what is kept between shared layers are shared by positions on the tensor axis");
}

std::optional<ModelMesh> MeshFlags::checked(const Arguments& flags, const std::string& model,
                                            std::size_t layers) const {
  if (!flags.given("--mesh")) {
    for (const char* flag : {"--pipeline-schedule", "--micro-batches", "--stage-layers", "--sequence-parallel"}) {
      if (flags.given(flag)) refuse(std::string(flag) + " belongs to --mesh, which is not given");
    }
    return std::nullopt;
  }
  if (model != "gpt") refuse("--mesh is for --model gpt; " + model + " has replicas on all ranks, without it");
  ModelMesh choice{.axes = axes_of(mesh_)};
  const int ranks = choice.ranks("pipeline");
  const int micro_batches = micro_batches_ == 0 ? ranks : micro_batches_;
  if (is_name(schedule_)) {
    choice.schedule = of_flag("--pipeline-schedule", [&] {
      return pipeline::make_schedule(schedule_, {.ranks = ranks,
                                                 .micro_batches = micro_batches,
                                                 .chunks = schedule_ == "interleaved" ? interleaved_chunks : 1});
    });
    choice.schedule_name = schedule_;
  } else {
    choice.schedule = read(schedule_, ranks, micro_batches_);
    choice.schedule_name = content_of(choice.schedule);
  }
  of_flag("--pipeline-schedule", [&] { return pipeline::check(choice.schedule); });
  if (static_cast<std::size_t>(choice.schedule.stages) > layers) {
    refuse("--layers " + std::to_string(layers) + " are fewer than the " + std::to_string(choice.schedule.stages) +
           " stages of --pipeline-schedule " + schedule_ + " on " + std::to_string(ranks) +
           " pipeline ranks: every stage has one at least");
  }
  settle_layers(flags, layers, choice);
  choice.sequence_parallel = sequence_parallel_;
  if (sequence_parallel_ && choice.ranks("tensor") == 1)
    refuse("--sequence-parallel shares positions out to the tensor ranks of --mesh, which has no tensor axis");
  return choice;
}

void MeshFlags::settle_layers(const Arguments& flags, std::size_t layers, ModelMesh& choice) const {
  if (!flags.given("--stage-layers")) return;
  choice.layers = layers_of(stage_layers_);
  if (const auto stages = static_cast<std::size_t>(choice.schedule.stages); choice.layers.size() != stages) {
    refuse("--stage-layers " + stage_layers_ + " is of " + std::to_string(choice.layers.size()) +
           " stages, and --pipeline-schedule " + schedule_ + " has " + std::to_string(stages));
  }
  const std::size_t all = std::accumulate(choice.layers.begin(), choice.layers.end(), std::size_t{0});
  if (all != layers)
    refuse("--stage-layers " + stage_layers_ + " are " + std::to_string(all) + ", and --layers says " +
           std::to_string(layers));
}

}  // namespace trireme::cli
