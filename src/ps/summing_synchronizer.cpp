// SPDX-License-Identifier: Apache-2.0
#include "parallel/synchronizer_parts.hpp"
#include "ps/pushing_synchronizer.hpp"
#include "trireme/ps/synchronizer.hpp"

#include <utility>

namespace trireme::ps {
namespace {

/// Means come back to where gradients were folded.
class SummingSynchronizer final : public PushingSynchronizer {
 public:
  SummingSynchronizer(const parallel::SynchronizerSetup& setup, std::shared_ptr<Session> session)
      : PushingSynchronizer(setup, std::move(session)) {}

  TensorView gradient(std::size_t parameter) override {
    return rows_.has(parameter) ? rows_.gradient(parameter) : folded(parameter);
  }
  std::string explain() const override {
    return explain_servers(session(), "they are summed, in place of all_reduce; every rank updates");
  }

 private:
  TensorView room(std::size_t parameter) {
    return rows_.has(parameter) ? rows_.room_for_mean(parameter) : folded(parameter);
  }
  /// Where it is pushed from: before that has gone no sum is complete that it counts in.
  void expect_sum(std::size_t parameter) override { session().client().expect_sum(parameter, step(), room(parameter)); }
  void wait_for_sum(std::size_t parameter) override { session().client().wait_sum(parameter, step(), room(parameter)); }
};

class SummingFactory final : public parallel::SynchronizerFactory {
 public:
  explicit SummingFactory(SynchronizerOptions options) : session_(std::make_shared<Session>(std::move(options))) {}

  parallel::SynchronizerParts make(const parallel::SynchronizerSetup& setup) override {
    check_session(*session_, setup);
    return {.synchronizer = std::make_unique<SummingSynchronizer>(setup, session_)};
  }
  std::string settings() const override { return "summing parameter servers"; }

 private:
  std::shared_ptr<Session> session_;
};

}  // namespace

std::shared_ptr<parallel::SynchronizerFactory> summing_synchronizer(SynchronizerOptions options) {
  return std::make_shared<SummingFactory>(std::move(options));
}

}  // namespace trireme::ps
