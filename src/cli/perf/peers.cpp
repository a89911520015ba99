// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/peers.hpp"

namespace trireme::cli {
namespace {

using Words = std::vector<std::string>;

void append(Words& words, const Words& more) { words.insert(words.end(), more.begin(), more.end()); }

Words tuned_algorithm(const std::string& number, const Words& more = {}) {
  Words words{"--mca", "coll_tuned_use_dynamic_rules", "1", "--mca", "coll_tuned_allreduce_algorithm", number};
  append(words, more);
  return words;
}

Peer open_mpi(const PeerConditions& here) {
  Peer peer{.name = "mpi",
            .product = "Open MPI",
            .program = "mpi_all_reduce_openmpi",
            .launchers = {"mpirun.openmpi", "mpirun"}};
  if (here.root) peer.arguments.push_back("--allow-run-as-root");
  append(peer.arguments, {"-np", std::to_string(here.ranks)});
  if (here.ranks <= here.processors) {
    append(peer.arguments, {"--bind-to", "core"});
  } else {
    append(peer.arguments, {"--oversubscribe", "--bind-to", "none"});
  }
  if (here.tcp)
    append(peer.arguments, {"--mca", "pml", "ob1", "--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "lo"});
  // Its own choice is up to twice as slow as the ring above the size of the caches, and the best below.
  const Words segments{"--mca", "coll_tuned_allreduce_algorithm_segmentsize", "262144"};
  peer.settings = {{.name = "as shipped"},
                   {.name = "segmented ring", .launcher_arguments = tuned_algorithm("5", segments)},
                   {.name = "rabenseifner", .launcher_arguments = tuned_algorithm("6")}};
  return peer;
}

Peer mpich(const PeerConditions& here) {
  Peer peer{.name = "mpich",
            .product = "MPICH",
            .program = "mpi_all_reduce_mpich",
            .launchers = {"mpirun.mpich", "mpiexec.hydra"},
            .settings = {{.name = "as shipped"}}};
  if (here.tcp) append(peer.arguments, {"-genv", "UCX_TLS", "tcp,self", "-genv", "UCX_NET_DEVICES", "lo"});
  append(peer.arguments, {"-np", std::to_string(here.ranks)});
  if (here.ranks <= here.processors) append(peer.arguments, {"-bind-to", "core"});
  return peer;
}

Peer gloo(const PeerConditions& here) {
  // Bound to a core, its thread that watches the sockets and its caller take turns there: milliseconds per call.
  return {.name = "gloo",
          .product = "Gloo",
          .program = "gloo_all_reduce",
          .arguments = {"run", "-n", std::to_string(here.ranks), "--"},
          .settings = {{.name = "halving-doubling", .program_arguments = {"halving_doubling"}},
                       {.name = "bcube", .program_arguments = {"bcube"}},
                       {.name = "ring", .program_arguments = {"ring"}}}};
}

/// No library at all, but what memory allows: see bench/shared_memory_bound.cpp. Beside the peers' folder.
Peer bound(const PeerConditions& here) {
  Peer peer{.name = "bound",
            .product = "the bare kernels",
            .program = "../shared_memory_bound",
            .remedy = "build the target trireme_shared_memory_bound",
            .arguments = {"run", "-n", "1", "--"}};
  const Words processes{"--processes", std::to_string(here.ranks)};
  const auto add = [&](const std::string& name, const Words& more) {
    Words words = processes;
    append(words, more);
    peer.settings.push_back({.name = name, .program_arguments = words});
  };
  if (here.arena) {
    add("zero copy", {"--kind", "zero_copy"});
    return peer;
  }
  // The best of them at each size: no one size of the pieces is.
  for (const char* kibibytes : {"16", "64", "128", "256"})
    add("staged " + std::string(kibibytes) + " KiB",
        {"--kind", "staged", "--chunk", std::to_string(std::stoul(kibibytes) * 1024)});
  return peer;
}

}  // namespace

Peer describe_peer(std::string_view name, const PeerConditions& conditions) {
  if (name == "bound") return bound(conditions);
  if (name == "mpich") return mpich(conditions);
  return name == "gloo" ? gloo(conditions) : open_mpi(conditions);
}

}  // namespace trireme::cli
