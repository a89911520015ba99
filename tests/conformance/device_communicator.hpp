// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/comm/communicator.hpp"
#include "trireme/device/owned.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trireme::testing {

/// A communicator as the suites see one, whose operations go over device memory: what a call gives, of the host's memory, is
/// copied to a device, as it lies (in one buffer what overlaps there, as little aligned), the operation is called on that
/// with a stream behind the copies, and the result is copied back when it is done. A changed input is a failure.
/// Threads: as Communicator.
class DeviceCommunicator {
 public:
  explicit DeviceCommunicator(Communicator communicator);

  int rank() const { return communicator_.rank(); }
  int size() const { return communicator_.size(); }

  void all_reduce(TensorView data, ReduceOp op = sum, const CallOptions& options = {}) {
    all_reduce_async(data, op, options).wait();
  }
  void all_reduce(ConstTensorView in, TensorView out, ReduceOp op = sum, const CallOptions& options = {}) {
    all_reduce_async(in, out, op, options).wait();
  }
  Work all_reduce_async(TensorView data, ReduceOp op = sum, const CallOptions& options = {}) {
    return all_reduce_async(data, data, op, options);
  }
  Work all_reduce_async(ConstTensorView in, TensorView out, ReduceOp op = sum, const CallOptions& options = {});
  void all_reduce_group(std::span<const TensorView> tensors, ReduceOp op = sum, const CallOptions& options = {}) {
    all_reduce_group_async(tensors, op, options).wait();
  }
  Work all_reduce_group_async(std::span<const TensorView> tensors, ReduceOp op = sum, const CallOptions& options = {});

  void reduce_scatter(ConstTensorView in, TensorView out, ReduceOp op = sum, const CallOptions& options = {}) {
    reduce_scatter_async(in, out, op, options).wait();
  }
  Work reduce_scatter_async(ConstTensorView in, TensorView out, ReduceOp op = sum, const CallOptions& options = {});
  void reduce_scatter(ConstTensorView in, TensorView out, std::span<const std::size_t> counts, ReduceOp op = sum,
                      const CallOptions& options = {}) {
    reduce_scatter_async(in, out, counts, op, options).wait();
  }
  Work reduce_scatter_async(ConstTensorView in, TensorView out, std::span<const std::size_t> counts, ReduceOp op = sum,
                            const CallOptions& options = {});
  void reduce(ConstTensorView in, TensorView out, int root = 0, ReduceOp op = sum, const CallOptions& options = {}) {
    reduce_async(in, out, root, op, options).wait();
  }
  Work reduce_async(ConstTensorView in, TensorView out, int root = 0, ReduceOp op = sum,
                    const CallOptions& options = {});

  void all_gather(ConstTensorView in, TensorView out, const CallOptions& options = {}) {
    all_gather_async(in, out, options).wait();
  }
  Work all_gather_async(ConstTensorView in, TensorView out, const CallOptions& options = {});
  void all_gather(ConstTensorView in, TensorView out, std::span<const std::size_t> counts,
                  const CallOptions& options = {}) {
    all_gather_async(in, out, counts, options).wait();
  }
  Work all_gather_async(ConstTensorView in, TensorView out, std::span<const std::size_t> counts,
                        const CallOptions& options = {});
  Work gather_async(ConstTensorView in, TensorView out, int root = 0, const CallOptions& options = {});
  Work scatter_async(ConstTensorView in, TensorView out, int root = 0, const CallOptions& options = {});
  void broadcast(TensorView data, int root = 0, const CallOptions& options = {}) {
    broadcast_async(data, root, options).wait();
  }
  Work broadcast_async(TensorView data, int root = 0, const CallOptions& options = {});

  void all_to_all(ConstTensorView in, TensorView out, const CallOptions& options = {}) {
    all_to_all_async(in, out, options).wait();
  }
  Work all_to_all_async(ConstTensorView in, TensorView out, const CallOptions& options = {});
  Work all_to_all_async(ConstTensorView in, std::span<const std::size_t> send_counts, TensorView out,
                        std::span<const std::size_t> receive_counts, const CallOptions& options = {});

  void send(ConstTensorView data, int peer, const CallOptions& options = {}) { send_async(data, peer, options).wait(); }
  Work send_async(ConstTensorView data, int peer, const CallOptions& options = {});
  void recv(TensorView data, int peer, const CallOptions& options = {}) { recv_async(data, peer, options).wait(); }
  Work recv_async(TensorView data, int peer, const CallOptions& options = {});

  // What has no tensors is the host's.
  void barrier(const CallOptions& options = {}) { communicator_.barrier(options); }
  std::vector<std::byte> broadcast_bytes(std::span<const std::byte> object, int root = 0) {
    return communicator_.broadcast_bytes(object, root);
  }
  std::vector<std::vector<std::byte>> gather_bytes(std::span<const std::byte> object, int root = 0) {
    return communicator_.gather_bytes(object, root);
  }
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> object) {
    return communicator_.all_gather_bytes(object);
  }
  std::string flight_recorder_json() const { return communicator_.flight_recorder_json(); }

  std::optional<DeviceCommunicator> split(int color, int key = 0) {
    return with_stream(communicator_.split(color, key));
  }
  std::optional<DeviceCommunicator> subgroup(std::span<const int> ranks) {
    return with_stream(communicator_.subgroup(ranks));
  }

 private:
  using Call = std::function<Work(ConstTensorView in, TensorView out, std::span<const TensorView> pieces,
                                  const CallOptions& options)>;
  Work mirrored(ConstTensorView in, TensorView out, std::span<const TensorView> pieces, const CallOptions& options,
                const Call& call);
  std::optional<DeviceCommunicator> with_stream(std::optional<Communicator> part) const;

  Communicator communicator_;
  std::shared_ptr<device::OwnedStream> stream_;
};

}  // namespace trireme::testing
