// SPDX-License-Identifier: Apache-2.0
#include "world/mpi_meeting.hpp"

#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"
#include "trireme/net/socket.hpp"
#include "trireme/net/wire.hpp"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace trireme {
namespace {

constexpr std::size_t longest_text = 4096;
constexpr std::uint32_t most_addresses = 256;
constexpr const char* loopback = "127.0.0.1";

/// What rank 0 tells the others.
struct Invitation {
  std::string host_identity;
  std::string job_id;
  std::string key;
  std::uint32_t port = 0;
  std::vector<std::string> hosts{};  ///< numeric addresses, none of them loopback
};

std::vector<std::byte> to_bytes(const Invitation& invitation) {
  net::Writer writer;
  writer.text(invitation.host_identity);
  writer.text(invitation.job_id);
  writer.text(invitation.key);
  writer.u32(invitation.port);
  writer.u32(static_cast<std::uint32_t>(invitation.hosts.size()));
  for (const auto& host : invitation.hosts) writer.text(host);
  const auto data = writer.data();
  return {data.begin(), data.end()};
}

Invitation parse(std::span<const std::byte> bytes) {
  net::Reader reader(bytes);
  Invitation invitation;
  invitation.host_identity = reader.text(longest_text);
  invitation.job_id = reader.text(longest_text);
  invitation.key = reader.text(longest_text);
  invitation.port = reader.u32();
  const auto hosts = std::min(reader.u32(), most_addresses);
  for (std::uint32_t i = 0; i < hosts && reader.ok(); ++i) invitation.hosts.push_back(reader.text(longest_text));
  if (!reader.finished() || invitation.port == 0 || invitation.port > 65535)
    fail(ErrorCode::corrupt, "what rank 0 broadcast through MPI is no invitation: do all ranks run the same build?");
  return invitation;
}

/// On every address of this host, at any free port.
std::unique_ptr<rendezvous::Server> serve(const Settings& settings) {
  const net::Address anywhere;
  rendezvous::Server::Options options{.bind = anywhere, .key = settings.key, .job_id = settings.cluster.job_id};
  options.world_size = settings.cluster.world;
  options.serving_rank = 0;
  options.log = settings.log;
  return rendezvous::Server::start(std::move(options));
}

/// Where other hosts may find this one.
std::vector<std::string> addresses_for_others(const Settings& settings) {
  std::vector<std::string> hosts;
  try {
    for (const auto& each : net::interface_addresses(settings.tcp.interface)) {
      if (!each.loopback) hosts.push_back(each.address);
    }
  } catch (const Exception& caught) {
    fail(caught.error().code, caught.error().message + settings.tcp_origin);
  }
  return hosts;
}

/// Whichever address of rank 0 answers here.
std::string reachable(const Invitation& invitation, Deadline deadline) {
  if (invitation.host_identity == net::host_identity()) return loopback;
  std::vector<net::Address> candidates;
  for (const auto& host : invitation.hosts) candidates.push_back({host, static_cast<std::uint16_t>(invitation.port)});
  if (candidates.empty())
    fail(ErrorCode::unsupported, "rank 0 has no address that another host can reach; set MASTER_ADDR and MASTER_PORT");
  return invitation.hosts[net::race_tcp(candidates, deadline).winner];
}

}  // namespace

std::shared_ptr<engines::mpi::Session> start_mpi(const Settings& settings) {
  const auto& cluster = settings.cluster;
  std::shared_ptr<engines::mpi::Session> mpi;
  try {
    mpi = engines::mpi::Session::open(settings.mpi_module);
  } catch (const Exception& caught) {
    const std::string why = settings.engine == "mpi"
                                ? "TRIREME_ENGINE=mpi: "
                                : "started by mpirun without MASTER_ADDR and MASTER_PORT, so the ranks can meet "
                                  "through MPI only: ";
    fail(caught.error().code, why + caught.error().message);
  }
  if (mpi->rank() != cluster.rank || mpi->size() != cluster.world) {
    const std::string seen = std::to_string(mpi->rank()) + " of " + std::to_string(mpi->size());
    const std::string described = std::to_string(cluster.rank) + " of " + std::to_string(cluster.world);
    mpi->abandon();
    fail(ErrorCode::invalid_argument,
         "MPI (" + mpi->library() + ") says this is rank " + seen + ", the launcher '" + cluster.launcher + "' " +
             described + ": start the ranks with the mpirun of that MPI, which alone tells it who they are");
  }
  return mpi;
}

std::unique_ptr<rendezvous::Server> meet_through_mpi(Settings& settings, engines::mpi::Session& mpi,
                                                     Deadline deadline) {
  auto& cluster = settings.cluster;
  if (cluster.job_id.empty()) cluster.job_id = "mpi";
  std::unique_ptr<rendezvous::Server> server;
  std::vector<std::byte> mine;
  if (cluster.rank == 0) {
    server = serve(settings);
    const Invitation invitation{.host_identity = net::host_identity(),
                                .job_id = cluster.job_id,
                                .key = settings.key.to_text(),
                                .port = server->address().port,
                                .hosts = addresses_for_others(settings)};
    mine = to_bytes(invitation);
  }
  const Invitation invitation = parse(mpi.broadcast(mine));
  cluster.job_id = invitation.job_id;
  settings.key = net::JobKey::from_text(invitation.key);
  cluster.master = cluster.store_host = reachable(invitation, deadline);
  cluster.port = cluster.store_port = static_cast<std::uint16_t>(invitation.port);
  return server;
}

}  // namespace trireme
