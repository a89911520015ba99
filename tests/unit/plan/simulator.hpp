// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "unit/plan/ensemble.hpp"
#include "unit/plan/expressions.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace trireme::plan::proof {

/// When the bytes of a message are read.
enum class Delivery {
  rendezvous,  ///< at receipt, in the sender's memory; the send is complete some time after that
  eager,       ///< when the send starts, which completes it
  mixed,       ///< one or the other for each message
};

struct Conditions {
  Delivery delivery = Delivery::rendezvous;
  bool in_place = false;       ///< input and output are one memory
  bool ordered_edges = false;  ///< a message starts only when the one before it on its edge is complete at this end
  std::uint32_t seed = 0;      ///< mixed: which messages are eager
};

/// A step begins (its destination is from then on nothing until it ends) or ends.
struct Event {
  bool ends = false;
  int node = 0;
};

/// All ranks running their graphs on symbolic memory, one value per block. A copyable state: the explorer branches it.
/// Local steps read their sources when they end, receipts theirs when they end: a source overwritten too early shows.
class Simulator {
 public:
  Simulator(const Ensemble& ensemble, Expressions& expressions, const Conditions& conditions);

  /// Puts into `events` those that have become possible since the last call; each stays possible until it is fired.
  void take_possible(std::vector<Event>& events);
  /// Errors: Broken when a value is read that was never written or is being overwritten.
  void fire(Event event);

  bool all_done() const { return done_ == phases_.size(); }
  Value input(int rank, int block) const { return cells_[cell(rank, {Space::input, 0, Role::input}, block)]; }
  Value output(int rank, int block) const { return cells_[cell(rank, {Space::output, 0, Role::output}, block)]; }
  /// First steps that have not ended, for messages.
  std::string unfinished() const;
  /// Equal for two states of the same run if and only if they are the same state.
  std::string fingerprint() const;

 private:
  enum class Phase : std::uint8_t { waiting, begun, ended };
  struct Memory {
    std::size_t input = 0;
    std::size_t output = 0;
    std::vector<std::size_t> slots;
  };
  /// What does not change while the simulator runs; shared by its copies.
  struct Setup {
    const Ensemble* ensemble;
    Expressions* expressions;
    bool moves_nothing;
    bool in_place;
    std::vector<Memory> memory;     ///< of each rank: where its cells are
    std::vector<char> eager;        ///< by node, for sends
    std::vector<int> next_on_edge;  ///< by node; empty unless edges are ordered
  };

  std::size_t cell(int rank, Operand operand, int block) const;
  Value read(int node, Operand operand, int block) const;
  Value evaluate(int node, int block) const;
  bool reads_destination(const Step& step) const;
  bool same_memory(Operand a, Operand b) const;
  Phase& phase(int node) { return phases_[static_cast<std::size_t>(node)]; }
  bool eager(int send) const { return setup_->eager[static_cast<std::size_t>(send)] != 0; }
  void begin(int node);
  void end(int node);

  std::shared_ptr<const Setup> setup_;
  std::vector<Value> cells_;
  std::vector<std::vector<Value>> carried_;  ///< of eager sends that have begun, by block; empty if no send is eager
  std::vector<Phase> phases_;
  std::vector<int> missing_;
  std::vector<Event> possible_;
  std::size_t done_ = 0;
};

/// In which order possible events are fired.
enum class Order {
  random,
  lowest_rank,
  highest_rank,
  newest,
  oldest,
  late_sends,  ///< a send ends only when nothing else can happen
};

struct Schedule {
  Order order = Order::random;
  Conditions conditions;
};

/// Runs to the end under one schedule and compares every rank's output with what the collective promises: canonical
/// plans the contracted tree, others each contribution once and the same expression on all ranks.
/// Errors: Broken.
void check_run(const Ensemble& ensemble, Expressions& expressions, const Schedule& schedule);

/// Runs every interleaving of ends (steps begin as soon as they can); returns the number of different states.
/// Errors: Broken; also if there are more than `limit` states.
std::size_t check_all_runs(const Ensemble& ensemble, Expressions& expressions, const Conditions& conditions,
                           std::size_t limit);

}  // namespace trireme::plan::proof
