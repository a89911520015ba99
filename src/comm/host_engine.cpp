// SPDX-License-Identifier: Apache-2.0
#include "comm/host_engine.hpp"

#include "comm/choose.hpp"
#include "comm/message_space.hpp"
#include "comm/operation.hpp"
#include "comm/signature.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>

namespace trireme::comm {
namespace {

constexpr std::size_t segment_bytes = 512 * 1024;
constexpr std::size_t most_segments = 16;
/// What a rank passes on it has received whole: between hosts small segments keep the last hops short, and as large as an
/// eager message they wait for no acceptance (bench/README: 64 KiB against 128 and 256 on lines of 1 Gbit/s).
constexpr std::size_t network_segment_bytes = 64 * 1024;
constexpr std::size_t most_network_segments = 512;
constexpr std::size_t most_recipes = 4096;
constexpr std::size_t operations_ahead = 8;  // of one shape in flight, for which working memory is made at its first

/// A collective runs an Execution; a send or receive is one request.
struct HostState final : EngineState {
  explicit HostState(std::size_t ranks) : execution(ranks) {}
  Execution execution;
  transport::SendRequest send;
  transport::ReceiveRequest receive;
  shared::Run run;
};

HostState& state_of(Operation& operation) { return static_cast<HostState&>(*operation.state); }
const HostState& state_of(const Operation& operation) { return static_cast<const HostState&>(*operation.state); }

bool is_transfer(const Request& request) { return request.collective == plan::Collective::send_recv; }

}  // namespace

HostEngine::HostEngine(transport::Endpoint& endpoint, ScratchPool& pool, Settings settings, std::uint32_t id,
                       std::vector<int> members, int rank)
    : endpoint_(endpoint),
      pool_(pool),
      settings_(std::move(settings)),
      id_(id),
      members_(std::move(members)),
      rank_(rank) {
  const bool share = settings_.cells != nullptr && members_.size() > 1 &&
                     std::all_of(members_.begin(), members_.end(),
                                 [&](int member) { return settings_.shares_memory[static_cast<std::size_t>(member)]; });
  if (share) {
    tier_ = std::make_unique<shared::Tier>(endpoint_, settings_.cells, *settings_.listener, settings_.epoch, id_,
                                           members_, rank_);
    group_by_caches();
  }
}

void HostEngine::group_by_caches() {
  const auto& settings = settings_.cache_groups;
  std::vector<int> domains(members_.size(), -1);
  for (std::size_t r = 0; r < members_.size(); ++r) {
    const auto member = static_cast<std::size_t>(members_[r]);
    if (member < settings.domain_of.size()) domains[r] = settings.domain_of[member];
  }
  groups_ = shared::groups_of(domains);
  if (!settings.automatic) groups_ = {std::nullopt, "cache groups are off"};
  if (groups_.groups) tier_->use_groups(*groups_.groups, settings.from_bytes);
}

bool HostEngine::through_tier(const Request& request) const {
  if (!tier_ || is_transfer(request)) return false;
  // Of the others with blocks of unequal sizes not every rank knows all sizes.
  if (request.uneven && request.collective != plan::Collective::reduce_scatter &&
      request.collective != plan::Collective::all_gather) {
    return false;
  }
  return request.collective != plan::Collective::all_reduce || !settings_.algorithm;
}

std::unique_ptr<EngineState> HostEngine::make_state() { return std::make_unique<HostState>(members_.size()); }

std::unique_ptr<Engine> HostEngine::split(std::uint32_t id, std::vector<int> members, int rank) {
  return std::make_unique<HostEngine>(endpoint_, pool_, settings_, id, std::move(members), rank);
}

plan::Shape HostEngine::shape_of(const Request& request) const {
  return {.collective = request.collective,
          .ranks = static_cast<int>(members_.size()),
          .leaves = request.leaves,
          .root = request.root};
}

const ExecutablePlan& HostEngine::plan_for(plan::Algorithm algorithm, const plan::Shape& shape) {
  for (const auto& each : plans_) {
    if (each.algorithm == algorithm && each.shape == shape) return *each.plan;
  }
  plans_.push_back(
      {algorithm, shape, std::make_unique<const ExecutablePlan>(plan::make_plan(algorithm, shape, rank_))});
  return *plans_.back().plan;
}

const HostEngine::Recipe& HostEngine::recipe_for(const Request& request) {
  const std::size_t count = request.logical_count();
  const bool by_sizes = request.uneven && request.collective == plan::Collective::reduce_scatter;
  const std::uint64_t sizes = by_sizes ? digest_of(request.input_blocks) : 0;
  const auto fits = [&](const Recipe& each) {
    return each.collective == request.collective && each.order == request.order && each.leaves == request.leaves &&
           each.root == request.root && each.uneven == request.uneven && each.sizes == sizes && each.count == count &&
           each.input == request.input.dtype && each.output == request.output.dtype;
  };
  if (last_recipe_ < recipes_.size() && fits(recipes_[last_recipe_])) return recipes_[last_recipe_];
  const auto known = std::find_if(recipes_.begin(), recipes_.end(), fits);
  if (known != recipes_.end()) {
    last_recipe_ = static_cast<std::size_t>(known - recipes_.begin());
    return *known;
  }

  const std::size_t element = size_of(request.output.dtype);
  const auto algorithm =
      choose({.shape = shape_of(request),
              .order = request.order,
              .count = count,
              .element = {size_of(request.input.dtype), size_of(accumulator_of(request.output.dtype)), element},
              .crosses_network = settings_.crosses_network,
              .forced = request.collective == plan::Collective::all_reduce ? settings_.algorithm : std::nullopt});
  const auto& plan = plan_for(algorithm, shape_of(request));
  std::size_t segments = 1;
  const bool per_pair = request.uneven && request.collective == plan::Collective::all_to_all;
  if (plan.plan.loopable && !per_pair) {  // the segments of a message follow from what both ends know
    const std::size_t block = count / static_cast<std::size_t>(plan.plan.blocks) * element;
    const std::size_t bytes = settings_.crosses_hosts ? network_segment_bytes : segment_bytes;
    const std::size_t most = settings_.crosses_hosts ? most_network_segments : most_segments;
    segments = std::clamp<std::size_t>((block + bytes - 1) / bytes, 1, most);
  }
  pool_.prepare(Execution::scratch_bytes(plan, request), Execution::instance_bytes(plan, static_cast<int>(segments)),
                operations_ahead);
  if (recipes_.size() == most_recipes) recipes_.clear();  // a program of endlessly many shapes: start afresh
  recipes_.push_back({request.collective, request.order, request.leaves, request.root, request.uneven, sizes, count,
                      request.input.dtype, request.output.dtype, &plan, static_cast<int>(segments)});
  last_recipe_ = recipes_.size() - 1;
  return recipes_.back();
}

void HostEngine::start(Operation& operation) {
  if (is_transfer(operation.request)) {
    start_transfer(operation);
    return;
  }
  if (through_tier(operation.request)) {
    tier_->start(state_of(operation).run, operation, divisor_of(operation.request));
    return;
  }
  const auto& recipe = recipe_for(operation.request);
  auto& execution = state_of(operation).execution;
  execution.start({.plan = recipe.plan,
                   .request = operation.request,
                   .stamp = operation.stamp,
                   .communicator = collective_space(id_),
                   .operation = operation.sequence,
                   .members = members_,
                   .divisor = divisor_of(operation.request),
                   .segments = recipe.segments},
                  endpoint_, pool_);
  // Some adjacent pair must compare signatures whatever plans the ranks have chosen: the successor gets this one's, with
  // the first message if one goes there anyway.
  const int ranks = static_cast<int>(members_.size());
  if (ranks > 1) {
    const int successor = (rank_ + 1) % ranks;
    if (!execution.sends_to(successor)) {
      endpoint_.send_note(members_[static_cast<std::size_t>(successor)], signature_note,
                          {collective_space(id_), 0, operation.sequence}, operation.stamp);
    }
  }
}

void HostEngine::check(const Request& request) {
  if (!is_transfer(request) && !through_tier(request)) recipe_for(request);
}

void HostEngine::start_transfer(Operation& operation) noexcept {
  auto& state = state_of(operation);
  const auto& request = operation.request;
  const transport::MessageKey key{transfer_space(id_), 0, operation.sequence};
  const int peer = members_[static_cast<std::size_t>(request.root)];
  if (request.outgoing) {
    state.send = {};
    state.send.peer = peer;
    state.send.key = key;
    state.send.stamp = operation.stamp;
    state.send.data = static_cast<const std::byte*>(request.input.data);
    state.send.bytes = request.input.size_bytes();
    endpoint_.send(state.send);
  } else {
    state.receive = {};
    state.receive.peer = peer;
    state.receive.key = key;
    state.receive.stamp = operation.stamp;
    state.receive.destination = static_cast<std::byte*>(request.output.data);
    state.receive.bytes = request.output.size_bytes();
    endpoint_.receive(state.receive);
  }
}

Progress HostEngine::poll(Operation& operation) noexcept {
  auto& state = state_of(operation);
  Progress progress = Progress::idle;
  int failed_peer = -1;
  if (is_transfer(operation.request)) {
    const auto how = operation.request.outgoing ? state.send.state : state.receive.state;
    if (how == transport::RequestState::done) progress = Progress::done;
    if (how == transport::RequestState::failed) {
      progress = Progress::failed;
      failed_peer = operation.request.root;
    }
  } else if (state.run.operation != nullptr) {
    progress = tier_->poll(state.run);
    failed_peer = state.run.failed_peer;
  } else {
    progress = state.execution.poll(endpoint_);
    failed_peer = state.execution.failed_peer();
  }
  if (progress == Progress::failed) operation.failure.peer_rank = members_[static_cast<std::size_t>(failed_peer)];
  return progress;
}

bool HostEngine::moves_by_polling(const Operation& operation) const noexcept {
  return state_of(operation).run.operation != nullptr;
}

void HostEngine::finish(Operation& operation) noexcept {
  if (tier_) tier_->finish(state_of(operation).run);
  auto& execution = state_of(operation).execution;
  if (execution.active()) execution.finish(pool_);
}

void HostEngine::waiting_for(const Operation& operation, std::vector<int>& world_ranks) const {
  const auto& state = state_of(operation);
  const std::size_t first = world_ranks.size();
  if (is_transfer(operation.request)) {
    world_ranks.push_back(operation.request.root);
  } else if (state.run.operation != nullptr) {
    tier_->missing(state.run, world_ranks);
  } else if (state.execution.active()) {
    state.execution.missing(world_ranks);
  }
  for (std::size_t i = first; i < world_ranks.size(); ++i) {
    world_ranks[i] = members_[static_cast<std::size_t>(world_ranks[i])];
  }
}

Explanation HostEngine::explain(const Request& request) const {
  if (through_tier(request)) {
    return {"shared_memory", std::string(plan::name_of(request.collective)) + " of " +
                                 std::to_string(request.logical_count()) + " elements on " +
                                 std::to_string(members_.size()) + " ranks (" + std::to_string(request.leaves) +
                                 " leaves, " + std::string(name_of(request.order)) + ", one host): shared_memory, " +
                                 std::string(shared::describe_way(request)) +
                                 shared::describe_groups(groups_, settings_.cache_groups.from_bytes, request)};
  }
  const std::size_t element = size_of(request.output.dtype);
  return explain_choice(
      {.shape = shape_of(request),
       .order = request.order,
       .count = request.logical_count(),
       .element = {size_of(request.input.dtype), size_of(accumulator_of(request.output.dtype)), element},
       .crosses_network = settings_.crosses_network,
       .forced = request.collective == plan::Collective::all_reduce ? settings_.algorithm : std::nullopt});
}

}  // namespace trireme::comm
