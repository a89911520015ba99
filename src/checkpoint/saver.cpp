// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/saver.hpp"

#include "checkpoint/background_job.hpp"
#include "checkpoint/check_manifest.hpp"
#include "checkpoint/entry.hpp"
#include "checkpoint/hash.hpp"
#include "checkpoint/journal.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/part_writer.hpp"
#include "checkpoint/retention.hpp"
#include "checkpoint/staging.hpp"
#include "checkpoint/together.hpp"
#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <chrono>
#include <exception>
#include <utility>
#include <vector>

namespace trireme::checkpoint {
namespace {

using Clock = std::chrono::steady_clock;
using Json = nlohmann::json;

constexpr std::chrono::seconds silence{10};         // between two words about a file that takes long
constexpr std::chrono::milliseconds patience{200};  // between two looks at the others while waiting

std::uint64_t unix_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
}

/// Of what all ranks must have alike: names, dtypes, shapes, who has what how.
std::uint64_t digest_of(std::span<const StateTensor> tensors) {
  std::string text;
  for (const StateTensor& each : tensors) {
    text += each.name + '\0' + std::string(name_of(each.dtype)) + (each.first ? 's' : 'r');
    for (const std::int64_t extent : each.shape) text += std::to_string(extent) + ',';
  }
  return hash_of(std::as_bytes(std::span(text)));
}

Communicator own_communicator(Folder& folder) {
  auto communicator = folder.communicator().split(0, folder.communicator().rank());
  if (!communicator) fail(ErrorCode::invalid_argument, "this rank has no part in the folder's communicator");
  return *std::move(communicator);
}

/// What rank 0 tells the others of a commit.
struct Outcome {
  ErrorCode code = ErrorCode::none;
  std::string problem{};
  std::uint64_t bytes = 0;
  std::vector<std::string> removed{};
  bool may_stand = false;  ///< though it failed
};

std::string to_text(const Outcome& outcome) {
  const Json json{static_cast<int>(outcome.code), outcome.problem, outcome.bytes, outcome.removed, outcome.may_stand};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Outcome outcome_of(std::span<const std::byte> bytes) {
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  const Json json = Json::parse(text, text + bytes.size());
  return {.code = static_cast<ErrorCode>(json.at(0).get<int>()),
          .problem = json.at(1).get<std::string>(),
          .bytes = json.at(2).get<std::uint64_t>(),
          .removed = json.at(3).get<std::vector<std::string>>(),
          .may_stand = json.at(4).get<bool>()};
}

}  // namespace

class Saver::Work {
 public:
  Work(Folder& folder, const SaverOptions& options, const std::optional<Manifest>& parent)
      : folder_(folder), options_(options), communicator_(own_communicator(folder)) {
    if (options.keep_last == 0)
      fail(ErrorCode::invalid_argument, "keep_last must be at least 1: the newest always stays");
    const int ranks = communicator_.size();
    if (options.memory_tier != nullptr && ranks > 1 && (distance() < 1 || distance() >= ranks)) {
      fail(ErrorCode::invalid_argument, "replica_distance must be from 1 to " + std::to_string(ranks - 1) + " on " +
                                            std::to_string(ranks) + " ranks, not " + std::to_string(distance()));
    }
    folder.take_over();
    if (parent) {
      parent_ = id_of(*parent);
      last_step_ = parent->step;  // which is there
    }
  }
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;
  ~Work() {
    while (!job_.wait(patience)) {
    }
    // While this rank is writing no commit has begun anywhere.
    if (phase_ == Phase::writing) discard();
  }

  void prepare(const TrainingState& state) {
    if (phase_ != Phase::idle || options_.memory_tier != nullptr || !job_.is_over()) return;
    const StateWriter writer = state.save();
    const PartPlan plan = plan_part(writer.tensors(), communicator_.rank(), communicator_.size());
    job_.start([this, bytes = plan.data_bytes] { staging_.touch(bytes); });
  }

  std::optional<SaveReport> save(std::uint64_t step, const TrainingState& state) {
    std::optional<SaveReport> former = finish();
    while (!job_.wait(patience)) {  // memory that is being prepared
    }
    job_.take_error();                      // which save() will meet again
    if (last_step_ == step) return former;  // it is there
    if (last_step_ > step) {
      fail(ErrorCode::invalid_argument, "step " + std::to_string(step) + " is saved after step " +
                                            std::to_string(*last_step_) +
                                            ": the later step is the newer one. To go back, open the folder anew");
    }
    began_ = Clock::now();
    StateWriter writer;
    do_together(communicator_, "checkpoint save", [&] { writer = state.save(); });
    part_ = stage(step, writer);
    manifest_ = manifest_for(step, writer);
    has_part_ = has_json_ = may_stand_ = false;
    phase_ = Phase::writing;
    try {
      job_.start([this] {
        share_ = describe(part_);
        write_part(folder_.files(), part_);
        has_part_ = true;
      });
    } catch (const Exception& failure) {  // the others have begun: they learn of it as of any failure to write
      error_ = failure.error();
    }
    return former;
  }

  std::optional<SaveReport> finish() {
    std::optional<SaveReport> report;
    auto next_word = Clock::now() + silence;
    while (phase_ != Phase::idle && !report) {
      job_.wait(patience);
      report = advance();
      if (report || Clock::now() < next_word) continue;
      folder_.warn("rank " + std::to_string(busy_rank_) + " is still writing its part of the checkpoint of step " +
                   std::to_string(manifest_.step) + ", " +
                   std::to_string(std::chrono::duration_cast<std::chrono::seconds>(Clock::now() - began_).count()) +
                   " s after it was staged; all wait for it");
      next_word += silence;
    }
    return report;
  }

  std::optional<SaveReport> advance() {
    if (phase_ == Phase::idle) return std::nullopt;
    const bool is_over = job_.is_over() && neighbour_is_done();
    if (is_over && !error_) error_ = job_.take_error();
    // Busy: higher, the lower the rank, so that the greatest is the lowest rank's.
    const std::int32_t own = communicator_.size() - communicator_.rank();
    std::array<std::int32_t, 2> busy_failed{is_over ? 0 : own, is_over && error_ ? 1 : 0};
    communicator_.all_reduce(std::span<std::int32_t>(busy_failed), maximum, {.label = "checkpoint save"});
    busy_rank_ = communicator_.size() - busy_failed[0];
    if (busy_failed[0] != 0) return std::nullopt;
    if (phase_ == Phase::writing) {
      if (busy_failed[1] != 0) return give_up();
      begin_commit();
      return std::nullopt;
    }
    return conclude();
  }

  bool is_busy() const { return phase_ != Phase::idle; }

 private:
  enum class Phase : unsigned char { idle, writing, committing };

  /// This rank's share, copied.
  StagedPart stage(std::uint64_t step, const StateWriter& writer) {
    const int rank = communicator_.rank(), ranks = communicator_.size();
    StagedPart part{.folder = folder_.path(),
                    .file = part_file(folder_.attempt(), step, rank, ranks),
                    .tensors = writer.tensors(),
                    .plan = plan_part(writer.tensors(), rank, ranks),
                    .header{},
                    .data{}};
    const std::vector<std::uint64_t> sizes = compare(step, part);
    part.header = part_header(part.tensors, part.plan,
                              {{"format", "pt"}, {"step", std::to_string(step)}, {"rank", std::to_string(rank)}});
    std::span<std::byte> room;
    do_together(communicator_, "checkpoint save", [&] {
      if (options_.memory_tier != nullptr) {
        make_shares(sizes);
        room = shares_.front().data;
      } else {
        room = staging_.room(part.plan.data_bytes);
      }
    });
    copy_slices(part.tensors, part.plan, room);
    part.data = room;
    if (options_.memory_tier != nullptr) send_to_neighbour();
    return part;
  }

  /// Bytes of every rank's share. Errors: mismatch.
  std::vector<std::uint64_t> compare(std::uint64_t step, const StagedPart& part) {
    const std::array<std::uint64_t, 3> mine{step, digest_of(part.tensors), part.plan.data_bytes};
    std::vector<std::uint64_t> all(mine.size() * static_cast<std::size_t>(communicator_.size()));
    communicator_.all_gather(std::span<const std::uint64_t>(mine), std::span(all), {.label = "checkpoint save"});
    std::vector<std::uint64_t> sizes;
    for (std::size_t rank = 0; rank * mine.size() < all.size(); ++rank) {
      const auto* const theirs = &all[rank * mine.size()];
      if (theirs[0] != all[0] || theirs[1] != all[1]) {
        fail(ErrorCode::mismatch,
             "rank " + std::to_string(rank) + " saves " +
                 (theirs[0] != all[0] ? "step " + std::to_string(theirs[0]) + ", rank 0 step " + std::to_string(all[0])
                                      : "other tensors than rank 0") +
                 ": every rank must save the same state at the same step");
      }
      sizes.push_back(theirs[2]);
    }
    return sizes;
  }

  Manifest manifest_for(std::uint64_t step, const StateWriter& writer) const {
    Manifest manifest{.attempt = folder_.attempt(),
                      .step = step,
                      .world = static_cast<std::uint32_t>(communicator_.size()),
                      .saved_ms = unix_ms(),
                      .chunk_bytes = chunk_bytes,
                      .parent_generation = parent_.attempt.generation,
                      .parent_step = parent_.step,
                      .values = writer.values(),
                      .json_file = json_file(folder_.attempt(), step)};
    for (const StateTensor& each : writer.tensors())
      manifest.tensors.push_back({each.name, each.dtype, each.shape, {}});
    return manifest;
  }

  int distance() const { return options_.replica_distance; }

  void make_shares(const std::vector<std::uint64_t>& sizes) {
    shares_ = options_.memory_tier->take_oldest();
    const std::size_t ranks = sizes.size(), own = static_cast<std::size_t>(communicator_.rank());
    shares_.resize(ranks == 1 ? 1 : 2);
    shares_[0].data.resize(sizes[own]);
    if (ranks > 1) shares_[1].data.resize(sizes[(own + ranks - static_cast<std::size_t>(distance())) % ranks]);
  }

  void send_to_neighbour() {
    const int ranks = communicator_.size(), own = communicator_.rank();
    if (ranks == 1) return;
    const auto view = [](MemoryTier::Share& share) {
      return TensorView(share.data.data(), share.data.size(), DType::u8);
    };
    if (!shares_[1].data.empty())
      from_neighbour_ = communicator_.recv_async(view(shares_[1]), (own + ranks - distance()) % ranks,
                                                 {.label = "checkpoint replica"});
    if (!shares_[0].data.empty())
      to_neighbour_ =
          communicator_.send_async(view(shares_[0]), (own + distance()) % ranks, {.label = "checkpoint replica"});
  }

  bool neighbour_is_done() {
    for (auto* work : {&to_neighbour_, &from_neighbour_}) {
      if (*work && !(*work)->done()) return false;
    }
    for (auto* work : {&to_neighbour_, &from_neighbour_}) {
      if (*work) (*work)->wait();
      work->reset();
    }
    return true;
  }

  void begin_commit() {
    phase_ = Phase::committing;  // from here on rank 0 may commit, whatever befalls this one
    const auto gathered = communicator_.gather_bytes(encode_share(share_), 0, {.label = "checkpoint save"});
    if (communicator_.rank() != 0) return;
    try {
      std::vector<Manifest> shares;
      for (const auto& each : gathered) shares.push_back(decode_share(each));
      merge_shares(shares, manifest_);
      const std::string json = to_json(manifest_);
      manifest_.json_bytes = json.size();
      manifest_.json_xxh3 = hash_of(std::as_bytes(std::span(json)));
      check_manifest(manifest_, "what the ranks save");
      job_.start([this, json] { commit(json); });
    } catch (const Exception& failure) {
      error_ = failure.error();
    } catch (const std::exception& failure) {
      error_ = Error{.code = ErrorCode::system, .message = failure.what()};
    }
  }

  /// On rank 0's thread.
  void commit(const std::string& json) {
    FileSystem& files = folder_.files();
    const std::string step = folder_.path() + "/" + step_folder(manifest_.step);
    {
      const auto file = create_in(files, step, folder_.path() + "/" + manifest_.json_file);
      has_json_ = true;
      file->write(std::as_bytes(std::span(json)));
      file->sync();
    }
    files.sync_folder(step);
    files.sync_folder(folder_.path());
    Journal journal(files, folder_.path());
    try {
      journal.commit(manifest_, folder_.is_shared());
    } catch (...) {
      may_stand_ = journal.may_hold(id_of(manifest_));
      throw;
    }
    try {
      removed_ = remove_old(files, folder_.path(), options_.keep_last, options_.keep_every);
    } catch (const Exception& failure) {  // no reason to doubt what has just been completed
      not_removed_ = "older checkpoints could not be removed: " + failure.error().message;
    }
  }

  SaveReport conclude() {
    Outcome outcome{.problem = std::exchange(not_removed_, {}),
                    .bytes = manifest_.bytes(),
                    .removed = std::exchange(removed_, {}),
                    .may_stand = may_stand_};
    if (error_) {
      blame_follower();
      outcome.code = error_->code;
      outcome.problem = "rank 0: " + error_->message;
    }
    const std::string told = communicator_.rank() == 0 ? to_text(outcome) : "";
    outcome =
        outcome_of(communicator_.broadcast_bytes(std::as_bytes(std::span(told)), 0, {.label = "checkpoint save"}));
    if (!folder_.is_shared()) remove_without_a_word(outcome.removed);
    if (outcome.code == ErrorCode::none) {
      last_step_ = manifest_.step;
      if (options_.memory_tier != nullptr) keep_in_memory();
    } else if (!outcome.may_stand) {
      discard();
    }
    SaveReport report = end(outcome.code == ErrorCode::none, outcome.problem);
    report.bytes = outcome.bytes;
    if (outcome.code == ErrorCode::closed) fail(ErrorCode::closed, outcome.problem);
    return report;
  }

  void keep_in_memory() {
    const Entry entry = manifest_;
    const auto bytes = communicator_.broadcast_bytes(
        communicator_.rank() == 0 ? encode(entry) : std::vector<std::byte>{}, 0, {.label = "checkpoint replica"});
    auto manifest = std::make_shared<const Manifest>(std::get<Manifest>(decode(bytes, "rank 0's manifest")));
    const int ranks = communicator_.size(), own = communicator_.rank();
    const auto part_of = [&](int rank) {
      const std::string file = part_file(manifest->attempt, manifest->step, rank, ranks);
      std::uint32_t part = 0;
      while (part < manifest->parts.size() && manifest->parts[part].file != file) ++part;
      return part;
    };
    shares_[0].part = part_of(own);
    if (shares_.size() > 1) shares_[1].part = part_of((own + ranks - distance()) % ranks);
    options_.memory_tier->keep({std::move(manifest), std::move(shares_)});
  }

  /// Some rank could not write its part.
  SaveReport give_up() {
    if (communicator_.rank() == 0) blame_follower();
    std::vector<std::byte> mine;
    if (error_) {
      mine.push_back(static_cast<std::byte>(error_->code));
      const auto text = std::as_bytes(std::span(error_->message));
      mine.insert(mine.end(), text.begin(), text.end());
    }
    const auto all = communicator_.all_gather_bytes(mine, {.label = "checkpoint save"});
    std::size_t rank = 0;
    while (rank + 1 < all.size() && all[rank].empty()) ++rank;
    const auto code = static_cast<ErrorCode>(all[rank].at(0));
    std::string problem = "rank " + std::to_string(rank) + ": " +
                          std::string(reinterpret_cast<const char*>(all[rank].data()) + 1, all[rank].size() - 1);
    discard();
    SaveReport report = end(false, std::move(problem));
    if (code == ErrorCode::closed) fail(ErrorCode::closed, report.problem);
    return report;
  }

  /// An attempt that has begun since may have removed what this one was writing: then that is the reason. Rank 0.
  void blame_follower() {
    try {
      Journal(folder_.files(), folder_.path()).refuse_if_followed(folder_.attempt());
    } catch (const Exception& failure) {
      if (failure.error().code == ErrorCode::closed) error_ = failure.error();
    }
  }

  /// What this rank has written is of no use. Never more than this save made: a file of that name that was there before may
  /// belong to a checkpoint.
  void discard() {
    std::vector<std::string> names;
    if (std::exchange(has_part_, false)) names.push_back(part_.file);
    if (std::exchange(has_json_, false)) names.push_back(manifest_.json_file);
    remove_without_a_word(names);
  }

  void remove_without_a_word(const std::vector<std::string>& names) {
    try {
      remove_files(folder_.files(), folder_.path(), names);
    } catch (const Exception&) {  // the next attempt tidies up
    }
  }

  SaveReport end(bool is_complete, std::string problem) {
    phase_ = Phase::idle;
    error_.reset();
    const std::chrono::duration<double> took = Clock::now() - began_;
    return {.step = manifest_.step, .is_complete = is_complete, .problem = std::move(problem), .seconds = took.count()};
  }

  Folder& folder_;
  SaverOptions options_;
  Communicator communicator_;
  CheckpointId parent_{};
  Phase phase_ = Phase::idle;
  Clock::time_point began_{};
  int busy_rank_ = 0;                       // the lowest that was not done when last asked
  std::optional<std::uint64_t> last_step_;  // complete, of this attempt
  Staging staging_;
  StagedPart part_;
  Manifest share_;     // the thread's, then rank 0's to gather
  Manifest manifest_;  // slices and parts on rank 0 alone
  // What the thread has done; looked at when it is over.
  bool has_part_ = false;
  bool has_json_ = false;
  bool may_stand_ = false;  // the commit, though it failed
  std::vector<std::string> removed_;
  std::string not_removed_;
  std::optional<Error> error_;
  std::vector<MemoryTier::Share> shares_;  // own, then that of the rank before
  std::optional<trireme::Work> to_neighbour_, from_neighbour_;
  BackgroundJob job_;  // last: its thread reads what is above
};

Saver::Saver(Folder& folder, const SaverOptions& options, const std::optional<Manifest>& parent)
    : work_(std::make_unique<Work>(folder, options, parent)) {}
Saver::~Saver() = default;
std::optional<SaveReport> Saver::save(std::uint64_t step, const TrainingState& state) {
  return work_->save(step, state);
}
std::optional<SaveReport> Saver::advance() { return work_->advance(); }
std::optional<SaveReport> Saver::finish() { return work_->finish(); }
void Saver::prepare(const TrainingState& state) { work_->prepare(state); }
bool Saver::is_busy() const { return work_->is_busy(); }

}  // namespace trireme::checkpoint
