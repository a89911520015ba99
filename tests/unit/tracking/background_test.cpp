// SPDX-License-Identifier: Apache-2.0
#include "trireme/tracking/background.hpp"

#include "unit/tracking/heard_log.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace {

using namespace trireme;
using namespace trireme::testing;
using namespace trireme::tracking;
using std::chrono::milliseconds;

/// What trackers were told; they are held up until it is opened.
struct Told {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::string> words;
  bool is_open = true;

  void say(const std::string& word) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return is_open; });
    words.push_back(word);
  }
  void open() {
    const std::lock_guard lock(mutex);
    is_open = true;
    changed.notify_all();
  }
};

struct Recording final : Tracker {
  std::shared_ptr<Told> told;
  std::string name;
  Recording(std::shared_ptr<Told> to, std::string called) : told(std::move(to)), name(std::move(called)) {}
  void parameters(const std::map<std::string, std::string>& values) noexcept override {
    told->say(name + "parameters " + std::to_string(values.size()));
  }
  void tag(const std::string& key, const std::string& value) noexcept override { told->say(name + key + "=" + value); }
  void log(const Measurement& measurement) noexcept override { told->say(name + std::to_string(measurement.step)); }
  void finish(Ending, milliseconds) noexcept override { told->say(name + "end"); }
};

std::unique_ptr<Tracker> recording(const std::shared_ptr<Told>& told, const std::string& name = "") {
  return std::make_unique<Recording>(told, name);
}

using Words = std::vector<std::string>;

}  // namespace

TEST_CASE("All trackers are told the same") {
  const auto told = std::make_shared<Told>();
  std::vector<std::unique_ptr<Tracker>> two;
  two.push_back(recording(told, "a:"));
  two.push_back(recording(told, "b:"));
  const auto all = all_of(std::move(two));
  all->parameters({{"x", "y"}});
  all->log({.step = 3});
  all->tag("k", "v");
  all->finish(Ending::finished, milliseconds(0));
  std::sort(told->words.begin() + 6, told->words.end());  // they end all at once
  CHECK(told->words == Words{"a:parameters 1", "b:parameters 1", "a:3", "b:3", "a:k=v", "b:k=v", "a:end", "b:end"});
  all_of({})->log({});
  all_of({})->finish(Ending::finished, milliseconds(0));
}

TEST_CASE("At the end a tracker that hangs costs the others none of their time") {
  const auto stuck = std::make_shared<Told>(), told = std::make_shared<Told>();
  stuck->is_open = false;

  /// Lets the other one go: of two that ended one after the other, the first would wait for ever.
  struct Last final : Tracker {
    std::shared_ptr<Told> other, told;
    Last(std::shared_ptr<Told> stuck_one, std::shared_ptr<Told> own)
        : other(std::move(stuck_one)), told(std::move(own)) {}
    void parameters(const std::map<std::string, std::string>&) noexcept override {}
    void tag(const std::string&, const std::string&) noexcept override {}
    void log(const Measurement&) noexcept override {}
    void finish(Ending, milliseconds patience) noexcept override {
      told->say(std::to_string(patience.count()));
      other->open();
    }
  };
  std::vector<std::unique_ptr<Tracker>> two;
  two.push_back(recording(stuck));
  two.push_back(std::make_unique<Last>(stuck, told));
  all_of(std::move(two))->finish(Ending::finished, milliseconds(77));
  CHECK(stuck->words == Words{"end"});
  CHECK(told->words == Words{"77"});
}

TEST_CASE("A tracker in the background is told everything, in order") {
  const auto told = std::make_shared<Told>();
  const auto tracker = in_background(recording(told), {.name = "it"});
  tracker->parameters({{"x", "y"}});
  for (std::uint64_t k = 0; k < 5; ++k) tracker->log({.step = k});
  tracker->tag("k", "v");
  tracker->finish(Ending::finished, milliseconds(20'000));
  CHECK(told->words == Words{"parameters 1", "0", "1", "2", "3", "4", "k=v", "end"});
  tracker->log({.step = 9});
  CHECK(told->words.size() == 8);
}

TEST_CASE("One that hangs holds up nobody: old measurements are dropped, and its thread is left behind") {
  const auto told = std::make_shared<Told>();
  told->is_open = false;
  HeardLog heard;
  {
    const auto tracker = in_background(recording(told), {.name = "it", .most_waiting = 3, .log = heard.log()});
    tracker->tag("k", "v");
    for (std::uint64_t k = 0; k < 10; ++k) tracker->log({.step = k});
    tracker->finish(Ending::finished, milliseconds(10));
  }
  CHECK(heard.lines() == Words{"it takes too long: its oldest reports are dropped",
                               "it takes too long: its last reports may be missing"});
  told->open();
  std::unique_lock lock(told->mutex);
  while (told->words.empty() || told->words.back() != "end") {  // it still ends well
    lock.unlock();
    std::this_thread::sleep_for(milliseconds(1));
    lock.lock();
  }
  CHECK(told->words.front() == "k=v");
  CHECK(told->words[told->words.size() - 2] == "9");
}
