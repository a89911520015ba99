// SPDX-License-Identifier: Apache-2.0
#include "trireme/world/world.hpp"

#include "engines/mpi/engine.hpp"
#include "platform/seats.hpp"
#include "trireme/base/error.hpp"
#include "trireme/net/host.hpp"
#include "trireme/rendezvous/join.hpp"
#include "trireme/transport/arena.hpp"
#include "trireme/transport/shm.hpp"
#include "trireme/transport/tcp.hpp"
#include "world/device_engines.hpp"
#include "world/links.hpp"
#include "world/mpi_meeting.hpp"
#include "world/world_builder.hpp"

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

#include <unistd.h>

namespace trireme {
namespace {

constexpr std::uint64_t first_epoch = 0;

/// `serving`: the server of this rank, if it serves already.
WorldBuilder::Meeting meet(const Settings& settings, std::unique_ptr<rendezvous::Server> serving, Deadline deadline) {
  const auto& cluster = settings.cluster;
  WorldBuilder::Meeting meeting;
  meeting.server = std::move(serving);
  rendezvous::ServerAddress server{
      .address = {cluster.store_host.value_or(*cluster.master), cluster.store_port.value_or(*cluster.port)},
      .key = settings.key,
      .job_id = cluster.job_id,
      .epoch = first_epoch,
      .rank = cluster.rank,
      .world_size = cluster.world,
      .serving_rank = cluster.store_served ? -1 : 0,
      .log = settings.log};
  if (!cluster.store_served && cluster.rank == 0 && !meeting.server) {
    meeting.server = rendezvous::Server::start({.bind = {"", server.address.port},
                                                .key = settings.key,
                                                .job_id = cluster.job_id,
                                                .epoch = first_epoch,
                                                .world_size = cluster.world,
                                                .serving_rank = 0,
                                                .log = settings.log});
  }
  meeting.store = rendezvous::connect_store(server, deadline);
  meeting.open_control = [server, deadline](rendezvous::ControlListener& listener) {
    return rendezvous::connect_control(server, listener, deadline);
  };
  return meeting;
}

std::string settings_text(const Settings& settings) {
  return "transport " + settings.transport + ", algorithm " +
         (settings.algorithm ? std::string(plan::name_of(*settings.algorithm)) : "auto") + ", eager bytes " +
         std::to_string(settings.eager_bytes.value_or(0)) + ", tcp flows " +
         (settings.tcp.flows != 0 ? std::to_string(settings.tcp.flows) : "auto") + ", engine " + settings.engine +
         ", device engine " + settings.device_engine + ", cache groups " +
         (settings.cache_groups.automatic ? "auto" : "off");
}

/// All but the transports.
PeerCard card_of(const Settings& settings) {
  PeerCard card{.host = net::host_name(),
                .host_identity = net::host_identity(),
                .settings = settings_text(settings),
                .processors = platform::allowed_processors(),
                .cache_domain = {},
                .device = device_card(settings),
                .transports = {}};
  card.cache_domain = platform::domain_of(card.processors);
  return card;
}

std::vector<PeerCard> exchange(rendezvous::Store& store, const Settings& settings, const PeerCard& mine,
                               Deadline deadline) {
  const auto texts = rendezvous::join(store, first_epoch, settings.cluster.rank, settings.cluster.world, mine.to_text(),
                                      deadline, settings.log);
  std::vector<PeerCard> cards;
  for (const auto& text : texts) cards.push_back(PeerCard::parse(text));
  for (std::size_t peer = 0; peer < cards.size(); ++peer) {
    if (cards[peer].settings != mine.settings) {
      fail(ErrorCode::mismatch, "the ranks' settings differ: rank " + std::to_string(settings.cluster.rank) + " has " +
                                    mine.settings + "; rank " + std::to_string(peer) + " on " + cards[peer].host +
                                    " has " + cards[peer].settings);
    }
  }
  return cards;
}

/// Numbers for the caches behind which the ranks sit, the same on all ranks; -1 where unknown.
std::vector<int> cache_domains(const std::vector<PeerCard>& cards) {
  std::vector<const PeerCard*> firsts;  // the first rank of each domain
  std::vector<int> domains;
  for (const auto& card : cards) {
    domains.push_back(-1);
    if (!card.cache_domain) continue;
    const auto known = std::find_if(firsts.begin(), firsts.end(), [&](const PeerCard* first) {
      return first->cache_domain == card.cache_domain &&
             net::are_on_one_machine(first->host_identity, card.host_identity);
    });
    domains.back() = static_cast<int>(known - firsts.begin());
    if (known == firsts.end()) firsts.push_back(&card);
  }
  return domains;
}

/// Numbers for the hosts of the ranks, the same on all ranks.
std::vector<int> host_numbers(const std::vector<PeerCard>& cards) {
  std::vector<std::string_view> hosts;
  std::vector<int> numbers;
  for (const auto& card : cards) {
    const auto known = std::find(hosts.begin(), hosts.end(), card.host_identity);
    numbers.push_back(static_cast<int>(known - hosts.begin()));
    if (known == hosts.end()) hosts.push_back(card.host_identity);
  }
  return numbers;
}

/// A refusal of the interface or the ports names what chose them, which the transport does not know.
std::unique_ptr<transport::Transport> tcp_transport(const transport::Membership& self, const Settings& settings) {
  try {
    return transport::make_tcp_transport(self, settings.tcp);
  } catch (const Exception& caught) {
    fail(caught.error().code, caught.error().message + settings.tcp_origin);
  }
}

const std::string& of_rank(const std::vector<std::string>& texts, int rank) {
  if (rank < 0 || static_cast<std::size_t>(rank) >= texts.size()) {
    fail(ErrorCode::invalid_argument,
         std::to_string(rank) + " is not a rank of this world of " + std::to_string(texts.size()));
  }
  return texts[static_cast<std::size_t>(rank)];
}

/// The ranks of a host map each other's arenas, unless they talk over TCP.
Bytes arena_reserve(const Settings& settings) {
  if (settings.arena_reserve.value != 0) return settings.arena_reserve;
  const int here = settings.transport == "tcp" ? 1 : settings.cluster.local_world.value_or(settings.cluster.world);
  return transport::Arena::usual_reserve(static_cast<std::size_t>(std::max(here, 1)));
}

}  // namespace

comm::EngineFactory factory_of(const Settings& settings, const std::shared_ptr<engines::mpi::Session>& mpi) {
  return settings.engine == "mpi" ? engines::mpi::factory(mpi) : comm::EngineFactory();
}

World WorldBuilder::build_alone(const Settings& settings, MpiSession mpi) {
  auto contents = std::make_unique<World::Contents>();
  contents->mpi = std::move(mpi);
  contents->engine = settings.engine;
  contents->hosts = {net::host_name()};
  contents->transports = {"self"};
  const DeviceChoice devices = devices_of(settings, std::array{card_of(settings)});
  contents->devices = devices.options;
  contents->context = comm::open_context({.hosts = contents->hosts,
                                          .host_of = {0},
                                          .transports = contents->transports,
                                          .timeout = settings.timeout,
                                          .algorithm = settings.algorithm,
                                          .cache_groups = settings.cache_groups,
                                          .make_engine = factory_of(settings, contents->mpi),
                                          .devices = contents->devices,
                                          .engine_rings = settings.engine != "mpi" && devices.rings,
                                          .log = settings.log,
                                          .arena = std::make_shared<transport::Arena>(arena_reserve(settings)),
                                          .doorbell = std::make_shared<transport::Doorbell>()},
                                         {});
  contents->communicator = comm::make_communicator(contents->context);
  return World(std::move(contents));
}

World WorldBuilder::build(Settings settings, Meeting meeting, MpiSession mpi) {
  const Deadline deadline = Deadline::after(settings.join_timeout);
  auto contents = std::make_unique<World::Contents>();
  contents->server = std::move(meeting.server);
  contents->mpi = std::move(mpi);
  if (contents->mpi) contents->patience_at_end = settings.timeout;  // that of any other wait for all ranks
  contents->engine = settings.engine;
  const auto control = ControlRelay::open(settings.cluster.rank, first_epoch, meeting.open_control);
  try {
    join(*contents, settings, meeting, *control, deadline);
  } catch (const Exception& exception) {
    control->give_up(exception.error());
    throw;
  }
  return World(std::move(contents));
}

void WorldBuilder::join(World::Contents& contents, const Settings& settings, const Meeting& meeting,
                        ControlRelay& control, Deadline deadline) {
  const auto& cluster = settings.cluster;
  const transport::Membership self{.job_id = cluster.job_id,
                                   .epoch = first_epoch,
                                   .rank = cluster.rank,
                                   .world_size = cluster.world,
                                   .key = settings.key,
                                   .arena = std::make_shared<transport::Arena>(arena_reserve(settings)),
                                   .doorbell = std::make_shared<transport::Doorbell>()};

  std::vector<std::unique_ptr<transport::Transport>> transports;  // in order of preference
  if (meeting.network != nullptr) transports.push_back(transport::make_mem_transport(*meeting.network, self));
  if (settings.transport == "auto" || settings.transport == "shm")
    transports.push_back(transport::make_shm_transport(self));
  if (settings.transport == "auto" || settings.transport == "tcp") transports.push_back(tcp_transport(self, settings));

  PeerCard mine = card_of(settings);
  for (const auto& each : transports) mine.transports.emplace(each->name(), each->card());
  const auto cards = exchange(*meeting.store, settings, mine, deadline);
  for (const auto& card : cards) contents.hosts.push_back(card.host);
  control.learn(contents.hosts);
  auto links = connect_all(transports, cards, cluster.rank, control, deadline, settings.log, meeting.store.get());

  const std::string ways = describe_ways(links, cluster.rank);

  bool one_host = true;
  std::vector<platform::ProcessorList> on_machine;  // containers have a network each, but share the processors
  for (const auto& card : cards) {
    if (net::are_on_one_machine(card.host_identity, mine.host_identity)) on_machine.push_back(card.processors);
    one_host &= card.host_identity == mine.host_identity;
    if (card.host_identity != mine.host_identity) continue;
    if (&card < &cards[static_cast<std::size_t>(cluster.rank)]) ++contents.local_rank;
    contents.local_size += &card != &cards[static_cast<std::size_t>(cluster.rank)];
  }
  contents.transports = links.transports;
  const DeviceChoice devices = devices_of(settings, cards);
  contents.devices = devices.options;
  const bool crosses_network = settings.transport == "tcp" || !one_host;
  const auto cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  auto cache_groups = settings.cache_groups;
  if (cache_groups.domain_of.empty()) cache_groups.domain_of = cache_domains(cards);
  contents.context = comm::open_context(
      {.rank = cluster.rank,
       .world_size = cluster.world,
       .epoch = first_epoch,
       .hosts = contents.hosts,
       .host_of = host_numbers(cards),
       .transports = links.transports,
       .crosses_network = crosses_network,
       .crosses_hosts = !one_host,
       .ranks_fit_cores = platform::each_has_a_processor(on_machine, cores),
       .timeout = settings.timeout,
       .join_until = deadline,
       .algorithm = settings.algorithm,
       .eager_bytes = settings.eager_bytes,
       .cache_groups = std::move(cache_groups),
       // A device that does not ring leaves deadlines to somebody who looks, also where programs wait for streams alone.
       .progress_thread = settings.progress_thread.value_or(crosses_network || !devices.rings),
       .make_engine = factory_of(settings, contents.mpi),
       .devices = contents.devices,
       .engine_rings = settings.engine != "mpi" && devices.rings,
       .log = settings.log,
       .arena = self.arena,
       .doorbell = self.doorbell,
       .open_control = [&control](rendezvous::ControlListener& listener) { return control.hand_over(listener); }},
      std::move(links.links));
  contents.communicator = comm::make_communicator(contents.context);
  if (cluster.rank == 0)
    settings.log(LogLevel::info, "world of " + std::to_string(cluster.world) + " ranks open: " + ways);
}

World World::open(const Options& options) {
  Settings settings = settle(options, platform::Environment::of_process(::environ));
  require_rank(settings.cluster);
  scrub_secrets();
  const Deadline deadline = Deadline::after(settings.join_timeout);
  std::shared_ptr<engines::mpi::Session> mpi;
  if (settings.engine == "mpi" || meets_through_mpi(settings)) mpi = start_mpi(settings);
  if (settings.cluster.world == 1) return WorldBuilder::build_alone(settings, std::move(mpi));
  std::unique_ptr<rendezvous::Server> server;
  if (meets_through_mpi(settings)) server = meet_through_mpi(settings, *mpi, deadline);
  auto meeting = meet(settings, std::move(server), deadline);
  return WorldBuilder::build(std::move(settings), std::move(meeting), std::move(mpi));
}

World::World(std::unique_ptr<Contents> contents) : contents_(std::move(contents)) {}
World::World(World&&) noexcept = default;
World& World::operator=(World&& other) noexcept {
  if (this != &other) {
    close();
    contents_ = std::move(other.contents_);
  }
  return *this;
}

void World::leave(bool failed) {
  const bool together = comm::close_context(contents_->context, failed, contents_->patience_at_end);
  if (!contents_->mpi) return;
  // MPI ends when all ranks end it, however long that takes: where one was lost they never will.
  if (!together) contents_->mpi->abandon();
  contents_->mpi->close();
}

World::~World() {
  if (contents_) leave(std::uncaught_exceptions() > contents_->exceptions_at_open);
}

void World::close() {
  if (contents_) leave(false);
}

int World::rank() const { return contents_->communicator->rank(); }
int World::size() const { return contents_->communicator->size(); }
int World::local_rank() const { return contents_->local_rank; }
int World::local_size() const { return contents_->local_size; }
Communicator World::communicator() const { return *contents_->communicator; }
Memory World::memory() const { return contents_->communicator->memory(); }
std::string World::transport(int peer) const { return of_rank(contents_->transports, peer); }
std::string World::host(int peer) const { return of_rank(contents_->hosts, peer); }
const std::string& World::engine() const { return contents_->engine; }
std::optional<Device> World::device() const {
  return contents_->devices.runtime ? std::optional(contents_->devices.device) : std::nullopt;
}
std::shared_ptr<device::Runtime> World::device_runtime() const { return contents_->devices.runtime; }
std::optional<Error> World::failure() const { return comm::failure_of(contents_->context); }
bool World::device_hangs() const noexcept { return comm::device_hangs(contents_->context); }

}  // namespace trireme
