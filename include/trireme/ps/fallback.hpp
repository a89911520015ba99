// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/bytes.hpp"
#include "trireme/base/log.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/ps/link_speeds.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace trireme::ps {

/// How gradients travel now.
enum class GradientWay : unsigned char { all_reduce, servers };

/// When to leave all-reduce for servers, and when to come back.
struct FallbackPolicyOptions {
  double worse_than_healthy = 3.0;   ///< leave when reductions take so many times what they took at first,
  double worse_than_servers = 1.5;   ///< and so many times what servers are predicted to take, where that is known
  double better_than_servers = 0.7;  ///< come back when all-reduce would take so much of what servers take
  double least_seconds = 0.01;       ///< what is faster than this is not worth a change
  std::uint32_t baseline = 3;        ///< windows whose median is healthy
  std::uint32_t patience = 2;        ///< windows in a row that must agree
  std::uint32_t stay = 5;            ///< windows at least with servers; twice as many after each further leaving
  std::uint32_t between_probes =
      16;  ///< windows at most; one, and twice as many after each probe that spoke for servers
};

/// Servers that a job has gone to.
struct FallbackServers {
  std::shared_ptr<parallel::SynchronizerFactory> synchronizer;  ///< sums
  /// This rank needs them no more, others still may; null: nothing to do. What it holds stays until all ranks have left.
  std::function<void()> leave{};
};

struct FallbackOptions {
  /// Servers to go to, asked for each time the job leaves all-reduce, on every rank with the same links: they say where servers stand
  /// well now. Collective: it may start servers and exchange where they are.
  std::function<FallbackServers(const LinkSpeeds&)> servers;
  /// Seconds of a step that servers would take on such links with such gradients (seconds_with_servers(), say); infinite: links give
  /// no reason to go. Null: not known.
  std::function<double(const LinkSpeeds&, Bytes gradients)> predict{};
  /// Seconds that a step waited for its reduction; null: Step::reduction_seconds().
  std::function<double(const Step&)> seconds{};
  FallbackPolicyOptions policy{};
  /// Links are measured behind the first step, and say what a healthy reduction takes: also where one is ill from the beginning.
  /// Otherwise the first windows do.
  bool healthy_by_links = false;
  /// Steps between two looks on all-reduce, at least 2: where an ill link delays its ends behind what others need of them, those wait
  /// in this step and the others, for them, in the next, and in no single step does every rank wait.
  std::uint32_t window = 4;
  std::uint32_t window_on_servers = 4;  ///< the same with servers, where a look may cost a probe
  std::uint32_t spare = 50;    ///< windows without a look at links that gave no reason: the machine is busy, not they
  Bytes link_payload{65'536};  ///< of measure_links()
  Bytes probe{65'536};         ///< of all_reduce's probe while servers are used
  Log log{};                   ///< rank 0's, a line for each change with its reason
};

/// What servers beside the well connected ranks alone would take; infinite unless some ranks are well connected and others not, and
/// all-reduce over these links would take more than `worse_than_servers` times as long.
double seconds_with_servers(const LinkSpeeds& links, Bytes gradients, double worse_than_servers = 1.5);

class FallbackPolicy;
struct FallbackDecision;
struct ReductionObservation;

/// Watches a job's reductions, moves it from all-reduce to servers when the links between its ranks no longer serve, and back when
/// they do. Changes fall between steps, on all ranks at the same one; servers are bulk-synchronous and sum, so no update is lost
/// and no bit changes.
///
/// A rank waits in reduce() for slow links, and for workers that are late; who waits least waits for links alone, so that time is
/// what counts. Where it has grown, links are measured, and the slowest is named.
/// Whoever comes back leaves the servers one step later, when no synchronizer of theirs is left, and lets go of them another step
/// later, when all ranks have left.
/// Order:   the same calls on all ranks.  Threads: one at a time.  Errors: the communicator's, and what `servers` throws.
class Fallback {
 public:
  /// `data_parallel` must outlive this, and reduce by all_reduce.
  Fallback(DataParallel& data_parallel, FallbackOptions options);
  ~Fallback();

  /// Behind apply(), in every step, on every rank. Collective every window.
  /// Returns why the job goes another way from the next step on, if it does.
  std::optional<std::string> after(const Step& step);
  GradientWay way() const;
  /// Behind the last step, before the ranks meet for the last time: leaves the servers, if there are any. What serves others goes
  /// with this object.
  void leave();

 private:
  void begin();
  void part_from_former();
  double window_seconds();
  void examine(ReductionObservation& seen);
  void probe(ReductionObservation& seen);
  double probe_all_reduce();
  void change(const FallbackDecision& decision);
  Bytes gradient_bytes() const;

  DataParallel& data_parallel_;
  FallbackOptions options_;
  std::unique_ptr<FallbackPolicy> policy_;
  std::optional<LinkSpeeds> links_;         ///< as last measured
  std::optional<FallbackServers> servers_;  ///< in use
  std::optional<FallbackServers> former_;   ///< whose synchronizer goes when the next step begins
  std::optional<FallbackServers> left_;     ///< which this rank has left, and others may still be about to
  std::vector<double> seconds_;             ///< of the window under way
  std::uint32_t spared_ = 0;                ///< windows until links are looked at again
};

}  // namespace trireme::ps
