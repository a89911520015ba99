// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/execution.hpp"
#include "comm/scratch_pool.hpp"
#include "comm/shared/tier.hpp"
#include "trireme/comm/context.hpp"
#include "trireme/comm/engine.hpp"
#include "trireme/transport/endpoint.hpp"

#include <optional>
#include <vector>

namespace trireme::comm {

/// The engine for host memory: our plans over our transports with our kernels.
class HostEngine final : public Engine {
 public:
  struct Settings {
    bool crosses_network = false;
    bool crosses_hosts = false;
    std::optional<plan::Algorithm> algorithm{};
    CacheGroups cache_groups{};
    std::uint64_t epoch = 0;
    std::vector<bool> shares_memory{};                ///< per world rank; itself included
    std::shared_ptr<shared::Cells> cells{};           ///< null: never use the ranks' common memory
    transport::EndpointListener* listener = nullptr;  ///< told of signatures that differ
  };
  /// `endpoint` and `pool` are the world's and outlive the engine.
  HostEngine(transport::Endpoint& endpoint, ScratchPool& pool, Settings settings, std::uint32_t id,
             std::vector<int> members, int rank);

  std::unique_ptr<EngineState> make_state() override;
  void start(Operation& operation) override;
  void check(const Request& request) override;
  Progress poll(Operation& operation) noexcept override;
  bool moves_by_polling(const Operation& operation) const noexcept override;
  void finish(Operation& operation) noexcept override;
  void waiting_for(const Operation& operation, std::vector<int>& world_ranks) const override;
  Capabilities capabilities() const override { return {.name = "host", .device = DeviceKind::cpu, .canonical = true}; }
  std::unique_ptr<Engine> split(std::uint32_t id, std::vector<int> members, int rank) override;
  Explanation explain(const Request& request) const override;

 private:
  /// How operations of one shape run; made once, then looked up.
  struct Recipe {
    plan::Collective collective;
    ReductionOrder order;
    int leaves;
    int root;
    bool uneven;
    std::uint64_t sizes;  ///< of an uneven reduce_scatter: a digest of them; its scratch follows from this rank's
    std::size_t count;
    DType input;
    DType output;
    const ExecutablePlan* plan;
    int segments;
  };
  struct CachedPlan {
    plan::Algorithm algorithm;
    plan::Shape shape;
    std::unique_ptr<const ExecutablePlan> plan;
  };
  const Recipe& recipe_for(const Request& request);
  const ExecutablePlan& plan_for(plan::Algorithm algorithm, const plan::Shape& shape);
  plan::Shape shape_of(const Request& request) const;
  void start_transfer(Operation& operation) noexcept;
  bool through_tier(const Request& request) const;
  void group_by_caches();

  transport::Endpoint& endpoint_;
  ScratchPool& pool_;
  Settings settings_;
  std::uint32_t id_;
  std::vector<int> members_;
  int rank_;
  std::unique_ptr<shared::Tier> tier_;  ///< if all members see each other's memory
  shared::GroupChoice groups_{};
  std::vector<CachedPlan> plans_;
  std::vector<Recipe> recipes_;
  std::size_t last_recipe_ = 0;
};

}  // namespace trireme::comm
