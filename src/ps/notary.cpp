// SPDX-License-Identifier: Apache-2.0
#include "ps/notary.hpp"

#include "rendezvous/quiet_thread.hpp"

#include <chrono>
#include <exception>
#include <optional>
#include <utility>

namespace trireme::ps {
namespace {

constexpr std::chrono::milliseconds pause_between{100};

}  // namespace

Notary::Notary(FirstSaid first_said, Log log) : first_said_(std::move(first_said)), log_(std::move(log)) {
  thread_ = rendezvous::start_quiet_thread([this] { run(); });
}

void Notary::ask(std::uint32_t loop, View proposal, std::function<void(const View&)> decided) {
  std::lock_guard lock(mutex_);
  questions_.push_back({loop, std::move(proposal), std::move(decided)});
  changed_.notify_all();
}

void Notary::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Notary::run() {
  std::string said;
  for (;;) {
    Question question;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stopping_ || !questions_.empty(); });
      if (stopping_) return;
      question = questions_.front();
    }
    std::optional<View> view;
    std::string problem;
    try {
      view = View::parse(first_said_(name_of_view(question.proposal.server, question.loop, question.proposal.number),
                                     question.proposal.to_text()));
    } catch (const std::exception& exception) {
      problem = exception.what();
    }
    if (view && view->server == question.proposal.server && view->number == question.proposal.number)
      question.decided(*view);
    std::unique_lock lock(mutex_);
    if (view) {
      questions_.pop_front();
      said.clear();
      continue;
    }
    if (problem != said)
      log_(LogLevel::warning, "who serves the keys of parameter server " + std::to_string(question.proposal.server) +
                                  " (event loop " + std::to_string(question.loop) +
                                  ") cannot be decided yet: " + problem);
    said = problem;
    changed_.wait_for(lock, pause_between, [&] { return stopping_; });
    if (stopping_) return;
  }
}

}  // namespace trireme::ps
