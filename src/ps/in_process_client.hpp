// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/gradient_parts.hpp"
#include "ps/in_process_hub.hpp"
#include "trireme/base/error.hpp"
#include "trireme/ps/client.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace trireme::ps {

/// A worker of shards in this process: what it sends is handled before the call returns, or by whoever is at it; what came back is
/// looked at in its own waits.
class InProcessClient final : public Client {
 public:
  /// Joins every shard.
  InProcessClient(std::shared_ptr<InProcessHub> hub, std::uint32_t rank, std::chrono::milliseconds timeout);
  ~InProcessClient() override;

  void initialise(std::span<const InitialTensor> tensors) override;
  void push(std::size_t tensor, layout::Interval range, ConstTensorView elements, const PushOptions& options) override;
  void push_rows(std::size_t tensor, std::span<const std::uint32_t> rows, ConstTensorView elements,
                 const PushOptions& options) override;
  void push_nothing(std::size_t tensor, const PushOptions& options) override;
  Sum wait_sum(std::size_t tensor, std::uint64_t step, TensorView mean) override;
  void expect_sum(std::size_t, std::uint64_t, TensorView) override {}  // it is copied once in any case
  void update(const PushOptions& options, bool skip) override;
  void pull(std::size_t tensor, std::uint64_t step, TensorView values) override;
  void pull_rows(std::size_t tensor, std::uint64_t step, std::span<const std::uint32_t> rows,
                 TensorView values) override;
  std::uint64_t wait_values(std::size_t tensor) override;
  std::uint64_t clock() const override { return clock_; }
  std::uint64_t catch_up(std::uint64_t steps) override;
  void wait_acknowledged() override;
  ServerState read_state(std::size_t tensor) override;
  void leave() override;
  void end() noexcept override;
  Statistics statistics() const override { return statistics_; }

 private:
  struct Pulled {
    std::size_t tensor = 0;
    Key key = 0;
    std::byte* to = nullptr;
    std::size_t bytes = 0;
  };
  using SumOfStep = std::pair<Key, std::uint64_t>;

  void send(std::size_t shard, Message message);
  void send_numbered(Key key, Message message);
  Push push_message(Key key, const PushOptions& options) const;
  void request_values(const Pulled& pulled, Pull message);
  /// Looks at what has come until `is_there`; `what` names it where nothing comes any more: then, and by what servers refuse, it ends.
  void wait_until(const std::string& what, const std::function<bool()>& is_there);
  void look_at(Outgoing message);
  void take_values(const Values& values, const Payload& payload);

  std::shared_ptr<InProcessHub> hub_;
  std::shared_ptr<const KeyPlan> plan_;
  std::uint32_t rank_;
  std::chrono::milliseconds timeout_;
  std::shared_ptr<Mailbox> mailbox_ = std::make_shared<Mailbox>();
  ConnectionId first_ = 0;
  bool left_ = false, ended_ = false;
  std::optional<Error> failure_;  ///< why it has ended
  std::size_t welcomed_ = 0;
  std::vector<std::uint64_t> sequences_;                       ///< last one, per shard
  std::set<std::pair<std::size_t, std::uint64_t>> under_way_;  ///< not acknowledged: shard, sequence
  std::uint64_t requests_ = 0;
  std::map<std::uint64_t, Pulled> pulled_;  ///< by request, not answered yet
  std::vector<std::size_t> pulls_of_;       ///< per tensor, of those
  std::vector<std::uint64_t> versions_;     ///< per key, of the values it has
  std::vector<std::uint64_t> clocks_;       ///< the same
  std::uint64_t clock_ = 0;                 ///< the latest that values told
  std::uint64_t caught_up_ = 0;             ///< sums up to it are of no interest
  std::map<SumOfStep, std::pair<Reduced, std::shared_ptr<const Payload>>> sums_;
  std::map<std::uint64_t, std::pair<State, std::shared_ptr<const Payload>>> states_;
  GradientParts parts_;
  Statistics statistics_;
};

}  // namespace trireme::ps
