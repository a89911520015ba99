// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "comm/group.hpp"
#include "comm/operation.hpp"
#include "comm/world_context.hpp"
#include "trireme/comm/context.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace trireme::testing {

/// An engine whose operations end when the test says so. `on_start` runs within start() and may throw or block.
class ScriptedEngine final : public comm::Engine {
 public:
  struct Script {
    std::atomic<std::uint64_t> finished{0};  ///< operations with a smaller sequence are done
    std::vector<int> missing;
    std::atomic<bool> busy{false};  ///< operations that are not done move all the time
    std::function<void(const comm::Operation&)> on_start;
    std::atomic<int> let_go{0};
  };
  explicit ScriptedEngine(std::shared_ptr<Script> script) : script_(std::move(script)) {}

  std::unique_ptr<comm::EngineState> make_state() override { return std::make_unique<comm::EngineState>(); }
  void start(comm::Operation& operation) override {
    if (script_->on_start) script_->on_start(operation);
  }
  comm::Progress poll(comm::Operation& operation) noexcept override {
    if (operation.sequence < script_->finished) return comm::Progress::done;
    return script_->busy ? comm::Progress::advanced : comm::Progress::idle;
  }
  void finish(comm::Operation&) noexcept override { ++script_->let_go; }
  void waiting_for(const comm::Operation&, std::vector<int>& ranks) const override {
    ranks.insert(ranks.end(), script_->missing.begin(), script_->missing.end());
  }
  comm::Capabilities capabilities() const override { return {.name = "scripted"}; }
  std::unique_ptr<comm::Engine> split(std::uint32_t, std::vector<int>, int) override {
    return std::make_unique<ScriptedEngine>(script_);
  }
  Explanation explain(const comm::Request&) const override { return {}; }

 private:
  std::shared_ptr<Script> script_;
};

/// A communicator of `ranks` members over a scripted engine, without links or peers.
struct Scripted {
  explicit Scripted(comm::ContextOptions options = {}, int ranks = 4) {
    options.arena = std::make_shared<transport::Arena>(Bytes{4u << 20});
    options.doorbell = std::make_shared<transport::Doorbell>();
    options.hosts = std::vector<std::string>(static_cast<std::size_t>(ranks), "host-a");
    options.log = Log(LogLevel::debug, [this](LogLevel level, std::string_view line) {
      const std::lock_guard lock(mutex);
      lines.emplace_back(std::string(name_of(level)) + ": " + std::string(line));
    });
    context = comm::open_context(std::move(options), {});
    std::vector<int> members;
    for (int rank = 0; rank < ranks; ++rank) members.push_back(rank);
    group = std::make_shared<comm::Group>(context, 0, members, 1, std::make_unique<ScriptedEngine>(script));
  }
  ~Scripted() { comm::close_context(context, false); }

  Communicator communicator() const { return Communicator(group); }
  std::vector<std::string> logged() {
    const std::lock_guard lock(mutex);
    return lines;
  }

  std::mutex mutex;
  std::vector<std::string> lines;
  std::shared_ptr<ScriptedEngine::Script> script = std::make_shared<ScriptedEngine::Script>();
  std::shared_ptr<comm::Context> context;
  std::shared_ptr<comm::Group> group;
};

}  // namespace trireme::testing
