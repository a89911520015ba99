// SPDX-License-Identifier: Apache-2.0
#include "plan/graph_builder.hpp"

#include <algorithm>
#include <utility>

namespace trireme::plan {

GraphBuilder::GraphBuilder(int blocks, BlockRange input_blocks, BlockRange output_blocks, Buffers buffers)
    : output_(buffers == Buffers::apart ? static_cast<std::size_t>(blocks) : 0) {
  caller_.resize(output_ + static_cast<std::size_t>(blocks));
  plan_.blocks = blocks;
  plan_.mine.input_blocks = input_blocks;
  plan_.mine.output_blocks = output_blocks;
}

Operand GraphBuilder::scratch(BlockRange blocks, Role role) {
  plan_.mine.scratch.push_back({blocks, role});
  slots_.push_back(scratch_.size());
  scratch_.resize(scratch_.size() + static_cast<std::size_t>(blocks.count));
  return {Space::scratch, static_cast<std::int16_t>(slots_.size() - 1), role};
}

void GraphBuilder::send(int peer, BlockRange blocks, Operand source, int after) {
  Step step{.kind = StepKind::send, .peer = peer, .blocks = blocks, .source = source, .wire = source.role};
  append(std::move(step), {&source, 1}, nullptr, after);
}

int GraphBuilder::recv(int peer, BlockRange blocks, Operand destination) {
  Step step{.kind = StepKind::recv, .peer = peer, .blocks = blocks, .wire = destination.role};
  step.destination = destination;
  return append(std::move(step), {}, &destination);
}

void GraphBuilder::load_reduce(BlockRange blocks, std::vector<Operand> sources, std::vector<std::int16_t> program,
                               Operand destination) {
  Step step{.kind = StepKind::load_reduce, .blocks = blocks, .destination = destination};
  step.program = std::move(program);
  step.finalize = destination.role == Role::output;
  step.sources = sources;
  append(std::move(step), sources, &destination);
}

void GraphBuilder::copy(int block, Operand source, Operand destination, bool finalize) {
  Step step{.kind = StepKind::copy, .blocks = {block, 1}, .source = source, .destination = destination};
  step.finalize = finalize;
  append(std::move(step), {&source, 1}, &destination);
}

Plan GraphBuilder::finish() {
  const auto& steps = plan_.mine.steps;
  plan_.loopable = std::all_of(steps.begin(), steps.end(), [](const Step& step) { return step.blocks.count == 1; });
  return std::move(plan_);
}

GraphBuilder::Cell& GraphBuilder::cell(Operand operand, int block) {
  if (operand.space != Space::scratch) {
    return caller_[(operand.space == Space::output ? output_ : 0) + static_cast<std::size_t>(block)];
  }
  const auto slot = static_cast<std::size_t>(operand.slot);
  return scratch_[slots_[slot] + static_cast<std::size_t>(block - plan_.mine.scratch[slot].blocks.first)];
}

int GraphBuilder::append(Step step, std::span<const Operand> reads, const Operand* write, int after) {
  const int index = static_cast<int>(plan_.mine.steps.size());
  std::vector<int> waits;
  if (after >= 0) waits.push_back(after);
  for (int block = step.blocks.first; block < step.blocks.first + step.blocks.count; ++block) {
    for (Operand read : reads) {
      const Cell& read_cell = cell(read, block);
      if (read_cell.writer >= 0) waits.push_back(read_cell.writer);
    }
    if (write != nullptr) {
      const Cell& written = cell(*write, block);
      if (written.writer >= 0) waits.push_back(written.writer);
      waits.insert(waits.end(), written.readers.begin(), written.readers.end());
    }
    for (Operand read : reads) cell(read, block).readers.push_back(index);
    if (write != nullptr) {
      Cell& written = cell(*write, block);
      written.writer = index;
      written.readers.clear();
    }
  }
  step.depends_on = without_implied(waits);
  if (std::find(step.depends_on.begin(), step.depends_on.end(), after) != step.depends_on.end()) step.paced_by = after;
  plan_.mine.steps.push_back(std::move(step));
  return index;
}

/// Walks back from the latest wait: a wait reached through a later one is implied by it.
std::vector<int> GraphBuilder::without_implied(const std::vector<int>& waits) {
  constexpr char untouched = 0, wanted = 1, implied = 2;
  if (waits.size() < 2) return waits;
  mark_.assign(plan_.mine.steps.size(), untouched);
  for (int wait : waits) mark_[static_cast<std::size_t>(wait)] = wanted;
  const auto [earliest, latest] = std::minmax_element(waits.begin(), waits.end());
  std::vector<int> kept;
  for (int index = *latest; index >= *earliest; --index) {
    const char mark = mark_[static_cast<std::size_t>(index)];
    if (mark == untouched) continue;
    if (mark == wanted) kept.push_back(index);
    for (int earlier : plan_.mine.steps[static_cast<std::size_t>(index)].depends_on)
      mark_[static_cast<std::size_t>(earlier)] = implied;
  }
  std::reverse(kept.begin(), kept.end());
  return kept;
}

}  // namespace trireme::plan
