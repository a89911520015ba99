// SPDX-License-Identifier: Apache-2.0
#include "engines/nccl/clique.hpp"

#include "engines/nccl/ending.hpp"
#include "trireme/base/error.hpp"

#include <chrono>
#include <string>
#include <thread>

namespace trireme::engines::nccl {
namespace {

constexpr std::size_t most_premultiplied = 64;
constexpr std::chrono::microseconds between_looks{200};

api::Config non_blocking() {
  api::Config config;
  config.blocking = 0;
  return config;
}

}  // namespace

/// A communicator that nobody has taken was not made to its end.
Clique::~Clique() {
  if (comm_ == nullptr) return;
  Ending ending;
  ending.nccl = library_;
  ending.runtime = runtime_;
  ending.device = device_;
  ending.comms = {release()};
  Farewell::begin(std::move(ending));
}

void Clique::fail_call(api::Result result, const char* call) const {
  fail(ErrorCode::device,
       library_->words_of(result, call, comm_) + ", on device " + std::to_string(device_) + ", " + library_->words());
}

void Clique::check(api::Result result, const char* call) {
  if (result == api::success) return;
  last_call_ = call;
  if (result != api::in_progress) fail_call(result, call);
}

bool Clique::settled() {
  if (other_failed_) return false;
  api::Result state = api::success;
  const api::Result asked = calls().comm_get_async_error(comm_, &state);
  if (asked != api::success) fail_call(asked, "ncclCommGetAsyncError");
  if (state == api::remote_error) other_failed_ = true;
  if (state != api::success && state != api::in_progress && state != api::remote_error) fail_call(state, last_call_);
  return state == api::success;
}

void Clique::await(const char* call, const Waiting& waiting) {
  while (!settled()) {
    if (waiting.aborted()) fail(ErrorCode::peer_lost, std::string("the world failed while its ranks were in ") + call);
    if (waiting.until.passed() || other_failed_) {
      fail(other_failed_ ? ErrorCode::device : ErrorCode::timeout,
           std::string(call) + (other_failed_ ? ": another rank has failed" : ": not all ranks came") + ", on device " +
               std::to_string(device_) + ", " + library_->words());
    }
    std::this_thread::sleep_for(between_looks);
  }
}

void Clique::join(const api::UniqueId& id, int ranks, int rank, const Waiting& waiting) {
  constexpr const char* call = "ncclCommInitRankConfig";
  api::Config config = non_blocking();
  make_current();
  check(calls().comm_init_rank_config(&comm_, ranks, id, rank, &config), call);
  await(call, waiting);
}

void Clique::join_all_of(Clique& parent, int rank, const Waiting& waiting) {
  constexpr const char* call = "ncclCommSplit";
  api::Config config = non_blocking();
  make_current();
  parent.check(calls().comm_split(parent.comm_, 0, rank, &comm_, &config), call);
  await_made_of(parent, call, waiting);
}

void Clique::join_rest_of(Clique& parent, std::vector<int> excluded, const Waiting& waiting) {
  constexpr const char* call = "ncclCommShrink";
  api::Config config = non_blocking();
  make_current();
  parent.check(calls().comm_shrink(parent.comm_, excluded.data(), static_cast<int>(excluded.size()), &comm_, &config,
                                   api::shrink_default),
               call);
  await_made_of(parent, call, waiting);
}

void Clique::await_made_of(Clique& parent, const char* call, const Waiting& waiting) {
  parent.await(call, waiting);  // the new handle is there when the old one is settled
  last_call_ = call;
  if (comm_ == nullptr) fail(ErrorCode::device, std::string(call) + " gave no communicator, " + library_->words());
  await(call, waiting);
}

api::Op Clique::premultiplied(double scalar, DType dtype) {
  for (const Premultiplied& each : premultiplied_) {
    if (each.scalar == scalar && each.dtype == dtype) return each.op;
  }
  if (premultiplied_.size() == most_premultiplied) {
    check(calls().red_op_destroy(premultiplied_.front().op, comm_), "ncclRedOpDestroy");
    premultiplied_.erase(premultiplied_.begin());
  }
  const bool is_double = dtype == DType::f64;
  auto narrow = static_cast<float>(scalar);
  api::Op op{};
  check(calls().red_op_create_pre_mul_sum(&op, is_double ? static_cast<void*>(&scalar) : &narrow,
                                          is_double ? api::float64 : api::float32, api::scalar_host_immediate, comm_),
        "ncclRedOpCreatePreMulSum");
  premultiplied_.push_back({scalar, dtype, op});
  return op;
}

}  // namespace trireme::engines::nccl
