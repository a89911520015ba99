// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trireme::ps {

/// A process of a server.
struct Holder {
  std::uint32_t server = 0;
  std::uint64_t incarnation = 0;
  auto operator<=>(const Holder&) const = default;
};

/// Who holds the keys that are server `server`'s by the plan, in one event loop: who serves them, and who may take his place because
/// he has all of it. Views of the same keys are numbered from 1, and each is decided once for all: the first that is proposed
/// (ServerOptions::first_said). What follows view n is said by who is in it: the primary that there is a replica, or none any
/// more; the replica that it serves from now on. So of a primary and a replica that do not reach each other one goes on, and the
/// other knows. Anybody may propose the same members again, to learn whether a view is the last.
struct View {
  std::uint32_t server = 0;
  std::uint64_t number = 0;  ///< 0: none is known
  Holder primary{};
  std::optional<Holder> replica{};
  std::optional<Holder>
      by{};  ///< whoever only looks whether the view before is the last: what he proposes is nobody else's
  auto operator<=>(const View&) const = default;

  std::string to_text() const;
  /// Errors: corrupt.
  static View parse(std::string_view text);
};

/// What the decision about view `number` of those keys is called where it is made.
std::string name_of_view(std::uint32_t server, std::uint32_t loop, std::uint64_t number);

}  // namespace trireme::ps
