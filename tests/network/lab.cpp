// SPDX-License-Identifier: Apache-2.0
#include "network/lab.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace trireme::testing {
namespace {

const std::string nsenter = "/usr/bin/nsenter";
const std::string ip = "/usr/sbin/ip";
const std::string tc = "/usr/sbin/tc";
const std::string nft = "/usr/sbin/nft";

/// A process in a network and a host-name namespace of its own that does nothing. It tells through a pipe whether that
/// could be had: 0 or an errno.
pid_t hold_namespaces(const std::string& name, int& error) {
  int told[2];
  REQUIRE(::pipe2(told, O_CLOEXEC) == 0);
  const pid_t test = ::getpid();
  const pid_t holder = ::fork();
  REQUIRE(holder >= 0);
  if (holder == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != test) ::_exit(0);
    int result =
        ::unshare(CLONE_NEWNET | CLONE_NEWUTS) == 0 && ::sethostname(name.data(), name.size()) == 0 ? 0 : errno;
    const bool is_told = ::write(told[1], &result, sizeof result) == static_cast<ssize_t>(sizeof result);
    if (result != 0 || !is_told) ::_exit(0);
    ::close_range(0, ~0u, 0);  // whoever reads the test's output must not wait for this process
    for (;;) ::pause();
  }
  ::close(told[1]);
  if (::read(told[0], &error, sizeof error) != static_cast<ssize_t>(sizeof error)) error = EIO;
  ::close(told[0]);
  return holder;
}

void end(pid_t holder) {
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
}

std::vector<std::string> entering(pid_t holder, const std::vector<std::string>& words) {
  const std::string folder = "/proc/" + std::to_string(holder) + "/ns/";
  std::vector<std::string> all{"--net=" + folder + "net", "--uts=" + folder + "uts", "--"};
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

void run_in(pid_t holder, const std::vector<std::string>& words) {
  const Result result = Launched(entering(holder, words), {}, nsenter).wait();
  std::string line;
  for (const std::string& word : words) line += word + " ";
  INFO(line << "said: " << result.out << result.err);
  REQUIRE(result.exit_code == 0);
}

std::string port(int host) { return "port" + std::to_string(host); }

}  // namespace

std::string Lab::obstacle() {
  for (const std::string& tool : {nsenter, ip, tc, nft}) {
    if (::access(tool.c_str(), X_OK) != 0) return tool + " is not there (scripts/bootstrap installs it)";
  }
  int error = 0;
  end(hold_namespaces("probe", error));
  return error == 0 ? "" : std::string("cannot make a network namespace: ") + std::strerror(error) + " (root may)";
}

Lab::Lab(const LabOptions& options) : ipv6_(options.ipv6) {
  const auto hold = [](const std::string& name) {
    int error = 0;
    const pid_t holder = hold_namespaces(name, error);
    CAPTURE(name, error);
    REQUIRE(error == 0);
    return holder;
  };
  switch_ = hold("switch");
  on_switch({ip, "link", "add", "bridge", "type", "bridge"});
  on_switch({ip, "link", "set", "bridge", "up"});
  for (int host = 0; host < options.hosts; ++host) {
    hosts_.push_back(hold(name(host)));
    on_switch({ip, "link", "add", port(host), "type", "veth", "peer", "name", "eth0", "netns",
               std::to_string(hosts_.back())});
    on_switch({ip, "link", "set", port(host), "master", "bridge", "up"});
    on(host, {ip, "link", "set", "lo", "up"});
    if (ipv6_)
      on(host, {ip, "address", "add", address(host) + "/64", "dev", "eth0", "nodad"});
    else
      on(host, {ip, "address", "add", address(host) + "/24", "dev", "eth0"});
    on(host, {ip, "link", "set", "eth0", "up"});
    if (options.rate.empty()) continue;
    const auto limit = [&](const std::string& device) {
      return std::vector<std::string>{tc,     "qdisc",      "add",   "dev",   device,    "root", "tbf",
                                      "rate", options.rate, "burst", "256kb", "latency", "20ms"};
    };
    on(host, limit("eth0"));
    on_switch(limit(port(host)));
  }
}

Lab::~Lab() {
  for (const pid_t host : hosts_) end(host);
  if (switch_ > 0) end(switch_);
}

std::string Lab::address(int host) const { return (ipv6_ ? "fd77::" : "10.77.0.") + std::to_string(host + 1); }

std::unique_ptr<Launched> Lab::start(int host, const std::string& program, const std::vector<std::string>& arguments,
                                     const std::map<std::string, std::string>& environment) const {
  std::vector<std::string> words{program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  // nsenter becomes the program, so its process is the program's.
  return std::make_unique<Launched>(entering(hosts_.at(static_cast<std::size_t>(host)), words), environment, nsenter);
}

void Lab::on(int host, const std::vector<std::string>& words) const {
  run_in(hosts_.at(static_cast<std::size_t>(host)), words);
}

void Lab::enter(int host) const {
  const std::string network = "/proc/" + std::to_string(hosts_.at(static_cast<std::size_t>(host))) + "/ns/net";
  const int descriptor = ::open(network.c_str(), O_RDONLY | O_CLOEXEC);
  const bool is_there = descriptor >= 0 && ::setns(descriptor, CLONE_NEWNET) == 0;
  if (descriptor >= 0) ::close(descriptor);
  if (!is_there) throw std::runtime_error("cannot go to " + network);  // Catch counts in one thread
}

void Lab::on_switch(const std::vector<std::string>& words) const { run_in(switch_, words); }

void Lab::filter(const std::string& rules) {
  if (!filters_) {
    on_switch({nft, "add table bridge cut; add chain bridge cut dropped { type filter hook forward priority 0; }"});
    filters_ = true;
  }
  on_switch({nft, rules});
}

void Lab::cut_off(int host) {
  filter("add rule bridge cut dropped iifname " + port(host) + " drop; add rule bridge cut dropped oifname " +
         port(host) + " drop");
}

void Lab::police_one_way(int from, int to, const std::string& rate) {
  filter("add rule bridge cut dropped iifname " + port(from) + " oifname " + port(to) + " limit rate over " + rate +
         " burst 16 kbytes drop");
}

void Lab::cut_one_way(int from, int to) {
  filter("add rule bridge cut dropped iifname " + port(from) + " oifname " + port(to) + " drop");
}

void Lab::heal() {
  if (filters_) on_switch({nft, "flush chain bridge cut dropped"});
}

void Lab::take_link_down(int host) { on(host, {ip, "link", "set", "eth0", "down"}); }

}  // namespace trireme::testing
