// SPDX-License-Identifier: Apache-2.0
#include "trireme/parallel/data_parallel.hpp"

#include "parallel/data_parallel_state.hpp"
#include "parallel/device_norm.hpp"
#include "parallel/gradient_norm.hpp"
#include "parallel/parameter_list.hpp"
#include "parallel/row_sparse.hpp"
#include "trireme/base/error.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

namespace trireme {
namespace parallel {
namespace {

constexpr int most_leaves = 32768;

int settle_leaves(const DataParallelOptions& options, int ranks) {
  if (options.zero_stage != 0) {
    fail(ErrorCode::unsupported, "zero_stage is " + std::to_string(options.zero_stage) + "; this version has stage 0");
  }
  if (options.bucket_bytes.value == 0 || options.first_bucket_bytes.value == 0) {
    fail(ErrorCode::invalid_argument, "bucket_bytes and first_bucket_bytes must be above 0");
  }
  const int leaves = options.logical_shards, passes = options.accumulate;
  if (passes != 0) {
    if (passes < 0 || !std::has_single_bit(static_cast<unsigned>(passes)) || passes > most_leaves / ranks) {
      fail(ErrorCode::invalid_argument, "accumulate is " + std::to_string(passes) +
                                            "; it must be a power of two (or 0), at most " +
                                            std::to_string(most_leaves) + " over the number of ranks");
    }
    if (leaves != 0 && leaves != passes * ranks) {
      fail(ErrorCode::invalid_argument, "logical_shards is " + std::to_string(leaves) + ", but " +
                                            std::to_string(ranks) + " ranks that accumulate " + std::to_string(passes) +
                                            " make " + std::to_string(passes * ranks) + ": give one of the two");
    }
    return passes * ranks;
  }
  if (leaves == 0) return ranks;
  if (leaves < 0 || !std::has_single_bit(static_cast<unsigned>(leaves)) || leaves > most_leaves) {
    fail(ErrorCode::invalid_argument, "logical_shards is " + std::to_string(leaves) +
                                          "; it must be a power of two up to 32768 (or 0: one per rank)");
  }
  if (leaves < ranks) {
    fail(ErrorCode::invalid_argument, "logical_shards is " + std::to_string(leaves) + " but there are " +
                                          std::to_string(ranks) +
                                          " ranks: raise it to at least the number of ranks, or use fewer ranks");
  }
  return leaves;
}

std::string settings_text(const DataParallelOptions& options, int leaves) {
  return "logical_shards " + std::to_string(leaves) + ", bucket_bytes " + std::to_string(options.bucket_bytes.value) +
         ", first_bucket_bytes " + std::to_string(options.first_bucket_bytes.value) +
         (options.rebuild_buckets ? ", rebuilt" : ", fixed") + ", order " + std::string(name_of(options.order));
}

}  // namespace

DataParallelState::DataParallelState(Communicator communicator, std::vector<Parameter> parameters,
                                     const DataParallelOptions& options)
    : parameters_(std::move(parameters)),
      options_(options),
      row_sparse_(row_sparse_parameters(parameters_, options.row_sparse)) {
  check_parameters(parameters_, row_sparse_, !options.gradients_as_bucket_views, communicator.device());
  const bool on_device = parameters_.front().value.device.kind != DeviceKind::cpu;
  if (on_device && (options_.stream.device != parameters_.front().value.device || options_.stream.pointer == nullptr)) {
    fail(ErrorCode::invalid_argument,
         "DataParallelOptions::stream: parameters in device memory need a stream of their device");
  }
  settle_leaves(options_, communicator.size());  // before memory is asked for
  if (options.gradients_as_bucket_views)
    on_device ? place_gradients_on_device(communicator) : place_gradients_in(communicator.memory());
  rebind(std::move(communicator));
}

void DataParallelState::place_gradients_in(const Memory& memory) {
  const BucketPlan plan =
      plan_buckets(parameters_, options_.first_bucket_bytes, options_.bucket_bytes, reverse_order(row_sparse_));
  views_ = memory.allocate(Bytes{plan.size_bytes});
  place_gradients(parameters_, plan, views_.bytes());
  // Row-sparse gradients are in no bucket: in the caller's memory, or, laid out as one bucket, in ours.
  std::vector<bool> placed(parameters_.size());
  for (std::size_t p = 0; p < placed.size(); ++p)
    placed[p] = !row_sparse_[p] || parameters_[p].gradient.data != nullptr;
  const BucketPlan rows =
      plan_buckets(parameters_, options_.bucket_bytes, options_.bucket_bytes, reverse_order(placed));
  row_gradients_ = memory.allocate(Bytes{rows.size_bytes});
  place_gradients(parameters_, rows, row_gradients_.bytes());
}

void DataParallelState::place_gradients_on_device(const Communicator& communicator) {
  const BucketPlan plan =
      plan_buckets(parameters_, options_.first_bucket_bytes, options_.bucket_bytes, reverse_order(row_sparse_));
  const auto runtime = communicator.device_runtime();
  device_views_ = communicator.device_memory(Bytes{plan.size_bytes});
  runtime->fill(device_views_.data(), std::byte{0}, plan.size_bytes, options_.stream);  // between gradients, too
  runtime->synchronize(options_.stream);  // what comes next may be refused, and the memory given back
  place_gradients(parameters_, plan, {device_views_.data(), plan.size_bytes});
}

void DataParallelState::rebind(Communicator communicator) {
  leaves_ = settle_leaves(options_, communicator.size());
  // When a bucket starts differs between ranks: among the caller's own operations it would stand at different places.
  communicator_ = communicator.split(0, communicator.rank());
  if (!communicator_) fail(ErrorCode::invalid_argument, "this rank has no part in the communicator it was given");
  connect();
}

void DataParallelState::connect() {
  compare_parameters(*communicator_, parameters_, row_sparse_, settings_text(options_, leaves_));
  broadcast_values(*communicator_, parameters_, options_.stream);
  const auto blocks = layout::leaf_blocks(leaves_, communicator_->size());
  const auto block = blocks[static_cast<std::size_t>(communicator_->rank())];
  // The same place on all ranks only where all reduce in the same memory.
  const bool alike =
      std::all_of(blocks.begin(), blocks.end(), [&](const auto& each) { return each.count == block.count; });
  device_views_.unregister();
  if (alike && block.count == 1 && device_views_.size_bytes() != 0) communicator_->register_memory(device_views_);
  synchronizer_ = std::make_unique<AllReduceSynchronizer>(
      *communicator_, parameters_, row_sparse_, options_, leaves_, block.count,
      device_views_.size_bytes() != 0 ? std::span(device_views_.data(), device_views_.size_bytes()) : views_.bytes());
  std::shared_ptr<DeviceNorm> device_norm;
  if (parameters_.front().value.device.kind != DeviceKind::cpu)
    device_norm = std::make_shared<DeviceNorm>(*communicator_, options_.stream);
  step_state_ = std::make_unique<StepState>(*synchronizer_, synchronizer_->trace(), parameters_, std::move(device_norm),
                                            leaves_, block.first, block.count);
  step_ = Step(step_state_.get());
}

void DataParallelState::begin_loop() {
  // The loop was left inside a step: ranks may have issued different numbers of its reductions by then.
  if (step_state_->abandon() == StepOutcome::stop) synchronizer_->request_stop();
  if (sampler_ != nullptr) compare_samplers(*communicator_, sampler_->state());
  unnumbered_step_ = 0;
  begin_step();
}

void DataParallelState::begin_step() { step_state_->begin(sampler_, sampler_ == nullptr ? unnumbered_step_++ : 0); }

bool DataParallelState::next_step() {
  step_state_->conclude();
  if (sampler_ == nullptr) {
    if (step_state_->outcome() == StepOutcome::stop || synchronizer_->total_weight() == 0.0) return false;
    begin_step();
    return true;
  }
  if (step_state_->outcome() == StepOutcome::stop) return false;
  step_state_->done();
  if (sampler_->cursor().epoch != step_state_->cursor().epoch) return false;
  begin_step();
  return true;
}

void StepState::begin(data::DistributedSampler* sampler, std::uint64_t number) {
  sampler_ = sampler;
  numbered_ = sampler != nullptr;
  batch_ = numbered_ ? sampler->batch() : std::span<const std::uint32_t>{};
  cursor_ = numbered_ ? sampler->cursor() : data::SamplerCursor{.step = number};
  passed_ = 0;
  started_ = in_shard_ = reduced_ = applied_ = false;
  outcome_ = StepOutcome::ready;
  norm_ = 0.0;
  norm_on_device_ = false;
  synchronizer_.begin_step();
}

bool StepState::restart_shards() {
  if (started_) fail(ErrorCode::invalid_argument, "shards() of a step can be iterated once");
  started_ = true;
  return next_shard();
}

bool StepState::next_shard() {
  if (in_shard_) {
    synchronizer_.end_leaf();
    in_shard_ = false;
    ++passed_;
  }
  if (!numbered_ && passed_ < own_leaves_) {
    shard_.samples_ = {};
    synchronizer_.begin_leaf(1.0);
    in_shard_ = true;
    return true;
  }
  while (passed_ < own_leaves_) {
    shard_.samples_ = data::DistributedSampler::leaf(batch_, leaves_, first_leaf_ + passed_);
    synchronizer_.begin_leaf(static_cast<double>(shard_.samples_.size()));
    if (!shard_.samples_.empty()) {
      in_shard_ = true;
      return true;
    }
    synchronizer_.end_leaf();
    ++passed_;
  }
  return false;
}

StepOutcome StepState::reduce() {
  if (reduced_) fail(ErrorCode::invalid_argument, "reduce() is called twice in one step");
  // A rank whose leaves are all empty, or that has run out of data, needs no loop.
  if (!started_) numbered_ ? static_cast<void>(restart_shards()) : pass_empty_leaves();
  outcome_ = synchronizer_.reduce();
  reduced_ = true;
  return outcome_;
}

ApplyOutcome StepState::apply(Optimizer& optimizer, const ApplyOptions& options) {
  if (!reduced_) fail(ErrorCode::invalid_argument, "apply() comes after reduce()");
  if (applied_) fail(ErrorCode::invalid_argument, "apply() is called twice in one step");
  for (const auto& [name, value] :
       {std::pair("clip_norm", options.clip_norm), std::pair("clip_value", options.clip_value)}) {
    if (!std::isfinite(value) || value < 0)
      fail(ErrorCode::invalid_argument, std::string(name) + " must be finite and at least 0");
  }
  if (device_norm_) {
    const auto theirs = optimizer.device_stream();
    if (theirs && theirs->pointer != device_norm_->stream().pointer) {
      fail(
          ErrorCode::invalid_argument,
          "apply(): the optimizer works on another stream than DataParallelOptions::stream; give use_device() the same");
    }
  }
  applied_ = true;
  done();
  if (synchronizer_.total_weight() == 0.0) return ApplyOutcome::empty;
  double scale = options.loss_scaler != nullptr ? 1.0 / options.loss_scaler->scale() : 1.0;
  const bool checks = options.loss_scaler != nullptr || options.skip_nonfinite;
  // Nobody waits for a norm that only the device wants to know.
  const bool clips_on_device = device_norm_ && options.clip_norm > 0 && !checks;
  if ((options.clip_norm > 0 || checks) && !clips_on_device) norm_ = norm_of_gradients() * scale;
  if (checks) {
    const bool finite = std::isfinite(norm_);
    if (options.loss_scaler != nullptr) options.loss_scaler->update(finite);
    if (!finite) return ApplyOutcome::nonfinite;
  }
  DeviceStepScale device_scale;
  if (clips_on_device) {
    const auto norm_span = trace_.on_steps("clip norm");
    device_scale = device_norm_->give(used_gradients(), scale, options.clip_norm);
    norm_on_device_ = true;
  } else if (options.clip_norm > 0) {
    scale *= clip_scale(norm_, options.clip_norm);
  }
  const auto span = trace_.on_steps("optimizer");
  updates_.clear();
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const Parameter& parameter = parameters_[p];
    if (synchronizer_.used(p))
      updates_.push_back({parameter.name, parameter.value, synchronizer_.gradient(p), parameter.shape});
  }
  const double clip_value = options.clip_value > 0 ? options.clip_value : std::numeric_limits<double>::infinity();
  clips_on_device ? optimizer.apply(updates_, device_scale, clip_value) : optimizer.apply(updates_, scale, clip_value);
  return ApplyOutcome::applied;
}

void StepState::done() {
  if (auto* const sampler = std::exchange(sampler_, nullptr)) sampler->advance();
}

std::span<const TensorView> StepState::used_gradients() {
  gradients_.clear();
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (synchronizer_.used(p)) gradients_.push_back(synchronizer_.gradient(p));
  }
  return gradients_;
}

double StepState::norm_of_gradients() {
  const auto span = trace_.on_steps("clip norm");
  return device_norm_ ? (*device_norm_)(used_gradients()) : global_norm(used_gradients());
}

double StepState::norm() {
  if (std::exchange(norm_on_device_, false)) norm_ = device_norm_->norm();
  return norm_;
}

void StepState::conclude() {
  if (!reduced_) reduce();
}

StepOutcome StepState::abandon() {
  if (!started_ || reduced_) return StepOutcome::ready;
  if (in_shard_) {
    synchronizer_.end_leaf();
    in_shard_ = false;
    ++passed_;
  }
  pass_empty_leaves();
  return reduce();
}

void StepState::pass_empty_leaves() {
  started_ = true;
  for (; passed_ < own_leaves_; ++passed_) {
    synchronizer_.begin_leaf(0.0);
    synchronizer_.end_leaf();
  }
}

void StepState::check_reduced(const char* call) const {
  if (!reduced_) fail(ErrorCode::invalid_argument, std::string(call) + " comes after reduce()");
}

void StepState::check_reduced(const char* call, std::size_t parameter) const {
  check_reduced(call);
  if (parameter >= parameters_.size()) {
    fail(ErrorCode::invalid_argument, std::string(call) + ": there is no parameter " + std::to_string(parameter) +
                                          " among " + std::to_string(parameters_.size()));
  }
}

}  // namespace parallel

void Shard::weight(double weight) { step_->synchronizer().set_weight(weight); }
void Shard::ready(std::size_t parameter) { step_->synchronizer().ready(parameter); }
void Shard::ready_rows(std::size_t parameter, std::span<const std::uint32_t> rows) {
  step_->synchronizer().ready_rows(parameter, rows);
}

Shard& Shards::Iterator::operator*() const { return step_->shard(); }
Shards::Iterator& Shards::Iterator::operator++() {
  if (!step_->next_shard()) step_ = nullptr;
  return *this;
}
Shards::Iterator Shards::begin() { return Iterator(step_->restart_shards() ? step_ : nullptr); }

Shards Step::shards() { return Shards(state_); }
StepOutcome Step::reduce() { return state_->reduce(); }
void Step::done() {
  state_->check_reduced("done()");
  state_->done();
}
ApplyOutcome Step::apply(Optimizer& optimizer, const ApplyOptions& options) {
  return state_->apply(optimizer, options);
}
TensorView Step::gradient(std::size_t parameter) const {
  state_->check_reduced("gradient()", parameter);
  return state_->synchronizer().gradient(parameter);
}
std::vector<TensorView> Step::gradients() const {
  std::vector<TensorView> all;
  for (std::size_t p = 0; p < state_->parameters().size(); ++p) all.push_back(gradient(p));
  return all;
}
bool Step::used(std::size_t parameter) const {
  state_->check_reduced("used()", parameter);
  return state_->synchronizer().used(parameter);
}
bool Step::checkpoint_requested() const { return state_->synchronizer().checkpoint_requested(); }
std::uint64_t Step::epoch() const { return state_->cursor().epoch; }
std::uint64_t Step::index() const { return state_->cursor().step; }
std::size_t Step::batch_size() const { return state_->batch_size(); }
double Step::total_weight() const { return state_->synchronizer().total_weight(); }
double Step::gradient_norm() const { return state_->norm(); }

Step& Steps::Iterator::operator*() const { return state_->step(); }
Steps::Iterator& Steps::Iterator::operator++() {
  if (!state_->next_step()) state_ = nullptr;
  return *this;
}
Steps::Iterator Steps::begin() {
  state_->begin_loop();
  return Iterator(state_);
}

DataParallel::DataParallel(Communicator communicator, std::vector<Parameter> parameters,
                           const DataParallelOptions& options)
    : state_(std::make_unique<parallel::DataParallelState>(std::move(communicator), std::move(parameters), options)) {}
DataParallel::DataParallel(DataParallel&&) noexcept = default;
DataParallel& DataParallel::operator=(DataParallel&&) noexcept = default;
DataParallel::~DataParallel() = default;

Steps DataParallel::steps(data::DistributedSampler& sampler) {
  state_->set_sampler(&sampler);
  return Steps(state_.get());
}
Steps DataParallel::steps() {
  state_->set_sampler(nullptr);
  return Steps(state_.get());
}
void DataParallel::rebind(Communicator communicator) { state_->rebind(std::move(communicator)); }
const Communicator& DataParallel::communicator() const { return state_->communicator(); }
void DataParallel::request_checkpoint() { state_->synchronizer().request_checkpoint(); }
void DataParallel::request_stop() { state_->synchronizer().request_stop(); }
int DataParallel::logical_shards() const { return state_->leaves(); }
const std::vector<Parameter>& DataParallel::parameters() const { return state_->parameters(); }
std::vector<std::vector<std::size_t>> DataParallel::buckets() const {
  std::vector<std::vector<std::size_t>> lists;
  for (const auto& bucket : state_->synchronizer().plan().buckets) lists.push_back(bucket.parameters);
  return lists;
}

}  // namespace trireme
