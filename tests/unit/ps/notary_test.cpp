// SPDX-License-Identifier: Apache-2.0
// Views are decided where all servers look, and nothing else counts as a decision.
#include "ps/notary.hpp"

#include "unit/ps/served.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <mutex>
#include <vector>

using namespace trireme;
using namespace trireme::testing;
using ps::View;

TEST_CASE("What is no answer to a proposal is said, and asked again until there is one") {
  const View proposal{.server = 1, .number = 3, .primary = {.server = 1, .incarnation = 5}};
  View other_keys = proposal, other_number = proposal, no_server = proposal, answer = proposal;
  other_keys.server = 0;
  other_number.number = 4;
  no_server.replica = ps::Holder{.server = 2};
  answer.primary = {.server = 0, .incarnation = 6};
  const std::vector<std::string> said{"nonsense", other_keys.to_text(), other_number.to_text(), no_server.to_text(),
                                      answer.to_text()};
  std::atomic<std::size_t> asked = 0, decided = 0;
  View result;
  Lines lines;
  ps::Notary notary([&](const std::string&, const std::string&) { return said.at(asked++); }, 2, lines.log());
  notary.ask(0, proposal, [&](const View& view) {
    result = view;
    ++decided;
  });
  REQUIRE(comes_true([&] { return decided == 1; }));
  CHECK(result == answer);
  CHECK(asked == said.size());
  CHECK(lines.with("cannot be decided yet") == 4);
  CHECK(lines.with("answered by another view") == 2);
  CHECK(lines.with("a server that does not exist") == 1);
}

TEST_CASE("Whoever hears that a view cannot be decided yet may ask for another at once") {
  const View proposal{.server = 0, .number = 1, .primary = {.server = 0, .incarnation = 5}};
  std::atomic<std::size_t> asked = 0, decided = 0;
  Lines lines;
  std::atomic<ps::Notary*> known = nullptr;
  lines.before = [&](std::string_view) {
    while (known == nullptr) std::this_thread::yield();
    known.load()->ask(0, proposal, [&](const View&) { ++decided; });
  };
  ps::Notary notary(
      [&](const std::string&, const std::string& text) { return asked++ == 0 ? std::string("nonsense") : text; }, 1,
      lines.log());
  known = &notary;
  notary.ask(0, proposal, [&](const View&) { ++decided; });
  CHECK(comes_true([&] { return decided == 2; }));
}
