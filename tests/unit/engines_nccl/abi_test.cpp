// SPDX-License-Identifier: Apache-2.0
// nccl_api.hpp says what nccl.h says.
#include "engines/nccl/library.hpp"
#include "engines/nccl/nccl_api.hpp"

#include <catch2/catch.hpp>
#include <nccl.h>

#include <cstddef>
#include <cstring>

namespace api = trireme::engines::nccl::api;

static_assert(sizeof(api::UniqueId) == sizeof(ncclUniqueId) && NCCL_UNIQUE_ID_BYTES == 128);
static_assert(static_cast<int>(api::success) == ncclSuccess && static_cast<int>(api::remote_error) == ncclRemoteError);
static_assert(static_cast<int>(api::unhandled_cuda_error) == ncclUnhandledCudaError);
static_assert(static_cast<int>(api::system_error) == ncclSystemError);
static_assert(static_cast<int>(api::internal_error) == ncclInternalError);
static_assert(static_cast<int>(api::invalid_argument) == ncclInvalidArgument);
static_assert(static_cast<int>(api::invalid_usage) == ncclInvalidUsage);
static_assert(static_cast<int>(api::in_progress) == ncclInProgress);
static_assert(static_cast<int>(api::sum) == ncclSum && static_cast<int>(api::product) == ncclProd);
static_assert(static_cast<int>(api::max) == ncclMax && static_cast<int>(api::min) == ncclMin);
static_assert(static_cast<int>(api::avg) == ncclAvg && sizeof(api::Op) == sizeof(ncclRedOp_t));
static_assert(static_cast<int>(api::int8) == ncclInt8 && static_cast<int>(api::uint8) == ncclUint8);
static_assert(static_cast<int>(api::int32) == ncclInt32 && static_cast<int>(api::uint32) == ncclUint32);
static_assert(static_cast<int>(api::int64) == ncclInt64 && static_cast<int>(api::uint64) == ncclUint64);
static_assert(static_cast<int>(api::float16) == ncclFloat16 && static_cast<int>(api::float32) == ncclFloat32);
static_assert(static_cast<int>(api::float64) == ncclFloat64 && static_cast<int>(api::bfloat16) == ncclBfloat16);
static_assert(static_cast<int>(api::scalar_host_immediate) == ncclScalarHostImmediate);
static_assert(api::undefined == NCCL_CONFIG_UNDEF_INT);
#if NCCL_VERSION_CODE >= 22400
static_assert(static_cast<int>(api::float8e4m3) == ncclFloat8e4m3 &&
              static_cast<int>(api::float8e5m2) == ncclFloat8e5m2);
#endif
#if NCCL_VERSION_CODE >= 22700
static_assert(api::window_symmetric == NCCL_WIN_COLL_SYMMETRIC);
static_assert(api::shrink_default == NCCL_SHRINK_DEFAULT);
#endif
static_assert(offsetof(api::Config, blocking) == offsetof(ncclConfig_t, blocking));
static_assert(offsetof(api::Config, net_name) == offsetof(ncclConfig_t, netName));
static_assert(offsetof(api::Config, split_share) == offsetof(ncclConfig_t, splitShare));
#if NCCL_VERSION_CODE >= 22800 && NCCL_VERSION_CODE < 22900
static_assert(sizeof(api::Config) == sizeof(ncclConfig_t));
static_assert(api::window_alignment == NCCL_WIN_REQUIRED_ALIGNMENT);
static_assert(offsetof(api::Config, comm_name) == offsetof(ncclConfig_t, commName));
static_assert(offsetof(api::Config, nvlink_centric_scheduling) == offsetof(ncclConfig_t, nvlinkCentricSched));
#endif

TEST_CASE("a configuration that is left alone is the header's") {
  const ncclConfig_t theirs = NCCL_CONFIG_INITIALIZER;
  const api::Config ours;
  REQUIRE(ours.magic == theirs.magic);
  REQUIRE(ours.blocking == theirs.blocking);
  REQUIRE(ours.split_share == theirs.splitShare);
#if NCCL_VERSION_CODE == 22809
  REQUIRE(ours.size == theirs.size);
  REQUIRE(ours.version == theirs.version);
  REQUIRE(std::memcmp(&ours.blocking, &theirs.blocking, sizeof(ours) - offsetof(api::Config, blocking)) == 0);
  REQUIRE(api::written_for == NCCL_VERSION_CODE);
#endif
}

#if defined(NCCL_FILE)
TEST_CASE("the NCCL that is installed is loaded and tells its version, also without a driver") {
  const auto library = trireme::engines::nccl::load(NCCL_FILE);
  INFO(library->words());
  REQUIRE(library->version() >= api::oldest_version);
  REQUIRE(trireme::engines::nccl::why_not(NCCL_FILE).empty());
#if NCCL_VERSION_CODE >= 22800
  if (library->version() >= NCCL_VERSION_CODE) REQUIRE(library->missing().empty());
#endif
}
#endif
