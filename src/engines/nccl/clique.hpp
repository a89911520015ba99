// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "engines/nccl/handle.hpp"
#include "engines/nccl/library.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/device/runtime.hpp"

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace trireme::engines::nccl {

/// One NCCL communicator as this rank has it: non-blocking, so that no call of it can hold the host.
/// Errors: device, naming the call, NCCL's words and the device.
class Clique {
 public:
  struct Waiting {
    std::function<bool()> aborted;
    Deadline until;
  };
  /// Keeps others from ending a communicator while the lock lives; throws when it has been ended.
  using Touch = std::function<std::unique_lock<std::mutex>()>;
  /// Nobody else knows it.
  static std::unique_lock<std::mutex> alone() { return {}; }

  /// `member`: which rank of the world this is, for errors.
  Clique(std::shared_ptr<Library> library, std::shared_ptr<device::Runtime> runtime, int device, int member)
      : library_(std::move(library)), runtime_(std::move(runtime)), device_(device), member_(member) {}
  Clique(const Clique&) = delete;
  Clique& operator=(const Clique&) = delete;
  ~Clique();

  /// Collective. Errors: timeout, peer_lost when the others do not come.
  void join(const api::UniqueId& id, int ranks, int rank, const Waiting& waiting);
  /// Of all ranks of `parent`, which has nothing under way, and is touched under `touch` alone. Collective.
  void join_all_of(Clique& parent, int rank, const Waiting& waiting, const Touch& touch = alone);
  /// Of the ranks of `parent` that are not `excluded`, in their order there; nothing is under way on it. Collective among
  /// them alone. Once for a parent: NCCL gives all its shrunk ones the same name.
  void join_rest_of(Clique& parent, std::vector<int> excluded, const Waiting& waiting, const Touch& touch);

  const api::Calls& calls() const { return library_->calls(); }
  const Library& library() const { return *library_; }
  /// Rank, device and NCCL's version, as errors end.
  std::string where() const;
  api::Comm get() const { return handle_ ? handle_->get() : nullptr; }
  /// NCCL asks CUDA which device the thread is on.
  void make_current() const { runtime_->make_current(device_); }
  /// Not yet done is no failure: settled() tells.
  void check(api::Result result, const char* call);
  /// Whether what was last called is done and the next may be. Throws what NCCL found meanwhile, remote_error apart.
  bool settled();
  /// NCCL says that another rank has failed.
  bool other_failed() const { return other_failed_; }
  /// The sum of products with `scalar`, which is rounded to `dtype` (f32, f64): kept, the latest few.
  api::Op premultiplied(double scalar, DType dtype);

  /// Nobody calls it any more but the one who ends it. Null: NCCL was never asked for it.
  SharedHandle release() { return std::exchange(handle_, nullptr); }
  /// NCCL still makes another of it.
  bool makes_another() const { return !unborn_.empty(); }
  /// Of those that were being made of this one when their makers gave up: NCCL writes them at the latest when this one ends,
  /// and they end behind it.
  std::vector<SharedHandle> release_unborn() { return std::exchange(unborn_, {}); }

 private:
  struct Premultiplied {
    double scalar;
    DType dtype;
    api::Op op;
  };
  using Make = std::function<api::Result(api::Comm*, api::Config*)>;
  void make_of(Clique& parent, const char* call, const Make& make, const Waiting& waiting, const Touch& touch);
  void await(const char* call, const Waiting& waiting, const Touch& touch = alone);
  [[noreturn]] void fail_call(api::Result result, const char* call) const;
  std::shared_ptr<Library> library_;
  std::shared_ptr<device::Runtime> runtime_;
  int device_;
  int member_;
  SharedHandle handle_;
  std::vector<SharedHandle> unborn_;
  bool other_failed_ = false;
  const char* last_call_ = "ncclCommInitRankConfig";
  std::vector<Premultiplied> premultiplied_;
};

/// Calls between which NCCL starts nothing, and which it then starts as one. Held by one thread of the process at a time.
class CallGroup {
 public:
  explicit CallGroup(Clique& clique) : clique_(clique), order_(Library::launch_order()) {
    clique_.make_current();
    clique_.check(clique_.calls().group_start(), "ncclGroupStart");
    open_ = true;
  }
  void end() {
    open_ = false;
    clique_.check(clique_.calls().group_end(), "ncclGroupEnd");
  }
  ~CallGroup() {
    if (open_) clique_.calls().group_end();
  }
  CallGroup(const CallGroup&) = delete;
  CallGroup& operator=(const CallGroup&) = delete;

 private:
  Clique& clique_;
  std::lock_guard<std::mutex> order_;
  bool open_ = false;
};

}  // namespace trireme::engines::nccl
