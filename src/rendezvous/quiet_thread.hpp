// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <csignal>
#include <thread>
#include <utility>

#include <pthread.h>

namespace trireme::rendezvous {

/// A thread that takes no signals: those are for the program's own threads.
template <class Body>
std::thread start_quiet_thread(Body&& body) {
  struct SignalsBlocked {
    sigset_t previous;
    SignalsBlocked() {
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &previous);
    }
    ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &previous, nullptr); }
  } blocked;  // a thread inherits the mask of the one that starts it
  return std::thread(std::forward<Body>(body));
}

}  // namespace trireme::rendezvous
