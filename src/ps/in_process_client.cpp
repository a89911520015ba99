// SPDX-License-Identifier: Apache-2.0
#include "ps/in_process_client.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace trireme::ps {
namespace {

void append_bytes(Payload& payload, const ConstTensorView& view, layout::Interval range) {
  const auto* const data = static_cast<const std::byte*>(view.data);
  const std::size_t size = size_of(view.dtype), at = payload.size();
  payload.resize(at + range.size() * size);
  if (range.size() != 0) std::memcpy(payload.data() + at, data + range.begin * size, range.size() * size);
}

}  // namespace

InProcessClient::InProcessClient(std::shared_ptr<InProcessHub> hub, std::uint32_t rank,
                                 std::chrono::milliseconds timeout)
    : hub_(std::move(hub)),
      plan_(hub_->options().plan),
      rank_(rank),
      timeout_(timeout),
      sequences_(hub_->shards(), 0),
      pulls_of_(plan_->tensors().size(), 0),
      versions_(plan_->keys().size(), 0),
      clocks_(plan_->keys().size(), 0),
      parts_(*plan_) {
  first_ = hub_->connect(mailbox_);
  try {
    const InProcessOptions& servers = hub_->options();
    const Join join{.worker = (WorkerId{rank_} << 32) | (first_ & 0xffffffffu),
                    .rank = rank_,
                    .workers = servers.workers,
                    .leaves = servers.leaves,
                    .plan_fingerprint = plan_->fingerprint(),
                    .consistency = servers.consistency.to_string(),
                    .settings = servers.settings};
    for (std::size_t shard = 0; shard < hub_->shards(); ++shard) send(shard, {.control = join});
    wait_until("to be let in", [&] { return welcomed_ == hub_->shards(); });
  } catch (...) {
    end();
    throw;
  }
}

InProcessClient::~InProcessClient() { end(); }

void InProcessClient::end() noexcept {
  if (!failure_)
    failure_ = {.code = ErrorCode::closed,
                .message = "this worker has ended its connections to its parameter servers",
                .rank = static_cast<int>(rank_)};
  pulled_.clear();  // the memory is the caller's again
  if (std::exchange(ended_, true)) return;
  hub_->disconnect(first_);
  for (std::size_t shard = 0; shard < hub_->shards(); ++shard) hub_->send(first_, shard, std::nullopt);
}

void InProcessClient::send(std::size_t shard, Message message) {
  if (failure_) throw Exception(*failure_);
  if (left_) fail(ErrorCode::closed, "this worker has left its parameter servers");
  statistics_.bytes_sent += message.payload.size();
  hub_->send(first_, shard, std::move(message));
}

void InProcessClient::send_numbered(Key key, Message message) {
  const std::size_t shard = hub_->shard_of(plan_->keys()[key]);
  const std::uint64_t sequence = ++sequences_[shard];
  std::visit(
      [&](auto& control) {
        if constexpr (requires { control.sequence = sequence; }) control.sequence = sequence;
      },
      message.control);
  under_way_.insert({shard, sequence});
  send(shard, std::move(message));
}

void InProcessClient::initialise(std::span<const InitialTensor> tensors) {
  if (tensors.size() != plan_->tensors().size()) {
    fail(ErrorCode::invalid_argument, "initialise(): " + std::to_string(tensors.size()) + " tensors for a plan of " +
                                          std::to_string(plan_->tensors().size()));
  }
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const InitialTensor& tensor = tensors[t];
    const TensorInfo& info = plan_->tensors()[t];
    if (tensor.values.count != info.count() || tensor.values.dtype != info.dtype)
      fail(ErrorCode::invalid_argument, "initialise(): the values of '" + info.name + "' are not as the plan has them");
    const auto [first, last] = plan_->keys_of(t);
    for (Key k = first; k < last; ++k) {
      const layout::Interval range = plan_->keys()[k].range;
      Message message;
      append_bytes(message.payload, tensor.values, range);
      Initialise control{.key = k, .steps = tensor.steps};
      for (const auto& [name, elements] : tensor.state) {
        control.state.push_back(name);
        // State that is element by element is cut like the values; other state belongs to the tensor, with its first key.
        const bool cut = elements.count == info.count();
        append_bytes(message.payload, elements, cut ? range : layout::Interval{0, k == first ? elements.count : 0});
      }
      message.control = std::move(control);
      send_numbered(k, std::move(message));
    }
  }
  wait_acknowledged();
}

Push InProcessClient::push_message(Key key, const PushOptions& options) const {
  return {.key = key,
          .step = options.step,
          .weight = options.weight,
          .pulled_version = versions_[key],
          .scale = options.scale,
          .clip_value = options.clip_value,
          .learning_rate = options.learning_rate};
}

void InProcessClient::push(std::size_t tensor, layout::Interval range, ConstTensorView elements,
                           const PushOptions& options) {
  parts_.add(tensor, range, elements, [&](Key key, Payload payload) {
    ++statistics_.pushes;
    send_numbered(key, {.control = push_message(key, options), .payload = std::move(payload)});
  });
}

void InProcessClient::push_rows(std::size_t tensor, std::span<const std::uint32_t> rows, ConstTensorView elements,
                                const PushOptions& options) {
  const TensorInfo& info = plan_->tensors()[tensor];
  const auto parts = rows_by_key(*plan_, tensor, rows);
  const std::size_t columns = rows.empty() ? 0 : columns_of(info);
  if (elements.count != rows.size() * columns || elements.dtype != info.accumulator)
    fail(ErrorCode::invalid_argument, "push_rows(): the elements are not those of the rows of '" + info.name + "'");
  for (const RowsOfKey& part : parts) {
    Push push = push_message(part.key, options);
    push.sparse = true;
    push.rows.assign(rows.begin() + static_cast<std::ptrdiff_t>(part.first),
                     rows.begin() + static_cast<std::ptrdiff_t>(part.last));
    Message message;
    append_bytes(message.payload, elements, {part.first * columns, part.last * columns});
    message.control = std::move(push);
    ++statistics_.pushes;
    send_numbered(part.key, std::move(message));
  }
}

void InProcessClient::push_nothing(std::size_t tensor, const PushOptions& options) {
  const auto [first, last] = plan_->keys_of(tensor);
  for (Key k = first; k < last; ++k) {
    Push push = push_message(k, options);
    push.used = false;
    ++statistics_.pushes;
    send_numbered(k, {.control = std::move(push)});
  }
}

Client::Sum InProcessClient::wait_sum(std::size_t tensor, std::uint64_t step, TensorView mean) {
  const auto [first, last] = plan_->keys_of(tensor);
  const TensorInfo& info = plan_->tensors()[tensor];
  Sum sum;
  for (Key k = first; k < last; ++k) {
    wait_until("the sum of '" + info.name + "' in step " + std::to_string(step), [&, key = k] {
      return sums_.contains({key, step});
    });
    const auto found = sums_.find({k, step});
    const auto& [reduced, payload] = found->second;
    sum.total_weight = reduced.total_weight;
    sum.used = sum.used || reduced.used_by != 0;
    sum.block_sums.insert(sum.block_sums.end(), reduced.block_sums.begin(), reduced.block_sums.end());
    const bool has_mean = reduced.sparse || (payload && !payload->empty());
    if (has_mean) place_mean(info, plan_->keys()[k], reduced, payload ? *payload : Payload{}, mean);
    sums_.erase(found);
  }
  return sum;
}

void InProcessClient::update(const PushOptions& options, bool skip) {
  for (Key k = 0; k < plan_->keys().size(); ++k) {
    send_numbered(k, {.control = Update{.key = k,
                                        .step = options.step,
                                        .skip = skip,
                                        .scale = options.scale,
                                        .clip_value = options.clip_value,
                                        .learning_rate = options.learning_rate}});
  }
}

void InProcessClient::request_values(const Pulled& pulled, Pull message) {
  message.request = ++requests_;
  pulled_.emplace(message.request, pulled);
  ++pulls_of_[pulled.tensor];
  ++statistics_.pulls;
  send(hub_->shard_of(plan_->keys()[pulled.key]), {.control = std::move(message)});
}

void InProcessClient::pull(std::size_t tensor, std::uint64_t step, TensorView values) {
  const auto [first, last] = plan_->keys_of(tensor);
  const TensorInfo& info = plan_->tensors()[tensor];
  if (values.count != info.count() || values.dtype != info.dtype)
    fail(ErrorCode::invalid_argument, "pull(): the memory is not that of the values of '" + info.name + "'");
  for (Key k = first; k < last; ++k) {
    const layout::Interval range = plan_->keys()[k].range;
    request_values({.tensor = tensor,
                    .key = k,
                    .to = static_cast<std::byte*>(values.data) + range.begin * size_of(info.dtype),
                    .bytes = range.size() * size_of(info.dtype)},
                   {.key = k, .step = step});
  }
}

void InProcessClient::pull_rows(std::size_t tensor, std::uint64_t step, std::span<const std::uint32_t> rows,
                                TensorView values) {
  const TensorInfo& info = plan_->tensors()[tensor];
  const std::size_t columns = rows.empty() ? 0 : columns_of(info), size = size_of(info.dtype);
  if (values.count != rows.size() * columns || values.dtype != info.dtype)
    fail(ErrorCode::invalid_argument, "pull_rows(): the memory is not that of the rows of '" + info.name + "'");
  for (const RowsOfKey& part : rows_by_key(*plan_, tensor, rows)) {
    if (part.first == part.last) continue;
    request_values({.tensor = tensor,
                    .key = part.key,
                    .to = static_cast<std::byte*>(values.data) + part.first * columns * size,
                    .bytes = (part.last - part.first) * columns * size},
                   {.key = part.key,
                    .step = step,
                    .sparse = true,
                    .rows = {rows.begin() + static_cast<std::ptrdiff_t>(part.first),
                             rows.begin() + static_cast<std::ptrdiff_t>(part.last)}});
  }
}

std::uint64_t InProcessClient::wait_values(std::size_t tensor) {
  const auto [first, last] = plan_->keys_of(tensor);
  wait_until("the values of '" + plan_->tensors()[tensor].name + "'", [&] { return pulls_of_[tensor] == 0; });
  std::uint64_t lowest = std::numeric_limits<std::uint64_t>::max();
  for (Key k = first; k < last; ++k) lowest = std::min(lowest, versions_[k]);
  return lowest;
}

std::uint64_t InProcessClient::catch_up(std::uint64_t steps) {
  const std::uint64_t least = *std::min_element(clocks_.begin(), clocks_.end());
  if (least <= steps) return steps;
  caught_up_ = least;
  std::erase_if(sums_, [&](const auto& each) { return each.first.second <= least; });
  statistics_.skipped_steps += least - steps;
  return least;
}

void InProcessClient::wait_acknowledged() {
  wait_until("acknowledgements", [&] { return under_way_.empty(); });
}

Client::ServerState InProcessClient::read_state(std::size_t tensor) {
  const auto [first, last] = plan_->keys_of(tensor);
  ServerState whole;
  for (Key k = first; k < last; ++k) {
    const std::uint64_t request = ++requests_;
    send(hub_->shard_of(plan_->keys()[k]), {.control = ReadState{.request = request, .key = k}});
    wait_until("the state of '" + plan_->tensors()[tensor].name + "'", [&] { return states_.contains(request); });
    const auto [state, payload] = std::move(states_[request]);
    states_.erase(request);
    std::uint64_t all = 0;
    for (const std::uint64_t bytes : state.bytes) all += bytes;
    if (state.bytes.size() != state.state.size() + 1 || !payload || all != payload->size())
      fail(ErrorCode::corrupt, "a server's state of '" + plan_->tensors()[tensor].name + "' is not of its size");
    whole.steps = state.steps;
    const std::byte* at = payload->data();
    for (std::size_t i = 0; i < state.bytes.size(); at += state.bytes[i++]) {
      if (i > 0 && whole.state.size() < i) whole.state.emplace_back(state.state[i - 1], std::vector<std::byte>{});
      std::vector<std::byte>& to = i == 0 ? whole.values : whole.state[i - 1].second;
      to.insert(to.end(), at, at + state.bytes[i]);
    }
  }
  return whole;
}

void InProcessClient::leave() {
  if (left_) return;
  for (std::size_t shard = 0; shard < hub_->shards(); ++shard) send(shard, {.control = Leave{}});
  left_ = true;
}

void InProcessClient::wait_until(const std::string& what, const std::function<bool()>& is_there) {
  try {
    while (!is_there()) {
      if (failure_) throw Exception(*failure_);
      auto message = mailbox_->take(Deadline::after(timeout_));
      if (!message) {
        fail(ErrorCode::timeout, "worker " + std::to_string(rank_) + " waits for " + what + ": nothing came for " +
                                     std::to_string(timeout_.count()) + " ms");
      }
      look_at(std::move(*message));
    }
  } catch (const Exception& exception) {
    if (!failure_) failure_ = exception.error();
    end();
    throw;
  }
}

void InProcessClient::look_at(Outgoing message) {
  static const Payload nothing;
  const std::size_t shard = static_cast<std::size_t>(message.to - first_);
  if (message.payload) statistics_.bytes_received += message.payload->size();
  std::visit(
      [&](auto& control) {
        using Kind = std::decay_t<decltype(control)>;
        if constexpr (std::is_same_v<Kind, Welcome>) {
          ++welcomed_;
        } else if constexpr (std::is_same_v<Kind, Acknowledged>) {
          under_way_.erase({shard, control.sequence});
        } else if constexpr (std::is_same_v<Kind, Reduced>) {
          const SumOfStep place{control.key, control.step};
          if (control.step > caught_up_)
            sums_.insert_or_assign(place, std::pair(std::move(control), std::move(message.payload)));
        } else if constexpr (std::is_same_v<Kind, Values>) {
          take_values(control, message.payload ? *message.payload : nothing);
        } else if constexpr (std::is_same_v<Kind, State>) {
          const std::uint64_t request = control.request;
          states_.insert_or_assign(request, std::pair(std::move(control), std::move(message.payload)));
        } else if constexpr (std::is_same_v<Kind, Failed> || std::is_same_v<Kind, Refused>) {
          if constexpr (std::is_same_v<Kind, Failed>) {
            // Of a push that is done: its sum is kept no more, and came before.
            const bool is_push = control.code == ErrorCode::peer_lost && control.sequence != 0;
            if (is_push && !under_way_.contains({shard, control.sequence})) return;
          }
          fail(control.code, control.message);
        }
        // Grants: there is room for everything.
      },
      message.control);
}

void InProcessClient::take_values(const Values& values, const Payload& payload) {
  const auto found = pulled_.find(values.request);
  if (found == pulled_.end()) return;
  const Pulled& pulled = found->second;
  if (payload.size() != pulled.bytes)
    fail(ErrorCode::corrupt, "values of '" + plan_->tensors()[pulled.tensor].name + "' are not of the size asked for");
  if (pulled.bytes != 0) std::memcpy(pulled.to, payload.data(), pulled.bytes);
  versions_[pulled.key] = values.version;
  clocks_[pulled.key] = values.clock;
  clock_ = std::max(clock_, values.clock);
  --pulls_of_[pulled.tensor];
  pulled_.erase(found);
}

InProcessServers::InProcessServers(const InProcessOptions& options) : hub_(std::make_shared<InProcessHub>(options)) {}

std::unique_ptr<Client> InProcessServers::connect(std::uint32_t rank, std::chrono::milliseconds timeout) const {
  return std::make_unique<InProcessClient>(hub_, rank, timeout);
}

InProcessServers::Statistics InProcessServers::statistics() const { return hub_->statistics(); }

}  // namespace trireme::ps
