// SPDX-License-Identifier: Apache-2.0
#include "ps/key_holders.hpp"

namespace trireme::ps {

KeyHolders::KeyHolders(const Options& options, const Ways& ways) : options_(options), ways_(ways) {
  for (std::uint32_t server = 0; server < options_.servers; ++server)
    groups_.insert(groups_.end(), options_.loops, {.holder = server});
}

void KeyHolders::refused(std::uint32_t server, std::uint32_t loop, std::uint32_t by, const Failed& failed,
                         Clock::time_point now) {
  Group& keys = at(server, loop);
  if (keys.holder != by) return;
  if (failed.view >= keys.view) {
    keys.view = failed.view;
    keys.ask = failed.ask;
  }
  if (!keys.must_move_at) keys.must_move_at = now;
}

std::optional<KeyHolders::Clock::duration> KeyHolders::served(std::uint32_t server, std::uint32_t loop,
                                                              Clock::time_point now) {
  Group& keys = at(server, loop);
  keys.lost.reset();
  keys.asked = 0;
  if (!keys.lost_at) return std::nullopt;
  const auto lasted = now - *keys.lost_at;
  keys.lost_at.reset();
  return lasted;
}

bool KeyHolders::is_lost(std::uint32_t server, std::uint32_t loop, Clock::time_point now) const {
  const auto since = ways_.lost_since(server, loop);
  return since && now - *since >= options_.takeover;
}

bool KeyHolders::is_too_long(std::optional<Clock::time_point> began, const Group& keys, std::uint32_t loop,
                             Clock::time_point now) const {
  return began && now - *began >= options_.timeout && ways_.is_wanted(keys.holder, loop);
}

KeyHolders::Look KeyHolders::look(std::uint32_t server, std::uint32_t loop, Clock::time_point now) {
  Group& keys = at(server, loop);
  const auto since = ways_.lost_since(keys.holder, loop);
  if (since && !keys.lost_at) keys.lost_at = since;
  // Each who is asked may answer, and not serve. (Whoever took them over is asked once, and serves when something is wanted.)
  if (keys.asked > 2 * options_.servers && is_too_long(keys.lost_at, keys, loop, now)) return {.gives_up = true};
  if (may_move() && now >= keys.ask_again_at && (keys.must_move_at || is_lost(keys.holder, loop, now))) {
    if (const auto next = next_holder(keys, loop, now)) return {.ask = next};
  }
  return {.gives_up = is_too_long(since ? since : keys.must_move_at, keys, loop, now)};
}

/// Whom to ask to serve them: who was named, else the next one in the ring. None: nobody now.
std::optional<std::uint32_t> KeyHolders::next_holder(Group& keys, std::uint32_t loop, Clock::time_point now) {
  if (!keys.must_move_at) {
    keys.lost = keys.holder;
  } else if (keys.ask && *keys.ask != keys.holder) {
    if (ways_.is_welcome(*keys.ask, loop)) return keys.ask;
    if (!is_lost(*keys.ask, loop, now)) return std::nullopt;
    keys.lost = keys.ask;
  }
  for (std::uint32_t i = 1; i < options_.servers; ++i) {
    const std::uint32_t next = (keys.holder + i) % options_.servers;
    if (ways_.is_welcome(next, loop)) return next;
  }
  return std::nullopt;
}

KeyHolders::Moved KeyHolders::move(std::uint32_t server, std::uint32_t loop, std::uint32_t holder,
                                   Clock::time_point now) {
  Group& keys = at(server, loop);
  const bool is_first = keys.asked == 0;
  keys.holder = holder;
  keys.must_move_at.reset();
  keys.ask.reset();
  if (!keys.lost_at) keys.lost_at = now;
  // Once all have been asked there is time for somebody to come back.
  if (++keys.asked % options_.servers == 0) keys.ask_again_at = now + options_.takeover;
  return {.lost = keys.lost, .is_first = is_first};
}

}  // namespace trireme::ps
