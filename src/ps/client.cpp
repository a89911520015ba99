// SPDX-License-Identifier: Apache-2.0
#include "trireme/ps/client.hpp"

#include "ps/client_loop.hpp"
#include "ps/partial_pushes.hpp"
#include "ps/pending_sums.hpp"
#include "ps/shard_layout.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <limits>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

namespace trireme::ps {
namespace {

using Requests = std::vector<std::unique_ptr<Request>>;

/// Behind a wait that was too long.
constexpr std::chrono::milliseconds time_for_answers{3000};

WorkerId new_worker(std::uint32_t rank) {
  std::random_device device;
  return (std::uint64_t{rank} << 32) | device() | 1u;  // 0 is nobody
}

std::span<const std::byte> bytes_of_view(const ConstTensorView& view) {
  return {static_cast<const std::byte*>(view.data), view.size_bytes()};
}

class PlannedClient final : public Client, private ClientLoop::Host {
 public:
  explicit PlannedClient(const ClientOptions& options)
      : options_(options),
        plan_(*options_.plan),
        partial_(plan_),
        sums_(plan_),
        pulls_(plan_.tensors().size()),
        versions_(plan_.keys().size()),
        clocks_(plan_.keys().size()),
        loop_({.client = options_, .worker = new_worker(options_.rank), .payload_limit = most_payload_bytes(plan_)},
              *this) {}

  /// Waits until every channel is welcome.
  void finish_connecting(Deadline deadline) {
    std::unique_lock lock(mutex_);
    while (!connected_ && !failure_) {
      if (deadline.is_never())
        changed_.wait(lock);
      else if (changed_.wait_until(lock, deadline.moment()) == std::cv_status::timeout && deadline.passed())
        break;
    }
    if (failure_) throw Exception(*failure_);
    if (connected_) return;
    lock.unlock();
    std::string why;
    for (Key key = 0; key < plan_.keys().size() && why.empty(); ++key) {
      const std::string absence = loop_.absence_of(key);
      if (!absence.empty()) why = loop_.name_of_key_server(key) + ": " + absence;
    }
    throw Exception(Error{.code = ErrorCode::timeout,
                          .message = "not all parameter servers could be reached in time" +
                                     (why.empty() ? std::string(": one did not answer") : "; " + why),
                          .operation = "ps connect",
                          .rank = static_cast<int>(options_.rank)});
  }

  void initialise(std::span<const InitialTensor> tensors) override {
    if (tensors.size() != plan_.tensors().size())
      fail(ErrorCode::invalid_argument,
           std::to_string(tensors.size()) + " initial tensors for " + std::to_string(plan_.tensors().size()));
    Requests requests;
    for (std::size_t t = 0; t < tensors.size(); ++t) {
      check(t, tensors[t].values, plan_.tensors()[t].dtype, plan_.tensors()[t].count(), "initial values");
      const auto [first, last] = plan_.keys_of(t);
      for (Key key = first; key < last; ++key) {
        auto request = make(Request::Kind::initialise, key, 0);
        Initialise initialise{.key = key, .steps = tensors[t].steps};
        add_piece(*request, part_of(key, tensors[t].values));
        for (const auto& [name, state] : tensors[t].state) {
          const auto piece = state_part(t, key, state);
          if (!piece) continue;
          initialise.state.push_back(name);
          add_piece(*request, *piece);
        }
        request->control = std::move(initialise);
        requests.push_back(std::move(request));
      }
    }
    submit(std::move(requests));
    wait_acknowledged();
  }

  void push(std::size_t tensor, layout::Interval range, ConstTensorView elements, const PushOptions& options) override {
    check(tensor, elements, info(tensor).accumulator, range.size(), "gradients");
    Requests requests;
    for (auto& whole : partial_.add(tensor, options.step, range, bytes_of_view(elements))) {
      auto request = make_push(whole.key, options, true);
      for (const auto& piece : whole.pieces) add_piece(*request, piece);
      requests.push_back(std::move(request));
    }
    submit(std::move(requests));
  }

  void push_rows(std::size_t tensor, std::span<const std::uint32_t> rows, ConstTensorView elements,
                 const PushOptions& options) override {
    const std::size_t width = width_of(tensor);
    check(tensor, elements, info(tensor).accumulator, rows.size() * width, "rows of gradients");
    const std::size_t row_bytes = width * size_of(info(tensor).accumulator);
    Requests requests;
    for_rows(tensor, rows, [&](Key key, std::size_t begin, std::size_t end) {
      auto request = make_push(key, options, true);
      auto& push = std::get<Push>(request->control);
      push.sparse = true;
      push.rows.assign(rows.begin() + static_cast<std::ptrdiff_t>(begin),
                       rows.begin() + static_cast<std::ptrdiff_t>(end));
      add_piece(*request, bytes_of_view(elements).subspan(begin * row_bytes, (end - begin) * row_bytes));
      requests.push_back(std::move(request));
    });
    submit(std::move(requests));
  }

  void push_nothing(std::size_t tensor, const PushOptions& options) override {
    static_cast<void>(info(tensor));
    Requests requests;
    const auto [first, last] = plan_.keys_of(tensor);
    for (Key key = first; key < last; ++key) requests.push_back(make_push(key, options, false));
    submit(std::move(requests));
  }

  Sum wait_sum(std::size_t tensor, std::uint64_t step, TensorView mean) override {
    if (mean.count != 0) check(tensor, mean, info(tensor).accumulator, info(tensor).count(), "the memory of a mean");
    if (partial_.is_open(tensor, step))
      fail(ErrorCode::invalid_argument,
           "'" + info(tensor).name + "' has not been pushed whole in step " + std::to_string(step));
    std::unique_lock lock(mutex_);
    sums_.want(tensor, step, mean);  // the same again, if it was said before
    wait(lock, tensor, "the sum", step, [&] { return sums_.is_complete(tensor, step); });
    return sums_.take(tensor, step);
  }

  void expect_sum(std::size_t tensor, std::uint64_t step, TensorView mean) override {
    check(tensor, mean, info(tensor).accumulator, info(tensor).count(), "the memory of a mean");
    std::lock_guard lock(mutex_);
    sums_.want(tensor, step, mean);
  }

  void update(const PushOptions& options, bool skip) override {
    Requests requests;
    for (Key key = 0; key < plan_.keys().size(); ++key) {
      auto request = make(Request::Kind::update, key, options.step);
      request->control = Update{.key = key,
                                .step = options.step,
                                .skip = skip,
                                .scale = options.scale,
                                .clip_value = options.clip_value,
                                .learning_rate = options.learning_rate};
      requests.push_back(std::move(request));
    }
    submit(std::move(requests));
  }

  void pull(std::size_t tensor, std::uint64_t step, TensorView values) override {
    check(tensor, values, info(tensor).dtype, info(tensor).count(), "the memory of values");
    const std::size_t size = size_of(info(tensor).dtype);
    const std::span<std::byte> all(static_cast<std::byte*>(values.data), values.size_bytes());
    Requests requests;
    const auto [first, last] = plan_.keys_of(tensor);
    for (Key key = first; key < last; ++key) {
      const layout::Interval range = plan_.keys()[key].range;
      auto request = make(Request::Kind::pull, key, step);
      request->control = Pull{.key = key, .step = step};
      request->destination = all.subspan(range.begin * size, range.size() * size);
      requests.push_back(std::move(request));
    }
    submit(std::move(requests));
  }

  void pull_rows(std::size_t tensor, std::uint64_t step, std::span<const std::uint32_t> rows,
                 TensorView values) override {
    const std::size_t width = width_of(tensor);
    check(tensor, values, info(tensor).dtype, rows.size() * width, "the memory of rows");
    const std::size_t row_bytes = width * size_of(info(tensor).dtype);
    const std::span<std::byte> all(static_cast<std::byte*>(values.data), values.size_bytes());
    Requests requests;
    for_rows(tensor, rows, [&](Key key, std::size_t begin, std::size_t end) {
      if (begin == end) return;
      auto request = make(Request::Kind::pull, key, step);
      request->control = Pull{
          .key = key,
          .step = step,
          .sparse = true,
          .rows{rows.begin() + static_cast<std::ptrdiff_t>(begin), rows.begin() + static_cast<std::ptrdiff_t>(end)}};
      request->destination = all.subspan(begin * row_bytes, (end - begin) * row_bytes);
      requests.push_back(std::move(request));
    });
    submit(std::move(requests));
  }

  std::uint64_t wait_values(std::size_t tensor) override {
    static_cast<void>(info(tensor));
    std::unique_lock lock(mutex_);
    Pulled& pulled = pulls_[tensor];
    wait(lock, tensor, "the values", pulled.step, [&] { return pulled.missing == 0; });
    return std::exchange(pulled, {}).version.value_or(0);
  }

  std::uint64_t clock() const override {
    std::lock_guard lock(mutex_);
    return clock_;
  }

  std::uint64_t catch_up(std::uint64_t steps) override {
    std::lock_guard lock(mutex_);
    const std::uint64_t least = *std::min_element(clocks_.begin(), clocks_.end());
    if (least <= steps) return steps;
    sums_.forget_until(least);
    skipped_steps_ += least - steps;
    return least;
  }

  void wait_acknowledged() override {
    std::unique_lock lock(mutex_);
    wait(lock, std::nullopt, "acknowledgements", 0, [&] { return unacknowledged_ == 0; });
  }

  ServerState read_state(std::size_t tensor) override {
    static_cast<void>(info(tensor));
    Requests requests;
    const auto [first, last] = plan_.keys_of(tensor);
    for (Key key = first; key < last; ++key) {
      requests.push_back(make(Request::Kind::read_state, key, std::numeric_limits<std::uint64_t>::max()));
      requests.back()->control = ReadState{.key = key};
    }
    states_.clear();
    const std::size_t wanted = requests.size();
    submit(std::move(requests));
    std::unique_lock lock(mutex_);
    wait(lock, tensor, "the state", 0, [&] { return states_.size() == wanted; });
    ServerState result;
    for (const auto& [key, part] : states_) {  // in the order of elements
      const auto& [state, payload] = part;
      result.steps = std::max(result.steps, state.steps);
      auto at = payload.begin();
      const auto append = [&](std::vector<std::byte>& to, std::uint64_t bytes) {
        to.insert(to.end(), at, at + static_cast<std::ptrdiff_t>(bytes));
        at += static_cast<std::ptrdiff_t>(bytes);
      };
      append(result.values, state.bytes[0]);
      for (std::size_t i = 0; i < state.state.size(); ++i) {
        auto entry = std::find_if(result.state.begin(), result.state.end(),
                                  [&](const auto& each) { return each.first == state.state[i]; });
        if (entry == result.state.end()) entry = result.state.insert(entry, {state.state[i], {}});
        append(entry->second, state.bytes[i + 1]);
      }
    }
    states_.clear();
    return result;
  }

  void leave() override {
    loop_.leave();
    std::unique_lock lock(mutex_);
    wait(lock, std::nullopt, "the goodbye", 0, [&] { return left_; });
  }

  void end() noexcept override {
    loop_.give_up({.code = ErrorCode::closed,
                   .message = "this worker has ended its connections to its parameter servers",
                   .rank = static_cast<int>(options_.rank)});
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failure_.has_value(); });
  }

  Statistics statistics() const override {
    Statistics all = loop_.statistics();
    std::lock_guard lock(mutex_);
    all.skipped_steps = skipped_steps_;
    return all;
  }

 private:
  struct Pulled {
    std::size_t missing = 0;
    std::uint64_t step = 0;
    std::optional<std::uint64_t> version{};
  };

  // --- making requests ---

  const TensorInfo& info(std::size_t tensor) const {
    if (tensor >= plan_.tensors().size())
      fail(ErrorCode::invalid_argument,
           "there is no tensor " + std::to_string(tensor) + " among " + std::to_string(plan_.tensors().size()));
    return plan_.tensors()[tensor];
  }

  void check(std::size_t tensor, const ConstTensorView& view, DType dtype, std::size_t count, const char* what) const {
    const std::string of = std::string(what) + " of '" + info(tensor).name + "' ";
    if (view.dtype != dtype)
      fail(ErrorCode::invalid_argument,
           of + "are " + std::string(name_of(view.dtype)) + ", not " + std::string(name_of(dtype)));
    if (view.count != count)
      fail(ErrorCode::invalid_argument,
           of + "have " + std::to_string(view.count) + " elements, not " + std::to_string(count));
    if (view.device.kind != DeviceKind::cpu) fail(ErrorCode::invalid_argument, of + "must be host memory");
  }

  std::size_t width_of(std::size_t tensor) const {
    const TensorInfo& of = info(tensor);
    if (!of.row_sparse || of.shape.empty() || of.shape[0] == 0)
      fail(ErrorCode::invalid_argument, "'" + of.name + "' has no rows that travel by themselves");
    return of.count() / static_cast<std::size_t>(of.shape[0]);
  }

  std::unique_ptr<Request> make(Request::Kind kind, Key key, std::uint64_t step) {
    auto request = std::make_unique<Request>();
    request->kind = kind;
    request->id = next_id_++;
    request->key = key;
    request->tensor = plan_.keys()[key].tensor;
    request->priority = plan_.keys()[key].priority;
    request->step = step;
    return request;
  }

  std::unique_ptr<Request> make_push(Key key, const PushOptions& options, bool used) {
    auto request = make(Request::Kind::push, key, options.step);
    request->wants_sum = options_.consistency.kind == ConsistencyKind::bulk_synchronous;
    Push push{.key = key,
              .step = options.step,
              .weight = options.weight,
              .used = used,
              .scale = options.scale,
              .clip_value = options.clip_value,
              .learning_rate = options.learning_rate};
    if (!request->wants_sum) {
      std::lock_guard lock(mutex_);
      push.pulled_version = versions_[key];
    }
    request->control = std::move(push);
    return request;
  }

  static void add_piece(Request& request, std::span<const std::byte> piece) {
    if (piece.empty()) return;
    request.payload.push_back(piece);
    request.payload_bytes += piece.size();
  }

  std::span<const std::byte> part_of(Key key, const ConstTensorView& view) const {
    const layout::Interval range = plan_.keys()[key].range;
    const std::size_t size = size_of(view.dtype);
    return bytes_of_view(view).subspan(range.begin * size, range.size() * size);
  }

  /// Element-wise state is cut like the values; other state goes whole, with the tensor's first key.
  std::optional<std::span<const std::byte>> state_part(std::size_t tensor, Key key,
                                                       const ConstTensorView& state) const {
    if (state.count == info(tensor).count()) return part_of(key, state);
    if (key == plan_.keys_of(tensor).first) return bytes_of_view(state);
    return std::nullopt;
  }

  /// Cuts ascending rows of a tensor at the edges of its keys: each key gets [begin, end) of them.
  template <class Body>
  void for_rows(std::size_t tensor, std::span<const std::uint32_t> rows, Body&& body) const {
    const std::size_t width = width_of(tensor);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i] >= static_cast<std::size_t>(info(tensor).shape[0]) || (i > 0 && rows[i] <= rows[i - 1]))
        fail(ErrorCode::invalid_argument, "row " + std::to_string(rows[i]) + " of '" + info(tensor).name +
                                              "' does not exist, or rows do not ascend");
    }
    const auto [first, last] = plan_.keys_of(tensor);
    std::size_t begin = 0;
    for (Key key = first; key < last; ++key) {
      const std::size_t last_row = width == 0 ? 0 : plan_.keys()[key].range.end / width;
      const auto stop = key + 1 == last ? rows.end() : std::lower_bound(rows.begin(), rows.end(), last_row);
      const auto end = static_cast<std::size_t>(stop - rows.begin());
      body(key, begin, end);
      begin = end;
    }
  }

  /// Errors: invalid_argument for what no server would take, so that it is not sent again and again.
  void submit(Requests requests) {
    const std::uint64_t most = most_payload_bytes(plan_);
    for (const auto& request : requests) {
      if (request->payload_bytes <= most) continue;
      fail(ErrorCode::invalid_argument, "'" + info(request->tensor).name + "' would travel in a message of " +
                                            std::to_string(request->payload_bytes) +
                                            " bytes; servers of this plan take " + std::to_string(most));
    }
    {
      std::lock_guard lock(mutex_);
      if (failure_) throw Exception(*failure_);
      for (const auto& request : requests) {
        if (request->is_sequenced()) ++unacknowledged_;
        if (request->wants_sum) sums_.pushed(request->tensor, request->step);
        if (request->kind == Request::Kind::pull) {
          Pulled& pulled = pulls_[request->tensor];
          ++pulled.missing;
          pulled.step = request->step;
        }
      }
    }
    if (!requests.empty()) loop_.submit(std::move(requests));
  }

  // --- waiting ---

  /// Without progress for so long as options say, everything ends: memory that is still asked for must not be written to later.
  template <class Done>
  void wait(std::unique_lock<std::mutex>& lock, std::optional<std::size_t> tensor, const char* what, std::uint64_t step,
            Done&& done) {
    const auto begin = Deadline::Clock::now();
    while (!done()) {
      if (failure_) throw Exception(label(*failure_, tensor, what));
      const auto since = std::max(begin, loop_.moved_at());
      const Deadline limit = Deadline::at(since + options_.timeout);
      if (!limit.passed()) {
        changed_.wait_until(lock, std::min(limit.moment(), Deadline::Clock::now() + std::chrono::seconds(1)));
        continue;
      }
      lock.unlock();
      Error stalled = stall(tensor, what, step);
      lock.lock();
      if (done() || failure_) continue;  // while servers were asked why
      lock.unlock();
      loop_.give_up(std::move(stalled));
      lock.lock();
      changed_.wait(lock, [&] { return failure_.has_value() || done(); });
    }
  }

  Error label(Error error, std::optional<std::size_t> tensor, const char* what) const {
    if (tensor && error.label.empty()) error.label = plan_.tensors()[*tensor].name;
    if (error.operation.empty()) error.operation = std::string("ps wait for ") + what;
    return error;
  }

  Error stall(std::optional<std::size_t> tensor, const char* what, std::uint64_t step) {
    const auto range = tensor ? plan_.keys_of(*tensor) : std::pair<Key, Key>(0, static_cast<Key>(plan_.keys().size()));
    std::string absent, present;
    for (Key key = range.first; key < range.second; ++key) {
      const std::string absence = loop_.absence_of(key), name = loop_.name_of_key_server(key);
      if (!absence.empty() && absent.empty()) absent = name + " is gone, and nobody replaces it: " + absence;
      if (present.find(name) == std::string::npos) present += (present.empty() ? "" : ", ") + name;
    }
    const std::string of =
        tensor ? std::string(what) + " of '" + plan_.tensors()[*tensor].name + "'" : std::string(what);
    const std::string waited =
        "rank " + std::to_string(options_.rank) + " has waited " + std::to_string(options_.timeout.count()) +
        " ms for " + of +
        (step != 0 && step != std::numeric_limits<std::uint64_t>::max() ? " in step " + std::to_string(step) : "");
    if (!absent.empty())
      return label(
          {.code = ErrorCode::peer_lost, .message = absent + "; " + waited, .rank = static_cast<int>(options_.rank)},
          tensor, what);
    const ClientLoop::HeldUpBy by = loop_.ask_awaited(tensor, Deadline::after(time_for_answers));
    return label({.code = ErrorCode::timeout,
                  .message = waited + " from " + present + ", and nothing came" + reasons(by),
                  .rank = static_cast<int>(options_.rank),
                  .peer_rank = by.workers.size() == 1 ? static_cast<int>(*by.workers.begin()) : -1},
                 tensor, what);
  }

  /// "", or "; pushes of worker 1 are missing", or "; parameter server 0 does not answer".
  static std::string reasons(const ClientLoop::HeldUpBy& by) {
    constexpr std::size_t most_named = 8;
    std::string text, workers;
    std::size_t named = 0;
    for (const std::uint32_t worker : by.workers) {
      if (named++ == most_named) break;
      workers += (workers.empty() ? "" : ", ") + std::to_string(worker);
    }
    if (by.workers.size() > most_named) workers += " and " + std::to_string(by.workers.size() - most_named) + " more";
    if (!workers.empty())
      text += "; pushes of " + std::string(by.workers.size() == 1 ? "worker " : "workers ") + workers + " are missing";
    if (by.lack_values) text += "; nobody has given initial values";
    for (const std::string& replica : by.replicas) text += "; " + replica;
    for (const std::string& server : by.silent) text += "; " + server + " does not answer";
    return text;
  }

  // --- of the background thread ---

  std::span<std::byte> place_of_sum(const Reduced& reduced, std::uint64_t payload_bytes) override {
    std::lock_guard lock(mutex_);
    return sums_.place(reduced, payload_bytes);
  }

  bool has_sum(Key key, std::uint64_t step) override {
    std::lock_guard lock(mutex_);
    return sums_.has_come(key, step);
  }

  void summed(Reduced reduced, Payload payload) override {
    const Key key = reduced.key;
    const std::uint64_t step = reduced.step;
    bool tells = false;
    {
      std::lock_guard lock(mutex_);
      sums_.arrived(std::move(reduced), std::move(payload));
      tells = key < plan_.keys().size() && sums_.is_complete(plan_.keys()[key].tensor, step);
    }
    if (tells) changed_.notify_all();
  }

  void has_values(const Request& request, const Values& values) override {
    std::lock_guard lock(mutex_);
    versions_[request.key] = values.version;
    clocks_[request.key] = values.clock;
    clock_ = std::max(clock_, values.clock);
    auto& version = pulls_[request.tensor].version;
    version = std::min(version.value_or(values.version), values.version);
  }

  void has_state(const Request& request, State state, Payload payload) override {
    std::lock_guard lock(mutex_);
    if (state.bytes.size() != state.state.size() + 1) {  // a server that lies gives nothing
      state.state.clear();
      state.bytes = {payload.size()};
    }
    states_[request.key] = {std::move(state), std::move(payload)};
  }

  void done(const Request& request) override {
    bool tells = false;
    {
      std::lock_guard lock(mutex_);
      if (request.is_sequenced()) tells = --unacknowledged_ == 0;
      if (request.wants_sum) {
        sums_.finished(request.tensor, request.step);
        tells = tells || sums_.is_complete(request.tensor, request.step);
      }
      if (request.kind == Request::Kind::pull) tells |= --pulls_[request.tensor].missing == 0;
      tells |= request.kind == Request::Kind::read_state;
    }
    if (tells) changed_.notify_all();
  }

  void connected() override {
    {
      std::lock_guard lock(mutex_);
      connected_ = true;
    }
    changed_.notify_all();
  }

  void left() override {
    {
      std::lock_guard lock(mutex_);
      left_ = true;
    }
    changed_.notify_all();
  }

  void failed(Error cause) override {
    {
      std::lock_guard lock(mutex_);
      failure_ = std::move(cause);
    }
    changed_.notify_all();
  }

  const ClientOptions options_;
  const KeyPlan& plan_;
  PartialPushes partial_;      ///< the caller's
  std::uint64_t next_id_ = 1;  ///< the caller's

  mutable std::mutex mutex_;  ///< guards what follows
  std::condition_variable changed_;
  PendingSums sums_;
  std::vector<Pulled> pulls_;            ///< by tensor
  std::vector<std::uint64_t> versions_;  ///< last pulled, by key
  std::map<Key, std::pair<State, Payload>> states_;
  std::vector<std::uint64_t> clocks_;  ///< the same
  std::uint64_t clock_ = 0;            ///< the latest that values told
  std::uint64_t skipped_steps_ = 0;
  std::uint64_t unacknowledged_ = 0;
  bool connected_ = false, left_ = false;
  std::optional<Error> failure_;

  ClientLoop loop_;  ///< last: its thread uses all of the above
};

}  // namespace

std::unique_ptr<Client> Client::connect(ClientOptions options, Deadline deadline) {
  if (!options.plan || !options.servers)
    fail(ErrorCode::invalid_argument, "a client of parameter servers needs a plan and to know where servers are");
  auto client = std::make_unique<PlannedClient>(options);
  client->finish_connecting(deadline);
  return client;
}

}  // namespace trireme::ps
