// SPDX-License-Identifier: Apache-2.0
#include "ps/notary.hpp"

#include "rendezvous/quiet_thread.hpp"
#include "trireme/base/error.hpp"

#include <chrono>
#include <exception>
#include <optional>
#include <utility>

namespace trireme::ps {
namespace {

constexpr std::chrono::milliseconds pause_between{100};

}  // namespace

Notary::Notary(FirstSaid first_said, std::uint32_t servers, Log log)
    : first_said_(std::move(first_said)), servers_(servers), log_(std::move(log)) {
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

/// Errors: what the store says; corrupt for what is no answer.
View Notary::decide(const Question& question) const {
  const View& proposal = question.proposal;
  const std::string name = name_of_view(proposal.server, question.loop, proposal.number);
  View view = View::parse(first_said_(name, proposal.to_text()));
  if (view.server != proposal.server || view.number != proposal.number)
    fail(ErrorCode::corrupt, "'" + name + "' was answered by another view: " + view.to_text());
  for (const auto& each : {std::optional(view.primary), view.replica, view.by}) {
    if (each && each->server >= servers_)
      fail(ErrorCode::corrupt,
           "'" + name + "' was answered by a view of a server that does not exist: " + view.to_text());
  }
  return view;
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
    std::string problem;
    try {
      question.decided(decide(question));
      std::lock_guard lock(mutex_);
      questions_.pop_front();
      said.clear();
      continue;
    } catch (const std::exception& exception) {
      problem = exception.what();
    }
    if (problem != said)
      log_(LogLevel::warning, "who serves the keys of parameter server " + std::to_string(question.proposal.server) +
                                  " (event loop " + std::to_string(question.loop) +
                                  ") cannot be decided yet: " + problem);
    said = problem;
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, pause_between, [&] { return stopping_; });
    if (stopping_) return;
  }
}

}  // namespace trireme::ps
