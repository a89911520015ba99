// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/transports.hpp"

#include "cli/run/descriptor.hpp"
#include "engines/mpi/module.hpp"
#include "engines/nccl/library.hpp"
#include "trireme/base/error.hpp"
#include "trireme/device/cuda.hpp"
#include "trireme/net/socket.hpp"

#include <cerrno>
#include <functional>
#include <utility>

#include <sys/mman.h>

namespace trireme::cli {
namespace {

Availability attempt(std::string name, const std::function<void()>& use) {
  try {
    use();
    return {std::move(name), true, {}};
  } catch (const Exception& exception) {
    return {std::move(name), false, exception.error().message};
  }
}

void use_shared_memory() {
  Descriptor segment(::memfd_create("trireme-doctor", MFD_CLOEXEC));
  if (!segment.is_open()) fail_system("memfd_create", errno);
  if (::ftruncate(segment.get(), 4096) != 0) fail_system("ftruncate of a memfd", errno);
  void* memory = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, segment.get(), 0);
  if (memory == MAP_FAILED) fail_system("mmap of a memfd", errno);
  ::munmap(memory, 4096);
  net::listen_local("trireme-doctor-" + std::to_string(::getpid()));
}

void use_loopback() {
  try {
    net::listen_tcp({"127.0.0.1", 0});
  } catch (const Exception&) {
    net::listen_tcp({"::1", 0});  // a host with IPv6 only
  }
}

}  // namespace

std::vector<Availability> probe_transports() {
  return {{"mem", true, {}}, attempt("shm", use_shared_memory), attempt("tcp", use_loopback)};
}

std::vector<Availability> list_engines(const std::string& mpi_module, const std::string& nccl_library) {
  std::string no_mpi = engines::mpi::why_no_module(mpi_module);
  std::string no_nccl = engines::nccl::why_not(nccl_library);
  if (const std::string no_cuda = device::why_no_cuda(); no_nccl.empty()) no_nccl = no_cuda;
  return {
      {"host", true, {}}, {"mpi", no_mpi.empty(), std::move(no_mpi)}, {"nccl", no_nccl.empty(), std::move(no_nccl)}};
}

}  // namespace trireme::cli
