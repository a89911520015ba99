// SPDX-License-Identifier: Apache-2.0
#include "cli/exit_code.hpp"
#include "cli/subcommand.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>

#include <unistd.h>

namespace {

using trireme::cli::Invocation;
using trireme::cli::Subcommand;

constexpr std::array<Subcommand, 6> subcommands{{
    {"run", "start N ranks of any program on this host", trireme::cli::run},
    {"train", "train a model, alone or as one of the ranks of a job", trireme::cli::train},
    {"perf", "measure a collective beside what memory or sockets allow here", trireme::cli::perf},
    {"plan", "predict which meshes train a model within memory, and how fast", trireme::cli::plan_mesh},
    {"entry", "the entry point of a container", trireme::cli::entry},
    {"doctor", "show what Trireme sees here, and what is wrong", trireme::cli::doctor},
}};

void print_help() {
  std::puts("trireme: distributed training in C++\n\nusage: trireme COMMAND …\n");
  for (const Subcommand& subcommand : subcommands) {
    std::printf("  %-8s %s\n", std::string(subcommand.name).c_str(), std::string(subcommand.summary).c_str());
  }
  std::puts("\n`trireme COMMAND --help` lists the flags of a command; `trireme --version` prints the version.");
}

int refuse(const std::string& who, std::string message, int exit_code) {
  std::replace(message.begin(), message.end(), '\n', ' ');  // one line, whatever a variable or file name holds
  std::fflush(stdout);
  std::fprintf(stderr, "%s: %s\n", who.c_str(), message.c_str());
  return exit_code;
}

int call(const Subcommand& subcommand, const Invocation& invocation) {
  std::string who = "trireme " + std::string(subcommand.name);
  try {
    return subcommand.entry(invocation);
  } catch (const trireme::Exception& exception) {
    const trireme::Error& error = exception.error();
    return refuse(who, trireme::cli::words_of(error), trireme::cli::is_users(error.code) ? 2 : 1);
  } catch (const std::exception& exception) {
    return refuse(who, exception.what(), 1);
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  if (words.empty()) return refuse("trireme", "no command given; `trireme --help` lists them", 2);
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_help();
    return 0;
  }
  if (words[0] == "--version") {
    std::puts("trireme " TRIREME_VERSION);
    return 0;
  }
  for (const Subcommand& subcommand : subcommands) {
    if (words[0] != subcommand.name) continue;
    Invocation invocation{{words.begin() + 1, words.end()}, trireme::platform::Environment::of_process(environ)};
    return call(subcommand, invocation);
  }
  const char* kind = words[0][0] == '-' ? "flag" : "command";
  return refuse("trireme", std::string("unknown ") + kind + " '" + words[0] + "'; `trireme --help` lists the commands",
                2);
}
