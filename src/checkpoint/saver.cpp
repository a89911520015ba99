// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/saver.hpp"

#include "checkpoint/background_job.hpp"
#include "checkpoint/commit.hpp"
#include "checkpoint/entry.hpp"
#include "checkpoint/hash.hpp"
#include "checkpoint/journal.hpp"
#include "checkpoint/names.hpp"
#include "checkpoint/part_writer.hpp"
#include "checkpoint/replica_exchange.hpp"
#include "checkpoint/retention.hpp"
#include "checkpoint/staging.hpp"
#include "checkpoint/together.hpp"
#include "trireme/base/error.hpp"

#include <array>
#include <chrono>
#include <exception>
#include <utility>
#include <vector>

namespace trireme::checkpoint {
namespace {

using Clock = std::chrono::steady_clock;

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

}  // namespace

class Saver::Work {
 public:
  Work(Folder& folder, const SaverOptions& options, const std::optional<Manifest>& parent)
      : folder_(folder), options_(options), communicator_(own_communicator(folder)) {
    if (options.keep_last == 0)
      fail(ErrorCode::invalid_argument, "keep_last must be at least 1: the newest always stays");
    if (options.memory_tier != nullptr)
      replicas_.emplace(communicator_, *options.memory_tier, options.replica_distance);
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
    if (phase_ != Phase::idle || replicas_ || !job_.is_over()) return;
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
    has_part_ = false;
    commit_.reset();
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
    const bool is_over = job_.is_over() && (!replicas_ || replicas_->is_done());
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
      room = replicas_ ? replicas_->room(sizes) : staging_.room(part.plan.data_bytes);
      copy_slices(part.tensors, part.plan, room, writer.devices());
    });
    part.data = room;
    if (replicas_) replicas_->start();
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

  void begin_commit() {
    phase_ = Phase::committing;  // from here on rank 0 may commit, whatever befalls this one
    const auto gathered = communicator_.gather_bytes(encode_share(share_), 0, {.label = "checkpoint save"});
    if (communicator_.rank() != 0) return;
    try {
      std::vector<Manifest> shares;
      for (const auto& each : gathered) shares.push_back(decode_share(each));
      merge_shares(shares, manifest_);
      commit_.emplace(manifest_);
      job_.start([this] { commit_->run(folder_, options_.keep_last, options_.keep_every); });
    } catch (const Exception& failure) {
      error_ = failure.error();
    } catch (const std::exception& failure) {
      error_ = Error{.code = ErrorCode::system, .message = failure.what()};
    }
  }

  SaveReport conclude() {
    CommitOutcome outcome;
    if (commit_) {
      outcome = {.problem = commit_->not_removed(),
                 .bytes = manifest_.bytes(),
                 .removed = commit_->removed(),
                 .may_stand = commit_->may_stand()};
    }
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
      if (replicas_) keep_in_memory();
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
    replicas_->keep(std::make_shared<const Manifest>(std::get<Manifest>(decode(bytes, "rank 0's manifest"))));
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
    if (commit_ && commit_->has_json()) names.push_back(manifest_.json_file);
    commit_.reset();
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
  Manifest share_;                // the thread's, then rank 0's to gather
  Manifest manifest_;             // slices and parts on rank 0 alone
  bool has_part_ = false;         // what the thread has done; looked at when it is over
  std::optional<Commit> commit_;  // on rank 0
  std::optional<Error> error_;
  std::optional<ReplicaExchange> replicas_;
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
