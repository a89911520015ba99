// SPDX-License-Identifier: Apache-2.0
#include "cli/train/sync_flags.hpp"

#include "trireme/base/error.hpp"

#include <array>

namespace trireme::cli {
namespace {

constexpr int most_servers = 1024;

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, message); }

ps::Consistency consistency_of(const std::string& text) {
  try {
    return ps::Consistency::parse(text);
  } catch (const Exception& refusal) {
    refuse("--consistency: " + refusal.error().message);
  }
}

/// What means something to servers alone.
constexpr std::array<const char*, 7> of_servers{"--servers",        "--consistency",     "--server-optimizer",
                                                "--backup-workers", "--staleness-aware", "--server-replicas",
                                                "--server-split"};

}  // namespace

SyncFlags::SyncFlags(Arguments& flags) {
  flags
      .option("--sync", sync_,
              "how gradients come together: all_reduce (default) among the ranks, or ps, on parameter servers")
      .one_of({"all_reduce", "ps"});
  flags.option(
      "--servers", servers_,
      "with --sync ps: dedicated servers, those of `trireme run --servers K` (default: as many as were started; 0: "
      "every rank is one beside its work)",
      {.least = 0, .most = most_servers});
  flags.option(
      "--consistency", consistency_,
      "with --sync ps: bsp (default), all gradients of a step are one update, with the bits of all_reduce; ssp:S, no "
      "worker is more than S steps ahead of another; async, every gradient is an update as soon as it is there. In the "
      "latter two each worker has its share of the samples, of the batch and of the learning rate, and workers do without "
      "those that are lost");
  flags
      .option(
          "--server-optimizer", server_optimizer_,
          "on: servers update the values; off (default with bsp, which alone has it, and not with --backup-workers): they sum, and "
          "ranks update")
      .one_of({"on", "off"})
      .standard_beside("--consistency async", "on");
  flags.option(
      "--backup-workers", backup_workers_,
      "with bsp: a step's update waits for all workers but so many, and what comes later is dropped; each has its share of the samples, "
      "goes on where the others are, and so many may be lost. The bits are no longer those of all_reduce (default 0)",
      {.least = 0, .most = 65535});
  flags.flag("--staleness-aware", staleness_aware_,
             "with async: the learning rate of a gradient is divided by 1 + the updates it missed / workers");
  flags
      .option(
          "--server-replicas", replicas_,
          "on (default, where there are two servers and their loss can be outlived): another server holds what each one "
          "does; off: a lost server ends the job")
      .one_of({"on", "off"});
  flags
      .option(
          "--server-split", server_split_,
          "with dedicated servers and bsp: servers (default), they alone hold parameters; optimal, workers do as well, each as much as lets "
          "all links end together, by what the links to the servers were measured to carry")
      .one_of({"servers", "optimal"});
  flags
      .option(
          "--fallback", fallback_,
          "ps: all_reduce, until a link between two ranks is so slow that servers beside the ranks with good links are faster; "
          "the same bits, and back when it is well again; none (default)")
      .one_of({"ps", "none"});
}

SyncChoice SyncFlags::checked(const Arguments& flags, int announced) const {
  SyncChoice choice{.on_servers = sync_ == "ps", .falls_back = fallback_ == "ps"};
  if (choice.falls_back && choice.on_servers)
    refuse("--fallback ps is for --sync all_reduce; with --sync ps gradients are on servers already");
  if (!choice.on_servers) {
    for (const char* flag : of_servers) {
      if (flags.given(flag)) refuse(std::string(flag) + " needs --sync ps");
    }
    if (announced > 0)
      refuse("TRIREME_SERVERS is " + std::to_string(announced) +
             ": this job was started with parameter servers, which need --sync ps; start it without them");
    return choice;
  }
  choice.consistency = consistency_of(consistency_);
  const bool bulk = choice.is_bulk_synchronous();
  choice.servers = static_cast<std::uint32_t>(flags.given("--servers") ? servers_ : announced);
  if (choice.servers != static_cast<std::uint32_t>(announced)) {
    refuse("--servers " + std::to_string(choice.servers) + ", but this job was started with " +
           (announced == 0 ? std::string("none") : std::to_string(announced)) +
           ": start it with `trireme run --servers " + std::to_string(choice.servers) + "`");
  }
  choice.backup_workers = static_cast<std::uint32_t>(backup_workers_);
  choice.server_optimizer =
      flags.given("--server-optimizer") ? server_optimizer_ == "on" : !bulk || choice.backup_workers != 0;
  if (!bulk && !choice.server_optimizer)
    refuse("--server-optimizer off is for --consistency bsp; with " + choice.consistency.to_string() +
           " servers update the values");
  if (choice.backup_workers != 0 && !choice.server_optimizer)
    refuse(
        "--server-optimizer off does not go with --backup-workers: a worker that was late takes the servers' values");
  if (!bulk && choice.backup_workers != 0)
    refuse("--backup-workers is for --consistency bsp; with " + choice.consistency.to_string() +
           " nobody is waited for");
  choice.staleness_aware = staleness_aware_;
  if (choice.staleness_aware && choice.consistency.kind != ps::ConsistencyKind::asynchronous)
    refuse("--staleness-aware is for --consistency async, not " + choice.consistency.to_string());
  // Beside ranks that wait for one another servers are lost with their rank, and that ends the job in any case.
  const bool can_be_outlived = choice.servers >= 2 || (choice.servers == 0 && choice.is_independent());
  if (flags.given("--server-replicas") && replicas_ == "on" && !can_be_outlived)
    refuse(
        choice.servers == 1
            ? std::string("--server-replicas on needs two servers at least")
            : std::string(
                  "--server-replicas on is for dedicated servers, --consistency ssp:S or async, or --backup-workers: "
                  "without any of these a rank that is lost ends the job, and its server with it"));
  choice.replicas = can_be_outlived && replicas_ == "on";
  choice.splits_optimally = server_split_ == "optimal";
  if (!choice.splits_optimally) return choice;
  if (choice.servers == 0)
    refuse(
        "--server-split optimal is for dedicated servers (`trireme run --servers K`); without, every rank holds its share");
  if (choice.is_independent())
    refuse(
        "--server-split optimal is for --consistency bsp without --backup-workers: a worker that may be lost must hold nothing");
  if (flags.given("--server-replicas") && choice.replicas)
    refuse(
        "--server-replicas on does not go with --server-split optimal: a worker that is lost ends the job, and its part of the parameters with it");
  choice.replicas = false;
  return choice;
}

}  // namespace trireme::cli
