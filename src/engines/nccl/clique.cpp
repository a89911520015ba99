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
  if (!handle_ && unborn_.empty()) return;
  Ending ending;
  ending.nccl = library_;
  ending.runtime = runtime_;
  ending.device = device_;
  if (handle_) ending.comms = {release()};
  ending.unborn = release_unborn();
  Farewell::begin(std::move(ending));
}

std::string Clique::where() const {
  return " (rank " + std::to_string(member_) + ", device " + std::to_string(device_) + ", " + library_->words() + ")";
}

void Clique::fail_call(api::Result result, const char* call) const {
  fail(ErrorCode::device, library_->words_of(result, call, get()) + where());
}

void Clique::check(api::Result result, const char* call) {
  if (result == api::success) return;
  last_call_ = call;
  if (result != api::in_progress) fail_call(result, call);
}

bool Clique::settled() {
  if (other_failed_) return false;
  api::Result state = api::success;
  const api::Result asked = calls().comm_get_async_error(get(), &state);
  if (asked != api::success) fail_call(asked, "ncclCommGetAsyncError");
  if (state == api::remote_error) other_failed_ = true;
  if (state != api::success && state != api::in_progress && state != api::remote_error) fail_call(state, last_call_);
  return state == api::success;
}

void Clique::await(const char* call, const Waiting& waiting, const Touch& touch) {
  for (;;) {
    bool failed = false;
    {
      const auto touching = touch();
      if (settled()) return;
      failed = other_failed_;
    }
    if (waiting.aborted())
      fail(ErrorCode::peer_lost, std::string("the world failed while its ranks were in ") + call + where());
    if (waiting.until.passed() || failed) {
      fail(failed ? ErrorCode::device : ErrorCode::timeout,
           std::string(call) + (failed ? ": another rank has failed" : ": not all ranks came") + where());
    }
    std::this_thread::sleep_for(between_looks);
  }
}

void Clique::join(const api::UniqueId& id, int ranks, int rank, const Waiting& waiting) {
  constexpr const char* call = "ncclCommInitRankConfig";
  api::Config config = non_blocking();
  make_current();
  handle_ = std::make_shared<Handle>();
  check(calls().comm_init_rank_config(handle_->place(), ranks, id, rank, &config), call);
  await(call, waiting);
}

void Clique::join_all_of(Clique& parent, int rank, const Waiting& waiting, const Touch& touch) {
  const auto split = [&](api::Comm* place, api::Config* config) {
    return calls().comm_split(parent.get(), 0, rank, place, config);
  };
  make_of(parent, "ncclCommSplit", split, waiting, touch);
}

void Clique::join_rest_of(Clique& parent, std::vector<int> excluded, const Waiting& waiting, const Touch& touch) {
  const auto shrink = [&](api::Comm* place, api::Config* config) {
    return calls().comm_shrink(parent.get(), excluded.data(), static_cast<int>(excluded.size()), place, config,
                               api::shrink_default);
  };
  make_of(parent, "ncclCommShrink", shrink, waiting, touch);
}

/// Until the parent is done with it the new one is the parent's to end: NCCL makes it in a job of the parent's.
void Clique::make_of(Clique& parent, const char* call, const Make& make, const Waiting& waiting, const Touch& touch) {
  auto handle = std::make_shared<Handle>();
  {
    const auto touching = touch();
    api::Config config = non_blocking();
    make_current();
    parent.unborn_.push_back(handle);
    parent.check(make(handle->place(), &config), call);
  }
  parent.await(call, waiting, touch);  // the new handle is there when the old one is settled
  {
    const auto touching = touch();
    std::erase(parent.unborn_, handle);
    handle_ = std::move(handle);
  }
  last_call_ = call;
  if (get() == nullptr) fail(ErrorCode::device, std::string(call) + " gave no communicator, " + library_->words());
  await(call, waiting);
}

api::Op Clique::premultiplied(double scalar, DType dtype) {
  for (const Premultiplied& each : premultiplied_) {
    if (each.scalar == scalar && each.dtype == dtype) return each.op;
  }
  if (premultiplied_.size() == most_premultiplied) {
    check(calls().red_op_destroy(premultiplied_.front().op, get()), "ncclRedOpDestroy");
    premultiplied_.erase(premultiplied_.begin());
  }
  const bool is_double = dtype == DType::f64;
  auto narrow = static_cast<float>(scalar);
  api::Op op{};
  check(calls().red_op_create_pre_mul_sum(&op, is_double ? static_cast<void*>(&scalar) : &narrow,
                                          is_double ? api::float64 : api::float32, api::scalar_host_immediate, get()),
        "ncclRedOpCreatePreMulSum");
  premultiplied_.push_back({scalar, dtype, op});
  return op;
}

}  // namespace trireme::engines::nccl
