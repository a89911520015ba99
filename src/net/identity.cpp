// SPDX-License-Identifier: Apache-2.0
#include "trireme/net/handshake.hpp"

#include <bit>

namespace trireme::net {
namespace {

/// Raised by whoever changes a message of any room so that older builds cannot read it.
constexpr std::uint32_t protocol_version = 1;

/// "x86_64-little/avx2": what decides whether two ranks compute the same bits and lay numbers out alike.
std::string architecture() {
#if defined(__x86_64__)
  std::string name = "x86_64";
  const char* vectors = __builtin_cpu_supports("avx2") ? "avx2" : "portable";
#elif defined(__aarch64__)
  std::string name = "aarch64";
  const char* vectors = "portable";
#else
  std::string name = "other";
  const char* vectors = "portable";
#endif
  return name + (std::endian::native == std::endian::little ? "-little/" : "-big/") + vectors;
}

}  // namespace

Identity make_identity(std::string job_id, std::string role, std::string purpose, std::uint64_t epoch, int rank) {
  Identity identity;
  identity.job_id = std::move(job_id);
  identity.role = std::move(role);
  identity.purpose = std::move(purpose);
  identity.epoch = epoch;
  identity.rank = rank;
  identity.protocol = protocol_version;
  identity.build = TRIREME_VERSION;
  identity.isa = architecture();
  return identity;
}

}  // namespace trireme::net
