// SPDX-License-Identifier: Apache-2.0
// The part of NCCL's binary interface that is called here, declared anew: nothing of NCCL is needed to build, and any NCCL
// from `oldest_version` on can be behind it. Values and layouts are those of NCCL 2.28; a test compares them with nccl.h
// where there is one.
#pragma once

#include <climits>
#include <cstddef>

namespace trireme::engines::nccl::api {

struct OpaqueComm;
struct OpaqueWindow;
using Comm = OpaqueComm*;
using Window = OpaqueWindow*;
using CudaStream = void*;

struct UniqueId {
  char internal[128];
};

enum Result : int {
  success = 0,
  unhandled_cuda_error = 1,
  system_error = 2,
  internal_error = 3,
  invalid_argument = 4,
  invalid_usage = 5,
  remote_error = 6,
  in_progress = 7
};

enum Op : int { sum = 0, product = 1, max = 2, min = 3, avg = 4 };

enum DataType : int {
  int8 = 0,
  uint8 = 1,
  int32 = 2,
  uint32 = 3,
  int64 = 4,
  uint64 = 5,
  float16 = 6,
  float32 = 7,
  float64 = 8,
  bfloat16 = 9,
  float8e4m3 = 10,
  float8e5m2 = 11
};

enum ScalarResidence : int { scalar_device = 0, scalar_host_immediate = 1 };

inline constexpr int undefined = INT_MIN;
inline constexpr int window_symmetric = 1;
inline constexpr int shrink_default = 0;
inline constexpr std::size_t window_alignment = 4096;

/// As versions count: 22809 is 2.28.9.
constexpr int version_code(int major, int minor, int patch) { return major * 10000 + minor * 100 + patch; }
inline constexpr int written_for = version_code(2, 28, 9);
/// The first with ncclCommSplit and, before it, everything else that nothing can stand in for.
inline constexpr int oldest_version = version_code(2, 18, 1);
inline constexpr int first_with_float8 = version_code(2, 24, 3);

/// A library that knows fewer fields reads as far as it knows; one that knows more takes its defaults behind `size`.
struct Config {
  std::size_t size = sizeof(Config);
  unsigned int magic = 0xcafebeefu;
  unsigned int version = written_for;
  int blocking = undefined;
  int cga_cluster_size = undefined;
  int min_ctas = undefined;
  int max_ctas = undefined;
  const char* net_name = nullptr;
  int split_share = undefined;
  int traffic_class = undefined;
  const char* comm_name = nullptr;
  int collnet_enable = undefined;
  int cta_policy = undefined;
  int shrink_share = undefined;
  int nvls_ctas = undefined;
  int channels_per_net_peer = undefined;
  int nvlink_centric_scheduling = undefined;
};

/// Null: the library does not have it; only the optional ones may be.
struct Calls {
  Result (*get_version)(int*);
  Result (*get_unique_id)(UniqueId*);
  const char* (*get_error_string)(Result);
  Result (*comm_init_rank_config)(Comm*, int ranks, UniqueId, int rank, Config*);
  Result (*comm_split)(Comm, int color, int key, Comm*, Config*);
  Result (*comm_finalize)(Comm);
  Result (*comm_destroy)(Comm);
  Result (*comm_abort)(Comm);
  Result (*comm_get_async_error)(Comm, Result*);
  Result (*group_start)();
  Result (*group_end)();
  Result (*all_reduce)(const void*, void*, std::size_t, DataType, Op, Comm, CudaStream);
  Result (*reduce)(const void*, void*, std::size_t, DataType, Op, int root, Comm, CudaStream);
  Result (*reduce_scatter)(const void*, void*, std::size_t, DataType, Op, Comm, CudaStream);
  Result (*all_gather)(const void*, void*, std::size_t, DataType, Comm, CudaStream);
  Result (*broadcast)(const void*, void*, std::size_t, DataType, int root, Comm, CudaStream);
  Result (*send)(const void*, std::size_t, DataType, int peer, Comm, CudaStream);
  Result (*recv)(void*, std::size_t, DataType, int peer, Comm, CudaStream);
  Result (*red_op_create_pre_mul_sum)(Op*, void* scalar, DataType, ScalarResidence, Comm);
  Result (*red_op_destroy)(Op, Comm);

  // Optional.
  const char* (*get_last_error)(Comm);
  Result (*all_to_all)(const void*, void*, std::size_t, DataType, Comm, CudaStream);
  Result (*gather)(const void*, void*, std::size_t, DataType, int root, Comm, CudaStream);
  Result (*scatter)(const void*, void*, std::size_t, DataType, int root, Comm, CudaStream);
  Result (*comm_shrink)(Comm, int* excluded, int count, Comm*, Config*, int flags);
  Result (*mem_alloc)(void**, std::size_t);
  Result (*mem_free)(void*);
  Result (*comm_register)(Comm, void*, std::size_t, void** handle);
  Result (*comm_deregister)(Comm, void* handle);
  Result (*comm_window_register)(Comm, void*, std::size_t, Window*, int flags);
  Result (*comm_window_deregister)(Comm, Window);
};

}  // namespace trireme::engines::nccl::api
