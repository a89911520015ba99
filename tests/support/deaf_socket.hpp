// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"

#include <cerrno>

#include <linux/filter.h>
#include <sys/socket.h>

namespace trireme::testing {

/// From now on every packet to this TCP socket is dropped before the kernel sees it: what its peer meets is a host that
/// is gone, or a DROP rule, without privileges and on loopback.
inline void make_deaf(int descriptor) {
  sock_filter keep_nothing{BPF_RET | BPF_K, 0, 0, 0};
  const sock_fprog program{1, &keep_nothing};
  if (::setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0) {
    fail_system("setsockopt SO_ATTACH_FILTER", errno);
  }
}

/// Takes make_deaf back.
inline void make_hear_again(int descriptor) {
  const int unused = 0;
  if (::setsockopt(descriptor, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused) != 0) {
    fail_system("setsockopt SO_DETACH_FILTER", errno);
  }
}

}  // namespace trireme::testing
