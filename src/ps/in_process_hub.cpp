// SPDX-License-Identifier: Apache-2.0
#include "ps/in_process_hub.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace trireme::ps {

void Mailbox::put(Outgoing message) {
  {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
  }
  came_.notify_one();
}

std::optional<Outgoing> Mailbox::take(Deadline deadline) {
  std::unique_lock lock(mutex_);
  const auto is_there = [&] { return !messages_.empty(); };
  if (deadline.is_never()) {
    came_.wait(lock, is_there);
  } else if (!came_.wait_until(lock, deadline.moment(), is_there)) {
    return std::nullopt;
  }
  std::optional<Outgoing> first(std::move(messages_.front()));
  messages_.pop_front();
  return first;
}

InProcessHub::InProcessHub(const InProcessOptions& options) : options_(options) {
  if (!options_.plan) fail(ErrorCode::invalid_argument, "parameter servers in this process: there is no plan of keys");
  const KeyPlanOptions& plan = options_.plan->options();
  for (std::uint32_t server = 0; server < plan.servers; ++server) {
    for (std::uint32_t loop = 0; loop < plan.loops; ++loop) {
      seats_.push_back(std::make_unique<Seat>());
      seats_.back()->shard = std::make_unique<Shard>(ShardOptions{.server = server,
                                                                  .loop = loop,
                                                                  .plan = options_.plan,
                                                                  .consistency = options_.consistency,
                                                                  .workers = options_.workers,
                                                                  .backup_workers = options_.backup_workers,
                                                                  .leaves = options_.leaves,
                                                                  .settings = options_.settings,
                                                                  .make_optimizer = options_.make_optimizer,
                                                                  .staleness_aware = options_.staleness_aware});
    }
  }
}

ConnectionId InProcessHub::connect(std::shared_ptr<Mailbox> mailbox) {
  const std::lock_guard lock(mutex_);
  const ConnectionId first = ++clients_ * shards();
  mailboxes_[first] = std::move(mailbox);
  return first;
}

void InProcessHub::disconnect(ConnectionId first) {
  const std::lock_guard lock(mutex_);
  mailboxes_.erase(first);
}

void InProcessHub::send(ConnectionId first, std::size_t shard, std::optional<Message> message) {
  Seat& seat = *seats_[shard];
  std::unique_lock lock(seat.mutex);
  seat.incoming.push_back({first + shard, std::move(message)});
  if (seat.taken) return;
  seat.taken = true;
  while (!seat.incoming.empty()) {
    Incoming next = std::move(seat.incoming.front());
    seat.incoming.pop_front();
    lock.unlock();
    handle(seat, std::move(next));
    lock.lock();
  }
  seat.taken = false;
  seat.left.notify_all();
}

/// What is refused is the trouble of who asked for it; anything else (no memory, say) may have come in the midst of a sum that
/// others wait for: the shard serves nobody any more, as over a network.
void InProcessHub::handle(Seat& seat, Incoming incoming) {
  std::vector<Outgoing> out;
  try {
    if (!seat.failure.empty()) fail(ErrorCode::system, seat.failure);
    if (incoming.message) {
      seat.shard->handle(incoming.from, std::move(*incoming.message), out);
    } else {
      seat.shard->connection_lost(incoming.from, out);
    }
  } catch (const Exception& failed) {
    out.push_back(
        {.to = incoming.from, .control = Failed{.code = failed.error().code, .message = failed.error().message}});
  } catch (const std::exception& failed) {
    out.clear();
    seat.failure = std::string("a parameter server of this process stops: ") + failed.what();
    const std::lock_guard lock(mutex_);
    for (const auto& [first, mailbox] : mailboxes_)
      out.push_back({.to = first + incoming.from % shards(),
                     .control = Failed{.code = ErrorCode::system, .message = seat.failure}});
  }
  post(out);
}

void InProcessHub::post(std::vector<Outgoing>& messages) {
  for (Outgoing& message : messages) {
    std::shared_ptr<Mailbox> mailbox;
    {
      const std::lock_guard lock(mutex_);
      const auto found = mailboxes_.find(message.to - message.to % shards());
      if (found != mailboxes_.end()) mailbox = found->second;
    }
    if (mailbox) mailbox->put(std::move(message));
  }
}

InProcessServers::Statistics InProcessHub::statistics() {
  InProcessServers::Statistics all;
  for (const auto& seat : seats_) {
    std::unique_lock lock(seat->mutex);
    seat->left.wait(lock, [&] { return !seat->taken; });
    const Shard::Statistics& one = seat->shard->statistics();
    all.pushes += one.pushes;
    all.pulls += one.pulls;
    all.updates += one.updates;
    all.duplicates += one.duplicates;
    all.dropped += one.dropped;
    all.delayed_pulls += one.delayed_pulls;
    all.most_staleness = std::max(all.most_staleness, one.most_staleness);
  }
  return all;
}

}  // namespace trireme::ps
