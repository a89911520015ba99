// SPDX-License-Identifier: Apache-2.0
#include "ps/key_holders.hpp"

namespace trireme::ps {

KeyHolders::KeyHolders(const Options& options, const Ways& ways) : options_(options), ways_(ways) {
  for (std::uint32_t server = 0; server < options_.servers; ++server)
    groups_.insert(groups_.end(), options_.loops,
                   {.holder = server, .refused_by = std::vector<bool>(options_.servers)});
}

void KeyHolders::refused(std::uint32_t server, std::uint32_t loop, std::uint32_t by, const Failed& failed,
                         Clock::time_point now) {
  Group& keys = at(server, loop);
  if (keys.holder != by) return;
  if (failed.view >= keys.view) {
    keys.view = failed.view;
    keys.ask = failed.ask;
    if (keys.ask && *keys.ask >= options_.servers) keys.ask.reset();  // it comes from outside
  }
  if (!keys.must_move_at) keys.must_move_at = now;
  // Without a number: the answer to who asked it to serve them, which it gives once it knows the last view.
  if (failed.sequence == 0) keys.refused_by[by] = true;
}

void KeyHolders::forget_answers() {
  for (Group& keys : groups_) {
    keys.refused_by.assign(options_.servers, false);
    keys.asked = 0;
    keys.ask_again_at = {};
  }
}

bool KeyHolders::are_lost(const Group& keys, std::uint32_t loop) const {
  if (!may_move() || !ways_.is_wanted(keys.holder, loop)) return false;
  for (std::uint32_t server = 0; server < options_.servers; ++server) {
    const bool has_none = ways_.is_gone(server) || (ways_.is_welcome(server, loop) && keys.refused_by[server]);
    if (!has_none) return false;
  }
  return true;
}

std::optional<KeyHolders::Clock::duration> KeyHolders::served(std::uint32_t server, std::uint32_t loop,
                                                              Clock::time_point now) {
  Group& keys = at(server, loop);
  keys.lost.reset();
  keys.asked = 0;
  keys.refused_by.assign(options_.servers, false);
  if (!keys.lost_at) return std::nullopt;
  const auto lasted = now - *keys.lost_at;
  keys.lost_at.reset();
  return lasted;
}

bool KeyHolders::is_lost(std::uint32_t server, std::uint32_t loop, Clock::time_point now) const {
  const auto since = ways_.lost_since(server, loop);
  return since && (now - *since >= options_.takeover || ways_.is_gone(server));
}

bool KeyHolders::is_too_long(std::optional<Clock::time_point> began, const Group& keys, std::uint32_t loop,
                             Clock::time_point now) const {
  return began && now - *began >= options_.timeout && ways_.is_wanted(keys.holder, loop);
}

KeyHolders::Look KeyHolders::look(std::uint32_t server, std::uint32_t loop, Clock::time_point now) {
  Group& keys = at(server, loop);
  const auto since = ways_.lost_since(keys.holder, loop);
  if (since && !keys.lost_at) keys.lost_at = since;
  if (are_lost(keys, loop)) return {.are_lost = true};
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
  } else if (keys.ask && *keys.ask != keys.holder && keys.asked < options_.servers) {  // later all in turn
    if (ways_.is_welcome(*keys.ask, loop)) return keys.ask;
    if (!is_lost(*keys.ask, loop, now)) return std::nullopt;
    keys.lost = keys.ask;
  }
  for (std::uint32_t i = 1; i < options_.servers; ++i) {
    const std::uint32_t next = (keys.holder + i) % options_.servers;
    if (ways_.is_welcome(next, loop)) return next;
  }
  // It alone is left, and what it said of them may be no more so.
  const bool is_asked_anew = keys.must_move_at && ways_.is_welcome(keys.holder, loop) && !keys.refused_by[keys.holder];
  return is_asked_anew ? std::optional(keys.holder) : std::nullopt;
}

KeyHolders::Moved KeyHolders::move(std::uint32_t server, std::uint32_t loop, std::uint32_t holder,
                                   Clock::time_point now) {
  Group& keys = at(server, loop);
  const bool is_first = keys.asked == 0;
  keys.holder = holder;
  keys.refused_by[holder] = false;
  keys.must_move_at.reset();
  keys.ask.reset();
  if (!keys.lost_at) keys.lost_at = now;
  // Once all have been asked there is time for somebody to come back.
  if (++keys.asked % options_.servers == 0) keys.ask_again_at = now + options_.takeover;
  return {.lost = keys.lost, .is_first = is_first};
}

}  // namespace trireme::ps
