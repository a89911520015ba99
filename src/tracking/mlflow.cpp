// SPDX-License-Identifier: Apache-2.0
#include "trireme/tracking/mlflow.hpp"

#include "tracking/mlflow_item.hpp"
#include "tracking/mlflow_session.hpp"
#include "trireme/base/deadline.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace trireme::tracking {
namespace {

using Item = MlflowItem;
using Kind = MlflowVerdict::Kind;

constexpr int failures_told_of = 3;                     // in a row
constexpr int failures_before_doubt = 6;                // of a batch, in a row
constexpr int proofs_of_fault = 3;                      // in a row
constexpr std::chrono::milliseconds last_pauses{1000};  // at the end there is no time for long ones

/// A queue, and a thread that empties it.
class Mlflow final : public Tracker {
 public:
  Mlflow(MlflowSettings settings, std::unique_ptr<http::Client> client, Log log)
      : first_pause_(settings.first_pause),
        longest_pause_(settings.longest_pause),
        most_waiting_(settings.most_waiting),
        on_own_run_(settings.on_own_run),
        session_(std::move(settings), std::move(client)),
        log_(std::move(log)) {
    try {
      thread_ = std::thread([this] { deliver_all(); });
    } catch (const std::system_error& error) {
      fail_system("no thread to report to MLflow", error.code().value());
    }
  }
  Mlflow(const Mlflow&) = delete;
  Mlflow& operator=(const Mlflow&) = delete;
  ~Mlflow() override { finish(Ending::failed, std::chrono::milliseconds(0)); }

  void parameters(const std::map<std::string, std::string>& values) noexcept override try {
    std::vector<Item> items;
    for (const auto& [name, value] : values)
      items.push_back({.kind = Item::Kind::parameter,
                       .key = mlflow_key(name),
                       .text = mlflow_text(value, mlflow_most_parameter_bytes)});
    add(std::move(items));
  } catch (...) {  // no memory: these are lost
  }

  void tag(const std::string& name, const std::string& value) noexcept override try {
    add({{.kind = Item::Kind::tag, .key = mlflow_key(name), .text = mlflow_text(value, mlflow_most_tag_bytes)}});
  } catch (...) {
  }

  void log(const Measurement& measurement) noexcept override try {
    std::vector<Item> items;
    for (const auto& [name, value] : measurement.metrics)
      items.push_back({.key = mlflow_key(name),
                       .value = value,
                       .timestamp_ms = mlflow_time(measurement.time),
                       .step = static_cast<std::int64_t>(measurement.step)});
    add(std::move(items));
  } catch (...) {
  }

  void finish(Ending ending, std::chrono::milliseconds patience) noexcept override try {
    if (!thread_.joinable()) return;
    {
      std::unique_lock lock(mutex_);
      ending_ = ending;
      is_closing_ = true;
      changed_.notify_all();
      changed_.wait_for(lock, patience, [&] { return is_done_; });
      is_given_up_ = true;
      changed_.notify_all();
    }
    session_.cancel();
    thread_.join();
    if (refused_ > 1) warn(std::to_string(refused_) + " values were refused in all");
    if (!is_hopeless_ && undelivered() != 0)
      warn(std::to_string(undelivered()) + " values were not delivered in the time there is at the end");
  } catch (...) {
  }

 private:
  using Lock = std::unique_lock<std::mutex>;

  void add(std::vector<Item> items) {
    bool is_first_drop = false;
    {
      const std::lock_guard lock(mutex_);
      if (is_closing_ || is_hopeless_) return;
      for (Item& item : items) {
        if (waiting_.size() + under_way_ >= most_waiting_) {
          const auto oldest = std::find_if(waiting_.begin(), waiting_.end(),
                                           [](const Item& i) { return i.kind == Item::Kind::metric; });
          if (oldest == waiting_.end()) continue;
          waiting_.erase(oldest);
          is_first_drop = !std::exchange(has_dropped_, true);
        }
        waiting_.push_back(std::move(item));
      }
    }
    changed_.notify_all();
    if (is_first_drop)
      warn("more is measured than can be delivered: the oldest metrics are dropped, " + std::to_string(most_waiting_) +
           " values wait");
  }

  // Of the thread.

  void deliver_all() noexcept try {
    Lock lock(mutex_);
    while (wait_for_something(lock)) {
      if (waiting_.empty() && !is_closing_) {
        replace_token(lock);
        continue;
      }
      if (!session_.has_run()) {
        if (waiting_.empty()) break;
        if (!insist(lock, [&] { return session_.begin(); })) break;
        if (session_.has_run()) tell_run(lock);
        continue;
      }
      if (waiting_.empty()) {
        if (session_.is_own_run()) insist(lock, [&] { return session_.end(ending_); });
        break;
      }
      const auto count = static_cast<std::ptrdiff_t>(mlflow_batch(waiting_));
      const std::vector<Item> batch(std::make_move_iterator(waiting_.begin()),
                                    std::make_move_iterator(waiting_.begin() + count));
      waiting_.erase(waiting_.begin(), waiting_.begin() + count);
      under_way_ = batch.size();
      if (!deliver(lock, batch, failures_before_doubt)) break;
    }
    is_done_ = true;
    changed_.notify_all();
  } catch (const std::exception& error) {  // no memory
    const std::lock_guard lock(mutex_);
    is_hopeless_ = is_done_ = true;
    changed_.notify_all();
  }

  /// False when nothing is left to do.
  bool wait_for_something(Lock& lock) {
    const auto due = session_.token_due();
    const auto is_there = [&] { return is_closing_ || !waiting_.empty(); };
    if (due)
      changed_.wait_until(lock, *due, is_there);
    else
      changed_.wait(lock, is_there);
    return !is_given_up_ && !is_hopeless_;
  }

  void replace_token(Lock& lock) {
    lock.unlock();
    const MlflowVerdict verdict = session_.replace_token();
    lock.lock();
    if (verdict.kind == Kind::hopeless) lose_hope(lock, verdict.reason);
  }

  void tell_run(Lock& lock) {
    if (!session_.is_own_run() || !on_own_run_) return;
    lock.unlock();
    on_own_run_(session_.run_id());
    lock.lock();
  }

  /// A batch at which the server always fails would hold up all that come behind it. After `failures` in a row something harmless is
  /// sent after each one more: when that is taken every time, the fault is the batch's, as if it were refused.
  class Doubt {
   public:
    Doubt(MlflowSession& session, int failures) : session_(session), left_(failures) {}
    MlflowVerdict judged(MlflowVerdict verdict) {
      if (verdict.kind != Kind::not_now || verdict.pause || left_-- > 0) return verdict;
      left_ = 0;
      proofs_ = session_.probe().kind == Kind::taken ? proofs_ + 1 : 0;
      if (proofs_ == proofs_of_fault) verdict.kind = Kind::refused;
      return verdict;
    }

   private:
    MlflowSession& session_;
    int left_, proofs_ = 0;
  };

  /// `failures`: how many of them raise no doubt about the batch. False when it cannot go on, be it that there is no time left.
  bool deliver(Lock& lock, std::span<const Item> items, int failures) {
    bool is_refused = false;
    std::string reason;
    Doubt doubt(session_, failures);
    const bool goes_on = insist(lock, [&] {
      MlflowVerdict verdict = doubt.judged(session_.log(items));
      is_refused = verdict.kind == Kind::refused;
      reason = verdict.reason;
      return verdict;
    });
    if (!goes_on) return false;
    if (!is_refused) {
      under_way_ -= items.size();
      return true;
    }
    if (items.size() > 1) {
      const std::size_t half = items.size() / 2;
      return deliver(lock, items.first(half), 0) && deliver(lock, items.subspan(half), 0);
    }
    --under_way_;
    // What a job is told otherwise when it goes on stays as it was: parameters of a run do not change.
    if (session_.goes_on() && items.front().kind == Item::Kind::parameter) return true;
    if (refused_++ == 0) say(lock, "'" + items.front().key + "' was refused and is dropped (" + reason + ")");
    return true;
  }

  /// Makes a request, and again while it is worth trying. False when there is no time left, or no hope.
  template <class Ask>
  bool insist(Lock& lock, Ask ask) {
    for (auto pause = first_pause_;; pause = std::min(2 * pause, longest_pause_)) {
      if (is_given_up_) return false;
      lock.unlock();
      const MlflowVerdict verdict = ask();
      lock.lock();
      if (verdict.kind == Kind::hopeless) lose_hope(lock, verdict.reason);
      if (verdict.kind != Kind::not_now) {
        failures_ = 0;
        return !is_hopeless_;
      }
      if (is_given_up_) return false;
      if (++failures_ == failures_told_of && !std::exchange(has_told_, true))
        say(lock,
            "the server does not take what is reported (" + verdict.reason + "): it waits here, training goes on");
      wait(lock, verdict.pause.value_or(pause));
    }
  }

  void wait(Lock& lock, std::chrono::milliseconds pause) {
    const Deadline end = Deadline::after(pause);
    changed_.wait_until(lock, end.moment(), [&] { return is_closing_; });
    if (!is_closing_) return;
    const Deadline last = Deadline::after(std::min(pause, last_pauses));
    changed_.wait_until(lock, std::min(end.moment(), last.moment()), [&] { return is_given_up_; });
  }

  void lose_hope(Lock& lock, const std::string& reason) {
    is_hopeless_ = true;
    waiting_.clear();
    say(lock, reason + ": nothing more is reported");
  }

  /// Nobody waits while a line is written.
  void say(Lock& lock, const std::string& what) {
    lock.unlock();
    warn(what);
    lock.lock();
  }

  std::size_t undelivered() const { return waiting_.size() + under_way_; }
  void warn(const std::string& what) const { log_(LogLevel::warning, "MLflow: " + what); }

  const std::chrono::milliseconds first_pause_, longest_pause_;
  const std::size_t most_waiting_;
  const std::function<void(const std::string&)> on_own_run_;
  MlflowSession session_;  // of the thread, but for cancel()
  Log log_;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> waiting_;
  std::size_t under_way_ = 0;  // items that the thread holds
  Ending ending_ = Ending::failed;
  bool is_closing_ = false;   // nothing will be added
  bool is_given_up_ = false;  // no time is left
  bool is_hopeless_ = false;  // nothing will be taken any more
  bool is_done_ = false;      // the thread has ended
  bool has_dropped_ = false, has_told_ = false;
  int failures_ = 0;  // in a row
  std::size_t refused_ = 0;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Tracker> make_mlflow_tracker(MlflowSettings settings, std::unique_ptr<http::Client> client, Log log) {
  return std::make_unique<Mlflow>(std::move(settings), std::move(client), std::move(log));
}

}  // namespace trireme::tracking
