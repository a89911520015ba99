// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "parallel/bucket_plan.hpp"
#include "parallel/shard_plan.hpp"
#include "parallel/sharded_values.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/comm/communicator.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace trireme::parallel {

/// What ParameterShards is made of.
struct ParameterShardsSetup {
  Communicator
      group;  ///< the ranks that share the parts; for this alone: gathers stand at other places between other calls
  std::vector<Parameter> parameters{};
  const BucketPlan* plan = nullptr;  ///< of gradients; a bucket belongs to one unit
  const ShardPlan* shards = nullptr;
  std::vector<std::size_t> unit_of{};  ///< per parameter
  std::size_t units = 0;
  /// Fills part [first, first + part.count) of a parameter that comes without memory.
  std::function<void(std::size_t parameter, std::size_t first, TensorView part)> initial{};
  std::optional<std::chrono::milliseconds> deadline{};
};

/// Values of which every rank keeps the part that it owns (ZeRO stage 3): the whole of a unit is gathered when somebody uses it,
/// and its memory given back afterwards. While a unit is in use the one that followed it the last time is gathered already.
/// Shape:   parameters in buckets, of any dtype, in host memory; each whole value 64-byte aligned.
/// Cost:    a gather of a unit of n bytes sends (P-1) times what this rank owns of it; no copy but that of the own part. Memory:
///          the own parts for good, two whole units beside those held longer, which the pool keeps between uses.
/// Threads: one at a time.  Order: the same calls on all ranks of the group.
/// Errors:  invalid_argument for a unit that there is not or that is not held, for a parameter without values; the communicator's.
/// Source:  Rajbhandari et al., ZeRO, SC 2020 (arXiv 1910.02054); Zhao et al., PyTorch FSDP, VLDB 2023.
class ParameterShards final : public ShardedValues {
 public:
  explicit ParameterShards(ParameterShardsSetup setup);
  ~ParameterShards() override;
  ParameterShards(const ParameterShards&) = delete;
  ParameterShards& operator=(const ParameterShards&) = delete;

  TensorView part(std::size_t parameter) override;
  void before_update() override;
  /// No unit may be held. What was gathered before is gone.
  void after_update() override;
  Bytes memory() const override { return {part_bytes_.value + whole_bytes().value}; }

  std::size_t units() const { return units_.size(); }
  std::size_t unit_of(std::size_t parameter) const;
  void acquire(std::size_t unit);
  /// Ever: a model that reads values elsewhere never does.
  bool was_acquired(std::size_t unit) const { return units_[unit].was_acquired; }
  void release(std::size_t unit);
  /// Of a unit that is held.
  TensorView value(std::size_t parameter);

  /// Memory of the own parts, and of whole units, those that the pool keeps for the next included; now and at most.
  Bytes part_bytes() const { return part_bytes_; }
  Bytes whole_bytes() const;
  Bytes most_whole_bytes() const { return most_whole_bytes_; }

 private:
  struct Place {
    std::size_t bucket = 0;
    std::size_t begin = 0;  ///< bytes, in the whole bucket
    layout::Interval owned{};
  };
  /// One all_gather: whole values side by side, ranks' parts in rank order.
  struct Gather {
    std::size_t unit = 0;
    std::size_t begin = 0;            ///< bytes, in the memory of the unit
    std::size_t size = 0;             ///< bytes of the whole
    std::vector<std::size_t> counts;  ///< bytes, per rank
    std::size_t own_begin = 0;        ///< where this rank's begin in the whole
    ArenaBuffer part;
    std::string label;
    Work work;
  };
  enum class State : unsigned char { away, coming, here };
  struct Unit {
    std::vector<std::size_t> gathers;
    std::size_t size = 0;
    ArenaBuffer memory;
    State state = State::away;
    std::size_t holds = 0;
    bool was_acquired = false;
  };
  /// The unit used before and this one: what comes next follows from both, as forward and backward passes differ.
  using Moment = std::pair<std::size_t, std::size_t>;
  static constexpr std::size_t none = ~std::size_t{0};

  void place(const ParameterShardsSetup& setup);
  void fill(const ParameterShardsSetup& setup);
  Unit& checked(const char* call, std::size_t unit);
  void check_parameter(const char* call, std::size_t parameter) const;
  bool alone() const { return group_.size() == 1; }
  void start(Unit& unit);
  void finish(Unit& unit);
  void drop(Unit& unit);
  void drop_what_nobody_holds(std::size_t but);
  void expect_next();
  ArenaBuffer take_memory(std::size_t bytes);

  Communicator group_;
  std::vector<Parameter> parameters_;
  std::optional<std::chrono::milliseconds> deadline_;
  std::vector<Place> places_;    ///< per parameter
  std::vector<Gather> gathers_;  ///< per bucket
  std::vector<Unit> units_;
  std::vector<std::size_t> unit_of_;
  std::vector<ArenaBuffer> spare_;
  std::map<Moment, std::size_t> followed_by_;
  Moment now_{none, none};
  std::size_t expected_ = none;
  Bytes part_bytes_{};
  Bytes most_whole_bytes_{};
};

}  // namespace trireme::parallel
