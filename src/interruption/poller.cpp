// SPDX-License-Identifier: Apache-2.0
#include "interruption/poller.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace trireme::interruption {
namespace {

constexpr std::chrono::milliseconds connection_limit(200);

}  // namespace

std::chrono::milliseconds pause_after(int failures, bool has_answered) {
  const std::chrono::seconds doubled(1 << std::clamp(failures - 1, 0, 5));
  return std::min(doubled, std::chrono::seconds(has_answered ? 5 : 30));
}

Poller::Poller(std::unique_ptr<Source> source, MetadataAddress address, Log log)
    : source_(std::move(source)),
      address_(std::move(address)),
      log_(std::move(log)),
      wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (wake_ < 0) fail_system("eventfd", errno);
  thread_ = std::thread([this] { run(); });
}

Poller::~Poller() {
  stop();
  thread_.join();
  ::close(wake_);
}

void Poller::stop() noexcept {
  is_stopped_.store(true, std::memory_order_relaxed);
  {
    const std::lock_guard lock(mutex_);
    if (client_) client_->cancelled.store(true, std::memory_order_relaxed);
  }
  const std::uint64_t one = 1;
  while (::write(wake_, &one, sizeof one) < 0 && errno == EINTR) {
  }
}

std::optional<Notice> Poller::current() const {
  const std::lock_guard lock(mutex_);
  return notice_;
}

void Poller::note(std::optional<Notice> notice) {
  const std::lock_guard lock(mutex_);
  notice_ = std::move(notice);
}

void Poller::log_debug(const std::string& line) const {
  log_(LogLevel::debug, "interruption: " + source_->name() + ": " + line);
}

void Poller::run() noexcept {
  try {
    ask_until_stopped();
  } catch (...) {  // no memory: nobody is asked any more, and the job goes on
  }
  is_over_.store(true, std::memory_order_release);
}

void Poller::ask_until_stopped() {
  if (source_->is_remote() && !takes_connections(address_, connection_limit, wake_)) {
    log_debug("nothing answers at " + address_.host + ":" + address_.port + "; it is not asked any more");
    return;
  }
  if (!make_client()) return;
  while (!is_stopped_.load(std::memory_order_relaxed) && ask_once()) {
    wait(failures_ == 0 ? source_->pause(Moment::now()) : pause_after(failures_, has_answered_));
  }
}

bool Poller::make_client() {
  auto client = http::make_client();
  const std::lock_guard lock(mutex_);
  client_ = std::move(client);
  return !is_stopped_.load(std::memory_order_relaxed);
}

bool Poller::ask_once() {
  try {
    const Reply reply = source_->ask(*client_, Moment::now());
    if (!reply.is_here) {
      log_debug("has nothing to say here; it is not asked any more");
      note(std::nullopt);
      return false;
    }
    has_answered_ = true;
    failures_ = 0;
    const auto& said = reply.announcement;
    note(said ? std::optional(Notice{source_->name(), said->what, said->deadline}) : std::nullopt);
  } catch (const Exception& failure) {
    if (is_stopped_.load(std::memory_order_relaxed)) return false;
    if (failures_++ == 0) log_debug(failure.error().message);
  }
  return true;
}

void Poller::wait(std::chrono::milliseconds pause) const {
  pollfd polled{wake_, POLLIN, 0};
  ::poll(&polled, 1, static_cast<int>(pause.count()));
}

}  // namespace trireme::interruption
