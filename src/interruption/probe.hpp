// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace trireme::interruption {

/// A metadata service: its URL, and where that is.
struct MetadataAddress {
  std::string url;  ///< without a slash at its end
  std::string host;
  std::string port;
};

/// "http://169.254.169.254", "http://127.0.0.1:8080", "http://[fd00:ec2::254]". Nothing is looked up.
/// Errors: invalid_argument for anything else, also for a name in place of numbers.
MetadataAddress parse_metadata_address(std::string_view text);

/// Whether a connection to the address stands within `limit`. False at once when it is refused, or when `wake` (a descriptor)
/// can be read.
bool takes_connections(const MetadataAddress& address, std::chrono::milliseconds limit, int wake);

}  // namespace trireme::interruption
