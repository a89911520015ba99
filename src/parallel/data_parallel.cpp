// SPDX-License-Identifier: Apache-2.0
#include "trireme/parallel/data_parallel.hpp"

#include "parallel/all_reduce_synchronizer.hpp"
#include "parallel/data_parallel_settings.hpp"
#include "parallel/data_parallel_state.hpp"
#include "parallel/gathered_values.hpp"
#include "parallel/parameter_list.hpp"
#include "parallel/row_sparse.hpp"
#include "trireme/base/error.hpp"

#include <utility>

namespace trireme {
namespace parallel {

DataParallelState::DataParallelState(Communicator communicator, std::vector<Parameter> parameters,
                                     const DataParallelOptions& options)
    : parameters_(std::move(parameters)),
      options_(options),
      row_sparse_(row_sparse_parameters(parameters_, options.row_sparse)) {
  const bool with_gradients = !options.gradients_as_bucket_views && options.zero_stage < 2;
  check_parameters(parameters_, row_sparse_, with_gradients, options.zero_stage < 3, communicator.device());
  if (options.zero_stage == 3) values_elsewhere_ = are_values_elsewhere(parameters_);
  const bool on_device = parameters_.front().value.device.kind != DeviceKind::cpu;
  if (on_device && (options_.stream.device != parameters_.front().value.device || options_.stream.pointer == nullptr)) {
    fail(ErrorCode::invalid_argument,
         "DataParallelOptions::stream: parameters in device memory need a stream of their device");
  }
  check_sharding(options_, communicator.size(), on_device);  // before memory is asked for
  settle_leaves(options_, communicator.size());
  if (options_.zero_stage < 2) options_.units.clear();
  plan_units(parameters_, options_.units, options_.first_bucket_bytes, options_.bucket_bytes,
             reverse_order(row_sparse_));  // refuses units
  if (options.gradients_as_bucket_views)
    on_device ? place_gradients_on_device(communicator) : place_gradients_in(communicator.memory());
  if (!with_gradients && !on_device) place_row_gradients_in(communicator.memory());
  rebind(std::move(communicator));
}

void DataParallelState::place_gradients_in(const Memory& memory) {
  const BucketPlan plan =
      plan_buckets(parameters_, options_.first_bucket_bytes, options_.bucket_bytes, reverse_order(row_sparse_));
  views_ = memory.allocate(Bytes{plan.size_bytes});
  place_gradients(parameters_, plan, views_.bytes());
}

/// They are in no bucket: in the caller's memory, or, laid out as one bucket, in ours.
void DataParallelState::place_row_gradients_in(const Memory& memory) {
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
  if (options_.zero_stage == 3 && values_) {
    fail(ErrorCode::unsupported,
         "rebind(): at zero_stage 3 no rank has all values: save a checkpoint, and restore it into a new DataParallel");
  }
  if (options_.tensor_axis && synchronizer_) {
    fail(ErrorCode::unsupported,
         "rebind(): DataParallelOptions::tensor_axis are the ranks of the old mesh: make a new DataParallel");
  }
  check_sharding(options_, communicator.size(), parameters_.front().value.device.kind != DeviceKind::cpu);
  leaves_ = settle_leaves(options_, communicator.size());
  // When a bucket starts differs between ranks: among the caller's own operations it would stand at different places.
  communicator_ = communicator.split(0, communicator.rank());
  if (!communicator_) fail(ErrorCode::invalid_argument, "this rank has no part in the communicator it was given");
  connect(!values_elsewhere_);
}

void DataParallelState::connect(bool values) {
  compare_parameters(*communicator_, parameters_, row_sparse_,
                     settings_text(options_, leaves_) + (!values_elsewhere_ ? ""
                                                         : options_.initial ? ", initial"
                                                                            : ", values null"));
  if (values) broadcast_values(*communicator_, parameters_, options_.stream);
  const OwnLeaves own = own_leaves(options_, leaves_, communicator_->size(), communicator_->rank());
  const bool alike = own_leaves_alike(options_, leaves_, communicator_->size());
  // The same place on all ranks only where all reduce in the same memory.
  device_views_.unregister();
  if (alike && own.count == 1 && device_views_.size_bytes() != 0) communicator_->register_memory(device_views_);
  const SynchronizerSetup setup{.communicator = *communicator_,
                                .parameters = parameters_,
                                .row_sparse = row_sparse_,
                                .options = options_,
                                .leaves = leaves_,
                                .own_leaves = own.passes,
                                .alike = alike,
                                .rounds = own.rounds(),
                                .views = device_views_.size_bytes() != 0
                                             ? std::span(device_views_.data(), device_views_.size_bytes())
                                             : views_.bytes()};
  SynchronizerParts made;
  ShardedSynchronizer* sharded = nullptr;
  if (options_.synchronizer) {
    made = options_.synchronizer->make(setup);
  } else if (options_.zero_stage == 0 && own.rounds() == 1) {
    made.synchronizer = std::make_unique<AllReduceSynchronizer>(setup);
  } else {
    auto owners = std::make_unique<ShardedSynchronizer>(setup);
    sharded = owners.get();
    made.synchronizer = std::move(owners);
  }
  // What there was goes once there is something in its place.
  if (synchronizer_ && !values) made.synchronizer->take_requests(*synchronizer_);
  step_state_.reset();
  made_access_ = std::move(made.access);
  update_ = std::move(made.update);
  explanation_ = std::move(made.explanation);
  sharded_access_.reset();
  values_.reset();
  sharded_ = sharded;
  synchronizer_ = std::move(made.synchronizer);
  if (options_.zero_stage > 0) share_out();
  tensor_sums_.reset();
  if (options_.tensor_axis)
    tensor_sums_ = std::make_unique<TensorSums>(std::nullopt, options_.tensor_axis, options_.deadline);
  std::shared_ptr<DeviceNorm> device_norm;
  if (parameters_.front().value.device.kind != DeviceKind::cpu)
    device_norm = std::make_shared<DeviceNorm>(*communicator_, options_.stream);
  step_state_ = std::make_unique<StepState>(*synchronizer_, synchronizer_->trace(), parameters_, std::move(device_norm),
                                            update_.get(), tensor_sums_.get(), leaves_, own, options_.zero_stage == 3);
  step_ = Step(step_state_.get());
}

void DataParallelState::share_out() {
  ShardedSynchronizer& gradients = *sharded_;
  if (options_.zero_stage == 3) {
    Communicator group = gradients.group();
    std::vector<std::size_t> unit_of;
    for (std::size_t p = 0; p < parameters_.size(); ++p) unit_of.push_back(gradients.unit_of(p));
    auto values = std::make_unique<ParameterShards>(ParameterShardsSetup{.group = *group.split(0, group.rank()),
                                                                         .parameters = parameters_,
                                                                         .plan = &gradients.plan(),
                                                                         .shards = &gradients.shards(),
                                                                         .unit_of = std::move(unit_of),
                                                                         .units = gradients.units(),
                                                                         .initial = options_.initial,
                                                                         .deadline = options_.deadline});
    gradients.use_acquired([shards = values.get()](std::size_t unit) { return shards->was_acquired(unit); });
    sharded_access_ = std::make_unique<ShardedValuesAccess>(*values, gradients);
    values_ = std::move(values);
  } else {
    values_ = std::make_unique<GatheredValues>(gradients.group(), parameters_, gradients.plan(), gradients.shards(),
                                               gradients.buffers(), options_.deadline);
  }
  update_ = std::make_unique<ShardedUpdate>(*communicator_, gradients.group(), parameters_, gradients.shards(),
                                            row_sparse_, *values_, options_.tensor_axis, options_.deadline);
  if (options_.zero_stage != 2) return;
  if (!access_) access_ = std::make_unique<WholeValuesAccess>(parameters_);
  access_->use(gradients);
}

layout::Interval DataParallelState::owned(std::size_t parameter) const {
  if (parameter >= parameters_.size()) {
    fail(ErrorCode::invalid_argument, "owned(): there is no parameter " + std::to_string(parameter) + " among " +
                                          std::to_string(parameters_.size()));
  }
  return sharded_ != nullptr ? sharded_->owned(parameter) : layout::Interval{0, parameters_[parameter].value.count};
}

TensorView DataParallelState::owned_value(std::size_t parameter) {
  const layout::Interval elements = owned(parameter);
  if (values_ && !row_sparse_[parameter]) {
    values_->before_update();
    return values_->part(parameter);
  }
  const TensorView& value = parameters_[parameter].value;
  return {value.data, elements.size(), value.dtype, value.device};
}

void DataParallelState::values_written() {
  if (values_) values_->after_update();
}

std::size_t DataParallelState::place_of(std::string_view parameter) const {
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    if (parameters_[p].name == parameter) return p;
  }
  fail(ErrorCode::invalid_argument, "owned(): there is no parameter '" + std::string(parameter) + "'");
}

layout::Interval DataParallelState::owned(std::string_view parameter) const { return owned(place_of(parameter)); }

layout::Ownership DataParallelState::ownership() const {
  return {
      .owned = [this](std::string_view parameter) { return owned(parameter); },
      .alike = [this](std::string_view parameter) { return sharded_ == nullptr || row_sparse_[place_of(parameter)]; },
      .saves = sharded_ == nullptr || options_.shard_group == 0 || communicator_->rank() < options_.shard_group};
}

ParameterAccess& DataParallelState::access() {
  if (made_access_) return *made_access_;
  if (sharded_access_) return *sharded_access_;
  if (!access_) {
    fail(ErrorCode::invalid_argument, "access(): zero_stage is " + std::to_string(options_.zero_stage) +
                                          ", where values and gradients stay in the caller's memory");
  }
  return *access_;
}

void DataParallelState::begin_loop() {
  if (options_.zero_stage == 3 && sampler_ == nullptr && !own_leaves_alike(options_, leaves_, communicator_->size())) {
    fail(ErrorCode::unsupported,
         "steps() without a sampler at zero_stage 3 take as many leaves on every rank: choose logical_shards so");
  }
  // The loop was left inside a step: ranks may have issued different numbers of its reductions by then.
  if (step_state_->abandon() == StepOutcome::stop) synchronizer_->request_stop();
  if (sampler_ != nullptr) compare_samplers(*communicator_, sampler_->state());
  unnumbered_step_ = 0;
  begin_step();
}

void DataParallelState::begin_step() {
  if (next_) {
    const auto before = std::exchange(options_.synchronizer, *std::exchange(next_, std::nullopt));
    try {
      check_sharding(options_, communicator_->size(), parameters_.front().value.device.kind != DeviceKind::cpu);
      connect(false);
    } catch (...) {
      options_.synchronizer = before;
      throw;
    }
  }
  step_state_->begin(sampler_, sampler_ == nullptr ? unnumbered_step_++ : 0);
}

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

}  // namespace parallel

void Shard::weight(double weight) { step_->set_weight(weight); }
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
double Step::reduction_seconds() const { return state_->reduction_seconds(); }
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
void DataParallel::use(std::shared_ptr<parallel::SynchronizerFactory> synchronizer) {
  state_->use(std::move(synchronizer));
}
const Communicator& DataParallel::communicator() const { return state_->communicator(); }
void DataParallel::request_checkpoint() { state_->synchronizer().request_checkpoint(); }
void DataParallel::request_stop() { state_->synchronizer().request_stop(); }
layout::Interval DataParallel::owned(std::size_t parameter) const { return state_->owned(parameter); }
layout::Interval DataParallel::owned(std::string_view parameter) const { return state_->owned(parameter); }
layout::Ownership DataParallel::ownership() const { return state_->ownership(); }
TensorView DataParallel::owned_value(std::size_t parameter) { return state_->owned_value(parameter); }
std::vector<Parameter> DataParallel::owned_parameters() {
  std::vector<Parameter> list = state_->parameters();
  for (std::size_t p = 0; p < list.size(); ++p) list[p].value = state_->owned_value(p);
  return list;
}
void DataParallel::values_written() { state_->values_written(); }
ParameterAccess& DataParallel::access() { return state_->access(); }
std::string DataParallel::explain() const { return state_->explain(); }
Bytes DataParallel::value_memory() const { return state_->value_memory(); }
Bytes DataParallel::gradient_memory() const { return state_->synchronizer().gradient_memory(); }
int DataParallel::logical_shards() const { return state_->leaves(); }
const std::vector<Parameter>& DataParallel::parameters() const { return state_->parameters(); }
std::vector<std::vector<std::size_t>> DataParallel::buckets() const {
  std::vector<std::vector<std::size_t>> lists;
  for (const auto& bucket : state_->synchronizer().plan().buckets) lists.push_back(bucket.parameters);
  return lists;
}

}  // namespace trireme
