// SPDX-License-Identifier: Apache-2.0
#include "world/peer_card.hpp"

#include "trireme/base/error.hpp"
#include "trireme/net/wire.hpp"

#include <span>
#include <utility>

namespace trireme {

std::string PeerCard::to_text() const {
  net::Writer writer;
  writer.text(host);
  writer.text(host_identity);
  writer.text(settings);
  writer.text(platform::to_text(processors));
  writer.u8(cache_domain ? 1 : 0);
  if (cache_domain) {
    writer.i32(cache_domain->node);
    writer.i32(cache_domain->cache);
  }
  writer.u8(device ? 1 : 0);
  if (device) writer.text(*device);
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
  auto processors = platform::parse_processors(reader.text(limit));
  bool sound = processors.has_value();
  card.processors = std::move(processors).value_or(platform::ProcessorList());
  if (const auto known = reader.u8(); known != 0) {
    const platform::CacheDomain domain{reader.i32(), reader.i32()};  // braces: in this order
    sound &= known == 1 && domain.node >= 0 && domain.cache >= 0;
    card.cache_domain = domain;
  }
  if (const auto known = reader.u8(); known != 0) {
    sound &= known == 1;
    card.device = reader.text(limit);
  }
  const auto count = reader.u32();
  for (std::uint32_t i = 0; i < count && reader.ok(); ++i) {
    auto name = reader.text(limit);
    card.transports[name] = reader.text(limit);
  }
  if (!reader.finished() || !sound) fail(ErrorCode::corrupt, "a rank published something that is no peer card");
  return card;
}

}  // namespace trireme
