// SPDX-License-Identifier: Apache-2.0
#include "engines/nccl/library.hpp"

#include "trireme/base/error.hpp"

#include <dlfcn.h>

namespace trireme::engines::nccl {
namespace {

constexpr const char* usual_name = "libnccl.so.2";
constexpr const char* advice =
    "; install NCCL 2.18 or later (NVIDIA's package libnccl2), or set TRIREME_NCCL_LIBRARY to its libnccl.so.2";

template <class Function>
void take(void* handle, const char* name, Function*& slot, std::string& lacking) {
  slot = reinterpret_cast<Function*>(::dlsym(handle, name));
  if (slot == nullptr) lacking += (lacking.empty() ? "" : ", ") + std::string(name);
}

std::string take_indispensable(void* handle, api::Calls& calls) {
  std::string lacking;
  take(handle, "ncclGetUniqueId", calls.get_unique_id, lacking);
  take(handle, "ncclGetErrorString", calls.get_error_string, lacking);
  take(handle, "ncclCommInitRankConfig", calls.comm_init_rank_config, lacking);
  take(handle, "ncclCommSplit", calls.comm_split, lacking);
  take(handle, "ncclCommFinalize", calls.comm_finalize, lacking);
  take(handle, "ncclCommDestroy", calls.comm_destroy, lacking);
  take(handle, "ncclCommAbort", calls.comm_abort, lacking);
  take(handle, "ncclCommGetAsyncError", calls.comm_get_async_error, lacking);
  take(handle, "ncclGroupStart", calls.group_start, lacking);
  take(handle, "ncclGroupEnd", calls.group_end, lacking);
  take(handle, "ncclAllReduce", calls.all_reduce, lacking);
  take(handle, "ncclReduce", calls.reduce, lacking);
  take(handle, "ncclReduceScatter", calls.reduce_scatter, lacking);
  take(handle, "ncclAllGather", calls.all_gather, lacking);
  take(handle, "ncclBroadcast", calls.broadcast, lacking);
  take(handle, "ncclSend", calls.send, lacking);
  take(handle, "ncclRecv", calls.recv, lacking);
  take(handle, "ncclRedOpCreatePreMulSum", calls.red_op_create_pre_mul_sum, lacking);
  take(handle, "ncclRedOpDestroy", calls.red_op_destroy, lacking);
  return lacking;
}

std::string take_optional(void* handle, api::Calls& calls) {
  std::string lacking;
  take(handle, "ncclGetLastError", calls.get_last_error, lacking);
  take(handle, "ncclAlltoAll", calls.all_to_all, lacking);
  take(handle, "ncclGather", calls.gather, lacking);
  take(handle, "ncclScatter", calls.scatter, lacking);
  take(handle, "ncclCommShrink", calls.comm_shrink, lacking);
  take(handle, "ncclMemAlloc", calls.mem_alloc, lacking);
  take(handle, "ncclMemFree", calls.mem_free, lacking);
  take(handle, "ncclCommRegister", calls.comm_register, lacking);
  take(handle, "ncclCommDeregister", calls.comm_deregister, lacking);
  take(handle, "ncclCommWindowRegister", calls.comm_window_register, lacking);
  take(handle, "ncclCommWindowDeregister", calls.comm_window_deregister, lacking);
  return lacking;
}

}  // namespace

std::string version_words(int version) {
  const int major = version < 10000 ? version / 1000 : version / 10000;
  const int minor = version < 10000 ? version % 1000 / 100 : version % 10000 / 100;
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(version % 100);
}

std::shared_ptr<Library> Library::load(const std::string& named) {
  const std::string path = named.empty() ? usual_name : named;
  void* handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) {
    const char* reason = ::dlerror();
    fail(ErrorCode::unsupported, "no NCCL (" + std::string(reason != nullptr ? reason : path) + ")" + advice);
  }
  std::shared_ptr<Library> library(new Library);
  std::string lacking;
  take(handle, "ncclGetVersion", library->calls_.get_version, lacking);
  if (!lacking.empty()) fail(ErrorCode::unsupported, path + " is no NCCL: it has no ncclGetVersion" + advice);
  if (library->calls_.get_version(&library->version_) != api::success)
    fail(ErrorCode::unsupported, path + " does not tell its version" + advice);
  if (library->version_ < api::oldest_version || library->version_ >= api::version_code(3, 0, 0)) {
    fail(ErrorCode::unsupported, path + " is NCCL " + version_words(library->version_) +
                                     ", but this program is written for NCCL " + version_words(api::written_for) +
                                     " and takes 2.18.1 and later of major version 2" + advice);
  }
  lacking = take_indispensable(handle, library->calls_);
  if (!lacking.empty()) {
    fail(ErrorCode::unsupported, path + " (NCCL " + version_words(library->version_) + ") lacks " + lacking + advice);
  }
  library->missing_ = take_optional(handle, library->calls_);
  return library;
}

std::string Library::words() const { return "NCCL " + version_words(version_); }

std::string Library::words_of(api::Result result, const char* call, api::Comm comm) const {
  const char* said = calls_.get_error_string(result);
  std::string text = std::string(call) + ": " + (said != nullptr ? said : "error " + std::to_string(result));
  const char* last = calls_.get_last_error != nullptr ? calls_.get_last_error(comm) : nullptr;
  if (last != nullptr && *last != '\0') text += std::string(" (") + last + ")";
  return text;
}

std::mutex& Library::launch_order() {
  static std::mutex order;
  return order;
}

std::shared_ptr<Library> load(const std::string& named) { return Library::load(named); }

std::string why_not(const std::string& named) {
  try {
    static_cast<void>(Library::load(named));
    return {};
  } catch (const Exception& exception) {
    return exception.error().message;
  }
}

int version(const std::string& named) {
  try {
    return Library::load(named)->version();
  } catch (const Exception&) {
    return 0;
  }
}

}  // namespace trireme::engines::nccl
