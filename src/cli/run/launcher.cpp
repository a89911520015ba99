// SPDX-License-Identifier: Apache-2.0
#include "cli/run/launcher.hpp"

#include "platform/binding.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include <poll.h>
#include <sys/wait.h>

namespace trireme::cli {
namespace {

using std::chrono::milliseconds;

// Survivors learn of a failure over the control channel and end by themselves; with these limits the whole job is over
// within two seconds whatever they do.
constexpr milliseconds grace_after_failure{1000};
constexpr milliseconds grace_after_stop{10000};  // they were asked to stop besides
constexpr milliseconds from_term_to_kill{500};
constexpr milliseconds grace_of_servers{10000};  // to see that all workers have left
// For the last bytes in the pipes, if a process outside the ranks' groups still holds them open.
constexpr milliseconds output_after_end{300};
constexpr int idle_ms = 60000;
constexpr int code_of_refusal = 2;
constexpr std::size_t longest_last_words = 2000;

Outcome cannot_start(const std::string& name, int error) {
  return {error == ENOENT ? 127 : 126, "cannot start program '" + name + "': " + std::strerror(error)};
}

/// One for each rank.
std::vector<int> processors_of(int ranks) {
  std::vector<platform::ProcessorPlace> places;
  for (int each : platform::allowed_processors()) places.push_back(platform::place_of(each, "/sys/devices/system"));
  return platform::bind_ranks(ranks, places);
}

}  // namespace

Launcher::~Launcher() {
  for (Rank& rank : ranks_) {
    if (rank.ended) continue;
    ::kill(-rank.process, SIGKILL);
    while (::waitpid(rank.process, nullptr, 0) < 0 && errno == EINTR) {
    }
    around_.guard.remove(rank.process);
  }
}

Outcome Launcher::start(const std::string& program_path, const platform::Environment& environment, const Job& job) {
  job_ = job;
  platform::Environment secrets = environment;
  secrets.set("TRIREME_JOB_KEY", job.key.to_text());
  redact_.emplace(secrets);
  bases_ = around_.nodes != nullptr ? rank_bases(around_.nodes->cards()) : std::vector<int>{0, job.world};
  std::vector<int> processors = options_.bind_cores ? processors_of(options_.ranks) : std::vector<int>();
  auto log = [&](const std::string& name, Stream stream) {
    return options_.log_dir ? open_log(*options_.log_dir, name, stream) : Descriptor();
  };
  const Console& console = around_.console;
  program_path_ = program_path;
  environment_ = environment;
  for (int number = 0; job.node == 0 && number < options_.servers; ++number) {
    if (const int error = start_beside(Part::server, number)) return cannot_start(options_.command.front(), error);
  }
  for (int local = 0; local < options_.ranks; ++local) {
    const int rank = job.first_rank + local;
    Descriptor out_log = log("rank-" + std::to_string(rank), Stream::out);
    Descriptor err_log = log("rank-" + std::to_string(rank), Stream::err);
    std::optional<int> processor;
    if (options_.bind_cores) processor = processors[static_cast<std::size_t>(local)];
    Child child = start_child({program_path, options_.command, rank_environment(environment, job, local), processor},
                              around_.watch);
    if (child.exec_error != 0) return cannot_start(options_.command.front(), child.exec_error);
    around_.guard.add(child.process);
    ranks_.push_back({rank,
                      child.process,
                      Part::rank,
                      false,
                      {rank, Stream::out, std::move(child.out), std::move(out_log), console},
                      {rank, Stream::err, std::move(child.err), std::move(err_log), console}});
  }
  for (int number = 0; job.node == 0 && number < options_.evaluators; ++number) {
    if (const int error = start_beside(Part::evaluator, number)) return cannot_start(options_.command.front(), error);
  }
  return {};
}

int Launcher::start_beside(Part part, int number) {
  const bool is_server = part == Part::server;
  const std::string name = is_server ? "server" : "evaluator";
  const std::string label = name + " " + std::to_string(number);
  const auto log = [&](Stream stream) {
    return options_.log_dir ? open_log(*options_.log_dir, name + "-" + std::to_string(number), stream) : Descriptor();
  };
  const auto environment =
      is_server ? server_environment(environment_, *job_, number) : evaluator_environment(environment_, *job_);
  Descriptor out_log = log(Stream::out), err_log = log(Stream::err);
  Child child = start_child({program_path_, options_.command, environment, {}}, around_.watch);
  if (child.exec_error != 0) return child.exec_error;
  around_.guard.add(child.process);
  const Console& console = around_.console;
  ranks_.push_back({number,
                    child.process,
                    part,
                    false,
                    {label, Stream::out, std::move(child.out), std::move(out_log), console},
                    {label, Stream::err, std::move(child.err), std::move(err_log), console}});
  return 0;
}

Outcome Launcher::wait(SignalWatch& signals) {
  Console& console = around_.console;
  while (!is_over()) {
    console.flush();
    sleep(signals.descriptor());
    if (take_signals(signals)) reap();
    take_news();
    take_output();
    end_survivors();
    end_the_rest();
    tell_progress();
  }
  for (Rank& rank : ranks_) {
    rank.out.close(console);
    rank.err.close(console);
  }
  Outcome result = outcome();
  if (!result.line.empty()) say(result.line);
  console.flush();
  while (console.pending() && !output_abandoned_) {
    sleep(signals.descriptor());
    take_signals(signals);
    console.flush();
  }
  return result;
}

bool Launcher::is_over() const { return is_over_here() && is_over_elsewhere(); }

bool Launcher::is_over_elsewhere() const {
  if (around_.nodes == nullptr || loss_ || killed_by_user_) return true;
  if (job_->node != 0) return decided_.has_value();
  return done_.size() == static_cast<std::size_t>(job_->nnodes);
}

void Launcher::sleep(int signal_descriptor) {
  std::vector<pollfd> watched{{signal_descriptor, POLLIN, 0}};
  if (around_.nodes != nullptr) watched.push_back({around_.nodes->descriptor(), POLLIN, 0});
  for (Stream stream : {Stream::out, Stream::err}) {
    Sink& sink = around_.console.sink(stream);
    if (sink.pending()) watched.push_back({sink.descriptor(), POLLOUT, 0});
  }
  for (const Rank& rank : ranks_) {
    for (const RankOutput* output : {&rank.out, &rank.err}) {
      bool wanted = output->open() && !around_.console.sink(output->stream()).congested();
      if (wanted) watched.push_back({output->descriptor(), POLLIN, 0});
    }
  }
  ::poll(watched.data(), watched.size(), milliseconds_to_next_event());
}

int Launcher::milliseconds_to_next_event() const {
  std::optional<Clock::time_point> next;
  const auto consider = [&](std::optional<Clock::time_point> moment) {
    if (moment && (!next || *moment < *next)) next = moment;
  };
  if (ended_) {
    if (!everything_ended()) {
      if (!rest_asked_) consider(*ended_ + (is_waiting_for_evaluators() ? options_.grace : grace_of_servers));
      if (rest_asked_ && !rest_killed_) consider(*rest_asked_ + grace_after_stop);
    } else if (!output_ended()) {
      consider(*ended_ + output_after_end);
    }
    if (!is_over_elsewhere()) consider(end_of_waiting());
  } else if (ending_ == Ending::asked) {
    consider(*asked_ + from_term_to_kill);
  } else if (ending_ == Ending::not_begun) {
    consider(end_of_patience());
  }
  if (!next) return idle_ms;
  return Deadline::at(*next).milliseconds_left(idle_ms);
}

bool Launcher::take_signals(SignalWatch& signals) {
  bool child_changed = false;
  for (int signal : signals.read()) {
    switch (signal) {
      case SIGCHLD: child_changed = true; break;
      case SIGTSTP:
        // Stopped together and continued together; the ranks are not in the terminal's foreground group.
        signal_live(SIGSTOP);
        ::raise(SIGSTOP);
        break;
      case SIGINT:
        if (++interrupts_ > 1) {
          tell(NodeEvent(NodeEvent::Kind::kill));
          killed_by_user_ = !all_ended() || !is_over_elsewhere();
          output_abandoned_ = true;
          ending_ = Ending::killed;
          signal_live(SIGKILL);
          break;
        }
        [[fallthrough]];
      case SIGTERM:
      case SIGHUP:
        if (!all_ended() || !is_over_elsewhere()) {
          if (!stop_forwarded_ || !interrupted_by_) tell(NodeEvent::of_stop(signal));
          stop_noted(signal);
        }
        if (!stop_forwarded_) stop_forwarded_ = Clock::now();
        output_abandoned_ = everything_ended();  // only a reader who does not read still holds us back
        if (std::exchange(forwarded_for_another_, false)) break;
        [[fallthrough]];
      default: signal_live(signal);
    }
  }
  return child_changed;
}

/// A signal that asks the job to stop has come, here or on another host.
void Launcher::stop_noted(int signal) {
  if (!failed_ && !interrupted_by_) interrupted_by_ = signal;
  if (!stop_forwarded_) stop_forwarded_ = Clock::now();
}

void Launcher::take_output() {
  Console& console = around_.console;
  for (Rank& rank : ranks_) {
    for (RankOutput* output : {&rank.out, &rank.err}) {
      if (output->open() && !console.sink(output->stream()).congested()) output->read(console);
    }
  }
}

bool Launcher::reap(Rank& rank, ExitStatus& status) {
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(rank.process), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
    return false;
  // What the rank has left behind in its group goes first: as long as the rank is not reaped, the number is its own.
  ::kill(-rank.process, SIGKILL);
  around_.guard.remove(rank.process);
  int wait_status = 0;
  if (::waitpid(rank.process, &wait_status, 0) != rank.process) return false;
  rank.ended = true;
  status = ExitStatus::from_wait(wait_status);
  return true;
}

void Launcher::reap() {
  std::vector<RankEnd> ends;
  std::vector<std::pair<std::ptrdiff_t, ExitStatus>> beside;
  for (Rank& rank : ranks_) {
    ExitStatus status;
    if (rank.ended || !reap(rank, status)) continue;
    if (rank.part == Part::rank) {
      ends.push_back({rank.rank, status, ending_ != Ending::not_begun});
    } else {
      beside.emplace_back(&rank - ranks_.data(), status);
    }
  }
  // First: ranks rather failed because of a server than the other way round. One that is started again is another entry.
  for (const auto& [place, status] : beside) {
    const Rank& process = ranks_[static_cast<std::size_t>(place)];
    process.part == Part::server ? note_server(process, status) : note_evaluator(process, status);
  }
  // Seen at the same moment, a rank that a signal ended comes first: the others rather failed because of it.
  std::stable_partition(ends.begin(), ends.end(), [](const RankEnd& end) { return end.status.signal != 0; });
  for (const RankEnd& end : ends) {
    tell(NodeEvent::of_end(end));
    note(end);
  }
  if (all_ended() && !ended_) ended_ = Clock::now();
}

void Launcher::note(const RankEnd& end) {
  ends_.push_back(end);
  ends_.back().host = host_of(end.rank);
  if (end.by_launcher) return;
  if (end.status.success()) {
    if (around_.server != nullptr) around_.server->process_succeeded(end.rank);
    return;
  }
  if (around_.server != nullptr) {
    if (end.status.interrupted(options_.interrupted_exit_code)) {
      around_.server->process_interrupted(end.rank, end.status.detail());
    } else {
      around_.server->process_ended(end.rank, end.status.detail());
    }
  }
  if (goes_on_without(ends_.back())) {
    ends_.pop_back();
    return;
  }
  auto& first = is_interruption(end.status) ? interrupted_ : failed_;
  if (!first) first = Clock::now();
}

/// Training does not depend on it, and neither does the job's exit code.
void Launcher::note_evaluator(const Rank& evaluator, const ExitStatus& status) {
  if (status.success() || rest_asked_ || ending_ != Ending::not_begun) return;
  if (is_interruption(status)) return;
  say("trireme run: evaluator " + std::to_string(evaluator.rank) + " " + status.sentence() +
      "; the ranks go on without it");
}

/// Others may have what it held; then it is started again, or they do without it. Else the job cannot go on.
void Launcher::note_server(const Rank& server, const ExitStatus& status) {
  if (status.success() || all_ended() || rest_asked_ || ending_ != Ending::not_begun || failed_) return;
  if (is_interruption(status)) return;
  const std::string who = "trireme run: server " + std::to_string(server.rank) + " " + status.sentence();
  const int number = server.rank;
  if (!facts_.hold(*job_, JobFact::replicated_servers)) {
    lost_server_ = {number, status, (*redact_)(server.err.last_line()).substr(0, longest_last_words)};
    failed_ = Clock::now();
    return;
  }
  if (server_restarts_ >= options_.server_restarts || stop_forwarded_) {
    say(who + "; its replica serves for it from here on");
    facts_.note_lost_server(*job_, number);
    return;
  }
  ++server_restarts_;
  say(who + "; its replica serves for it while it is started again (" + std::to_string(server_restarts_) + " of " +
      std::to_string(options_.server_restarts) + ")");
  const int error = start_beside(Part::server, number);
  if (error == 0) return;
  say("trireme run: server " + std::to_string(number) + " cannot be started again: " + std::strerror(error));
  facts_.note_lost_server(*job_, number);
}

/// Whether the ranks of this job wait for no other: a failure of one is not the job's, nor that one alone was asked to stop. Rank 0 is
/// whose result it is.
bool Launcher::goes_on_without(const RankEnd& end) {
  const bool stops = is_interruption(end.status);
  if (end.rank == 0 || failed_ || (stops && (stop_forwarded_ || interrupted_))) return false;
  if (!facts_.hold(*job_, JobFact::independent_workers)) return false;
  if (stops && facts_.hold(*job_, JobFact::workers_stop)) return false;
  left_behind_.push_back(end);
  if (node_of(end.rank) == job_->node) facts_.note_lost_worker(*job_, end.rank);
  if (job_->node == 0)
    say("trireme run: " + end.who() + " " + end.status.sentence() + "; the other ranks go on without it");
  return true;
}

void Launcher::say(const std::string& line) {
  const std::string text = line + "\n";
  around_.console.show(Stream::err, {false, text});
}

/// Ended by itself with 143, or by a signal that was forwarded: the others may still be writing a checkpoint.
bool Launcher::is_interruption(const ExitStatus& status) const {
  const int code = status.shell_code();
  const bool is_stop = code == 128 + SIGTERM || code == 128 + SIGINT || code == 128 + SIGHUP;
  return status.interrupted(options_.interrupted_exit_code) || (stop_forwarded_ && is_stop);
}

/// When the ranks that are left are ended: a while after the first failure, and the grace after they were asked to stop, which one
/// that hangs does not hear, or after the first of them stopped of its own accord. Asked again, they have no more time, and no less.
std::optional<Launcher::Clock::time_point> Launcher::end_of_patience() const {
  std::optional<Clock::time_point> end;
  if (failed_) {
    end = *failed_ + options_.failure_grace.value_or(stop_forwarded_ ? grace_after_stop : grace_after_failure);
  }
  for (const auto& begin : {stop_forwarded_, interrupted_}) {
    if (begin && (!end || *begin + options_.grace < *end)) end = *begin + options_.grace;
  }
  return end;
}

void Launcher::end_survivors() {
  const auto patience = end_of_patience();
  if (all_ended() || !patience) return;
  auto now = Clock::now();
  if (ending_ == Ending::not_begun && now >= *patience) {
    ending_ = Ending::asked;
    asked_ = now;
    signal_live(SIGTERM);
    signal_live(SIGCONT);  // a stopped rank could not even receive it
  } else if (ending_ == Ending::asked && now >= *asked_ + from_term_to_kill) {
    ending_ = Ending::killed;
    signal_live(SIGKILL);
  }
}

/// Evaluators may score what the ranks committed last, but nobody waits for those of a job that failed or was stopped. Servers
/// end by themselves when all workers have left; where one was lost they may not know that nobody will come again.
void Launcher::end_the_rest() {
  if (!ended_ || everything_ended()) return;
  const auto now = Clock::now();
  const bool in_vain = failed_ || interrupted_ || stop_forwarded_ || !left_behind_.empty();
  const milliseconds grace = is_waiting_for_evaluators() ? options_.grace : grace_of_servers;
  if (!rest_asked_ && (in_vain || now >= *ended_ + grace)) {
    rest_asked_ = now;
    signal_live(SIGTERM);
    signal_live(SIGCONT);
  } else if (rest_asked_ && !rest_killed_ && now >= *rest_asked_ + grace_after_stop) {
    rest_killed_ = true;
    signal_live(SIGKILL);
  }
}

bool Launcher::is_waiting_for_evaluators() const {
  return std::any_of(ranks_.begin(), ranks_.end(),
                     [](const Rank& rank) { return !rank.ended && rank.part == Part::evaluator; });
}

void Launcher::signal_live(int signal) {
  for (const Rank& rank : ranks_) {
    if (!rank.ended) ::kill(-rank.process, signal);
  }
}

bool Launcher::all_ended() const {
  return std::all_of(ranks_.begin(), ranks_.end(),
                     [](const Rank& rank) { return rank.ended || rank.part != Part::rank; });
}

bool Launcher::everything_ended() const {
  return std::all_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.ended; });
}

bool Launcher::output_ended() const {
  auto open = [](const Rank& rank) { return rank.out.open() || rank.err.open(); };
  if (std::none_of(ranks_.begin(), ranks_.end(), open)) return true;
  // A congested console is a reason to wait for its reader, not to drop output.
  bool congested = around_.console.pending();
  return ended_ && !congested && Clock::now() >= *ended_ + output_after_end;
}

Outcome Launcher::outcome() {
  if (around_.server != nullptr) {
    around_.server->settle();
    for (RankEnd& end : ends_) end.left_world_open = end.status.success() && around_.server->left_open(end.rank);
  }
  if (decided_) return *decided_;
  Outcome result = judged();
  if (result.culprit >= 0) result.last_words = last_words_of(result.culprit);
  if (job_->node == 0 && !loss_) tell(NodeEvent::of_outcome(result));
  return result;
}

Outcome Launcher::judged() const {
  if (killed_by_user_) return {128 + SIGINT, "trireme run: interrupted twice; all ranks were killed", true};
  if (loss_is_cause_) {
    // A host that is gone: as of what was killed. Platforms start a job again after such a code, and not after one of a mistake.
    const int code = loss_->node >= 0 ? 128 + SIGKILL : 1;
    return {code, "trireme run: " + loss_->message + "; the ranks of the other hosts ended with it"};
  }
  if (lost_server_) {
    const std::string server = "server " + std::to_string(lost_server_->server) + " " + lost_server_->status.sentence();
    return {.exit_code = std::max(lost_server_->status.shell_code(), 1),
            // What the user is to mend is the same for all of them, whatever others hold.
            .line = "trireme run: " + server +
                    (lost_server_->status.code == code_of_refusal ? "" : ", and no other server had what it held") +
                    "; the ranks ended with it",
            .last_words = lost_server_->last_words};
  }
  const Outcome rest = judged_rest();
  return failed_ || left_behind_.empty() ? rest : judge_without(left_behind_, rest);
}

/// But for those that the job goes on without.
Outcome Launcher::judged_rest() const {
  if (interrupted_by_ && std::any_of(ends_.begin(), ends_.end(), [](const RankEnd& end) { return end.failed(); }))
    return judge_interrupted(ends_, *interrupted_by_, options_.interrupted_exit_code);
  std::optional<rendezvous::Cause> verdict;
  if (around_.server != nullptr) verdict = around_.server->verdict();
  // Ranks that never joined agreed on nothing, but that one of them was not to come, or told otherwise than the rest.
  const bool names_success = verdict && std::any_of(ends_.begin(), ends_.end(), [&](const RankEnd& end) {
                               return end.rank == verdict->member && end.status.success();
                             });
  const bool is_mismatch = verdict && verdict->code == ErrorCode::mismatch;
  if (verdict && !around_.server->everyone_joined() && !names_success && !is_mismatch) verdict.reset();
  return judge(ends_, verdict, around_.console.repetitions().first_speaker(), options_.interrupted_exit_code);
}

std::string Launcher::last_words_of(int rank) const {
  for (const Rank& own : ranks_) {
    if (own.part == Part::rank && own.rank == rank)
      return (*redact_)(own.err.last_line()).substr(0, longest_last_words);
  }
  const auto found = last_words_.find(rank);
  return found == last_words_.end() ? "" : found->second;
}

}  // namespace trireme::cli
