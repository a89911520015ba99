// SPDX-License-Identifier: Apache-2.0
#include "world/peer_card.hpp"

#include "trireme/base/error.hpp"
#include "trireme/net/wire.hpp"

#include <span>

namespace trireme {

std::string PeerCard::to_text() const {
  net::Writer writer;
  writer.text(host);
  writer.text(host_identity);
  writer.text(settings);
  writer.u32(static_cast<std::uint32_t>(transports.size()));
  for (const auto& [name, card] : transports) {
    writer.text(name);
    writer.text(card);
  }
  const auto data = writer.data();
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}

PeerCard PeerCard::parse(const std::string& text) {
  constexpr std::size_t limit = 64 * 1024;
  net::Reader reader(std::as_bytes(std::span(text)));
  PeerCard card;
  card.host = reader.text(limit);
  card.host_identity = reader.text(limit);
  card.settings = reader.text(limit);
  const auto count = reader.u32();
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
    auto name = reader.text(limit);
    card.transports[name] = reader.text(limit);
  }
  if (!reader.finished()) fail(ErrorCode::corrupt, "a rank published something that is no peer card");
  return card;
}

}  // namespace trireme
