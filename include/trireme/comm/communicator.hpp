// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/base/work.hpp"
#include "trireme/comm/call_options.hpp"
#include "trireme/comm/device_memory.hpp"
#include "trireme/comm/explanation.hpp"
#include "trireme/comm/location.hpp"
#include "trireme/comm/memory.hpp"
#include "trireme/plan/graph.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace trireme {

namespace device {
class Runtime;
}

namespace comm {
class Context;
class Group;
struct Request;
}  // namespace comm

/// Identifies a process of the job for as long as it lives; its rank may differ between communicators and epochs.
using MemberId = std::uint64_t;

/// The ranks of one group and the collectives among them. A cheap value: copies share members, numbering and state.
///
/// Order:   every rank issues the same operations in the same order on one communicator; different communicators are
///          independent. With ReductionOrder::canonical the bits of a result depend only on contributions, dtype,
///          operation and the order of the ranks.
/// Shape:   count and dtype are equal on all ranks; count 0 is legal; input and output are disjoint or the same.
/// Devices: views may be of this rank's device (World::device()), all of one call. What blocks here blocks the host until
///          the result is there; …_async with CallOptions::stream and Work::wait_on(stream) keep to the streams. Where the
///          engine goes through host memory (explain() says so) other ranks may give host memory, and wait_on() may
///          block the host until the result is on its way to the device; elsewhere it never does.
/// Threads: one thread issues at a time (else invalid_argument); any thread may wait.
/// Errors:  invalid_argument, unsupported before any byte moves; mismatch, timeout, peer_lost, corrupt abort the world
///          of this communicator, and every later call fails at once with that first cause.
class Communicator {
 public:
  int rank() const;
  int size() const;
  MemberId member(int rank) const;
  /// Where `rank` runs: which ranks are close to each other.
  Location location(int rank) const;

  /// Combines `data` of all ranks by `op`; every rank gets the result.
  /// Cost: direct: 2n - b(r) - b(r+1) elements sent by rank r (b: its block, n/P); recursive doubling: n log2 P;
  ///       tree: n per non-root and n per child; ring (fastest order only): 2n - b(r+1) - b(r+2). See explain().
  /// Source: Thakur, Rabenseifner, Gropp, IJHPCA 2005; Patarasuk, Yuan, JPDC 2009 (ring).
  template <class T>
  void all_reduce(std::span<T> data, ReduceOp op = sum, const CallOptions& options = {}) {
    all_reduce(ConstTensorView(data), TensorView(data), op, options);
  }
  template <class T>
  void all_reduce(std::span<const T> input, std::span<T> output, ReduceOp op = sum, const CallOptions& options = {}) {
    all_reduce(ConstTensorView(input), TensorView(output), op, options);
  }
  template <class T>
  Work all_reduce_async(std::span<T> data, ReduceOp op = sum, const CallOptions& options = {}) {
    return all_reduce_async(ConstTensorView(data), TensorView(data), op, options);
  }
  template <class T>
  Work all_reduce_async(std::span<const T> input, std::span<T> output, ReduceOp op = sum,
                        const CallOptions& options = {}) {
    return all_reduce_async(ConstTensorView(input), TensorView(output), op, options);
  }
  /// `input` has the dtype of `output` or its accumulator type (f32 partial sums of a 16-bit result).
  void all_reduce(ConstTensorView input, TensorView output, ReduceOp op = sum, const CallOptions& options = {});
  Work all_reduce_async(ConstTensorView input, TensorView output, ReduceOp op = sum, const CallOptions& options = {});

  /// Rank r gets elements [r*n, (r+1)*n) of the combination of all `input`, n = output count.
  /// Shape: input P*n elements; in place when output is that part of input.  Cost: direct: (P-1)*n elements sent.
  template <class T>
  void reduce_scatter(std::span<const T> input, std::span<T> output, ReduceOp op = sum,
                      const CallOptions& options = {}) {
    reduce_scatter(ConstTensorView(input), TensorView(output), op, options);
  }
  void reduce_scatter(ConstTensorView input, TensorView output, ReduceOp op = sum, const CallOptions& options = {});
  Work reduce_scatter_async(ConstTensorView input, TensorView output, ReduceOp op = sum,
                            const CallOptions& options = {});

  /// With blocks of unequal sizes: rank r gets elements [s(r), s(r) + counts[r]) of the combination, s(r) = sum of
  /// counts[q] over q < r: the bits of an all_reduce with the same leaves.
  /// Shape: counts has P entries, which may be 0, the same on all ranks; input their sum n, output counts[rank]; in place
  ///        when output is that part of input.  Cost: direct: n - counts[rank] elements sent.
  void reduce_scatter(ConstTensorView input, TensorView output, std::span<const std::size_t> counts, ReduceOp op = sum,
                      const CallOptions& options = {});
  Work reduce_scatter_async(ConstTensorView input, TensorView output, std::span<const std::size_t> counts,
                            ReduceOp op = sum, const CallOptions& options = {});

  /// The combination of all ranks' `input` by `op`, on `root` alone; nobody else's `output` is looked at (its dtype counts
  /// when it is not empty).
  /// Shape: n elements; in place on the root when output is input.  Cost: tree: n per hop; rooted: n to the root.
  template <class T>
  void reduce(std::span<const T> input, std::span<T> output, int root = 0, ReduceOp op = sum,
              const CallOptions& options = {}) {
    reduce(ConstTensorView(input), TensorView(output), root, op, options);
  }
  void reduce(ConstTensorView input, TensorView output, int root = 0, ReduceOp op = sum,
              const CallOptions& options = {});
  Work reduce_async(ConstTensorView input, TensorView output, int root = 0, ReduceOp op = sum,
                    const CallOptions& options = {});

  /// Elements [r*n, (r+1)*n) of every rank's `output` become rank r's `input`, n = input count.
  /// Shape: output P*n elements; in place when input is that part of output.  Cost: (P-1)*n elements sent.
  template <class T>
  void all_gather(std::span<const T> input, std::span<T> output, const CallOptions& options = {}) {
    all_gather(ConstTensorView(input), TensorView(output), options);
  }
  void all_gather(ConstTensorView input, TensorView output, const CallOptions& options = {});
  Work all_gather_async(ConstTensorView input, TensorView output, const CallOptions& options = {});

  /// With blocks of unequal sizes: rank r gives counts[r] elements, which stand behind those of the ranks before it.
  /// Shape: counts has P entries, which may be 0, the same on all ranks; output their sum; in place when input is that part
  ///        of output.
  void all_gather(ConstTensorView input, TensorView output, std::span<const std::size_t> counts,
                  const CallOptions& options = {});
  Work all_gather_async(ConstTensorView input, TensorView output, std::span<const std::size_t> counts,
                        const CallOptions& options = {});

  /// As all_gather, but on `root` alone; nobody else's `output` is looked at.
  /// Cost: rooted: n from each rank; tree: ceil(log2 P) hops.
  template <class T>
  void gather(std::span<const T> input, std::span<T> output, int root = 0, const CallOptions& options = {}) {
    gather(ConstTensorView(input), TensorView(output), root, options);
  }
  void gather(ConstTensorView input, TensorView output, int root = 0, const CallOptions& options = {});
  Work gather_async(ConstTensorView input, TensorView output, int root = 0, const CallOptions& options = {});
  void gather(ConstTensorView input, TensorView output, std::span<const std::size_t> counts, int root = 0,
              const CallOptions& options = {});
  Work gather_async(ConstTensorView input, TensorView output, std::span<const std::size_t> counts, int root = 0,
                    const CallOptions& options = {});

  /// Rank r's `output` becomes elements [r*n, (r+1)*n) of the root's `input`, n = output count; nobody else's `input` is
  /// looked at.  Shape: input P*n elements on the root; in place there when output is that part of input.
  template <class T>
  void scatter(std::span<const T> input, std::span<T> output, int root = 0, const CallOptions& options = {}) {
    scatter(ConstTensorView(input), TensorView(output), root, options);
  }
  void scatter(ConstTensorView input, TensorView output, int root = 0, const CallOptions& options = {});
  Work scatter_async(ConstTensorView input, TensorView output, int root = 0, const CallOptions& options = {});
  void scatter(ConstTensorView input, TensorView output, std::span<const std::size_t> counts, int root = 0,
               const CallOptions& options = {});
  Work scatter_async(ConstTensorView input, TensorView output, std::span<const std::size_t> counts, int root = 0,
                     const CallOptions& options = {});

  /// Block j of rank i's `input` becomes block i of rank j's `output`.
  /// Shape: P*n elements each; in place (through a copy) when output is input.
  /// Cost: (P-1)*n elements sent, one message to each.
  template <class T>
  void all_to_all(std::span<const T> input, std::span<T> output, const CallOptions& options = {}) {
    all_to_all(ConstTensorView(input), TensorView(output), options);
  }
  void all_to_all(ConstTensorView input, TensorView output, const CallOptions& options = {});
  Work all_to_all_async(ConstTensorView input, TensorView output, const CallOptions& options = {});
  /// With blocks of unequal sizes: send_counts[j] elements go to rank j, receive_counts[i] come from rank i. What i says it
  /// sends j must be what j says it receives from i, else mismatch.
  void all_to_all(ConstTensorView input, std::span<const std::size_t> send_counts, TensorView output,
                  std::span<const std::size_t> receive_counts, const CallOptions& options = {});
  Work all_to_all_async(ConstTensorView input, std::span<const std::size_t> send_counts, TensorView output,
                        std::span<const std::size_t> receive_counts, const CallOptions& options = {});

  /// `data` of every rank becomes that of `root`.
  /// Cost: by size: binomial tree, ceil(log2 P) hops; two trees or a chain of pieces, n elements sent at most.
  template <class T>
  void broadcast(std::span<T> data, int root = 0, const CallOptions& options = {}) {
    broadcast(TensorView(data), root, options);
  }
  void broadcast(TensorView data, int root = 0, const CallOptions& options = {});
  Work broadcast_async(TensorView data, int root = 0, const CallOptions& options = {});

  /// Several tensors of one dtype as one operation on their concatenation: the price of one operation instead of many
  /// small ones. Every tensor is copied in and out once; a group of one is not copied.
  /// Shape: the same sizes in the same order on all ranks; in place.
  void all_reduce_group(std::span<const TensorView> tensors, ReduceOp op = sum, const CallOptions& options = {});
  Work all_reduce_group_async(std::span<const TensorView> tensors, ReduceOp op = sum, const CallOptions& options = {});
  void broadcast_group(std::span<const TensorView> tensors, int root = 0, const CallOptions& options = {});
  Work broadcast_group_async(std::span<const TensorView> tensors, int root = 0, const CallOptions& options = {});

  /// Byte strings of any length, which only the giver need know.
  /// Cost: two collectives each; allocates the result.
  std::vector<std::byte> broadcast_bytes(std::span<const std::byte> object, int root = 0,
                                         const CallOptions& options = {});
  /// By rank; empty on all ranks but `root`.
  std::vector<std::vector<std::byte>> gather_bytes(std::span<const std::byte> object, int root = 0,
                                                   const CallOptions& options = {});
  std::vector<std::vector<std::byte>> all_gather_bytes(std::span<const std::byte> object,
                                                       const CallOptions& options = {});

  /// Returns once every rank has called it.
  void barrier(const CallOptions& options = {});
  Work barrier_async(const CallOptions& options = {});

  /// Sends `data` to `peer`, which receives as many elements of the same dtype; several between one pair meet in order.
  /// Order: independent of the collectives' numbering.
  template <class T>
  void send(std::span<const T> data, int peer, const CallOptions& options = {}) {
    send(ConstTensorView(data), peer, options);
  }
  template <class T>
  void recv(std::span<T> data, int peer, const CallOptions& options = {}) {
    recv(TensorView(data), peer, options);
  }
  void send(ConstTensorView data, int peer, const CallOptions& options = {});
  void recv(TensorView data, int peer, const CallOptions& options = {});
  Work send_async(ConstTensorView data, int peer, const CallOptions& options = {});
  Work recv_async(TensorView data, int peer, const CallOptions& options = {});

  /// The communicators of the ranks that pass the same `color`, ordered by (key, rank). Collective. A negative color
  /// takes part but gets none.
  std::optional<Communicator> split(int color, int key = 0);

  /// The communicator of `ranks`, in that order. Collective over this communicator: every rank passes the same list; those
  /// that are not in it get none.
  /// Errors: invalid_argument for a rank that is not one or stands twice; mismatch when the lists differ.
  std::optional<Communicator> subgroup(std::span<const int> ranks);

  /// Arena memory: what collectives read and write in place.
  Memory memory() const;

  /// The device of this rank, whose memory collectives take beside the host's; none: there is none.
  std::optional<Device> device() const;
  /// What that device is reached through; null: there is none.
  std::shared_ptr<device::Runtime> device_runtime() const;

  /// Memory of that device as the engine of this communicator likes it best (NCCL: by its own allocator). Not collective.
  /// Errors: unsupported without a device; device when there is not so much.
  DeviceMemory device_memory(Bytes size) const;
  /// Makes memory of device_memory(), of this communicator or another, known to the engine beforehand, so that collectives need no
  /// copies through the engine's own (NCCL: as a symmetric window, else registered). Does nothing where the engine has no such
  /// thing. Until it is registered with another communicator or destroyed.
  /// Collective, with one size on all ranks; nothing of this communicator is under way.
  /// Order:   from now on a collective of this communicator that is given a place of the memory on one rank is given the same
  ///          place of it on all: the engine counts on it.
  /// Errors:  invalid_argument, mismatch: on all ranks alike; device, timeout, peer_lost.
  void register_memory(DeviceMemory& memory);

  /// Which algorithm an all_reduce of `count` elements would take, and why; with a stream of a device: on its memory.
  Explanation explain(std::size_t count, DType dtype = DType::f32, const CallOptions& options = {}) const;
  /// The same of another collective of host memory; `count` is that of the whole vector, as in plan::cost_of.
  Explanation explain(plan::Collective collective, std::size_t count, DType dtype = DType::f32,
                      const CallOptions& options = {}) const;

  /// Moves what can move, without blocking: for loops that compute while operations are under way.
  void progress();

  /// Ends the world of this communicator for a failure outside of its operations, for which the others would wait in vain: every
  /// wait and every later call of every rank fails with code and message of `cause`, this rank being named as the one at fault.
  /// Ranks that fail at once agree on one of their causes. Returns when the world has ended here, without waiting for other ranks
  /// longer than for their verdict. Of a world that has ended before, or of one rank, which nobody waits for, nothing.
  /// Threads: any.
  void abort(const Error& cause) noexcept;

  /// The last operations, oldest first, as JSON: {"rank", "communicator", "operations": [{"sequence", …}]}.
  std::string flight_recorder_json() const;

  /// Payload bytes sent by this rank's world so far, headers apart (all communicators).
  std::uint64_t payload_bytes_sent() const;

  /// From inside the library: a communicator over `group`.
  explicit Communicator(std::shared_ptr<comm::Group> group) : group_(std::move(group)) {}

 private:
  struct Part {
    int color;
    int key;
    std::uint64_t list;  ///< of subgroup: a digest of the ranks, the same everywhere
  };
  std::optional<Communicator> part(const Part& mine, const char* label);
  Work start(const comm::Request& request);
  void run(const comm::Request& request);
  std::shared_ptr<comm::Group> group_;
};

}  // namespace trireme
