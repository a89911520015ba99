// SPDX-License-Identifier: Apache-2.0
#include "world/settings.hpp"

#include "support/failures.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

using namespace trireme;
using platform::Environment;
using namespace std::chrono_literals;

using testing::has;

namespace {

Error refusal(const Options& options, const Environment& environment) {
  try {
    settle(options, environment);
  } catch (const Exception& caught) {
    return caught.error();
  }
  return {};
}

/// What a launcher sets for rank 1 of 4.
Environment launched() {
  return {{"RANK", "1"},          {"WORLD_SIZE", "4"},      {"LOCAL_RANK", "1"},
          {"MASTER_ADDR", "::1"}, {"MASTER_PORT", "29500"}, {"TRIREME_JOB_KEY", "0123456789abcdef0123"}};
}

Options silent() {
  Options options;
  options.log = Log();
  return options;
}

}  // namespace

TEST_CASE("an empty environment is a world of one with the documented defaults") {
  const auto settings = settle({}, {});
  REQUIRE(settings.cluster.world == 1);
  REQUIRE(settings.cluster.rank == 0);
  REQUIRE(settings.transport == "auto");
  REQUIRE(!settings.algorithm);
  REQUIRE(settings.timeout == 10min);
  REQUIRE(settings.join_timeout == 15min);
  REQUIRE(!settings.progress_thread);
  REQUIRE(!settings.eager_bytes);
  REQUIRE(settings.tcp.first_port == 0);
  REQUIRE(settings.tcp.interface.empty());
  REQUIRE(settings.tcp.flows == 0);
  REQUIRE(settings.tcp.buffer_bytes == 0);
  REQUIRE(settings.log.enabled(LogLevel::warning));
  REQUIRE(!settings.log.enabled(LogLevel::info));
}

TEST_CASE("every variable is read") {
  auto environment = launched();
  environment.set("TRIREME_TRANSPORT", "tcp");
  environment.set("TRIREME_ALGORITHM", "recursive_doubling");
  environment.set("TRIREME_CACHE_GROUPS", "off");
  environment.set("TRIREME_TIMEOUT_S", "2.5");
  environment.set("TRIREME_INTERFACE", "eth7");
  environment.set("TRIREME_PORT_RANGE", "40000-40100");
  environment.set("TRIREME_TCP_FLOWS", "16");
  environment.set("TRIREME_TCP_BUFFER_BYTES", "1048576");
  environment.set("TRIREME_TCP_CONGESTION", "reno");
  environment.set("TRIREME_LOG", "off");
  const auto settings = settle({}, environment);
  REQUIRE(settings.cluster.rank == 1);
  REQUIRE(settings.cluster.world == 4);
  REQUIRE(settings.transport == "tcp");
  REQUIRE(settings.algorithm == plan::Algorithm::recursive_doubling);
  REQUIRE(!settings.cache_groups.automatic);
  REQUIRE(settings.timeout == 2500ms);
  REQUIRE(settings.tcp.interface == "eth7");
  REQUIRE(settings.tcp.first_port == 40000);
  REQUIRE(settings.tcp.last_port == 40100);
  REQUIRE(settings.tcp.flows == 16);
  REQUIRE(settings.tcp.buffer_bytes == 1048576);
  REQUIRE(settings.tcp.congestion == "reno");
  REQUIRE(!settings.log.enabled(LogLevel::error));
  REQUIRE(settings.key.to_text() == net::JobKey::from_text("0123456789abcdef0123").to_text());
}

TEST_CASE("a bad value is refused by the name of its variable") {
  struct Bad {
    const char* name;
    std::vector<const char*> values;
  };
  const std::vector<Bad> bad{
      {"TRIREME_TRANSPORT", {"", "mem", "TCP", "infiniband", "shm "}},
      {"TRIREME_CACHE_GROUPS", {"", "on", "Off"}},
      {"TRIREME_ALGORITHM", {"", "Ring", "fastest", "double_tree"}},
      {"TRIREME_TIMEOUT_S", {"", "0", "-3", "abc", "3s", "nan", "inf", "1e9", "3 "}},
      {"TRIREME_PORT_RANGE",
       {"", "40000", "40000-", "-40000", "0-10", "40100-40000", "40000-70000", "a-b", "1-2-3", " 1-2"}},
      {"TRIREME_TCP_FLOWS", {"", "0", "17", "-1", "4.5", "4 ", "four", "99999999999999999999"}},
      {"TRIREME_TCP_CONGESTION", {"", "Cubic", "re no", "a-name-of-16-chr", "cubic\n"}},
      {"TRIREME_TCP_BUFFER_BYTES", {"", "0", "4095", "1073741825", "64K", "-1"}},
      {"TRIREME_LOG", {"", "warn", "verbose", "3"}},
      {"TRIREME_JOB_KEY", {"", "short"}},
      {"TRIREME_JOB_KEY_FILE", {"", "/nonexistent/key", "/"}},
      {"RANK", {"", "x", "-1", "4", "1.5"}},
      {"WORLD_SIZE", {"", "0", "-2", "four"}},
      {"LOCAL_RANK", {"x", "-1"}},
      {"MASTER_ADDR", {""}},
      {"MASTER_PORT", {"", "0", "65536", "http"}},
  };
  for (const auto& variable : bad) {
    for (const char* value : variable.values) {
      auto environment = launched();
      environment.set(variable.name, value);
      // An option would keep its variable from being looked at.
      const auto error = refusal(std::string(variable.name) == "TRIREME_LOG" ? Options() : silent(), environment);
      CAPTURE(variable.name, value, error.message);
      REQUIRE(error.code == ErrorCode::invalid_argument);
      REQUIRE(has(error.message, variable.name));
      if (std::string(variable.name) != "TRIREME_JOB_KEY") REQUIRE(has(error.message, value));
    }
  }
}

TEST_CASE("a refused job key is not shown") {
  auto environment = launched();
  environment.set("TRIREME_JOB_KEY", "s3cret");
  REQUIRE(!has(refusal(silent(), environment).message, "s3cret"));
}

TEST_CASE("a launcher's half of a description is refused, never taken for a world of one") {
  for (const char* missing : {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}) {
    auto environment = launched();
    environment.erase(missing);
    const auto error = refusal(silent(), environment);
    CAPTURE(missing, error.message);
    REQUIRE(error.code == ErrorCode::invalid_argument);
    REQUIRE(has(error.message, missing));
  }
}

TEST_CASE(
    "the engine is the host's unless something asks for MPI, and plans of the host engine are not asked for then") {
  auto environment = launched();
  REQUIRE(settle(silent(), environment).engine == "host");
  environment.set("TRIREME_ENGINE", "auto");
  REQUIRE(settle(silent(), environment).engine == "host");
  environment.set("TRIREME_ENGINE", "mpi");
  environment.set("TRIREME_MPI_MODULE", "/a/module.so");
  REQUIRE(settle(silent(), environment).engine == "mpi");
  REQUIRE(settle(silent(), environment).mpi_module == "/a/module.so");
  environment.set("TRIREME_ALGORITHM", "tree");
  REQUIRE(has(refusal(silent(), environment).message, "TRIREME_ALGORITHM is 'tree'"));
  REQUIRE(has(refusal(silent(), environment).message, "TRIREME_ENGINE is 'mpi'"));
  Options options = silent();
  options.engine = "host";
  REQUIRE(settle(options, environment).engine == "host");
  environment.set("TRIREME_ENGINE", "pigeon");
  REQUIRE(has(refusal(silent(), environment).message, "TRIREME_ENGINE is 'pigeon': give auto, host or mpi"));
}

TEST_CASE("ranks of mpirun without a meeting point meet through MPI, with a key that nobody can guess") {
  const platform::Environment environment{{"OMPI_COMM_WORLD_RANK", "0"},
                                          {"OMPI_COMM_WORLD_SIZE", "2"},
                                          {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
                                          {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
  int warnings = 0;
  Options options;
  options.log = Log(LogLevel::warning, [&](LogLevel, std::string_view) { ++warnings; });
  const auto first = settle(options, environment), second = settle(options, environment);
  REQUIRE(meets_through_mpi(first));
  REQUIRE(first.key.to_text() != second.key.to_text());
  REQUIRE(warnings == 0);
  auto with_master = environment;
  with_master.set("MASTER_ADDR", "host-a");
  with_master.set("MASTER_PORT", "29500");
  REQUIRE_FALSE(meets_through_mpi(settle(options, with_master)));
  REQUIRE_FALSE(meets_through_mpi(settle(options, {})));
}

TEST_CASE("options override the environment") {
  auto environment = launched();
  environment.set("TRIREME_TRANSPORT", "tcp");
  environment.set("TRIREME_ALGORITHM", "tree");
  environment.set("TRIREME_TIMEOUT_S", "2");
  environment.set("TRIREME_INTERFACE", "eth0");
  environment.set("TRIREME_PORT_RANGE", "1-2");
  environment.set("TRIREME_TCP_FLOWS", "nonsense");
  environment.set("TRIREME_LOG", "nonsense");  // not even looked at
  int lines = 0;
  const Options options{.rank = 2,
                        .world_size = 3,
                        .master = "[fe80::1]:777",
                        .transport = "shm",
                        .algorithm = "direct",
                        .timeout = 77s,
                        .join_timeout = 5s,
                        .interface = "lo",
                        .port_range = "50000-50001",
                        .tcp_flows = 2,
                        .progress_thread = true,
                        .eager_bytes = Bytes{4096},
                        .arena_reserve = Bytes{1 << 20},
                        .log = Log(LogLevel::debug, [&](LogLevel, std::string_view) { ++lines; })};
  const auto settings = settle(options, environment);
  REQUIRE(settings.cluster.rank == 2);
  REQUIRE(settings.cluster.world == 3);
  REQUIRE(settings.cluster.master == "fe80::1");
  REQUIRE(settings.cluster.port == 777);
  REQUIRE(settings.transport == "shm");
  REQUIRE(settings.algorithm == plan::Algorithm::direct);
  REQUIRE(settings.timeout == 77s);
  REQUIRE(settings.join_timeout == 5s);
  REQUIRE(settings.tcp.interface == "lo");
  REQUIRE(settings.tcp.first_port == 50000);
  REQUIRE(settings.tcp.last_port == 50001);
  REQUIRE(settings.progress_thread == true);
  REQUIRE(settings.eager_bytes == 4096u);
  REQUIRE(settings.arena_reserve.value == 1 << 20);
  settings.log(LogLevel::debug, "x");
  REQUIRE(lines == 1);
}

TEST_CASE("an option that asks for the automatic choice beats a variable that does not") {
  auto environment = launched();
  environment.set("TRIREME_ALGORITHM", "ring");
  environment.set("TRIREME_TRANSPORT", "tcp");
  auto options = silent();
  options.algorithm = "auto";
  options.transport = "auto";
  const auto settings = settle(options, environment);
  REQUIRE(!settings.algorithm);
  REQUIRE(settings.transport == "auto");
}

TEST_CASE("a bad option is refused by its name") {
  struct Bad {
    const char* name;
    Options options;
  };
  std::vector<Bad> bad{{"Options::transport", {.transport = "mem"}},
                       {"Options::transport", {.transport = "pigeon"}},
                       {"Options::algorithm", {.algorithm = "quantum"}},
                       {"Options::port_range", {.port_range = "7"}},
                       {"Options::tcp_flows", {.tcp_flows = 0}},
                       {"Options::tcp_flows", {.tcp_flows = -3}},
                       {"Options::tcp_flows", {.tcp_flows = 17}},
                       {"Options::tcp_buffer_bytes", {.tcp_buffer_bytes = Bytes{100}}},
                       {"Options::timeout", {.timeout = 0ms}},
                       {"Options::timeout", {.timeout = -1s}},
                       {"Options::join_timeout", {.join_timeout = 0ms}},
                       {"Options::eager_bytes", {.eager_bytes = Bytes{63}}},
                       {"Options::eager_bytes", {.eager_bytes = Bytes{(1 << 20) + 1}}},
                       {"Options::rank", {.rank = 0}},
                       {"Options::world_size", {.world_size = 2}},
                       {"Options::master", {.rank = 0, .world_size = 2, .master = "nowhere"}},
                       {"Options::master", {.rank = 0, .world_size = 2, .master = "host:99999"}}};
  for (auto& each : bad) {
    each.options.log = Log();
    const auto error = refusal(each.options, {});
    CAPTURE(each.name, error.message);
    REQUIRE(error.code == ErrorCode::invalid_argument);
    REQUIRE(has(error.message, each.name));
  }
}

TEST_CASE("a timeout is rounded up, never to nothing") {
  for (const auto& [text, expected] : std::vector<std::pair<const char*, std::chrono::milliseconds>>{
           {"0.0001", 1ms}, {"3", 3000ms}, {"1e3", 1000s}, {"0.0015", 2ms}}) {
    REQUIRE(settle({}, {{"TRIREME_TIMEOUT_S", text}}).timeout == expected);
  }
}

TEST_CASE("the limit of joining comes from its variable where no option says otherwise") {
  REQUIRE(settle({}, {{"TRIREME_JOIN_TIMEOUT_S", "2.5"}}).join_timeout == 2500ms);
  REQUIRE(settle({.join_timeout = 7s}, {{"TRIREME_JOIN_TIMEOUT_S", "2.5"}}).join_timeout == 7s);
  REQUIRE(has(refusal({}, {{"TRIREME_JOIN_TIMEOUT_S", "soon"}}).message, "TRIREME_JOIN_TIMEOUT_S"));
}

TEST_CASE("only rank 0 warns of a missing key, and under trireme run its absence is an error that says what to do") {
  auto environment = launched();
  environment.erase("TRIREME_JOB_KEY");
  std::vector<std::string> lines;
  Options options;
  options.log = Log(LogLevel::warning, [&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  environment.set("RANK", "1");
  environment.set("LOCAL_RANK", "1");
  settle(options, environment);
  REQUIRE(lines.empty());
  environment.set("TRIREME_PROGRESS", "plain");
  environment.set("TRIREME_STORE", "1");
  const auto error = refusal(options, environment);
  REQUIRE(error.code == ErrorCode::invalid_argument);
  REQUIRE(has(error.message, "TRIREME_JOB_KEY"));
  REQUIRE(has(error.message, "keep that World open"));
}

TEST_CASE("the key comes from the file before the variable, and without either from the job, with a warning") {
  auto environment = launched();
  char path[] = "/tmp/trireme-key-XXXXXX";
  const int descriptor = ::mkstemp(path);
  REQUIRE(descriptor >= 0);
  std::FILE* file = ::fdopen(descriptor, "w");
  std::fputs("a key of its own, in a file\n", file);
  std::fclose(file);
  environment.set("TRIREME_JOB_KEY_FILE", path);
  const auto from_file = settle(silent(), environment);
  std::remove(path);
  REQUIRE(from_file.key.to_text() == net::JobKey::from_text("a key of its own, in a file").to_text());

  environment = launched();
  environment.erase("TRIREME_JOB_KEY");
  environment.set("RANK", "0");  // it alone warns
  environment.set("LOCAL_RANK", "0");
  std::vector<std::string> lines;
  Options options;
  options.log = Log(LogLevel::warning, [&](LogLevel, std::string_view line) { lines.emplace_back(line); });
  const auto derived = settle(options, environment);
  REQUIRE(lines.size() == 1);
  REQUIRE(has(lines[0], "TRIREME_JOB_KEY"));
  REQUIRE(settle(silent(), environment).key.to_text() == derived.key.to_text());  // the same on every rank
  environment.set("RANK", "2");
  environment.set("LOCAL_RANK", "2");
  REQUIRE(settle(silent(), environment).key.to_text() == derived.key.to_text());
  environment.set("MASTER_PORT", "29501");  // another job
  REQUIRE(settle(silent(), environment).key.to_text() != derived.key.to_text());
}

TEST_CASE("secrets leave the environment, and the memory it had") {
  ::setenv("TRIREME_JOB_KEY", "0123456789abcdef0123", 1);
  const char* text = ::getenv("TRIREME_JOB_KEY");
  scrub_secrets();
  REQUIRE(::getenv("TRIREME_JOB_KEY") == nullptr);
  for (std::size_t i = 0; i < 20; ++i) REQUIRE(text[i] == '\0');
  scrub_secrets();  // nothing there any more
}

TEST_CASE("A host whose ranks are still to be started is told how, a host of one rank is a world of one") {
  const auto host = [](const char* hosts, const char* processes) {
    return settle(silent(), {{"TRIREME_NNODES", hosts},
                             {"TRIREME_NODE_RANK", "0"},
                             {"TRIREME_MASTER", "boss:1"},
                             {"TRIREME_PROCS_PER_NODE", processes}})
        .cluster;
  };
  const auto refused = [](const platform::ClusterSpec& cluster) {
    try {
      require_rank(cluster);
    } catch (const Exception& caught) {
      return caught.error();
    }
    return Error{};
  };
  REQUIRE_FALSE(refused(host("1", "1")));
  REQUIRE(has(refused(host("1", "4")).message, "a host that has 4 ranks to start"));
  REQUIRE(has(refused(host("2", "1")).message, "one host of 2 and has 1 rank to start"));
  REQUIRE(has(refused(host("2", "4")).message, "trireme entry"));
  REQUIRE_FALSE(refused(settle(silent(), launched()).cluster));
}

TEST_CASE("Who is no worker is no rank: servers and evaluators stand beside the world") {
  const auto refused = [](const char* role) {
    try {
      require_rank(settle(silent(), {{"TRIREME_ROLE", role}}).cluster);
    } catch (const Exception& caught) {
      return caught.error();
    }
    return Error{};
  };
  REQUIRE_FALSE(refused("worker"));
  REQUIRE(refused("server").code == ErrorCode::invalid_argument);
  REQUIRE(has(refused("server").message, "parameter server"));
  REQUIRE(refused("evaluator").code == ErrorCode::invalid_argument);
  REQUIRE(has(refused("evaluator").message, "evaluator"));
}

TEST_CASE("A rank given as an option counts more than hosts given in the environment") {
  Options options = silent();
  options.rank = 0;
  options.world_size = 1;
  const auto cluster =
      settle(options, {{"TRIREME_NNODES", "2"}, {"TRIREME_NODE_RANK", "1"}, {"TRIREME_MASTER", "b:1"}}).cluster;
  REQUIRE(cluster.level == "process");
  REQUIRE(cluster.world == 1);
}
