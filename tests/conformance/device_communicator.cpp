// SPDX-License-Identifier: Apache-2.0
#include "conformance/device_communicator.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

namespace trireme::testing {
namespace {

/// Host memory of one call, on a device: ranges that overlap there share a buffer.
class Mirror {
 public:
  Mirror(std::shared_ptr<device::Runtime> runtime, Stream stream) : runtime_(std::move(runtime)), stream_(stream) {}

  void add(const ConstTensorView& host) {
    if (host.data == nullptr || host.count == 0) return;
    Range range{static_cast<std::byte*>(const_cast<void*>(host.data)), host.size_bytes(), {}};
    for (auto other = ranges_.begin(); other != ranges_.end();) {
      if (range.end() <= other->begin || other->end() <= range.begin) {
        ++other;
        continue;
      }
      std::byte* const begin = std::min(range.begin, other->begin);
      range.size = static_cast<std::size_t>(std::max(range.end(), other->end()) - begin);
      range.begin = begin;
      other = ranges_.erase(other);
    }
    ranges_.push_back(std::move(range));
  }

  /// After the last add().
  void copy_there() {
    for (Range& range : ranges_) {
      range.buffer = device::Buffer(runtime_, stream_.device.index, range.size + alignment);
      runtime_->copy(range.there(), range.begin, range.size, stream_);
    }
  }

  /// The same elements there; what is nothing here is nothing there.
  TensorView of(const ConstTensorView& host) const {
    TensorView view(nullptr, host.count, host.dtype, stream_.device);
    for (const Range& range : ranges_) {
      const auto* at = static_cast<const std::byte*>(host.data);
      if (host.count != 0 && at >= range.begin && at < range.end()) view.data = range.there() + (at - range.begin);
    }
    return view;
  }

  void copy_back(const TensorView& host) {
    if (host.data == nullptr || host.count == 0) return;
    runtime_->copy(host.data, of(host).data, host.size_bytes(), stream_);
    runtime_->synchronize(stream_);
  }

  bool is_unchanged(const ConstTensorView& host) {
    if (host.data == nullptr || host.count == 0) return true;
    std::vector<std::byte> there(host.size_bytes());
    runtime_->copy(there.data(), of(host).data, there.size(), stream_);
    runtime_->synchronize(stream_);
    return std::memcmp(there.data(), host.data, there.size()) == 0;
  }

 private:
  static constexpr std::size_t alignment = 64;
  struct Range {
    std::byte* begin;
    std::size_t size;
    device::Buffer buffer;
    std::byte* end() const { return begin + size; }
    std::byte* there() const { return buffer.data() + reinterpret_cast<std::uintptr_t>(begin) % alignment; }
  };
  std::shared_ptr<device::Runtime> runtime_;
  Stream stream_;
  std::vector<Range> ranges_;
};

bool overlap(const ConstTensorView& a, const ConstTensorView& b) {
  const auto* first = static_cast<const std::byte*>(a.data);
  const auto* second = static_cast<const std::byte*>(b.data);
  return first < second + b.size_bytes() && second < first + a.size_bytes();
}

/// One call under way: its Work, and where its result belongs.
class MirroredCall final : public WorkState {
 public:
  MirroredCall(std::shared_ptr<device::OwnedStream> stream, std::shared_ptr<device::Runtime> runtime,
               const ConstTensorView& in, const TensorView& out, std::span<const TensorView> pieces)
      : stream_(std::move(stream)), mirror_(std::move(runtime), stream_->get()), in_(in), outs_{out} {
    outs_.insert(outs_.end(), pieces.begin(), pieces.end());
    mirror_.add(in);
    for (const TensorView& each : outs_) mirror_.add(each);
    mirror_.copy_there();
  }

  const Mirror& mirror() const { return mirror_; }
  void is(Work work) { work_ = std::move(work); }

  bool done() const noexcept override { return settled_; }
  bool drive(Deadline until) noexcept override {
    if (settled_) return true;
    if (until.is_never()) {
      while (!work_.wait_for(std::chrono::hours(1))) {
      }
    } else if (!work_.wait_for(until.moment() - Deadline::Clock::now())) {
      return false;
    }
    settle();
    return true;
  }
  void order(Stream stream) noexcept override { work_.wait_on(stream); }
  const Error* error() const noexcept override { return changed_ ? &*changed_ : work_.error(); }
  void release() noexcept override {
    drive(Deadline::never());
    delete this;
  }

 private:
  void settle() noexcept {
    settled_ = true;
    if (work_.error() != nullptr) return;
    try {
      const bool only_read =
          std::none_of(outs_.begin(), outs_.end(), [&](const TensorView& out) { return overlap(in_, out); });
      if (only_read && !mirror_.is_unchanged(in_))
        changed_ = Error{.code = ErrorCode::corrupt, .message = "the input was changed on the device"};
      for (const TensorView& out : outs_) mirror_.copy_back(out);
    } catch (const Exception& failure) {
      changed_ = failure.error();
    }
  }

  std::shared_ptr<device::OwnedStream> stream_;
  Mirror mirror_;
  ConstTensorView in_;
  std::vector<TensorView> outs_;
  std::optional<Error> changed_;
  bool settled_ = false;
  Work work_;  // goes first: the buffers are its
};

}  // namespace

DeviceCommunicator::DeviceCommunicator(Communicator communicator)
    : communicator_(std::move(communicator)),
      stream_(std::make_shared<device::OwnedStream>(communicator_.device_runtime(),
                                                    communicator_.device().value().index)) {}

std::optional<DeviceCommunicator> DeviceCommunicator::with_stream(std::optional<Communicator> part) const {
  return part ? std::optional(DeviceCommunicator(*std::move(part))) : std::nullopt;
}

Work DeviceCommunicator::mirrored(ConstTensorView in, TensorView out, std::span<const TensorView> pieces,
                                  const CallOptions& options, const Call& call) {
  auto state = std::make_unique<MirroredCall>(stream_, communicator_.device_runtime(), in, out, pieces);
  CallOptions on_stream = options;
  on_stream.stream = stream_->get();
  std::vector<TensorView> there;
  for (const TensorView& piece : pieces) there.push_back(state->mirror().of(piece));
  try {
    state->is(call(state->mirror().of(in), state->mirror().of(out), there, on_stream));
  } catch (...) {
    stream_->synchronize();  // the copies
    throw;
  }
  return Work(state.release());
}

Work DeviceCommunicator::all_reduce_async(ConstTensorView in, TensorView out, ReduceOp op, const CallOptions& options) {
  return mirrored(in, out, {}, options,
                  [&](auto i, auto o, auto, const auto& k) { return communicator_.all_reduce_async(i, o, op, k); });
}
Work DeviceCommunicator::all_reduce_group_async(std::span<const TensorView> tensors, ReduceOp op,
                                                const CallOptions& options) {
  return mirrored({}, {}, tensors, options, [&](auto, auto, auto pieces, const auto& k) {
    return communicator_.all_reduce_group_async(pieces, op, k);
  });
}
Work DeviceCommunicator::reduce_scatter_async(ConstTensorView in, TensorView out, ReduceOp op,
                                              const CallOptions& options) {
  return mirrored(in, out, {}, options,
                  [&](auto i, auto o, auto, const auto& k) { return communicator_.reduce_scatter_async(i, o, op, k); });
}
Work DeviceCommunicator::reduce_async(ConstTensorView in, TensorView out, int root, ReduceOp op,
                                      const CallOptions& options) {
  return mirrored(in, out, {}, options,
                  [&](auto i, auto o, auto, const auto& k) { return communicator_.reduce_async(i, o, root, op, k); });
}
Work DeviceCommunicator::reduce_scatter_async(ConstTensorView in, TensorView out, std::span<const std::size_t> counts,
                                              ReduceOp op, const CallOptions& options) {
  return mirrored(in, out, {}, options, [&](auto i, auto o, auto, const auto& k) {
    return communicator_.reduce_scatter_async(i, o, counts, op, k);
  });
}

Work DeviceCommunicator::all_gather_async(ConstTensorView in, TensorView out, const CallOptions& options) {
  return mirrored(in, out, {}, options,
                  [&](auto i, auto o, auto, const auto& k) { return communicator_.all_gather_async(i, o, k); });
}
Work DeviceCommunicator::all_gather_async(ConstTensorView in, TensorView out, std::span<const std::size_t> counts,
                                          const CallOptions& options) {
  return mirrored(in, out, {}, options,
                  [&](auto i, auto o, auto, const auto& k) { return communicator_.all_gather_async(i, o, counts, k); });
}
Work DeviceCommunicator::gather_async(ConstTensorView in, TensorView out, int root, const CallOptions& options) {
  return mirrored(in, out, {}, options,
                  [&](auto i, auto o, auto, const auto& k) { return communicator_.gather_async(i, o, root, k); });
}
Work DeviceCommunicator::scatter_async(ConstTensorView in, TensorView out, int root, const CallOptions& options) {
  return mirrored(in, out, {}, options,
                  [&](auto i, auto o, auto, const auto& k) { return communicator_.scatter_async(i, o, root, k); });
}
Work DeviceCommunicator::broadcast_async(TensorView data, int root, const CallOptions& options) {
  return mirrored({}, data, {}, options,
                  [&](auto, auto o, auto, const auto& k) { return communicator_.broadcast_async(o, root, k); });
}
Work DeviceCommunicator::all_to_all_async(ConstTensorView in, TensorView out, const CallOptions& options) {
  return mirrored(in, out, {}, options,
                  [&](auto i, auto o, auto, const auto& k) { return communicator_.all_to_all_async(i, o, k); });
}
Work DeviceCommunicator::all_to_all_async(ConstTensorView in, std::span<const std::size_t> send_counts, TensorView out,
                                          std::span<const std::size_t> receive_counts, const CallOptions& options) {
  return mirrored(in, out, {}, options, [&](auto i, auto o, auto, const auto& k) {
    return communicator_.all_to_all_async(i, send_counts, o, receive_counts, k);
  });
}
Work DeviceCommunicator::send_async(ConstTensorView data, int peer, const CallOptions& options) {
  return mirrored(data, {}, {}, options,
                  [&](auto i, auto, auto, const auto& k) { return communicator_.send_async(i, peer, k); });
}
Work DeviceCommunicator::recv_async(TensorView data, int peer, const CallOptions& options) {
  return mirrored({}, data, {}, options,
                  [&](auto, auto o, auto, const auto& k) { return communicator_.recv_async(o, peer, k); });
}

}  // namespace trireme::testing
