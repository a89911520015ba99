// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/error.hpp"
#include "trireme/ps/server.hpp"

#include <charconv>
#include <string>
#include <string_view>

// One line: server=1 incarnation=42 host=… address=10.0.0.1:4000 address=[fd00::1]:4000 local=…
namespace trireme::ps {
namespace {

constexpr std::size_t longest_card = 65536;

bool is_plain(char c) { return static_cast<unsigned char>(c) > ' ' && c != '%' && c != 0x7f; }

/// White space, control characters and % as %XX.
std::string written(std::string_view text) {
  constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_plain(c)) {
      out += c;
    } else {
      const auto value = static_cast<unsigned char>(c);
      out += {'%', digits[value >> 4], digits[value & 15]};
    }
  }
  return out;
}

[[noreturn]] void refuse_card(std::string_view text) {
  fail(ErrorCode::corrupt, "'" + written(text.substr(0, 200)) + "' is no card of a parameter server");
}

std::string read_text(std::string_view text, std::string_view card) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      if (!is_plain(text[at])) refuse_card(card);
      out += text[at];
      continue;
    }
    unsigned value = 0;
    if (at + 2 >= text.size()) refuse_card(card);
    const auto [end, error] = std::from_chars(text.data() + at + 1, text.data() + at + 3, value, 16);
    if (error != std::errc{} || end != text.data() + at + 3) refuse_card(card);
    out += static_cast<char>(value);
    at += 2;
  }
  return out;
}

template <class Number>
Number read_number(std::string_view text, std::string_view card) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) refuse_card(card);
  return value;
}

}  // namespace

std::string ServerCard::to_text() const {
  std::string text =
      "server=" + std::to_string(server) + " incarnation=" + std::to_string(incarnation) + " host=" + written(host);
  for (const net::Address& address : addresses) text += " address=" + written(address.to_string());
  return text + " local=" + written(local);
}

ServerCard ServerCard::parse(std::string_view text) {
  if (text.size() > longest_card) refuse_card(text);
  ServerCard card;
  unsigned seen = 0;  // bits: each once
  const auto once = [&](unsigned bit) {
    if ((seen & bit) != 0) refuse_card(text);
    seen |= bit;
  };
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) refuse_card(text);
    const std::string_view name = word.substr(0, equals), value = word.substr(equals + 1);
    if (name == "server") {
      once(1);
      card.server = read_number<std::uint32_t>(value, text);
    } else if (name == "incarnation") {
      once(2);
      card.incarnation = read_number<std::uint64_t>(value, text);
    } else if (name == "host") {
      once(4);
      card.host = read_text(value, text);
    } else if (name == "local") {
      once(8);
      card.local = read_text(value, text);
    } else if (name == "address") {
      try {
        card.addresses.push_back(net::Address::parse(read_text(value, text)));
      } catch (const Exception&) {
        refuse_card(text);
      }
    }  // others are a later version's
  }
  if (seen != 15) refuse_card(text);
  return card;
}

}  // namespace trireme::ps
