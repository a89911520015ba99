// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "support/temporary_folder.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <sys/types.h>

namespace trireme::testing {

/// How a program ended and what it wrote.
struct Result {
  int exit_code = -1;  ///< 128 + n for signal n
  std::string out;
  std::string err;
  std::chrono::milliseconds elapsed{0};
};

/// The built `trireme` with some arguments, started as a child of the test. No wait of this class is unbounded: after
/// `limit` the program is killed and the test fails. The destructor kills what still runs.
class Launched {
 public:
  static constexpr std::chrono::seconds limit{180};
  /// `environment` is added to the test's own, from which every variable that describes a job is taken away.
  /// `program`: another one than `trireme`.
  explicit Launched(const std::vector<std::string>& arguments,
                    const std::map<std::string, std::string>& environment = {}, const std::string& program = "");
  Launched(const Launched&) = delete;
  ~Launched();

  pid_t process() const { return process_; }
  /// Waits until `text` has been written to stdout; fails the test when the program ends before.
  void await_out(const std::string& text);
  void await_err(const std::string& text);  ///< the same of stderr
  void signal(int number) const;
  /// Waits for the end, at most `longest` from the start on.
  Result wait(std::chrono::seconds longest = limit);
  const std::string& out() const { return result_.out; }

 private:
  void await(const std::string& stream, const std::string& text);
  bool read_some();
  void close_streams();
  pid_t process_ = -1;
  int out_ = -1;
  int err_ = -1;
  Result result_;
  std::chrono::steady_clock::time_point started_;
};

/// Launched(…).wait()
Result run_trireme(const std::vector<std::string>& arguments,
                   const std::map<std::string, std::string>& environment = {});

/// Polls until `condition` holds, for at most `limit`.
bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit);

/// Whether the process is there and no zombie.
bool is_alive(pid_t process);

/// How the launcher marks the lines of `rank`: "[3] ".
std::string prefix_of(int rank);

/// The lines of `text`, sorted: ranks write in any order.
std::vector<std::string> sorted_lines(const std::string& text);

/// Where a job could leave files: a temporary folder of its own, and /dev/shm under our name. Other tests use the
/// system's temporary folder at the same time.
class LeftBehind {
 public:
  LeftBehind();
  /// What the job's environment must hold: TMPDIR.
  std::map<std::string, std::string> environment() const { return {{"TMPDIR", temporary_.path()}}; }
  /// The files that are there now and were not at construction.
  std::vector<std::string> files() const;

 private:
  TemporaryFolder temporary_;
  std::set<std::string> shared_memory_;
};

}  // namespace trireme::testing
