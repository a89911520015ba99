// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "multiprocess/launched.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

namespace trireme::testing {

struct LabOptions {
  int hosts = 4;
  bool ipv6 = false;   ///< addresses fd77::1, … and none of IPv4; otherwise 10.77.0.1, …
  std::string rate{};  ///< of every host's link, each direction, as tc spells it ("1gbit"); unset: unlimited
};

/// Several hosts on one machine: each a network namespace with a host name of its own and one interface, eth0, joined by
/// a bridge in a further namespace. The namespaces have no names: a process of each kind holds them, and these
/// processes die with the test, however it ends. So nothing can stay behind.
/// Cost: a tenth of a second.  Errors: fails the test.
class Lab {
 public:
  explicit Lab(const LabOptions& options = {});
  Lab(const Lab&) = delete;
  ~Lab();

  /// Why no lab can be made here; empty where one can.
  static std::string obstacle();

  int hosts() const { return static_cast<int>(hosts_.size()); }
  static std::string name(int host) { return "host-" + std::to_string(host); }
  std::string address(int host) const;

  /// Starts a program on `host`; its process is the one that Launched knows.
  std::unique_ptr<Launched> start(int host, const std::string& program, const std::vector<std::string>& arguments,
                                  const std::map<std::string, std::string>& environment) const;
  /// The calling thread, with those that it starts from then on, is on `host`.
  void enter(int host) const;
  /// Runs a tool on `host`, which must succeed.
  void on(int host, const std::vector<std::string>& words) const;

  /// Drops everything from and to `host`, as a broken cable does that nobody notices.
  void cut_off(int host);
  /// Drops what `from` sends to `to`; the way back stays open.
  void cut_one_way(int from, int to);
  /// Drops what `from` sends to `to` beyond `rate`, as nft spells it ("125 kbytes/second"): a link that is slow and loses much.
  void police_one_way(int from, int to, const std::string& rate);
  /// Lets everything pass again that was dropped or limited, but a link that is down.
  void heal();
  /// Takes the link of `host` down: its kernel knows.
  void take_link_down(int host);

 private:
  void on_switch(const std::vector<std::string>& words) const;
  void filter(const std::string& rules);
  pid_t switch_ = -1;
  std::vector<pid_t> hosts_;
  bool ipv6_;
  bool filters_ = false;
};

}  // namespace trireme::testing
