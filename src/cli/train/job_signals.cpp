// SPDX-License-Identifier: Apache-2.0
#include "cli/train/job_signals.hpp"

#include "cli/train/recorder_dump.hpp"
#include "trireme/base/error.hpp"

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

namespace trireme::cli {
namespace {

sigset_t watched_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2}) ::sigaddset(&set, signal);
  // Under nohup it stays ignored.
  struct sigaction hangup {};
  if (::sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN) ::sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

JobSignals::JobSignals(bool keeps_checkpoints) : keeps_checkpoints_(keeps_checkpoints), former_mask_() {
  const sigset_t watched = watched_signals();
  signals_ = Descriptor(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_.is_open()) fail_system("signalfd", errno);
  wake_ = Descriptor(::eventfd(0, EFD_CLOEXEC));
  if (!wake_.is_open()) fail_system("eventfd", errno);
  ::pthread_sigmask(SIG_BLOCK, &watched, &former_mask_);
  thread_ = std::thread([this] { take(); });
}

JobSignals::~JobSignals() {
  const std::uint64_t one = 1;
  while (::write(wake_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
  thread_.join();
  ::pthread_sigmask(SIG_SETMASK, &former_mask_, nullptr);
}

void JobSignals::watch(Communicator communicator) {
  const std::lock_guard lock(mutex_);
  communicators_.push_back(std::move(communicator));
}

std::vector<std::string> JobSignals::recorders() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> recorders;
  for (const Communicator& each : communicators_) recorders.push_back(each.flight_recorder_json());
  return recorders;
}

void JobSignals::take() noexcept {
  pollfd polled[2]{{signals_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
  for (;;) {
    if (::poll(polled, 2, -1) < 0) continue;  // EINTR
    signalfd_siginfo info;
    if (::read(signals_.get(), &info, sizeof info) != sizeof info) {
      if (polled[1].revents != 0) return;  // not before everything sent is taken
      continue;
    }
    const int signal = static_cast<int>(info.ssi_signo);
    if (signal == SIGUSR2) {
      show_recorders();
      continue;
    }
    if (signal == SIGUSR1) {
      answer_checkpoint();
      continue;
    }
    // A first Ctrl-C asks for an orderly end, also of a job that ends because an interruption was announced.
    const bool is_again = std::exchange(has_been_signalled_, true);
    if (!attended_.load(std::memory_order_relaxed) || (is_again && signal == SIGINT)) end_by(signal);
    request_stop(signal);
  }
}

void JobSignals::end_by(int signal) noexcept {
  ::signal(signal, SIG_DFL);
  sigset_t only;
  ::sigemptyset(&only);
  ::sigaddset(&only, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  ::raise(signal);
}

void JobSignals::show_recorders() noexcept try {
  const std::string line = recorders_line(rank(), recorders());
  std::fwrite(line.data(), 1, line.size(), stderr);
} catch (...) {  // no memory for the text: the job goes on
}

void JobSignals::answer_checkpoint() noexcept {
  if (keeps_checkpoints_) return checkpoint_requested_.store(true, std::memory_order_relaxed);
  if (answered_checkpoint_) return;
  answered_checkpoint_ = true;
  std::fputs("trireme train: SIGUSR1 asks for a checkpoint, but there is no --checkpoint-dir; training goes on\n",
             stderr);
}

}  // namespace trireme::cli
