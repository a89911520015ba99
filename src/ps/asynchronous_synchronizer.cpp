// SPDX-License-Identifier: Apache-2.0
#include "parallel/all_reduce_synchronizer.hpp"
#include "parallel/gradient_norm.hpp"
#include "parallel/row_sum.hpp"
#include "parallel/synchronizer_parts.hpp"
#include "ps/gradient_parts.hpp"
#include "ps/pulled_values.hpp"
#include "trireme/base/error.hpp"
#include "trireme/ps/synchronizer.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

namespace trireme::ps {
namespace {

/// A worker's own mean is an update of its own: pushed, then values are pulled.
class PushAndPull final : public parallel::StepUpdate {
 public:
  PushAndPull(parallel::BucketedSynchronizer& synchronizer, std::shared_ptr<Session> session,
              std::vector<Parameter> parameters, std::shared_ptr<PulledValues> values, bool overlap)
      : synchronizer_(synchronizer),
        session_(std::move(session)),
        parameters_(std::move(parameters)),
        values_(std::move(values)),
        overlap_(overlap),
        sent_(parameters_.size()) {}

  ~PushAndPull() override {
    try {
      wait_until_sent();               // what is pushed may be sent from here
    } catch (const std::exception&) {  // a client that has failed sends nothing more
    }
  }

  void check(const Optimizer&) const override {}
  double norm(parallel::GradientSynchronizer& gradients) override {
    std::vector<TensorView> used;
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      if (gradients.used(p)) used.push_back(gradients.gradient(p));
    }
    return parallel::global_norm(used);
  }
  void apply(Optimizer& optimizer, parallel::GradientSynchronizer& gradients, double scale, double clip_value,
             const parallel::StepTrace& trace) override {
    if (overlap_) wait_until_sent();  // copies of the step before
    const Client::PushOptions options{.step = ++session_->steps,
                                      .weight = gradients.total_weight(),
                                      .scale = scale,
                                      .clip_value = std::isfinite(clip_value) ? clip_value : 0.0,
                                      .learning_rate = optimizer.learning_rate()};
    for (std::size_t p = 0; p < parameters_.size(); ++p) push(gradients, p, options);
    const auto span = trace.on_steps("pull values");
    values_->pull_all(session_->steps);
    if (!overlap_) wait_until_sent();
  }

 private:
  /// Values may also come before a push has gone: of a server that took another's place and knew this worker no step.
  void wait_until_sent() {
    values_->wait_for_all();
    session_->client().wait_acknowledged();
  }
  void push(parallel::GradientSynchronizer& gradients, std::size_t p, const Client::PushOptions& options) {
    Client& client = session_->client();
    if (!gradients.used(p) || parameters_[p].value.count == 0) return client.push_nothing(p, options);
    const TensorView mean = gradients.gradient(p);
    const auto rows = synchronizer_.touched_rows(p);
    if (!rows) return client.push(p, {0, mean.count}, overlap_ ? copied(p, mean) : mean, options);
    client.push_rows(p, *rows, packed(p, mean, *rows), options);
  }
  /// Whose values have not come back may not have been sent, and the next step's first leaves are folded where it lies.
  ConstTensorView copied(std::size_t p, const TensorView& mean) {
    const auto* const data = static_cast<const std::byte*>(mean.data);
    sent_[p].assign(data, data + mean.size_bytes());
    return {sent_[p].data(), mean.count, mean.dtype};
  }
  ConstTensorView packed(std::size_t p, const TensorView& mean, std::span<const std::uint32_t> rows) {
    std::vector<std::byte>& memory = sent_[p];
    if (rows.empty()) return {memory.data(), 0, mean.dtype};
    const std::size_t columns = columns_of(session_->plan().tensors()[p]), bytes = columns * size_of(mean.dtype);
    memory.resize(rows.size() * bytes);
    for (std::size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
      end = parallel::end_of_run(rows, begin);
      if (bytes == 0) continue;
      std::memcpy(memory.data() + begin * bytes, static_cast<const std::byte*>(mean.data) + rows[begin] * bytes,
                  (end - begin) * bytes);
    }
    return {memory.data(), rows.size() * columns, mean.dtype};
  }

  parallel::BucketedSynchronizer& synchronizer_;
  std::shared_ptr<Session> session_;
  std::vector<Parameter> parameters_;
  std::shared_ptr<PulledValues> values_;
  bool overlap_;
  std::vector<std::vector<std::byte>> sent_;  ///< per parameter, until its values have come back
};

class AsynchronousFactory final : public parallel::SynchronizerFactory {
 public:
  explicit AsynchronousFactory(UpdatingOptions options)
      : options_(std::move(options)), session_(std::make_shared<Session>(std::exchange(options_.servers, {}))) {}

  parallel::SynchronizerParts make(const parallel::SynchronizerSetup& setup) override {
    check_session(*session_, setup);
    if (setup.communicator.size() != 1) {
      fail(ErrorCode::invalid_argument,
           "asynchronous workers train by themselves: DataParallel takes a communicator of "
           "one rank, and this one has " +
               std::to_string(setup.communicator.size()));
    }
    initialise_servers(*session_, setup.parameters, options_.state);
    auto synchronizer = std::make_unique<parallel::AllReduceSynchronizer>(setup);
    auto values = std::make_shared<PulledValues>(session_, setup.parameters);
    values->pull_all(session_->steps);  // everybody starts from what servers hold
    values->wait_for_all();
    session_->steps = std::max(session_->steps, session_->client().clock());  // a worker that comes late begins there
    auto update =
        std::make_unique<PushAndPull>(*synchronizer, session_, setup.parameters, values, options_.overlap_pull);
    return {.synchronizer = std::move(synchronizer),
            .update = std::move(update),
            .access = std::move(values),
            .explanation = explain_servers(*session_, "each is an update of its own")};
  }
  std::string settings() const override { return "asynchronous parameter servers"; }

 private:
  UpdatingOptions options_;
  std::shared_ptr<Session> session_;
};

}  // namespace

std::shared_ptr<parallel::SynchronizerFactory> asynchronous_synchronizer(UpdatingOptions options) {
  return std::make_shared<AsynchronousFactory>(std::move(options));
}

}  // namespace trireme::ps
