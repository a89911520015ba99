// SPDX-License-Identifier: Apache-2.0
#include "simulation.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace trireme::testing {

using namespace ps;

SimulatedWorker::SimulatedWorker(Simulation& world, Options options) : world_(world), options_(std::move(options)) {
  for (std::uint32_t g = 0; g < world.servers(); ++g) serves_[g] = g;
}

void SimulatedWorker::connect(std::size_t server) {
  windows_.erase(server);
  const Simulation::Options& job = world_.options();
  world_.send(options_.rank, server,
              {.control = Join{.worker = id(),
                               .rank = options_.rank,
                               .workers = job.workers,
                               .leaves = job.leaves,
                               .plan_fingerprint = job.plan->fingerprint(),
                               .consistency = job.consistency.to_string(),
                               .attempt = ++attempts_}});
}

void SimulatedWorker::add(Key key, Control control, Payload payload) {
  items_.push_back({.group = world_.options().plan->keys()[key].server,
                    .key = key,
                    .message = {std::move(control), std::move(payload)}});
}

void SimulatedWorker::pump() {
  std::set<Key> waits;
  for (Item& item : items_) {
    if (item.sent) continue;
    const std::size_t server = serves_[item.group];
    const auto window = windows_.find(server);
    if (waits.contains(item.key) || window == windows_.end()) {
      waits.insert(item.key);
      continue;
    }
    const auto* push = std::get_if<Push>(&item.message.control);
    const std::uint64_t bytes = push == nullptr ? 0 : item.message.payload.size();
    item.server = server;
    if ((item.offered || bytes > window->second) && !item.granted) {
      if (!std::exchange(item.offered, true))
        world_.send(options_.rank, server, {.control = Offer{.key = item.key, .step = push->step, .bytes = bytes}});
      waits.insert(item.key);
      continue;
    }
    if (!item.granted) window->second -= bytes;
    item.sent = true;
    world_.send(options_.rank, server, item.message);
  }
}

void SimulatedWorker::begin_step() {
  if (stopped) return;
  const Simulation::Options& job = world_.options();
  const auto& keys = job.plan->keys();
  if (step_ == 0) {
    for (Key k = 0; k < keys.size() && options_.initialises; ++k) {
      const std::size_t bytes = keys[k].range.size() * size_of(job.plan->tensors()[keys[k].tensor].dtype);
      add(k, Initialise{.sequence = ++sequence_, .key = k}, Payload(bytes, std::byte{}));
    }
    step_ = options_.first_step - 1;
  }
  ++step_;
  if (step_ > options_.steps) return;
  std::vector<Key> order(keys.size());
  for (Key k = 0; k < keys.size(); ++k) order[k] = k;
  std::shuffle(order.begin(), order.end(), world_.random());
  for (const Key k : order) {
    Payload gradient = options_.gradient(options_.rank, k, step_);
    const bool used = !gradient.empty();
    add(k,
        Push{.sequence = ++sequence_,
             .key = k,
             .step = step_,
             .weight = options_.weight,
             .used = used,
             .pulled_version = versions_[k],
             .learning_rate = options_.learning_rate},
        std::move(gradient));
    wanted_.insert(k);
  }
  phase_ = Phase::sums;
  if (job.consistency.kind != ConsistencyKind::bulk_synchronous) wanted_.clear();
}

void SimulatedWorker::advance() {
  while (wanted_.empty() && step_ <= options_.steps) {
    const Simulation::Options& job = world_.options();
    if (phase_ == Phase::sums && job.make_optimizer) {
      phase_ = Phase::values;
      for (Key k = 0; k < job.plan->keys().size(); ++k) {
        if (job.consistency.kind == ConsistencyKind::bulk_synchronous)
          add(k, Update{.sequence = ++sequence_, .key = k, .step = step_, .learning_rate = options_.learning_rate});
        add(k, Pull{.request = ++requests_, .key = k, .step = step_});
        wanted_.insert(k);
      }
    } else {
      if (stopped) break;
      begin_step();
    }
  }
  pump();
}

void SimulatedWorker::receive(std::size_t server, Message&& message) {
  const auto acknowledged = [&](auto matches) {
    const auto item = std::find_if(items_.begin(), items_.end(), matches);
    if (item == items_.end()) return;
    if (serves_[item->group] == server) moving_[item->group] = {.view = moving_[item->group].view};
    if (std::holds_alternative<Push>(item->message.control)) ++acknowledged_[item->key];
    items_.erase(item);
  };
  Control& control = message.control;
  if (auto* welcome = std::get_if<Welcome>(&control)) {
    windows_[server] = welcome->window_bytes;
    first_windows_.try_emplace(server, welcome->window_bytes);
    for (auto& [group, moving] : moving_) moving.asked = 0;
    move();
  } else if (auto* grant = std::get_if<Grant>(&control)) {
    if (grant->for_offer) {
      for (Item& item : items_) {
        const auto* push = std::get_if<Push>(&item.message.control);
        if (push == nullptr || !item.offered || push->key != grant->key || push->step != grant->step) continue;
        item.granted = true;
      }
    } else {
      windows_[server] += grant->bytes;
    }
  } else if (auto* ack = std::get_if<Acknowledged>(&control)) {
    acknowledged([&](const Item& item) {
      if (serves_[item.group] != server || !item.sent) return false;
      return std::visit(
          [&](const auto& each) {
            if constexpr (requires { each.sequence; }) return each.sequence == ack->sequence;
            return false;
          },
          item.message.control);
    });
  } else if (auto* reduced = std::get_if<Reduced>(&control)) {
    if (phase_ == Phase::sums && reduced->step == step_ && wanted_.erase(reduced->key) != 0)
      means_[reduced->key] = std::move(message.payload);
  } else if (auto* values = std::get_if<Values>(&control)) {
    acknowledged([&](const Item& item) {
      const auto* pull = std::get_if<Pull>(&item.message.control);
      return pull != nullptr && pull->request == values->request;
    });
    if (wanted_.erase(values->key) != 0) {
      versions_[values->key] = values->version;
      values_[values->key] = std::move(message.payload);
    }
  } else if (auto* failed = std::get_if<Failed>(&control)) {
    if (failed->code != ErrorCode::closed) {
      failures_.push_back(failed->message);
    } else if (failed->server && serves_[*failed->server] == server) {
      Moving& moving = moving_[*failed->server];
      moving.must_move = true;
      if (failed->view >= moving.view) {
        moving.view = failed->view;
        moving.ask = failed->ask;
      }
      move();
    }
  } else if (auto* refused = std::get_if<Refused>(&control)) {
    failures_.push_back(refused->message);
  }
  advance();
}

void SimulatedWorker::lost(std::size_t server) {
  windows_.erase(server);
  if (world_.options().replicas) {
    for (auto& [group, serves] : serves_) {
      if (serves != server) continue;
      moving_[group].must_move = true;
      moving_[group].lost = static_cast<std::uint32_t>(server);
      moving_[group].ask.reset();
    }
  }
  for (Item& item : items_) {
    if (item.server == server) item.sent = item.offered = item.granted = false;
  }
  move();
  advance();
}

/// Asks who was named, else the next one in the ring, to serve what its server does not; each once, until somebody comes or answers.
void SimulatedWorker::move() {
  const std::size_t servers = world_.servers();
  for (auto& [group, moving] : moving_) {
    if (!moving.must_move || moving.asked >= servers) continue;
    std::size_t& serves = serves_[group];
    const std::size_t before = serves;
    std::optional<std::size_t> next;
    if (moving.ask && *moving.ask != serves) {
      if (windows_.contains(*moving.ask))
        next = *moving.ask;
      else
        moving.lost = moving.ask;
    }
    for (std::size_t i = 1; i < servers && !next; ++i) {
      if (windows_.contains((serves + i) % servers)) next = (serves + i) % servers;
    }
    if (!next) continue;
    serves = *next;
    moving.must_move = false;
    moving.ask.reset();
    ++moving.asked;
    for (Item& item : items_) {
      if (item.group == group) item.sent = item.offered = item.granted = false;
    }
    world_.send(options_.rank, serves, {.control = TakeOver{.server = group, .lost = moving.lost}});
    if (!windows_.contains(before)) continue;
    // As the client: what was offered there is void.
    world_.redial(options_.rank, before);
    connect(before);
    for (Item& item : items_) {
      if (item.server == before) item.sent = item.offered = item.granted = false;
    }
  }
}

std::string SimulatedWorker::state() const {
  std::string text = "rank " + std::to_string(options_.rank) + " in step " + std::to_string(step_) + ", phase " +
                     std::to_string(static_cast<int>(phase_)) + ", wants " + std::to_string(wanted_.size()) + ":";
  for (const Item& item : items_)
    text += " [" + std::to_string(item.message.control.index()) + " key " + std::to_string(item.key) +
            (item.sent      ? " sent"
             : item.offered ? " offered"
                            : " waits") +
            "]";
  for (const std::string& each : failures_) text += "\n    failure: " + each;
  return text;
}

Simulation::Simulation(Options options, std::uint64_t seed) : options_(std::move(options)), random_(seed) {
  const std::uint32_t servers = options_.plan->options().servers;
  shards_.resize(servers);
  incarnations_.resize(servers);
  notaries_.resize(servers);
  for (std::size_t s = 0; s < servers; ++s) start(s);
  link_missing();
}

void Simulation::start(std::size_t server) {
  shards_[server] = std::make_unique<Shard>(ShardOptions{.server = static_cast<std::uint32_t>(server),
                                                         .incarnation = ++incarnations_[server],
                                                         .plan = options_.plan,
                                                         .consistency = options_.consistency,
                                                         .workers = options_.workers,
                                                         .backup_workers = options_.backup_workers,
                                                         .leaves = options_.leaves,
                                                         .make_optimizer = options_.make_optimizer,
                                                         .staleness_aware = options_.staleness_aware,
                                                         .memory_bytes = options_.memory_bytes,
                                                         .has_views = options_.replicas});
  ask(server);
}

void Simulation::restart(std::size_t server) {
  start(server);
  link_missing();
  for (auto& each : workers_) {
    connect({false, each->rank(), 0}, {true, server, next_connection_++});
    each->connect(server);
  }
}

/// To the next server that is reached, or another one if that has been tried for long.
void Simulation::link_replica(std::size_t server) {
  const std::size_t count = shards_.size();
  for (std::size_t i = 1; i < count; ++i) {
    const std::size_t other = (server + i) % count;
    if (!shards_[other] || is_cut(server, other)) continue;
    const ConnectionId own = next_connection_++;
    connect({true, server, own}, {true, other, next_connection_++}).replicates = true;
    std::vector<Outgoing> out;
    shards_[server]->set_replica(own, out);
    take(server, out);
    return;
  }
}

void Simulation::link_missing() {
  if (!options_.replicas) return;
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    if (!shards_[s]) continue;
    const bool has_link = std::any_of(links_.begin(), links_.end(), [&](const auto& each) {
      // One that it does not yet know to be broken is one.
      return each->replicates && each->ends[0].index == s && (!each->broken || !each->to[0].empty());
    });
    if (!has_link) link_replica(s);
  }
}

/// Both ends live on, and have what came before.
void Simulation::cut_link(Link& link) {
  if (link.broken) return;
  link.broken = true;
  for (auto& coming : link.to) {
    coming.resize(std::uniform_int_distribution<std::size_t>(0, coming.size())(random_));
    coming.push_back(std::nullopt);
  }
}

void Simulation::cut(std::size_t a, std::size_t b) {
  cuts_.insert({std::min(a, b), std::max(a, b)});
  for (auto& link : links_) {
    if (link->ends[0].is_server && link->ends[1].is_server &&
        std::minmax(link->ends[0].index, link->ends[1].index) == std::minmax(a, b))
      cut_link(*link);
  }
}

void Simulation::mend() {
  cuts_.clear();
  link_missing();
}

void Simulation::cut_worker(std::size_t index, std::size_t server) {
  for (auto& link : links_) {
    if (!link->ends[0].is_server && link->ends[0].index == workers_[index]->rank() && link->ends[1].index == server)
      cut_link(*link);
  }
}

void Simulation::mend_worker(std::size_t index, std::size_t server) {
  if (!shards_[server]) return;
  const bool is_back = std::any_of(links_.begin(), links_.end(), [&](const auto& link) {
    return !link->broken && !link->ends[0].is_server && link->ends[0].index == workers_[index]->rank() &&
           link->ends[1].index == server;
  });
  if (is_back) return;  // it has moved keys, and dialled anew
  connect({false, workers_[index]->rank(), 0}, {true, server, next_connection_++});
  workers_[index]->connect(server);
}

/// Takes what a server has to have decided.
void Simulation::ask(std::size_t server) {
  for (View& view : shards_[server]->take_proposals())
    notaries_[server].asked.emplace_back(incarnations_[server], std::move(view));
}

void Simulation::decide(std::size_t server) {
  auto [incarnation, view] = std::move(notaries_[server].asked.front());
  notaries_[server].asked.pop_front();
  const View& decided = decided_.try_emplace({view.server, view.number}, view).first->second;
  if (shards_[server] && incarnations_[server] == incarnation)
    notaries_[server].answered.emplace_back(incarnation, decided);
}

Simulation::Link& Simulation::connect(End a, End b) {
  links_.push_back(std::make_unique<Link>());
  links_.back()->ends[0] = a;
  links_.back()->ends[1] = b;
  return *links_.back();
}

SimulatedWorker* Simulation::worker(std::size_t rank) {
  const auto found = std::find_if(workers_.begin(), workers_.end(), [&](const auto& w) { return w->rank() == rank; });
  return found == workers_.end() ? nullptr : found->get();
}

SimulatedWorker& Simulation::add_worker(SimulatedWorker::Options options) {
  workers_.push_back(std::make_unique<SimulatedWorker>(*this, std::move(options)));
  SimulatedWorker& added = *workers_.back();
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    if (!shards_[s]) continue;
    connect({false, added.rank(), 0}, {true, s, next_connection_++});
    added.connect(s);
  }
  added.go_on();
  return added;
}

void Simulation::send(std::size_t rank, std::size_t server, Message message) {
  for (auto& link : links_) {
    if (!link->broken && !link->ends[0].is_server && link->ends[0].index == rank && link->ends[1].index == server)
      link->to[1].push_back(std::move(message));
  }
}

void Simulation::take(std::size_t server, std::vector<Outgoing>& out) {
  for (Outgoing& each : out) {
    for (auto& link : links_) {
      for (const int end : {0, 1}) {
        const End& here = link->ends[end];
        if (link->broken || !here.is_server || here.index != server || here.connection != each.to) continue;
        link->to[1 - end].push_back(Message{each.control, each.payload ? *each.payload : Payload{}});
      }
    }
  }
  out.clear();
  ask(server);
}

void Simulation::sever(Link& link, int survivor) {
  if (link.broken) return;
  link.broken = true;
  auto& coming = link.to[survivor];
  coming.resize(std::uniform_int_distribution<std::size_t>(0, coming.size())(random_));
  coming.push_back(std::nullopt);
  link.to[1 - survivor].clear();
}

void Simulation::kill(std::size_t server) {
  for (auto& link : links_) {
    for (const int end : {0, 1}) {
      if (link->ends[end].is_server && link->ends[end].index == server) {
        sever(*link, 1 - end);
        link->to[end].clear();
      }
    }
  }
  shards_[server].reset();
  auto& asked = notaries_[server].asked;
  asked.resize(std::uniform_int_distribution<std::size_t>(0, asked.size())(random_));
  notaries_[server].answered.clear();
}

void Simulation::lose_worker(std::size_t index) {
  const std::size_t rank = workers_[index]->rank();
  for (auto& link : links_) {
    if (!link->ends[0].is_server && link->ends[0].index == rank) sever(*link, 1);
  }
  workers_.erase(workers_.begin() + static_cast<std::ptrdiff_t>(index));
}

void Simulation::redial(std::size_t rank, std::size_t server) {
  for (auto& link : links_) {
    if (link->ends[0].is_server || link->ends[0].index != rank || link->ends[1].index != server) continue;
    sever(*link, 1);
    link->to[0].clear();  // whoever has closed it reads nothing more
  }
  connect({false, rank, 0}, {true, server, next_connection_++});
}

void Simulation::reconnect(std::size_t index, std::size_t server) {
  SimulatedWorker& each = *workers_[index];
  redial(each.rank(), server);
  each.connect(server);
  const bool replicas = std::exchange(options_.replicas, false);  // the same server, not its replica
  each.lost(server);
  options_.replicas = replicas;
}

bool Simulation::run(std::uint64_t steps) {
  for (std::uint64_t delivered = 0; delivered < steps; ++delivered) {
    if (before_delivery) before_delivery();
    std::vector<std::pair<Link*, int>> able;
    for (auto& link : links_) {
      for (const int end : {0, 1}) {
        if (!link->to[end].empty()) able.emplace_back(link.get(), end);
      }
    }
    for (std::size_t s = 0; s < notaries_.size(); ++s) {
      if (!notaries_[s].asked.empty()) able.emplace_back(nullptr, static_cast<int>(2 * s));
      if (!notaries_[s].answered.empty()) able.emplace_back(nullptr, static_cast<int>(2 * s + 1));
    }
    if (able.empty()) {  // time passes
      if (is_settled()) return false;
      for (std::size_t s = 0; s < shards_.size(); ++s) {
        if (!shards_[s] || shards_[s]->is_settled()) continue;
        std::vector<Outgoing> out;
        shards_[s]->serve_alone(out);
        take(s, out);
      }
      continue;
    }
    const std::size_t chosen =
        choose ? choose(able.size()) : std::uniform_int_distribution<std::size_t>(0, able.size() - 1)(random_);
    const auto [link, end] = able[chosen];
    if (link == nullptr) {
      const auto server = static_cast<std::size_t>(end / 2);
      if (end % 2 == 0) {
        decide(server);
        continue;
      }
      const View view = notaries_[server].answered.front().second;
      notaries_[server].answered.pop_front();
      std::vector<Outgoing> out;
      shards_[server]->decided(view, out);
      take(server, out);
      continue;
    }
    std::optional<Message> message = std::move(link->to[end].front());
    link->to[end].pop_front();
    const End here = link->ends[end], there = link->ends[1 - end];
    if (here.is_server && shards_[here.index]) {
      std::vector<Outgoing> out;
      message ? shards_[here.index]->handle(here.connection, std::move(*message), out)
              : shards_[here.index]->connection_lost(here.connection, out);
      take(here.index, out);
    } else if (SimulatedWorker* const each = worker(here.index); !here.is_server && each != nullptr) {
      message ? each->receive(there.index, std::move(*message)) : each->lost(there.index);
    }
    std::erase_if(links_, [](const auto& each) { return each->broken && each->to[0].empty() && each->to[1].empty(); });
    if (!message) link_missing();
  }
  return true;
}

std::size_t SimulatedWorker::server_of(Key key) const { return serves_.at(world_.options().plan->keys()[key].server); }

bool Simulation::calm() const {
  const auto is_calm = [](const std::optional<Message>& each) {
    return each && !std::holds_alternative<Join>(each->control) && !std::holds_alternative<Welcome>(each->control) &&
           !std::holds_alternative<TakeOver>(each->control) && !std::holds_alternative<Transfer>(each->control) &&
           !std::holds_alternative<Membership>(each->control);
  };
  for (const Notary& notary : notaries_) {
    if (!notary.asked.empty() || !notary.answered.empty()) return false;
  }
  return std::all_of(links_.begin(), links_.end(), [&](const auto& link) {
    return std::all_of(link->to[0].begin(), link->to[0].end(), is_calm) &&
           std::all_of(link->to[1].begin(), link->to[1].end(), is_calm);
  });
}

std::pair<std::uint64_t, Payload> Simulation::read(std::size_t index, Key key) {
  const SimulatedWorker& reader = *workers_[index];
  for (auto& link : links_) {
    if (link->broken || link->ends[0].is_server || link->ends[0].index != reader.rank()) continue;
    std::vector<Outgoing> out;
    shards_[link->ends[1].index]->handle(link->ends[1].connection, {Pull{.request = 1, .key = key}}, out);
    for (const Outgoing& each : out) {
      if (const auto* values = std::get_if<Values>(&each.control)) return {values->version, *each.payload};
    }
  }
  return {};
}

bool Simulation::all_done() const {
  return std::all_of(workers_.begin(), workers_.end(), [](const auto& each) { return each->done(); });
}

bool Simulation::is_settled() const {
  return std::all_of(shards_.begin(), shards_.end(), [](const auto& each) { return !each || each->is_settled(); });
}

bool Simulation::is_replicated() const {
  std::size_t served = 0, replicated = 0;
  for (const auto& each : shards_) {
    if (!each) continue;
    served += each->served_groups().first;
    replicated += each->served_groups().second;
  }
  return served == shards_.size() && replicated == served;
}

std::string Simulation::state() const {
  std::string text;
  for (std::size_t s = 0; s < shards_.size(); ++s)
    text += "server " + std::to_string(s) +
            (shards_[s] ? " serves " + std::to_string(shards_[s]->served_groups().first) + ", with replicas " +
                              std::to_string(shards_[s]->served_groups().second) + "\n"
                        : " is dead\n");
  for (const auto& [name, view] : decided_) text += "  decided: " + view.to_text() + "\n";
  for (const auto& each : workers_) text += each->state() + "\n";
  return text;
}

}  // namespace trireme::testing
