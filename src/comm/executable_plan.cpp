// SPDX-License-Identifier: Apache-2.0
#include "comm/executable_plan.hpp"

#include <map>
#include <utility>

namespace trireme::comm {

using plan::Space;
using plan::StepKind;

ExecutablePlan::ExecutablePlan(plan::Plan made) : plan(std::move(made)) {
  const auto& steps = plan.mine.steps;
  const std::size_t count = steps.size();
  dependencies.assign(count, 0);
  dependent_begin.assign(count + 1, 0);
  message.assign(count, 0);
  source_receive.resize(count);
  readers.assign(count, 0);
  borrowable.assign(count, false);
  landing.assign(count, 0);
  slots = plan.mine.scratch;

  for (std::size_t i = 0; i < count; ++i) {
    dependencies[i] = static_cast<std::uint32_t>(steps[i].depends_on.size());
    for (int earlier : steps[i].depends_on) ++dependent_begin[static_cast<std::size_t>(earlier) + 1];
  }
  for (std::size_t i = 0; i < count; ++i) dependent_begin[i + 1] += dependent_begin[i];
  dependents.resize(dependent_begin[count]);
  auto next = dependent_begin;
  for (std::size_t i = 0; i < count; ++i) {
    for (int earlier : steps[i].depends_on)
      dependents[next[static_cast<std::size_t>(earlier)]++] = static_cast<std::uint32_t>(i);
  }

  std::map<int, std::uint32_t> sends;
  std::map<int, std::uint32_t> receives;
  std::vector<std::int32_t> writer(plan.mine.scratch.size(), -1);  // the last step so far that wrote a slot
  const auto writer_of = [&](const plan::Operand& operand) {
    return operand.space == Space::scratch ? writer[static_cast<std::size_t>(operand.slot)] : -1;
  };
  const auto must_land = [&](const plan::Operand& operand) {
    const auto from = writer_of(operand);
    if (from >= 0) borrowable[static_cast<std::size_t>(from)] = false;
  };
  // A loan ends when its reader has run; a reader that waits for a send of its own rank could then wait for ever: two
  // ranks that exchange their inputs in place would each wait for the other to give back first. Such a reader gets a copy.
  std::vector<bool> after_send(count, false);
  for (std::size_t i = 0; i < count; ++i) {
    for (int earlier : steps[i].depends_on) {
      const auto e = static_cast<std::size_t>(earlier);
      if (after_send[e] || steps[e].kind == StepKind::send) after_send[i] = true;
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto& step = steps[i];
    switch (step.kind) {
      case StepKind::send:
        message[i] = sends[step.peer]++;
        must_land(step.source);
        break;
      case StepKind::recv:
        message[i] = receives[step.peer]++;
        borrowable[i] = step.destination.space == Space::scratch;
        break;
      case StepKind::recv_reduce:
        message[i] = receives[step.peer]++;
        must_land(step.destination);
        landing[i] = slots.size();
        slots.push_back({step.blocks, step.wire});
        break;
      case StepKind::copy: must_land(step.source); break;
      case StepKind::load_reduce:
        for (const auto& source : step.sources) {
          const auto from = writer_of(source);
          const bool received = from >= 0 && steps[static_cast<std::size_t>(from)].kind == StepKind::recv;
          source_receive[i].push_back(received ? from : -1);
          if (received) ++readers[static_cast<std::size_t>(from)];
          if (received && after_send[i]) borrowable[static_cast<std::size_t>(from)] = false;
        }
        break;
    }
    if (step.kind != StepKind::send && step.destination.space == Space::scratch) {
      writer[static_cast<std::size_t>(step.destination.slot)] = static_cast<std::int32_t>(i);
    }
  }
}

}  // namespace trireme::comm
