// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/launched.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace trireme::testing {
namespace {

bool describes_a_job(const std::string& entry) {
  for (const char* prefix : {"RANK=",
                             "WORLD_SIZE=",
                             "LOCAL_",
                             "GROUP_",
                             "MASTER_",
                             "TRIREME_",
                             "TORCHELASTIC_",
                             "OMPI_",
                             "PMI_",
                             "SLURM_",
                             "PET_",
                             "NODE_RANK=",
                             "CLUSTER_SPEC=",
                             "TF_CONFIG=",
                             "CLOUD_ML_",
                             "AIP_",
                             "AZUREML_",
                             "AZURE_ML_",
                             "AZ_BATCH",
                             "TRAINING_JOB_",
                             "SAGEMAKER_",
                             "SM_",
                             "KUBERNETES_",
                             "K_MPI_",
                             "JOB_COMPLETION_INDEX=",
                             "OMP_NUM_THREADS=",
                             "OPENBLAS_NUM_THREADS="}) {
    if (entry.rfind(prefix, 0) == 0) return true;
  }
  return false;
}

std::vector<std::string> environment_with(const std::map<std::string, std::string>& added) {
  std::vector<std::string> entries;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string text = *entry;
    if (!describes_a_job(text) && added.count(text.substr(0, text.find('='))) == 0) entries.push_back(text);
  }
  for (const auto& [name, value] : added) entries.push_back(name + "=" + value);
  return entries;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

}  // namespace

Launched::Launched(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment,
                   const std::string& program)
    : started_(std::chrono::steady_clock::now()) {
  std::vector<std::string> words{program.empty() ? TRIREME_PROGRAM : program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> entries = environment_with(environment);
  std::vector<char*> argv = pointers(words);
  std::vector<char*> envp = pointers(entries);
  int out[2];
  int err[2];
  REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
  REQUIRE(::pipe2(err, O_CLOEXEC) == 0);
  const pid_t test = ::getpid();
  process_ = ::fork();
  REQUIRE(process_ >= 0);
  if (process_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // nothing outlives a test that is killed
    if (::getppid() != test) ::_exit(99);
    ::dup2(out[1], 1);
    ::dup2(err[1], 2);
    ::execve(argv[0], argv.data(), envp.data());
    ::_exit(99);
  }
  ::close(out[1]);
  ::close(err[1]);
  out_ = out[0];
  err_ = err[0];
}

Launched::~Launched() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  close_streams();
}

void Launched::close_streams() {
  for (int* stream : {&out_, &err_}) {
    if (*stream >= 0) ::close(*stream);
    *stream = -1;
  }
}

void Launched::signal(int number) const { REQUIRE(::kill(process_, number) == 0); }

/// False when both streams have ended.
bool Launched::read_some() {
  if (out_ < 0 && err_ < 0) return false;
  pollfd watched[2] = {{out_, POLLIN, 0}, {err_, POLLIN, 0}};
  ::poll(watched, 2, 100);
  int* streams[2] = {&out_, &err_};
  std::string* texts[2] = {&result_.out, &result_.err};
  for (int i = 0; i < 2; ++i) {
    if (watched[i].revents == 0) continue;
    char buffer[65536];
    ssize_t count = ::read(*streams[i], buffer, sizeof buffer);
    if (count > 0) {
      texts[i]->append(buffer, static_cast<std::size_t>(count));
    } else {
      ::close(*streams[i]);
      *streams[i] = -1;
    }
  }
  return true;
}

void Launched::await_out(const std::string& text) { await(result_.out, text); }

void Launched::await_err(const std::string& text) { await(result_.err, text); }

void Launched::await(const std::string& stream, const std::string& text) {
  while (stream.find(text) == std::string::npos) {
    INFO("stdout so far: " << result_.out << "\nstderr so far: " << result_.err);
    bool open = read_some();
    REQUIRE(open);
    REQUIRE(std::chrono::steady_clock::now() - started_ < limit);
  }
}

Result Launched::wait(std::chrono::seconds longest) {
  while (read_some()) {
    INFO("stdout so far: " << result_.out << "\nstderr so far: " << result_.err);
    REQUIRE(std::chrono::steady_clock::now() - started_ < longest);
  }
  int status = 0;
  auto ended = [&] { return ::waitpid(process_, &status, WNOHANG) == process_; };
  REQUIRE(eventually(ended, limit));
  process_ = -1;
  result_.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  result_.elapsed = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started_);
  return result_;
}

Result run_trireme(const std::vector<std::string>& arguments, const std::map<std::string, std::string>& environment) {
  return Launched(arguments, environment).wait();
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds patience) {
  auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

bool is_alive(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string stat;
  if (!std::getline(file, stat)) return false;
  auto name_end = stat.rfind(')');
  return name_end != std::string::npos && name_end + 2 < stat.size() && stat[name_end + 2] != 'Z' &&
         stat[name_end + 2] != 'X';
}

std::string prefix_of(int rank) {
  std::string prefix = "[";
  prefix += std::to_string(rank);
  prefix += "] ";
  return prefix;
}

std::vector<std::string> sorted_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  std::sort(lines.begin(), lines.end());
  return lines;
}

namespace {
std::set<std::string> shared_memory_of_ours() {
  std::set<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    const std::string name = entry.path().filename();
    if (name.find("trireme") != std::string::npos) found.insert(entry.path());
  }
  return found;
}
}  // namespace

LeftBehind::LeftBehind() : shared_memory_(shared_memory_of_ours()) {}

std::vector<std::string> LeftBehind::files() const {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(temporary_.path()))
    found.push_back(entry.path());
  for (const std::string& path : shared_memory_of_ours()) {
    if (!shared_memory_.contains(path)) found.push_back(path);
  }
  return found;
}

}  // namespace trireme::testing
