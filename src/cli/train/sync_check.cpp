// SPDX-License-Identifier: Apache-2.0
#include "cli/train/sync_check.hpp"

#include "trireme/base/error.hpp"

#include <string>

namespace trireme::cli {

void check_sync(const TrainOptions& options) {
  const SyncChoice& sync = options.sync;
  if (!sync.on_servers && !sync.falls_back) return;
  const std::string how = sync.on_servers ? "--sync ps" : "--fallback ps";
  const auto refuse = [&](bool is_given, const std::string& flag, const std::string& with, const std::string& instead) {
    if (is_given) fail(ErrorCode::invalid_argument, flag + " does not go with " + with + ": " + instead);
  };
  refuse(options.zero != 0, "--zero " + std::to_string(options.zero), how,
         "servers share values and state out; take --zero 0");
  refuse(options.mesh && options.mesh->cuts_model(), "--mesh", how,
         "servers know whole parameters; take a mesh of data alone, or none");
  refuse(options.device != ComputeDevice::cpu, "--device " + std::string(name_of(options.device)), how,
         "servers take gradients of host memory; take --device cpu");
  if (sync.server_optimizer) {
    refuse(options.precision != Precision::f32, "--precision", "--server-optimizer on", "servers keep values in f32");
    refuse(options.offload.has_value(), "--offload", "--server-optimizer on", "the state is on the servers");
  }
  if (!sync.is_independent()) return;
  const std::string kind =
      sync.backup_workers != 0 ? "--backup-workers" : "--consistency " + sync.consistency.to_string();
  const std::string leaf =
      sync.backup_workers != 0 ? "every worker has one leaf" : "every gradient is an update of its own";
  refuse(options.logical_shards > 0, "--logical-shards", kind, leaf);
  refuse(options.accumulate > 1, "--accumulate", kind, leaf + "; take a larger batch");
  refuse(options.sync_batch_norm, "--sync-batch-norm", kind, "its workers do not wait for one another");
  refuse(options.model == "resnet", "--model resnet", kind,
         "the statistics of its batch normalisation are no parameters");
  refuse(options.validation.patience != 0, "--early-stop", kind, "its workers do not wait for one another");
  refuse(options.data.needs_world(), "a channel that is a pipe, or sharded,", kind,
         "the workers share no world to bring it; give a replicated channel or a path");
}

void check_backup_workers(const TrainOptions& options, std::uint32_t workers) {
  const std::uint32_t backup = options.sync.backup_workers;
  if (backup == 0 || backup < workers) return;
  fail(ErrorCode::invalid_argument, "--backup-workers " + std::to_string(backup) + ": this job has " +
                                        std::to_string(workers) + (workers == 1 ? " worker" : " workers") +
                                        ", of whom one at least must be waited for");
}

}  // namespace trireme::cli
