// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/compare.hpp"

#include "cli/doctor/machine.hpp"
#include "cli/perf/buffer.hpp"
#include "cli/perf/captured.hpp"
#include "cli/perf/comparison.hpp"
#include "cli/perf/json_file.hpp"
#include "cli/run/program.hpp"
#include "platform/placement.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <thread>

#include <unistd.h>

namespace trireme::cli {
namespace {

using Words = std::vector<std::string>;

constexpr std::chrono::minutes longest_run{20};

// How long to wait, over all runs, for the processors to be near each other, and how often to repeat a run after which
// they are not. After that it counts as it is, and is said to.
constexpr std::chrono::seconds patience_for_placement{60};
constexpr std::chrono::milliseconds between_probes{100};
constexpr int most_attempts = 4;

/// A folder for what the runs leave, removed with it.
class Scratch {
 public:
  Scratch() {
    std::string name = (std::filesystem::temp_directory_path() / "trireme-perf-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) fail_system("mkdtemp " + name, errno);
    path_ = name;
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

void append(Words& words, const Words& more) { words.insert(words.end(), more.begin(), more.end()); }

[[noreturn]] void not_here(const Peer& peer, const std::string& what) {
  const std::string usual =
      "`scripts/bootstrap --peers` installs " + peer.product + ", a build after it makes the program";
  fail(ErrorCode::invalid_argument,
       "--compare " + peer.name + ": " + what + "; " + (peer.remedy.empty() ? usual : peer.remedy));
}

std::string find_launcher(const Peer& peer, const platform::Environment& environment, const std::string& self) {
  if (peer.launchers.empty()) return self;
  for (const std::string& name : peer.launchers) {
    const Program program = find_program(name, environment);
    if (program.exit_code == 0) return program.path;
  }
  not_here(peer, "there is no " + peer.launchers.front() + " on PATH");
}

std::string find_peer_program(const Peer& peer, const PerfOptions& options, const std::string& self) {
  const std::filesystem::path folder = options.compare->peers_dir ? std::filesystem::path(*options.compare->peers_dir)
                                                                  : std::filesystem::path(self).parent_path() / "peers";
  const std::string path = (folder / peer.program).string();
  const std::string clean = std::filesystem::path(path).lexically_normal().string();
  if (::access(path.c_str(), X_OK) != 0)
    not_here(peer, "there is no program " + clean + " (start trireme from the build tree, or give --peers-dir)");
  return path;
}

Words our_measurement(const PerfOptions& options) {
  Words words{std::string(options.operation->name),    "--min-bytes",
              std::to_string(options.min_bytes.value), "--max-bytes",
              std::to_string(options.max_bytes.value), "--factor",
              std::to_string(options.factor),          "--dtype",
              std::string(name_of(options.dtype)),     "--warmup",
              std::to_string(options.warmup),          options.cold ? "--cold" : "--warm"};
  if (options.iterations) append(words, {"--iterations", std::to_string(*options.iterations)});
  return words;
}

/// The same, spelled out: see bench/peers/peer.hpp.
Words their_measurement(const PerfOptions& options) {
  Words words{std::string(name_of(options.dtype)), options.cold ? "cold" : "warm", std::to_string(options.warmup)};
  for (const std::size_t count : perf_counts(options, options.compare->ranks)) {
    const std::size_t size = count * size_of(options.dtype);
    words.push_back(std::to_string(count) + ":" + std::to_string(options.iterations_for(Bytes{size})) + ":" +
                    std::to_string(Rotation(size, options.cold).buffers()));
  }
  return words;
}

class Rounds {
 public:
  Rounds(const PerfOptions& options, const platform::Environment& environment)
      : options_(options), how_(*options.compare), self_(std::filesystem::read_symlink("/proc/self/exe").string()) {
    transport_ = options.transport.value_or(environment.find("TRIREME_TRANSPORT").value_or("auto"));
    if (how_.peer == "gloo" && transport_ == "auto" && !options.transport) transport_ = "tcp";  // all that it has
    processors_ = describe_machine().processors;
    peer_ = describe_peer(how_.peer, {.ranks = how_.ranks,
                                      .processors = processors_,
                                      .tcp = transport_ == "tcp",
                                      .root = ::geteuid() == 0,
                                      .arena = options.arena});
    launcher_ = find_launcher(peer_, environment, self_);
    program_ = find_peer_program(peer_, options, self_);
    // Before "--" where the launcher ends its own arguments with it.
    const auto place =
        !peer_.arguments.empty() && peer_.arguments.back() == "--" ? peer_.arguments.end() - 1 : peer_.arguments.end();
    peer_.arguments.insert(place, how_.peer_arguments.begin(), how_.peer_arguments.end());
    comparison_.theirs.resize(peer_.settings.size());
  }

  const Peer& peer() const { return peer_; }

  /// Errors: system when a program fails; corrupt when one has measured nothing.
  void run(std::uint64_t round) {
    const std::size_t contenders = peer_.settings.size() + 1;
    for (std::size_t i = 0; i < contenders; ++i) {
      const std::size_t at = (i + static_cast<std::size_t>(round)) % contenders;
      placed([&] { return at == 0 ? run_ours() : run_theirs(at - 1); },
             at == 0 ? comparison_.ours : comparison_.theirs[at - 1]);
    }
  }

  std::vector<ComparedSize> sizes() const { return compare_sizes(comparison_); }
  const Placed& placed() const { return placed_; }
  std::uint64_t wrong() const { return wrong_; }

 private:
  /// Keeps one run, between two looks at the processors that both find them near; else it is repeated.
  template <class Start>
  void placed(Start start, std::vector<Run>& rounds) {
    for (int attempt = 1;; ++attempt) {
      const bool before = !how_.near || await_near();
      Run run = start();
      for (const Timing& timing : run) wrong_ += timing.wrong;  // of repeated runs, too
      const bool near = before && (!how_.near || is_near());
      if (!near && attempt < most_attempts && patience_left_.count() > 0) {
        ++placed_.repeated;
        continue;
      }
      ++placed_.runs;
      if (!near) ++placed_.elsewhere;
      return rounds.push_back(std::move(run));
    }
  }

  /// One processor alone is near itself.
  static bool is_near() {
    const auto placement = platform::probe_placement();
    return !placement || placement->is_near();
  }

  bool await_near() {
    const auto begin = std::chrono::steady_clock::now();
    while (!is_near()) {
      if (std::chrono::steady_clock::now() - begin >= patience_left_) {
        if (patience_left_.count() > 0)
          std::fputs(
              "trireme perf: the processors are seldom near each other here; what follows counts as it comes, as with "
              "--placement any\n",
              stderr);
        patience_left_ = {};
        return false;
      }
      std::this_thread::sleep_for(between_probes);
    }
    patience_left_ -= std::min(patience_left_, std::chrono::steady_clock::now() - begin);
    return true;
  }

  Run run_ours() {
    const Scratch scratch;
    Words command{
        self_, "run", "-n",  std::to_string(how_.ranks), "--bind", how_.ranks <= processors_ ? "core" : "none",
        "--",  self_, "perf"};
    append(command, our_measurement(options_));
    append(command, {"--transport", transport_, "--memory", options_.arena ? "arena" : "foreign", "--order",
                     std::string(name_of(options_.order)), "--json", scratch.file("rows.json")});
    if (options_.algorithm) append(command, {"--algorithm", *options_.algorithm});
    static_cast<void>(output_of(command, "trireme"));
    std::ifstream file(scratch.file("rows.json"));
    const std::string json{std::istreambuf_iterator<char>(file), {}};
    return measured(parse_perf_rows(json), "trireme");
  }

  Run run_theirs(std::size_t index) {
    const Scratch scratch;
    const PeerSetting& setting = peer_.settings[index];
    Words command{launcher_};
    append(command, peer_.arguments);
    append(command, setting.launcher_arguments);
    command.push_back(program_);
    append(command, setting.program_arguments);
    if (peer_.name == "gloo") command.push_back(scratch.file(""));  // where its ranks find each other
    append(command, their_measurement(options_));
    const std::string name = peer_.product + ", " + setting.name;
    return measured(parse_peer_lines(output_of(command, name)), name);
  }

  std::string output_of(const Words& command, const std::string& name) {
    const Captured captured = run_captured(command, longest_run);
    if (captured.exit_code == 0 && !captured.timed_out) return captured.out;
    std::fputs(captured.err.c_str(), stderr);
    std::string line;
    for (const std::string& word : command) line += " " + word;
    fail(ErrorCode::system, "--compare: " + name +
                                (captured.timed_out ? " did not end within 20 minutes"
                                                    : " ended with exit code " + std::to_string(captured.exit_code)) +
                                "; the command was" + line);
  }

  static Run measured(Run run, const std::string& name) {
    if (run.empty()) fail(ErrorCode::corrupt, "--compare: " + name + " has measured nothing");
    return run;
  }

  const PerfOptions& options_;
  const CompareOptions& how_;
  std::string self_, transport_, launcher_, program_;
  int processors_ = 1;
  Peer peer_;
  Comparison comparison_;
  Placed placed_;
  std::chrono::steady_clock::duration patience_left_ = patience_for_placement;
  std::uint64_t wrong_ = 0;
};

}  // namespace

int compare(const PerfOptions& options, const platform::Environment& environment) {
  if (environment.find("WORLD_SIZE").value_or("1") != "1") {
    fail(ErrorCode::invalid_argument,
         "--compare starts the ranks itself: call it without `trireme run`, the number of ranks is its -n");
  }
  Rounds rounds(options, environment);
  std::optional<JsonFile> json;
  if (options.json) json.emplace(*options.json);
  const std::string host = net::host_name();
  std::fputs(comparison_heading(options, rounds.peer(), host).c_str(), stdout);
  std::fflush(stdout);
  for (std::uint64_t round = 0; round < options.compare->rounds; ++round) {
    std::fprintf(stderr, "trireme perf: round %llu of %llu\n", static_cast<unsigned long long>(round + 1),
                 static_cast<unsigned long long>(options.compare->rounds));
    rounds.run(round);
    if (json) json->write(comparison_json(options, rounds.peer(), host, rounds.sizes(), rounds.placed()));
  }
  std::fputs(comparison_table(rounds.peer(), rounds.sizes(), rounds.placed()).c_str(), stdout);
  std::fflush(stdout);
  if (json) json->finish();
  if (rounds.wrong() != 0)
    std::fprintf(stderr, "trireme perf: %llu elements were wrong\n", static_cast<unsigned long long>(rounds.wrong()));
  return rounds.wrong() != 0;
}

}  // namespace trireme::cli
