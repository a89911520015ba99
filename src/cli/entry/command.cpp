// SPDX-License-Identifier: Apache-2.0
#include "cli/entry/command.hpp"

#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string_view>

namespace trireme::cli {
namespace {

constexpr std::uint16_t default_port = 7777;
constexpr int most_processes = 4096;
/// `docker run IMAGE doctor` is `trireme doctor`.
constexpr std::array<std::string_view, 4> own_commands{"doctor", "run", "perf", "plan"};

using Word = std::vector<std::string>::const_iterator;

/// The value of flag `name` at `at`, "--name value" or "--name=value", and `at` behind it; nothing when another word is there.
std::optional<std::string> take_flag(std::string_view name, Word& at, Word end) {
  const std::string_view word = *at;
  if (word == name) {
    if (at + 1 == end) fail(ErrorCode::invalid_argument, std::string(name) + " needs a value");
    at += 2;
    return *(at - 1);
  }
  if (word.starts_with(name) && word.substr(name.size()).starts_with('=')) {
    ++at;
    return std::string(word.substr(name.size() + 1));
  }
  return std::nullopt;
}

std::chrono::seconds seconds_of(std::string_view flag, const std::string& text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0)
    fail(ErrorCode::invalid_argument, std::string(flag) + " must be whole seconds, got '" + text + "'");
  return std::chrono::seconds(value);
}

/// Ranks of this host to start.
int local_ranks(const platform::Environment& environment, const platform::ClusterSpec& spec) {
  if (const auto count = environment.integer("TRIREME_PROCS_PER_NODE", 1, most_processes)) return *count;
  return spec.local_world.value_or(1);
}

/// A hyperparameter's value, one line of JSON, as a program takes it: texts without quotation marks.
std::string plain_value(const std::string& json) {
  const auto value = nlohmann::json::parse(json, nullptr, false);
  return value.is_string() ? value.get<std::string>() : json;
}

}  // namespace

EntryOptions parse_entry_options(const std::vector<std::string>& arguments) {
  EntryOptions options;
  Word at = arguments.begin();
  const Word end = arguments.end();
  while (at != end) {
    if (*at == "--help" || *at == "-h") {
      options.help = true;
      return options;
    }
    if (auto root = take_flag("--root", at, end)) {
      if (root->empty()) fail(ErrorCode::invalid_argument, "--root: the name of the folder is empty");
      options.root = std::move(root);
    } else if (auto grace = take_flag("--grace", at, end)) {
      options.grace = std::move(grace);
    } else if (const auto limit = take_flag("--config-timeout", at, end)) {
      options.config_timeout = seconds_of("--config-timeout", *limit);
    } else {
      break;
    }
  }
  if (at == end) return options;
  if (at->starts_with('-')) {
    options.words.assign(at, end);
    return options;
  }
  if (*at == "serve") {
    options.kind = EntryOptions::Kind::serve;
    return options;
  }
  if (*at != "train") {
    options.kind = EntryOptions::Kind::command;
    const bool is_ours = std::find(own_commands.begin(), own_commands.end(), *at) != own_commands.end();
    if (is_ours) options.words.emplace_back("trireme");
    options.words.insert(options.words.end(), at, end);
    return options;
  }
  ++at;
  if (at != end && *at == "--") {
    options.names_program = true;
    ++at;
    if (at == end || at->empty())
      fail(ErrorCode::invalid_argument, "no program given behind `train --`: write it there, as in train -- ./program");
  }
  options.words.assign(at, end);
  return options;
}

std::vector<std::string> training_command(const EntryOptions& options, const std::optional<std::string>& program,
                                          const platform::ClusterSpec& spec) {
  std::vector<std::string> command;
  const bool is_users = options.names_program || program;
  if (!is_users) command = {"trireme", "train"};
  if (program && !options.names_program) command = {*program};
  command.insert(command.end(), options.words.begin(), options.words.end());
  if (!is_users) return command;
  for (const auto& [name, value] : spec.hyperparameters) command.push_back("--" + name + "=" + plain_value(value));
  return command;
}

RunOptions run_options(const EntryOptions& options, const platform::Environment& environment,
                       const platform::ClusterSpec& spec, const std::vector<std::string>& command) {
  // Parsed as typed, so that what `trireme run` says of a number holds here too.
  std::vector<std::string> words{"-n", std::to_string(local_ranks(environment, spec))};
  if (options.grace) words.insert(words.end(), {"--grace", *options.grace});
  words.emplace_back("--");
  words.insert(words.end(), command.begin(), command.end());
  RunOptions run = parse_run_options(words).value();
  run.interrupted_exit_code = interrupted_code(command, spec);
  if (!options.grace) run.grace = grace_within(spec.stop_grace);
  if (spec.level != "node") return run;
  run.remote_servers = spec.servers;
  if (!run.spans_hosts() && spec.nnodes.value_or(1) == 1) return run;
  run.nnodes = spec.nnodes.value_or(1);
  run.node_rank = spec.node_rank.value_or(0);
  run.node_name = spec.node_name;
  run.node_names = spec.hosts;
  run.rendezvous.host = spec.master.value_or(spec.hosts.empty() ? "" : spec.hosts.front());
  run.rendezvous.port = spec.port.value_or(default_port);
  if (run.rendezvous.host.empty())
    fail(ErrorCode::invalid_argument, "this is one of " + std::to_string(run.nnodes + run.remote_servers) +
                                          " hosts, but nothing names the first: set MASTER_ADDR and MASTER_PORT");
  return run;
}

int interrupted_code(const std::vector<std::string>& words, const platform::ClusterSpec& spec) {
  constexpr std::string_view flag = "--interrupted-exit-code";
  std::string text;
  for (const auto& [name, value] : spec.hyperparameters) {
    std::string spelled = name;
    std::replace(spelled.begin(), spelled.end(), '_', '-');
    if ("--" + spelled == flag) text = plain_value(value);
  }
  for (Word at = words.begin(); at != words.end();) {  // a flag counts more
    if (*at == flag && at + 1 == words.end()) break;   // training says what is missing
    if (const auto value = take_flag(flag, at, words.end())) {
      text = *value;
    } else {
      ++at;
    }
  }
  int code = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
  const bool is_code = error == std::errc() && end == text.data() + text.size() && code >= 1 && code <= 255;
  return is_code ? code : RunOptions().interrupted_exit_code;
}

std::chrono::milliseconds grace_within(std::chrono::seconds stop_grace) {
  const std::chrono::milliseconds all = stop_grace;
  const std::chrono::milliseconds margin = std::max(all / 10, std::chrono::milliseconds(1000));
  return std::max(all - margin, all / 2);
}

}  // namespace trireme::cli
