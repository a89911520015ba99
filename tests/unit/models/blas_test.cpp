// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/blas.hpp"

#include "models/blas_library.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <cstdlib>
#include <string>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

using namespace trireme;

namespace {

/// Starts the probe (a program whose main() calls settle_blas_environment first) with exactly this environment and
/// returns the lines it prints: its arguments, BLAS description and environment.
std::string run_probe(std::vector<std::string> environment, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), TRIREME_BLAS_PROBE);
  std::vector<char*> argv;
  std::vector<char*> envp;
  for (auto& argument : arguments) argv.push_back(argument.data());
  for (auto& variable : environment) envp.push_back(variable.data());
  argv.push_back(nullptr);
  envp.push_back(nullptr);
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    close(ends[0]);
    close(ends[1]);
    execve(argv[0], argv.data(), envp.data());
    _exit(127);
  }
  close(ends[1]);
  std::string output;
  char buffer[512];
  for (;;) {
    const ssize_t got = read(ends[0], buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    output.append(buffer, static_cast<std::size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
  return output;
}

std::string wanted() { return models::wanted_blas_core() != nullptr ? models::wanted_blas_core() : ""; }

}  // namespace

TEST_CASE("blas_description names library, core and threads") {
  const auto info = models::blas_info();
  CHECK_FALSE(info.library.empty());
  CHECK_FALSE(info.core.empty());
  CHECK(info.threads >= 1);
  CHECK_THAT(models::blas_description(), Catch::Contains(info.library) && Catch::Contains("core " + info.core));
}

TEST_CASE("a program that settles its BLAS runs the wanted core on one thread with its own arguments") {
  const std::string output = run_probe({}, {"--flag", "two words"});
  CAPTURE(output);
  CHECK_THAT(output, Catch::Contains("argument --flag\nargument two words\n"));
  CHECK_THAT(output, Catch::Contains(", 1 thread\n"));
  CHECK_THAT(output, Catch::Contains("OMP_NUM_THREADS=1\nOPENBLAS_NUM_THREADS=1\n"));
  CHECK_THAT(output, Catch::Contains("TRIREME_BLAS_SETTLED=(unset)\n"));
  if (!wanted().empty()) CHECK_THAT(output, Catch::Contains("core " + wanted() + ","));
}

TEST_CASE("what the user has set is left as it is") {
  const std::string output =
      run_probe({"OMP_NUM_THREADS=2", "OPENBLAS_NUM_THREADS=2", "OPENBLAS_CORETYPE=Nehalem"}, {});
  CAPTURE(output);
  CHECK_THAT(output, Catch::Contains("OMP_NUM_THREADS=2\nOPENBLAS_NUM_THREADS=2\nOPENBLAS_CORETYPE=Nehalem\n"));
  if (!wanted().empty()) CHECK_THAT(output, Catch::Contains("core Nehalem,"));
}

TEST_CASE("a program executes itself at most once more") {
  // As if the first start had not led to the wanted core: it goes on with what it has.
  const std::string output = run_probe({"TRIREME_BLAS_SETTLED=1"}, {});
  CAPTURE(output);
  CHECK_THAT(output, Catch::Contains("TRIREME_BLAS_SETTLED=(unset)\n"));
  if (!wanted().empty() && wanted() != models::blas_info().core) {
    // This process chose its core by the same CPU, and without OPENBLAS_CORETYPE unless the environment says so.
    if (std::getenv("OPENBLAS_CORETYPE") == nullptr) {
      CHECK_THAT(output, Catch::Contains("core " + models::blas_info().core + ","));
    }
  }
}
