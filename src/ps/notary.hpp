// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "ps/view.hpp"
#include "trireme/base/log.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace trireme::ps {

/// Has views decided where all servers look: one after the other on a thread of its own, and again until there is an answer. Whoever
/// asks goes on meanwhile.
class Notary {
 public:
  using FirstSaid = std::function<std::string(const std::string& what, const std::string& text)>;
  /// `servers`: how many there are, for what comes back.
  Notary(FirstSaid first_said, std::uint32_t servers, Log log);
  ~Notary() { stop(); }

  /// `decided` is called, on the thread, with the proposal or with what was decided before. Threads: any.
  void ask(std::uint32_t loop, View proposal, std::function<void(const View&)> decided);
  /// Nothing is decided for this server any more; joins the thread.
  void stop();

 private:
  struct Question {
    std::uint32_t loop = 0;
    View proposal{};
    std::function<void(const View&)> decided;
  };
  void run();
  View decide(const Question& question) const;

  const FirstSaid first_said_;
  const std::uint32_t servers_;
  const Log log_;
  std::mutex mutex_;  ///< guards what follows
  std::condition_variable changed_;
  std::deque<Question> questions_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace trireme::ps
