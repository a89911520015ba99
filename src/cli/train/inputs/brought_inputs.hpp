// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/train/data_options.hpp"
#include "cli/train/inputs/scratch.hpp"
#include "trireme/comm/communicator.hpp"

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace trireme::cli {

struct BringOptions {
  std::string host{};                      ///< equal on the ranks that share files, and on no others
  std::filesystem::path scratch = "/tmp";  ///< where there is room on this host
  std::chrono::milliseconds longest_wait = std::chrono::minutes(15);  ///< for a pipe, and for its next bytes
  std::function<void(const std::string&)> say{};                      ///< lines for people
};

/// The input channels that a job cannot read as they are: the first rank of each host spools a pipe, and the hosts give one another the
/// parts of a sharded channel. Every rank then reads the same files, which this owns.
class BroughtInputs {
 public:
  /// Puts into `data` the files of its data sets. Collective.
  /// Errors: invalid_argument, alike on all ranks, naming the channel or its pipe; those of the communicator.
  BroughtInputs(Communicator communicator, DataOptions& data, const BringOptions& options);

  /// Once every rank has opened the files: from now on only they keep them. Not collective.
  void release() { scratch_.reset(); }

 private:
  void settle_hosts(const std::string& host);
  std::vector<std::filesystem::path> spooled(const platform::InputChannel& channel, bool apart,
                                             const BringOptions& options);
  std::vector<std::filesystem::path> told(const std::vector<std::filesystem::path>& files);
  void bring(const std::string& name, const platform::InputChannel& channel, DataOptions& data,
             const BringOptions& options);

  Communicator all_;
  std::optional<Communicator> firsts_;  // of the first ranks of hosts
  int first_of_host_ = 0;               // rank
  std::optional<Scratch> scratch_;
};

}  // namespace trireme::cli
