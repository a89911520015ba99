// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "platform/cache_domain.hpp"

#include <map>
#include <optional>
#include <string>

namespace trireme {

/// What a rank publishes for the others, and its text form: the rendezvous carries it unread.
struct PeerCard {
  std::string host;                      ///< name, for messages
  std::string host_identity;             ///< equal: same memory, same abstract sockets
  std::string settings;                  ///< what must be equal on all ranks ("transport auto; algorithm auto")
  platform::ProcessorList processors{};  ///< it may run on; empty: unknown
  std::optional<platform::CacheDomain> cache_domain{};  ///< of all of them; empty: several, or unknown
  std::optional<std::string> device{};  ///< what tells its GPU from all others (device::Properties::uuid); empty: none
  std::map<std::string, std::string> transports;  ///< name -> its card

  std::string to_text() const;
  /// Errors: corrupt when the text is no card.
  static PeerCard parse(const std::string& text);
};

}  // namespace trireme
