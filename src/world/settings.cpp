// SPDX-License-Identifier: Apache-2.0
#include "world/settings.hpp"

#include "trireme/base/error.hpp"
#include "trireme/device/cuda.hpp"
#include "trireme/net/host.hpp"
#include "trireme/net/socket.hpp"
#include "trireme/plan/plans.hpp"
#include "trireme/platform/secret_variable.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace trireme {
namespace {

/// An option, or else a variable: its text and the name to blame.
struct Setting {
  std::optional<std::string> text;
  std::string name;
};

Setting pick(const std::optional<std::string>& option, std::string_view option_name,
             const platform::Environment& environment, std::string_view variable) {
  if (option) return {option, "Options::" + std::string(option_name)};
  return {environment.find(variable), std::string(variable)};
}

[[noreturn]] void refuse(const Setting& setting, const std::string& expected) {
  fail(ErrorCode::invalid_argument, setting.name + " is '" + *setting.text + "': " + expected);
}

/// What `call` returns; its refusal names `name` too, which the rooms below do not know.
template <class Call>
auto blaming(std::string_view name, Call call) {
  try {
    return call();
  } catch (const Exception& caught) {
    fail(caught.error().code, std::string(name) + ": " + caught.error().message);
  }
}

net::JobKey key_of(const platform::Environment& environment, const platform::ClusterSpec& cluster, const Log& log) {
  if (const auto file = environment.find("TRIREME_JOB_KEY_FILE")) {
    return blaming("TRIREME_JOB_KEY_FILE", [&] { return net::JobKey::from_file(*file); });
  }
  if (const auto text = environment.find("TRIREME_JOB_KEY")) {
    return blaming("TRIREME_JOB_KEY", [&] { return net::JobKey::from_text(*text); });
  }
  if (cluster.world > 1 && cluster.store_served) {
    fail(ErrorCode::invalid_argument,
         "TRIREME_JOB_KEY is not there: `trireme run` gives it to every rank, and the first World that a process opens "
         "takes it out of the environment; keep that World open as long as the process needs one");
  }
  if (cluster.world > 1 && !cluster.master) return net::JobKey::random();  // rank 0's goes to all through MPI
  if (cluster.world > 1 && cluster.rank == 0) {
    log(LogLevel::warning,
        "no job key: TRIREME_JOB_KEY_FILE and TRIREME_JOB_KEY are unset; the key derived from the job's address keeps jobs "
        "apart but does not keep attackers out");
  }
  return net::JobKey::derived(cluster.job_id + "/" + cluster.master.value_or("") + ":" +
                              std::to_string(cluster.port.value_or(0)));
}

/// The option, or else the variable, in seconds.
std::optional<std::chrono::milliseconds> settle_time(const std::optional<std::chrono::milliseconds>& option,
                                                     std::string_view option_name,
                                                     const platform::Environment& environment,
                                                     std::string_view variable) {
  if (option) {
    if (option->count() > 0) return option;
    fail(ErrorCode::invalid_argument, "Options::" + std::string(option_name) + " is " +
                                          std::to_string(option->count()) + " ms: give a positive time");
  }
  const Setting setting{environment.find(variable), std::string(variable)};
  if (!setting.text) return std::nullopt;
  char* end = nullptr;
  const double seconds = std::strtod(setting.text->c_str(), &end);
  if (end == setting.text->c_str() || *end != '\0' || !std::isfinite(seconds) || seconds <= 0 || seconds > 1e7) {
    refuse(setting, "give seconds above 0 and at most 1e7");
  }
  return std::chrono::milliseconds(static_cast<long long>(std::ceil(seconds * 1000)));
}

void settle_port_range(const Setting& setting, transport::TcpOptions& tcp) {
  if (!setting.text) return;
  const std::string& text = *setting.text;
  const auto dash = text.find('-');
  const auto parse = [&](std::string_view part, std::uint16_t& port) {
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), port);
    return error == std::errc() && end == part.data() + part.size() && port != 0;
  };
  const std::string_view view = text;
  if (dash == std::string::npos || !parse(view.substr(0, dash), tcp.first_port) ||
      !parse(view.substr(dash + 1), tcp.last_port) || tcp.first_port > tcp.last_port) {
    refuse(setting, "give two ports, as in 40000-40100");
  }
}

/// The option, or else the variable: a whole number of [least, most].
std::optional<std::uint64_t> settle_number(const std::optional<std::uint64_t>& option, std::string_view option_name,
                                           const platform::Environment& environment, std::string_view variable,
                                           std::uint64_t least, std::uint64_t most) {
  std::optional<std::string> text;
  if (option) text = std::to_string(*option);
  const Setting setting = pick(text, option_name, environment, variable);
  if (!setting.text) return std::nullopt;
  std::uint64_t value = 0;
  const char* const begin = setting.text->data();
  const auto [end, error] = std::from_chars(begin, begin + setting.text->size(), value);
  if (error != std::errc() || end != begin + setting.text->size() || value < least || value > most)
    refuse(setting, "give " + std::to_string(least) + " to " + std::to_string(most));
  return value;
}

bool has_addresses(const std::string& interface) {
  try {
    return !net::interface_addresses(interface).empty();
  } catch (const Exception&) {
    return false;
  }
}

void settle_tcp(const Options& options, const platform::Environment& environment, transport::TcpOptions& tcp) {
  std::optional<std::uint64_t> flows, buffer_bytes;
  if (options.tcp_flows) {
    if (*options.tcp_flows < 0)
      fail(ErrorCode::invalid_argument, "Options::tcp_flows is '" + std::to_string(*options.tcp_flows) +
                                            "': give 1 to " + std::to_string(transport::TcpOptions::most_flows));
    flows = static_cast<std::uint64_t>(*options.tcp_flows);
  }
  if (options.tcp_buffer_bytes) buffer_bytes = options.tcp_buffer_bytes->value;
  flows = settle_number(flows, "tcp_flows", environment, "TRIREME_TCP_FLOWS", 1, transport::TcpOptions::most_flows);
  buffer_bytes = settle_number(buffer_bytes, "tcp_buffer_bytes", environment, "TRIREME_TCP_BUFFER_BYTES", 4096,
                               std::uint64_t{1} << 30);
  const Setting congestion = pick(options.tcp_congestion, "tcp_congestion", environment, "TRIREME_TCP_CONGESTION");
  if (congestion.text) {
    const auto& name = *congestion.text;
    const auto legal = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; };
    if (name.empty() || name.size() > 15 || !std::all_of(name.begin(), name.end(), legal))
      refuse(congestion, "give system, or a name such as cubic");
    tcp.congestion = name;
  }
  tcp.flows = static_cast<int>(flows.value_or(0));
  tcp.buffer_bytes = static_cast<std::size_t>(buffer_bytes.value_or(0));
}

/// "cuda:N", or of "cuda" the device whose turn it is on this host.
void settle_device(const Options& options, const platform::Environment& environment, Settings& settings) {
  const Setting engine = pick(options.device_engine, "device_engine", environment, "TRIREME_DEVICE_ENGINE");
  if (engine.text) {
    if (*engine.text != "auto" && *engine.text != "nccl" && *engine.text != "device")
      refuse(engine, "give auto, nccl or device");
    settings.device_engine = *engine.text;
  }
  const Setting setting = pick(options.device, "device", environment, "TRIREME_DEVICE");
  if (!setting.text || *setting.text == "cpu") return;
  const std::string& text = *setting.text;
  std::optional<int> chosen;
  if (text.starts_with("cuda:")) {
    int index = -1;
    const char* const end_of_text = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data() + 5, end_of_text, index);
    if (error == std::errc() && end == end_of_text && index >= 0) chosen = index;
  }
  if (text != "cuda" && !chosen) refuse(setting, "give cpu, cuda or cuda:N");
  auto runtime = options.device_runtime
                     ? options.device_runtime
                     : blaming(setting.name + " is '" + text + "'", [] { return device::cuda_runtime(); });
  const int devices = runtime->devices();
  if (devices == 0) refuse(setting, "this process sees no GPU (CUDA_VISIBLE_DEVICES hides those it does not name)");
  if (chosen && *chosen >= devices) {
    refuse(setting, "this process sees " + std::to_string(devices) +
                        (devices == 1 ? " GPU, cuda:0" : " GPUs, cuda:0 to cuda:" + std::to_string(devices - 1)));
  }
  settings.devices.device = {DeviceKind::cuda, chosen.value_or(settings.cluster.local_rank % devices)};
  settings.devices.runtime = std::move(runtime);
}

}  // namespace

Settings settle(const Options& options, const platform::Environment& environment) {
  Log log;
  if (options.log) {
    log = *options.log;
  } else {
    LogLevel level = LogLevel::warning;
    const Setting setting{environment.find("TRIREME_LOG"), "TRIREME_LOG"};
    if (setting.text && !parse_log_level(*setting.text, level))
      refuse(setting, "give debug, info, warning, error or off");
    log = stderr_log(level);
  }

  platform::Environment described = environment;
  if (options.world_size || options.rank) {
    if (!options.world_size || !options.rank) {
      fail(ErrorCode::invalid_argument, "Options::rank and Options::world_size go together: only one is set");
    }
    described.erase("TRIREME_NNODES");  // these options say more
    described.erase("TRIREME_NODE_RANK");
    described.erase("TRIREME_MASTER");
    described.set("RANK", std::to_string(*options.rank));
    described.set("WORLD_SIZE", std::to_string(*options.world_size));
    if (!described.has("LOCAL_RANK")) described.set("LOCAL_RANK", std::to_string(*options.rank));
  }
  if (options.master) {
    const auto address = blaming("Options::master", [&] { return net::Address::parse(*options.master); });
    described.set("MASTER_ADDR", address.host);
    described.set("MASTER_PORT", std::to_string(address.port));
  }
  auto cluster = platform::detect(described);
  if (cluster.rank == 0 && cluster.launcher != "none")
    log(LogLevel::info, "launcher " + cluster.launcher + " on platform " + cluster.platform + " decides about ranks");
  for (const auto& warning : cluster.warnings) {
    if (cluster.rank == 0) log(LogLevel::warning, warning);
  }
  auto key = key_of(environment, cluster, log);
  Settings settings{.cluster = std::move(cluster), .key = std::move(key)};
  settings.log = log;
  settings.progress_thread = options.progress_thread;
  settings.arena_reserve = options.arena_reserve;
  if (options.eager_bytes) {
    if (options.eager_bytes->value < 64 || options.eager_bytes->value > (1u << 20)) {
      fail(ErrorCode::invalid_argument,
           "Options::eager_bytes is " + std::to_string(options.eager_bytes->value) + ": give 64 to 1048576");
    }
    settings.eager_bytes = options.eager_bytes->value;
  }

  if (const auto setting = pick(options.transport, "transport", environment, "TRIREME_TRANSPORT"); setting.text) {
    settings.transport = *setting.text;
    if (settings.transport == "mem")
      refuse(setting, "mem joins threads only (trireme::testing::run_ranks); give auto, shm or tcp");
    if (settings.transport != "auto" && settings.transport != "shm" && settings.transport != "tcp")
      refuse(setting, "give auto, shm or tcp");
  }
  const auto engine = pick(options.engine, "engine", environment, "TRIREME_ENGINE");
  if (engine.text && *engine.text != "auto") {
    if (*engine.text != "host" && *engine.text != "mpi") refuse(engine, "give auto, host or mpi");
    settings.engine = *engine.text;
  }
  settle_device(options, environment, settings);
  settings.mpi_module = environment.find("TRIREME_MPI_MODULE").value_or("");
  settings.nccl_library = environment.find("TRIREME_NCCL_LIBRARY").value_or("");
  if (const auto setting = pick(options.algorithm, "algorithm", environment, "TRIREME_ALGORITHM");
      setting.text && *setting.text != "auto") {
    plan::Algorithm algorithm{};
    const auto known =
        plan::defined_algorithms({.collective = plan::Collective::all_reduce, .ranks = 2, .leaves = 2}, false);
    if (!plan::parse_algorithm(*setting.text, algorithm) ||
        std::find(known.begin(), known.end(), algorithm) == known.end()) {
      std::string list = "give auto";
      for (const auto each : known) list += ", " + std::string(plan::name_of(each));
      refuse(setting, list);
    }
    if (settings.engine != "host")
      refuse(setting, "it chooses among the plans of the host engine, but " + engine.name + " is '" + *engine.text +
                          "'; set one of the two");
    settings.algorithm = algorithm;
  }
  if (const auto setting = pick(options.cache_groups, "cache_groups", environment, "TRIREME_CACHE_GROUPS");
      setting.text) {
    if (*setting.text != "auto" && *setting.text != "off") refuse(setting, "give auto or off");
    settings.cache_groups.automatic = *setting.text == "auto";
  }
  if (const auto tls = environment.find("TRIREME_TLS")) {
    if (*tls != "0" && *tls != "1") fail(ErrorCode::invalid_argument, "TRIREME_TLS is '" + *tls + "': give 0 or 1");
    settings.server_tls = *tls == "1";
  }
  settings.timeout =
      settle_time(options.timeout, "timeout", environment, "TRIREME_TIMEOUT_S").value_or(settings.timeout);
  settings.join_timeout = settle_time(options.join_timeout, "join_timeout", environment, "TRIREME_JOIN_TIMEOUT_S")
                              .value_or(settings.join_timeout);
  if (const auto setting = pick(options.interface, "interface", environment, "TRIREME_INTERFACE"); setting.text) {
    settings.tcp.interface = *setting.text;
    settings.tcp_origin += "; " + setting.name + " is '" + *setting.text + "'";
  }
  if (settings.tcp.interface.empty() && settings.cluster.interface && has_addresses(*settings.cluster.interface)) {
    settings.tcp.interface = *settings.cluster.interface;
    settings.tcp_origin += "; the platform names interface '" + settings.tcp.interface + "'";
  }
  const auto ports = pick(options.port_range, "port_range", environment, "TRIREME_PORT_RANGE");
  settle_port_range(ports, settings.tcp);
  if (ports.text) settings.tcp_origin += "; " + ports.name + " is '" + *ports.text + "'";
  settle_tcp(options, environment, settings.tcp);
  return settings;
}

void require_rank(const platform::ClusterSpec& cluster) {
  if (cluster.role == platform::Role::server) {
    fail(
        ErrorCode::invalid_argument,
        "this process has the role of a parameter server, which is no rank of the world: it serves the ranks beside it "
        "(ServerDirectory)");
  }
  if (cluster.role == platform::Role::evaluator) {
    fail(ErrorCode::invalid_argument,
         "this process has the role of an evaluator, which is no rank of the world: it reads checkpoints beside it");
  }
  const int hosts = cluster.nnodes.value_or(1), local = cluster.local_world.value_or(1);
  if (cluster.level != "node" || (hosts == 1 && local == 1)) return;
  const std::string ranks = std::to_string(local) + (local == 1 ? " rank" : " ranks");
  fail(ErrorCode::invalid_argument,
       "this container is " +
           (hosts > 1 ? "one host of " + std::to_string(hosts) + " and" : std::string("a host that")) + " has " +
           ranks + " to start: start it with `trireme entry train -- PROGRAM`, or with TRIREME_PROGRAM");
}

void scrub_secrets() { platform::scrub_variable("TRIREME_JOB_KEY"); }

}  // namespace trireme
