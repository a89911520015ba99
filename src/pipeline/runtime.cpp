// SPDX-License-Identifier: Apache-2.0
#include "trireme/pipeline/runtime.hpp"

#include "pipeline/caught.hpp"
#include "pipeline/proof.hpp"
#include "pipeline/rank_plan.hpp"
#include "trireme/base/error.hpp"
#include "trireme/pipeline/schedule_text.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace trireme::pipeline {
namespace {

std::size_t at(int value) { return static_cast<std::size_t>(value); }

/// FNV-1a.
class Digest {
 public:
  void add(std::string_view text) {
    for (const char each : text) value_ = (value_ ^ static_cast<unsigned char>(each)) * 1099511628211u;
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 14695981039346656037u;
};

/// What has to be the same on all ranks.
std::uint64_t digest_of(const Schedule& schedule, const RuntimeOptions& options) {
  Digest digest;
  digest.add(to_text(schedule));
  for (const Boundary& each : options.boundaries)
    digest.add(std::to_string(each.count) + " " + std::string(name_of(each.dtype)) + ";");
  return digest.value();
}

/// Refuses on all ranks what any rank refuses; the lowest rank's words.
void agree(Communicator& communicator, std::uint64_t digest, const Error& refusal) {
  std::string mine(sizeof digest + 1, '\0');
  std::memcpy(mine.data(), &digest, sizeof digest);
  mine[sizeof digest] = static_cast<char>(refusal.code);
  mine += refusal.message;
  const auto all = communicator.all_gather_bytes(std::as_bytes(std::span<const char>(mine)), {.label = "pipeline"});
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    const auto code = static_cast<ErrorCode>(all[rank].at(sizeof digest));
    if (code == ErrorCode::none) continue;
    const std::string_view text(reinterpret_cast<const char*>(all[rank].data()), all[rank].size());
    fail(code,
         "rank " + std::to_string(rank) + " refuses its pipeline: " + std::string(text.substr(sizeof digest + 1)));
  }
  for (std::size_t rank = 1; rank < all.size(); ++rank) {
    if (std::memcmp(all[rank].data(), all[0].data(), sizeof digest) != 0)
      fail(ErrorCode::mismatch, "rank " + std::to_string(rank) +
                                    " has another pipeline schedule, or other boundaries, than rank 0: give all ranks "
                                    "the same");
  }
}

void check_here(const Communicator& communicator, const Schedule& schedule, const ScheduleFacts& facts,
                std::span<Stage* const> stages, const RuntimeOptions& options) {
  const int ranks = static_cast<int>(schedule.ranks.size());
  if (ranks != communicator.size())
    fail(ErrorCode::invalid_argument, "a schedule of " + std::to_string(ranks) + " ranks on a communicator of " +
                                          std::to_string(communicator.size()));
  if (options.boundaries.size() + 1 != at(schedule.stages))
    fail(ErrorCode::invalid_argument, std::to_string(options.boundaries.size()) + " boundaries between " +
                                          std::to_string(schedule.stages) + " stages: give one less than stages");
  const std::vector<int> numbers = facts.stages_of(communicator.rank());
  if (stages.size() != numbers.size())
    fail(ErrorCode::invalid_argument, std::to_string(stages.size()) + " stages are given, the schedule has " +
                                          std::to_string(numbers.size()) + " on this rank");
  for (std::size_t i = 0; i < stages.size(); ++i) {
    if (stages[i] == nullptr)
      fail(ErrorCode::invalid_argument, "stage " + std::to_string(numbers[i]) + " is a null pointer");
  }
  for (const Action& action : schedule.ranks[at(communicator.rank())]) {
    if (action.kind != ActionKind::backward_input) continue;
    const auto place = std::find(numbers.begin(), numbers.end(), action.stage) - numbers.begin();
    if (!stages[static_cast<std::size_t>(place)]->splits_backward())
      fail(ErrorCode::unsupported, "stage " + std::to_string(action.stage) +
                                       " cannot split its backward, and the schedule asks for it (" +
                                       to_string(action) +
                                       "): take gpipe, 1f1b or interleaved, or write backward_input "
                                       "and backward_weight");
  }
}

std::string label_of(const Message& message) {
  return "stage " + std::to_string(message.stage) + " micro-batch " + std::to_string(message.micro_batch) +
         (message.gradient ? " gradient" : " input");
}

}  // namespace

struct Runtime::State {
  /// Memory for one message, and the operation that is under way on it.
  struct Buffer {
    ArenaBuffer memory;
    Boundary boundary;
    Work work;
    TensorView view() const { return {memory.bytes().data(), boundary.count, boundary.dtype}; }
  };

  State(Communicator own, Schedule given, Proof proof, const RuntimeOptions& given_options)
      : communicator(std::move(own)),
        schedule(std::move(given)),
        facts(std::move(proof.facts)),
        messages(proof.exchange.messages()),
        plan(plan_rank(schedule, facts, proof.exchange, communicator.rank())),
        deadline(given_options.deadline),
        stages(at(schedule.stages), nullptr) {
    for (const Message& each : messages) labels.push_back(label_of(each));
    for (const int boundary : plan.boundary_of_buffer) {
      Buffer buffer;
      buffer.boundary = given_options.boundaries[at(boundary)];
      buffer.memory = communicator.memory().allocate(Bytes{buffer.boundary.count * size_of(buffer.boundary.dtype)});
      bytes.value += buffer.memory.bytes().size();
      buffers.push_back(std::move(buffer));
    }
  }

  TensorView view(int buffer) const { return buffer < 0 ? TensorView() : buffers[at(buffer)].view(); }
  /// What is under way there has arrived, or has left.
  void wait(int buffer) {
    if (buffer >= 0) buffers[at(buffer)].work.wait();
  }
  CallOptions call(int message) const { return {.deadline = deadline, .label = labels[at(message)]}; }

  void post(const PlannedReceive& receive) {
    Buffer& buffer = buffers[at(receive.buffer)];
    buffer.work =
        communicator.recv_async(buffer.view(), messages[at(receive.message)].from.rank, call(receive.message));
  }
  void send(int number, int place) {
    Buffer& buffer = buffers[at(place)];
    buffer.work = communicator.send_async(buffer.view(), messages[at(number)].to.rank, call(number));
  }

  void compute(const PlannedAction& planned) {
    Stage& stage = *stages[at(planned.action.stage)];
    const MicroBatch micro_batch{planned.action.micro_batch, planned.slot};
    switch (planned.action.kind) {
      case ActionKind::forward: return stage.forward(micro_batch, view(planned.input), view(planned.output));
      case ActionKind::backward:
        return stage.backward(micro_batch, view(planned.input), view(planned.output_gradient),
                              view(planned.input_gradient));
      case ActionKind::backward_input:
        return stage.backward_input(micro_batch, view(planned.input), view(planned.output_gradient),
                                    view(planned.input_gradient));
      case ActionKind::backward_weight:
        return stage.backward_weight(micro_batch, view(planned.input), view(planned.output_gradient));
    }
  }

  void run(const PlannedAction& planned) {
    for (const PlannedReceive& receive : planned.posts) post(receive);
    communicator.progress();
    wait(planned.input);
    wait(planned.output_gradient);
    wait(planned.output);
    wait(planned.input_gradient);
    compute(planned);
    if (planned.outgoing >= 0)
      send(planned.outgoing, planned.action.kind == ActionKind::forward ? planned.output : planned.input_gradient);
  }

  Communicator communicator;
  Schedule schedule;
  ScheduleFacts facts;
  std::vector<Message> messages;
  std::vector<std::string> labels;  ///< by message
  RankPlan plan;
  std::optional<std::chrono::milliseconds> deadline;
  std::vector<Stage*> stages;  ///< by number; null: on another rank
  Bytes bytes{};
  std::vector<Buffer> buffers;
};

Runtime::Runtime(const Communicator& communicator, Schedule schedule, std::span<Stage* const> stages,
                 const RuntimeOptions& options) {
  Communicator given = communicator;
  std::optional<Proof> proof;
  Error refusal;
  try {
    proof.emplace(prove(schedule, {.peak_limit = options.peak_limit}, {}, 0));
    check_here(given, schedule, proof->facts, stages, options);
  } catch (const Exception& exception) {
    refusal = exception.error();
  }
  agree(given, digest_of(schedule, options), refusal);
  const std::vector<int> numbers = proof->facts.stages_of(given.rank());
  state_ = std::make_unique<State>(*given.split(0, given.rank()), std::move(schedule), std::move(*proof), options);
  for (std::size_t i = 0; i < stages.size(); ++i) state_->stages[at(numbers[i])] = stages[i];
}

Runtime::Runtime(Runtime&&) noexcept = default;
Runtime& Runtime::operator=(Runtime&&) noexcept = default;
Runtime::~Runtime() = default;

void Runtime::run() {
  for (const PlannedAction& planned : state_->plan.actions) {
    try {
      state_->run(planned);
    } catch (...) {
      abort_with_caught(state_->communicator, "pipeline action " + to_string(planned.action));
      throw;
    }
  }
  for (State::Buffer& buffer : state_->buffers) buffer.work.wait();
}

const ScheduleFacts& Runtime::facts() const { return state_->facts; }

int Runtime::slots(int stage) const {
  if (stage < 0 || stage >= state_->schedule.stages)
    fail(ErrorCode::invalid_argument,
         "stage " + std::to_string(stage) + ": stages are 0 to " + std::to_string(state_->schedule.stages - 1));
  return state_->facts.peak_of_stage[at(stage)];
}

Bytes Runtime::buffer_bytes() const { return state_->bytes; }

}  // namespace trireme::pipeline
