// SPDX-License-Identifier: Apache-2.0
#include "world/server_listing.hpp"

#include "trireme/base/error.hpp"
#include "trireme/net/wire.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <span>
#include <string>

namespace trireme {
namespace {

/// A life is counted before its card is there; if it does not come at once, who looks asks again.
constexpr std::chrono::milliseconds card_limit{250};
constexpr const char* shape_key = "ps/workers";
constexpr const char* ended_servers_key = "ps/servers_ended";
constexpr std::uint32_t most_workers = 1u << 20;

std::string lives_key(std::uint32_t server) { return "ps/server/" + std::to_string(server) + "/lives"; }
std::string card_key(std::uint32_t server, std::int64_t life) {
  return "ps/server/" + std::to_string(server) + "/card/" + std::to_string(life);
}

/// The last of its lives that is known to be over.
std::string ended_life_key(std::uint32_t server) { return "ps/server/" + std::to_string(server) + "/ended"; }

std::string ended_worker_key(std::uint32_t worker) { return "ps/worker/" + std::to_string(worker) + "/ended"; }

std::string key_of(JobFact fact) {
  switch (fact) {
    case JobFact::replicated_servers: return "ps/replicated_servers";
    case JobFact::independent_workers: return "ps/independent_workers";
    case JobFact::workers_stop: return "ps/workers_stop";
    case JobFact::servers_have_values: break;
  }
  return "ps/servers_have_values";
}

}  // namespace

void declare(rendezvous::Store& store, JobFact fact) { store.add(key_of(fact), 1); }
void note_ended_worker(rendezvous::Store& store, std::uint32_t worker) { store.add(ended_worker_key(worker), 1); }
bool is_declared(rendezvous::Store& store, JobFact fact) { return store.add(key_of(fact), 0) > 0; }

void note_gone_server(rendezvous::Store& store, std::uint32_t server) {
  const std::int64_t life = store.add(lives_key(server), 0);
  store.add(ended_life_key(server), life - store.add(ended_life_key(server), 0));
}

void ServerListing::publish(rendezvous::Store& store, const ps::ServerCard& card) const {
  // Lives of two starts at once are numbered apart; readers take the higher, which is the later.
  const std::int64_t life = store.add(lives_key(card.server), 1);
  store.set(card_key(card.server, life), card.to_text());
}

/// Whether a card of `server` is known then.
bool ServerListing::look(rendezvous::Store& store, std::uint32_t server) {
  Known& known = known_[server];
  const std::int64_t life = store.add(lives_key(server), 0);
  known.is_gone = life != 0 && store.add(ended_life_key(server), 0) >= life;
  if (life == known.life) return known.is_there();
  try {
    const std::string text = store.get(card_key(server, life), Deadline::after(card_limit));
    known.card = ps::ServerCard::parse(text);
    known.life = life;
  } catch (const Exception& caught) {
    if (caught.error().code != ErrorCode::timeout) throw;
  }
  return known.is_there();
}

std::vector<ps::ServerCard> ServerListing::cards() const {
  std::vector<ps::ServerCard> cards;
  for (const auto& [server, known] : known_) {
    if (known.is_there()) cards.push_back(known.card);
  }
  return cards;
}

std::vector<std::uint32_t> ServerListing::missing(rendezvous::Store& store, std::uint32_t servers) {
  std::vector<std::uint32_t> missing;
  for (std::uint32_t server = 0; server < servers; ++server) {
    if (!look(store, server)) missing.push_back(server);
  }
  return missing;
}

std::vector<ps::ServerCard> ServerListing::current(rendezvous::Store& store, std::uint32_t servers) {
  try {
    static_cast<void>(missing(store, servers));
  } catch (const Exception&) {  // the store has ended: who is there is there
  }
  return cards();
}

void ServerListing::note_ended_server(rendezvous::Store& store) const { store.add(ended_servers_key, 1); }

std::uint32_t ServerListing::servers_ended(rendezvous::Store& store) const {
  return static_cast<std::uint32_t>(std::max<std::int64_t>(store.add(ended_servers_key, 0), 0));
}

std::uint32_t ServerListing::workers_ended(rendezvous::Store& store, std::uint32_t workers) {
  for (std::uint32_t worker = 0; worker < workers; ++worker) {
    if (!ended_workers_.contains(worker) && store.add(ended_worker_key(worker), 0) > 0) ended_workers_.insert(worker);
  }
  return static_cast<std::uint32_t>(std::distance(ended_workers_.begin(), ended_workers_.lower_bound(workers)));
}

void ServerListing::publish(rendezvous::Store& store, const JobShape& shape) const {
  net::Writer writer;
  writer.u32(shape.workers);
  writer.u32(shape.leaves);
  const auto data = writer.data();
  store.set(shape_key, {reinterpret_cast<const char*>(data.data()), data.size()});
}

JobShape ServerListing::await_shape(rendezvous::Store& store, Deadline deadline) const {
  const std::string text = store.get(shape_key, deadline);
  net::Reader reader(std::as_bytes(std::span(text)));
  const JobShape shape{reader.u32(), reader.u32()};  // braces: in this order
  if (!reader.finished() || shape.workers == 0 || shape.workers > most_workers || shape.leaves == 0 ||
      shape.leaves > most_workers)
    fail(ErrorCode::corrupt, "the job's store says something of its workers that cannot be");
  return shape;
}

}  // namespace trireme
