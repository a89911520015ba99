// SPDX-License-Identifier: Apache-2.0
#include "world/peer_card.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <random>

using namespace trireme;

namespace {

PeerCard a_card() {
  return {.host = "host-a",
          .host_identity = "boot/4026531840",
          .settings = "transport auto, algorithm auto",
          .processors = {0, 1, 2, 8},
          .cache_domain = platform::CacheDomain{1, 8},
          .device = "GPU-0f1e",
          .transports = {{"shm", "boot/4026531840/trireme-abc"}, {"tcp", "boot/1/10.0.0.1:99,[::1]:99"}}};
}

bool same(const PeerCard& a, const PeerCard& b) {
  return a.host == b.host && a.host_identity == b.host_identity && a.settings == b.settings &&
         a.processors == b.processors && a.cache_domain == b.cache_domain && a.device == b.device &&
         a.transports == b.transports;
}

/// Parses, or finds the text corrupt; anything else fails the test.
bool is_card(const std::string& text) {
  try {
    PeerCard::parse(text);
    return true;
  } catch (const Exception& caught) {
    REQUIRE(caught.error().code == ErrorCode::corrupt);
    return false;
  }
}

}  // namespace

TEST_CASE("a card survives being text") {
  REQUIRE(same(PeerCard::parse(a_card().to_text()), a_card()));
  REQUIRE(same(PeerCard::parse(PeerCard{}.to_text()), PeerCard{}));
  auto odd = a_card();
  odd.host = std::string("nul\0and\nnewline", 15);
  odd.transports[""] = "";
  REQUIRE(same(PeerCard::parse(odd.to_text()), odd));
}

TEST_CASE("a card that is cut short or has something behind it is corrupt") {
  const auto text = a_card().to_text();
  for (std::size_t length = 0; length < text.size(); ++length) REQUIRE(!is_card(text.substr(0, length)));
  REQUIRE(!is_card(text + "x"));
  REQUIRE(is_card(text));
}

TEST_CASE("a card that claims more than it has is corrupt") {
  auto text = a_card().to_text();
  for (std::size_t at = 0; at + 4 <= text.size(); ++at) {
    auto claims = text;
    claims.replace(at, 4, "\xff\xff\xff\xff");
    is_card(claims);  // bytes of a text may become others; what matters is that nothing else happens
  }
  auto count = PeerCard{}.to_text();
  count.replace(count.size() - 4, 4, "\xff\xff\xff\xff");
  REQUIRE(!is_card(count));
}

TEST_CASE("a card whose processors or cache are none is corrupt") {
  const auto with = [](std::string_view processors, std::string_view domain) {
    const auto empty =
        PeerCard{}.to_text();  // three empty texts, that of the processors, no domain, no device, no transports
    std::string text = empty.substr(0, 12);
    const auto size = static_cast<std::uint32_t>(processors.size());
    for (int shift = 0; shift < 32; shift += 8) text += static_cast<char>((size >> shift) & 0xff);
    return text + std::string(processors) + std::string(domain) + std::string(5, '\0');
  };
  const std::string unknown(1, '\0');
  REQUIRE(is_card(with("", unknown)));
  REQUIRE(PeerCard::parse(with("0-3,8", unknown)).processors == platform::ProcessorList{0, 1, 2, 3, 8});
  for (const char* text : {"0-3,", ",1", "3-0", "1,1", "-1", "0-8192", "4294967296", "0x3", "0-3 ", "all"})
    REQUIRE(!is_card(with(text, unknown)));
  REQUIRE(!is_card(with(std::string(70000, '1'), unknown)));
  const std::string four_zero(4, '\0');
  REQUIRE(is_card(with("0", "\x01" + four_zero + four_zero)));
  REQUIRE(!is_card(with("0", "\x02" + four_zero + four_zero)));
  REQUIRE(!is_card(with("0", "\x01" + four_zero + "\xff\xff\xff\xff")));
  REQUIRE(!is_card(with("0", "\x01" + four_zero)));
}

TEST_CASE("any bytes are a card or corrupt") {
  std::mt19937 random(6);
  const auto valid = a_card().to_text();
  int cards = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    if (i % 2 == 0) {
      text.resize(random() % 100);
      for (auto& c : text) c = static_cast<char>(random() % 3 == 0 ? random() : 0);
    } else {
      text = valid;
      for (int change = 0; change < 3; ++change) text[random() % text.size()] = static_cast<char>(random());
    }
    cards += is_card(text);
  }
  REQUIRE(cards > 0);
  REQUIRE(cards < 20000);
}
