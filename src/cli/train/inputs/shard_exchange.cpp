// SPDX-License-Identifier: Apache-2.0
#include "cli/train/inputs/shard_exchange.hpp"

#include "trireme/base/error.hpp"
#include "trireme/data/byte_source.hpp"
#include "trireme/net/host.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

namespace trireme::cli {
namespace {

constexpr std::uint64_t bytes_at_once = std::uint64_t{64} << 20;  // of all hosts
constexpr std::uint64_t largest_piece = std::uint64_t{4} << 20;

struct ShardFile {
  std::string name;
  std::uint64_t bytes = 0;
};
using Index = std::vector<std::vector<ShardFile>>;  // by host

std::string packed(const std::vector<ShardFile>& files) {
  std::string text;
  for (const ShardFile& each : files) text += each.name + '\0' + std::to_string(each.bytes) + '\0';
  return text;
}

/// From a rank of this job: its form is taken for granted.
std::vector<ShardFile> unpacked(const std::vector<std::byte>& bytes) {
  std::vector<ShardFile> files;
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t name_end = text.find('\0', at), size_end = text.find('\0', name_end + 1);
    files.push_back({text.substr(at, name_end - at), std::stoull(text.substr(name_end + 1, size_end - name_end - 1))});
    at = size_end + 1;
  }
  return files;
}

std::uint64_t bytes_of(const std::vector<ShardFile>& files) {
  std::uint64_t sum = 0;
  for (const ShardFile& each : files) sum += each.bytes;
  return sum;
}

/// The files of this host as one stream of bytes.
class Sender {
 public:
  Sender(const std::vector<std::filesystem::path>& paths, const std::vector<ShardFile>& files)
      : paths_(paths), files_(files) {}

  std::vector<std::uint8_t> next(std::uint64_t most) {
    std::vector<std::uint8_t> piece;
    while (piece.size() < most && file_ < files_.size()) {
      if (!source_) source_.emplace(paths_[file_]);
      const auto want = static_cast<std::size_t>(std::min(most - piece.size(), files_[file_].bytes - sent_));
      const std::size_t first = piece.size();
      piece.resize(first + want);
      if (source_->read(std::span(piece).subspan(first)) != want)
        fail(ErrorCode::corrupt, paths_[file_].string() + ": shorter than when training began to look at it");
      sent_ += want;
      if (sent_ != files_[file_].bytes) continue;
      source_.reset();
      sent_ = 0;
      ++file_;
    }
    return piece;
  }

 private:
  const std::vector<std::filesystem::path>& paths_;
  const std::vector<ShardFile>& files_;
  std::optional<data::FileSource> source_;
  std::size_t file_ = 0;
  std::uint64_t sent_ = 0;
};

/// What comes from one other host, as files.
class Receiver {
 public:
  Receiver(const std::vector<ShardFile>& files, Scratch& scratch) : files_(files), scratch_(scratch) {}

  void take(std::span<const std::uint8_t> bytes) {
    while (!bytes.empty()) {
      skip_empty();
      if (!file_) open_next();
      const auto count = static_cast<std::size_t>(
          std::min<std::uint64_t>(bytes.size(), files_[paths_.size() - 1].bytes - file_->size()));
      file_->write(bytes.first(count));
      bytes = bytes.subspan(count);
      if (file_->size() == files_[paths_.size() - 1].bytes) file_.reset();
    }
  }
  std::vector<std::filesystem::path> end() {
    skip_empty();
    return paths_;
  }

 private:
  void open_next() {
    paths_.push_back(scratch_.new_file());
    file_ = std::make_unique<ScratchFile>(paths_.back());
  }
  void skip_empty() {
    while (!file_ && paths_.size() < files_.size() && files_[paths_.size()].bytes == 0) {
      open_next();
      file_.reset();
    }
  }

  const std::vector<ShardFile>& files_;
  Scratch& scratch_;
  std::vector<std::filesystem::path> paths_;
  std::unique_ptr<ScratchFile> file_;
};

/// A failure of one rank's files, as text: all ranks are to hear of it.
template <class Work>
std::string problem_in(Work&& work) {
  try {
    work();
    return {};
  } catch (const Exception& failure) {
    return failure.error().message.empty() ? "its input data cannot be read" : failure.error().message;
  }
}

std::string room_problem(const std::string& channel, const Index& index, int me, const Scratch& scratch) {
  std::uint64_t lacking = 0;
  for (std::size_t host = 0; host < index.size(); ++host)
    lacking += static_cast<int>(host) == me ? 0 : bytes_of(index[host]);
  const std::uint64_t room = room_in(scratch.path());
  if (room >= lacking) return {};
  return "channel " + channel + " is sharded: host " + net::host_name() + " lacks " + mebibytes(lacking) +
         " of it and has room for " + mebibytes(room) + " in " + scratch.path().parent_path().string() +
         "; TMPDIR names another place, and replicated channels need none";
}

std::vector<std::filesystem::path> in_order(const Index& index,
                                            const std::vector<std::vector<std::filesystem::path>>& paths) {
  std::vector<std::tuple<std::string, std::size_t, std::filesystem::path>> all;
  for (std::size_t host = 0; host < index.size(); ++host) {
    for (std::size_t k = 0; k < index[host].size(); ++k) all.emplace_back(index[host][k].name, host, paths[host][k]);
  }
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::tie(std::get<0>(a), std::get<1>(a)) < std::tie(std::get<0>(b), std::get<1>(b));
  });
  std::vector<std::filesystem::path> files;
  for (auto& each : all) files.push_back(std::move(std::get<2>(each)));
  return files;
}

}  // namespace

void fail_together(Communicator& all, const std::string& problem) {
  for (const auto& theirs : all.all_gather_bytes(std::as_bytes(std::span(problem)), {.label = "input data"})) {
    if (theirs.empty()) continue;
    fail(ErrorCode::invalid_argument, std::string(reinterpret_cast<const char*>(theirs.data()), theirs.size()));
  }
}

std::vector<std::filesystem::path> exchange_shards(HostRanks ranks, const std::string& channel,
                                                   const std::vector<std::filesystem::path>& own, Scratch* scratch,
                                                   const std::function<void(const std::string&)>& say) {
  Communicator* const firsts = ranks.firsts;
  std::vector<ShardFile> mine;
  fail_together(ranks.all, problem_in([&] {
                  std::error_code error;
                  for (const auto& path : own) {
                    mine.push_back({path.filename().string(), std::filesystem::file_size(path, error)});
                    if (error) fail(ErrorCode::invalid_argument, path.string() + ": " + error.message());
                  }
                }));
  Index index;
  std::uint64_t longest = 0;
  if (firsts != nullptr) {
    const std::string list = packed(mine);
    for (const auto& theirs : firsts->all_gather_bytes(std::as_bytes(std::span(list)), {.label = "input files"})) {
      index.push_back(unpacked(theirs));
      longest = std::max(longest, bytes_of(index.back()));
    }
  }
  fail_together(ranks.all, firsts == nullptr ? std::string() : room_problem(channel, index, firsts->rank(), *scratch));
  if (ranks.is_job_first) {
    std::uint64_t all = 0;
    std::size_t files = 0;
    for (const auto& each : index) {
      all += bytes_of(each);
      files += each.size();
    }
    say("channel " + channel + " is sharded: " + std::to_string(index.size()) + " hosts have " + mebibytes(all) +
        " in " + std::to_string(files) + " files, and each copies what it lacks to " +
        scratch->path().parent_path().string());
  }

  std::vector<std::unique_ptr<Receiver>> receivers;
  std::optional<Sender> sender;
  std::uint64_t piece = 0;
  if (firsts != nullptr) {
    for (const auto& each : index) receivers.push_back(std::make_unique<Receiver>(each, *scratch));
    sender.emplace(own, mine);
    piece = std::clamp<std::uint64_t>(bytes_at_once / index.size(), 1 << 16, largest_piece);
  }
  // Every rank takes part in as many rounds: the ranks that wait see that there is progress.
  for (std::uint64_t round = 0;; ++round) {
    std::string problem;
    std::vector<std::uint8_t> next;
    if (firsts != nullptr && round * piece < longest) {
      problem = problem_in([&] { next = sender->next(piece); });
      const auto pieces = firsts->all_gather_bytes(std::as_bytes(std::span(next)), {.label = "input data"});
      const std::string writing = problem_in([&] {
        for (std::size_t host = 0; host < pieces.size(); ++host) {
          if (static_cast<int>(host) == firsts->rank()) continue;
          receivers[host]->take({reinterpret_cast<const std::uint8_t*>(pieces[host].data()), pieces[host].size()});
        }
      });
      if (problem.empty()) problem = writing;
    }
    fail_together(ranks.all, problem);
    const std::uint8_t more = firsts != nullptr && (round + 1) * piece < longest ? 1 : 0;
    const auto told = ranks.all.all_gather_bytes(std::as_bytes(std::span(&more, 1)), {.label = "input data"});
    if (std::none_of(told.begin(), told.end(), [](const auto& each) { return each[0] != std::byte{0}; })) break;
  }
  if (firsts == nullptr) return {};
  std::vector<std::vector<std::filesystem::path>> paths;
  for (std::size_t host = 0; host < index.size(); ++host)
    paths.push_back(static_cast<int>(host) == firsts->rank() ? own : receivers[host]->end());
  return in_order(index, paths);
}

}  // namespace trireme::cli
