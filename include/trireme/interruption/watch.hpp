// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/log.hpp"
#include "trireme/platform/environment.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::interruption {

/// The announcement that this host will be taken away.
struct Notice {
  std::string source;                              ///< who says so: "EC2", "Compute Engine", "Azure", "Slurm"
  std::string what;                                ///< in its words: "spot action terminate"
  std::chrono::steady_clock::time_point deadline;  ///< when the host is gone, as far as that is known
};

/// Asks the services that announce interruptions, each on a thread of its own, once a second.
///
/// All of it happens beside the job. An address that takes no connection within 200 ms is left alone from then on, and so is a
/// service that is another cloud's: an isolated network costs no time at start or end. A service that hangs or answers nonsense is
/// asked again less and less often, down to twice a minute, and said once at level debug.
/// Threads: any.
class Watch {
 public:
  virtual ~Watch() = default;
  /// The nearest notice that stands. One that was withdrawn stands no longer; one whose service fell silent does.
  virtual std::optional<Notice> current() const = 0;
  /// Nobody is asked any more: what current() says is the last word.
  virtual bool is_over() const = 0;
};

enum class SourceKind : unsigned char {
  ec2_spot,        ///< the instance metadata of EC2, either version: spot/instance-action
  compute_engine,  ///< the metadata server of Compute Engine: preempted, and maintenance that ends the machine
  azure_events,    ///< Azure's scheduled events: Preempt, Terminate, Reboot, Redeploy of this machine
  slurm            ///< the end of the job's time, which its environment tells
};

struct WatchOptions {
  std::vector<SourceKind> sources{};
  std::string address = "http://169.254.169.254";  ///< of the metadata service: numeric, of http
  std::optional<std::int64_t> slurm_end{};         ///< Unix seconds; SourceKind::slurm without it announces nothing
  Log log{};
};

/// Whom to ask on `platform` (the name in ClusterSpec): the platform's own cloud, or all three where it does not tell, and Slurm
/// wherever SLURM_JOB_END_TIME is set. TRIREME_INTERRUPTION says otherwise: off, auto, or some of ec2_spot, compute_engine,
/// azure_events, slurm with commas between them. TRIREME_METADATA_ADDRESS is another address, as http://127.0.0.1:8080.
/// Errors: invalid_argument naming the variable.
WatchOptions watch_options(const platform::Environment& environment, std::string_view platform, const Log& log = {});

/// Begins to ask; returns at once.
/// Errors: invalid_argument for an address that is not numeric or not of http.
std::unique_ptr<Watch> start_watch(const WatchOptions& options);

}  // namespace trireme::interruption
