// SPDX-License-Identifier: Apache-2.0
#include "kernels/norm/norm.hpp"
#include "parallel/synchronizer_parts.hpp"
#include "ps/pulled_values.hpp"
#include "ps/pushing_synchronizer.hpp"
#include "trireme/base/error.hpp"
#include "trireme/ps/synchronizer.hpp"

#include <cmath>
#include <utility>
#include <vector>

namespace trireme::ps {
namespace {

/// Servers are told what becomes of the last step's sum.
void decide(Session& session, const Client::PushOptions& options, bool skip) {
  session.client().update(options, skip);
  session.undecided = false;
}

/// The step before was reduced, and left: not finite, empty, or abandoned by the loop.
void pass_over_undecided(Session& session) {
  if (session.undecided) decide(session, {.step = session.steps}, true);
}

/// Of each sum the squares of its blocks come back, which is all that clipping needs to know.
class UpdatingSynchronizer final : public PushingSynchronizer {
 public:
  UpdatingSynchronizer(const parallel::SynchronizerSetup& setup, std::shared_ptr<Session> session)
      : PushingSynchronizer(setup, std::move(session)), sums_(setup.parameters.size()) {}

  TensorView gradient(std::size_t parameter) override {
    fail(ErrorCode::unsupported, "the gradient of '" + parameters_[parameter].name +
                                     "' lies on parameter servers, which update; servers that only sum give it back");
  }
  std::string explain() const override {
    return explain_servers(session(), "they are summed and values updated, bulk-synchronous");
  }

  /// The bits of global_norm().
  double norm() const {
    kernels::TreeSum total;
    for (std::size_t p = 0; p < sums_.size(); ++p) {
      if (!sums_[p].used) continue;
      kernels::TreeSum tensor;
      for (const double block : sums_[p].block_sums) tensor.add(block);
      total.add(tensor.result());
    }
    return std::sqrt(total.result());
  }

 private:
  void begin_buckets() override {
    pass_over_undecided(session());
    PushingSynchronizer::begin_buckets();
  }
  void wait_for_sum(std::size_t parameter) override {
    sums_[parameter] = session().client().wait_sum(parameter, step(), {});
    session().undecided = true;
  }

  std::vector<Client::Sum> sums_;
};

class ServersUpdate final : public parallel::StepUpdate {
 public:
  ServersUpdate(UpdatingSynchronizer& synchronizer, std::shared_ptr<Session> session,
                std::shared_ptr<PulledValues> values, bool overlap)
      : synchronizer_(synchronizer), session_(std::move(session)), values_(std::move(values)), overlap_(overlap) {}

  void check(const Optimizer&) const override {}
  double norm(parallel::GradientSynchronizer&) override { return synchronizer_.norm(); }
  void apply(Optimizer& optimizer, parallel::GradientSynchronizer&, double scale, double clip_value,
             const parallel::StepTrace& trace) override {
    decide(*session_,
           {.step = session_->steps,
            .scale = scale,
            .clip_value = std::isfinite(clip_value) ? clip_value : 0.0,
            .learning_rate = optimizer.learning_rate()},
           false);
    const auto span = trace.on_steps("pull values");
    if (overlap_) catch_up();  // with those that this step has used
    values_->pull_all(session_->steps);
    if (!overlap_) catch_up();
  }

 private:
  /// A backup worker that was late goes on where the servers are.
  void catch_up() {
    values_->wait_for_all();
    session_->steps = session_->client().catch_up(session_->steps);
  }

  UpdatingSynchronizer& synchronizer_;
  std::shared_ptr<Session> session_;
  std::shared_ptr<PulledValues> values_;
  bool overlap_;
};

class UpdatingFactory final : public parallel::SynchronizerFactory {
 public:
  explicit UpdatingFactory(UpdatingOptions options)
      : options_(std::move(options)), session_(std::make_shared<Session>(std::exchange(options_.servers, {}))) {}

  parallel::SynchronizerParts make(const parallel::SynchronizerSetup& setup) override {
    check_session(*session_, setup);
    initialise_servers(*session_, setup.parameters, options_.state);
    auto synchronizer = std::make_unique<UpdatingSynchronizer>(setup, session_);
    auto values = std::make_shared<PulledValues>(session_, setup.parameters);
    pass_over_undecided(*session_);     // or they have no values of that step
    values->pull_all(session_->steps);  // servers may have been set before
    values->wait_for_all();
    session_->steps = session_->client().catch_up(session_->steps);
    auto update = std::make_unique<ServersUpdate>(*synchronizer, session_, values, options_.overlap_pull);
    return {.synchronizer = std::move(synchronizer), .update = std::move(update), .access = std::move(values)};
  }
  std::string settings() const override { return "updating parameter servers"; }

 private:
  UpdatingOptions options_;
  std::shared_ptr<Session> session_;
};

}  // namespace

std::shared_ptr<parallel::SynchronizerFactory> updating_synchronizer(UpdatingOptions options) {
  return std::make_shared<UpdatingFactory>(std::move(options));
}

}  // namespace trireme::ps
