// SPDX-License-Identifier: Apache-2.0
#include "cli/train/inputs/brought_inputs.hpp"

#include "cli/train/inputs/shard_exchange.hpp"
#include "cli/train/inputs/spool.hpp"
#include "cli/train/tasks/data_files.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <span>
#include <thread>
#include <utility>

namespace trireme::cli {
namespace {

/// Of the pipe being read: while a rank reads it, the others look that often whether all is well.
constexpr std::chrono::milliseconds between_rounds{100};

/// Work on a thread of its own; a failure is kept as text, so that all ranks can be told.
class Background {
 public:
  template <class Work>
  explicit Background(Work work)
      : thread_([this, work = std::move(work)] {
          try {
            work(stop_);
          } catch (const Exception& failure) {
            problem_ = failure.error().message;
          } catch (const std::exception& failure) {
            problem_ = failure.what();
          }
          done_.store(true);
        }) {}
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  ~Background() {
    stop_.store(true);
    thread_.join();
  }
  bool is_done() const { return done_.load(); }
  const std::string& problem() const { return problem_; }  // once it is done

 private:
  std::atomic<bool> stop_{false};
  std::atomic<bool> done_{false};
  std::string problem_;
  std::thread thread_;  // last: it uses the others
};

/// The files of a channel on this host. Of a sharded one, which may have fewer objects than there are hosts, perhaps none.
std::vector<std::filesystem::path> here(const platform::InputChannel& channel) {
  std::error_code ignored;
  const bool is_empty =
      std::filesystem::is_directory(channel.path, ignored) && std::filesystem::is_empty(channel.path, ignored);
  if (channel.sharded && is_empty) return {};
  return files_of(std::filesystem::path(channel.path));
}

bool is_rows(DatasetKind kind) { return kind == DatasetKind::csv || kind == DatasetKind::libsvm; }

std::vector<DatasetSpec*> users_of(const std::string& channel, DataOptions& data) {
  std::vector<DatasetSpec*> users;
  if (data.dataset.channel == channel) users.push_back(&data.dataset);
  if (data.test && data.test->channel == channel) users.push_back(&*data.test);
  return users;
}

}  // namespace

BroughtInputs::BroughtInputs(Communicator communicator, DataOptions& data, const BringOptions& options)
    : all_(std::move(communicator)) {
  settle_hosts(options.host);
  std::string problem;
  if (firsts_) {
    try {
      scratch_.emplace(options.scratch);
    } catch (const Exception& failure) {
      problem = failure.error().message;
    }
  }
  fail_together(all_, problem);
  for (const auto& [name, channel] : data.channels) bring(name, channel, data, options);
}

void BroughtInputs::settle_hosts(const std::string& host) {
  const auto hosts = all_.all_gather_bytes(std::as_bytes(std::span(host)), {.label = "hosts"});
  const auto me = static_cast<std::size_t>(all_.rank());
  first_of_host_ = static_cast<int>(std::find(hosts.begin(), hosts.end(), hosts[me]) - hosts.begin());
  firsts_ = all_.split(first_of_host_ == all_.rank() ? 0 : -1);
}

/// Read by the first rank of the host. Nobody waits for it in one long operation: all look together, in short rounds.
std::vector<std::filesystem::path> BroughtInputs::spooled(const platform::InputChannel& channel, bool apart,
                                                          const BringOptions& options) {
  std::vector<std::filesystem::path> files;
  std::optional<Background> reading;
  if (firsts_) {
    reading.emplace([&](const std::atomic<bool>& stop) {
      files =
          spool_pipe(channel, apart, *scratch_, {.stop = stop, .longest = options.longest_wait, .say = options.say});
    });
  }
  for (bool all_done = false; !all_done;) {
    const bool is_done = !reading || reading->is_done();
    if (!is_done) std::this_thread::sleep_for(between_rounds);
    fail_together(all_, is_done && reading ? reading->problem() : std::string());
    const std::uint8_t busy = is_done ? 0 : 1;
    all_done = true;
    for (const auto& each : all_.all_gather_bytes(std::as_bytes(std::span(&busy, 1)), {.label = "input pipes"}))
      all_done = all_done && each[0] == std::byte{0};
  }
  reading.reset();
  return files;
}

/// What the first rank of this host has found.
std::vector<std::filesystem::path> BroughtInputs::told(const std::vector<std::filesystem::path>& files) {
  std::string list;
  for (const auto& each : files) list += each.string() + '\0';
  const auto lists = all_.all_gather_bytes(std::as_bytes(std::span(list)), {.label = "input files"});
  const auto& bytes = lists[static_cast<std::size_t>(first_of_host_)];
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<std::filesystem::path> found;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\0', at);
    found.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return found;
}

void BroughtInputs::bring(const std::string& name, const platform::InputChannel& channel, DataOptions& data,
                          const BringOptions& options) {
  const auto users = users_of(name, data);
  const bool apart = !users.empty() && is_rows(users.front()->kind);
  std::vector<std::filesystem::path> files;
  if (channel.mode == platform::InputChannel::Mode::pipe) {
    files = spooled(channel, apart, options);
  } else {
    std::string problem;
    if (firsts_) {
      try {
        files = here(channel);
      } catch (const Exception& failure) {
        problem = "channel " + name + ": " + failure.error().message;
      }
    }
    fail_together(all_, problem);
  }
  const int hosts = firsts_ ? firsts_->size() : 0;
  const auto counts = all_.all_gather_bytes(std::as_bytes(std::span(&hosts, 1)), {.label = "hosts"});
  const bool several = std::any_of(counts.begin(), counts.end(), [](const auto& each) {
    int count = 0;
    std::memcpy(&count, each.data(), sizeof count);
    return count > 1;
  });
  if (channel.sharded && several) {
    const HostRanks ranks{.all = all_, .firsts = firsts_ ? &*firsts_ : nullptr, .is_job_first = all_.rank() == 0};
    files = exchange_shards(ranks, name, files, scratch_ ? &*scratch_ : nullptr, options.say);
  }
  files = told(files);
  if (files.empty()) fail(ErrorCode::invalid_argument, "channel " + name + " is sharded, but no host has any of it");
  for (DatasetSpec* each : users) each->files = files;
}

}  // namespace trireme::cli
