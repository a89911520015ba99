// SPDX-License-Identifier: Apache-2.0
#include "platform/platform.hpp"

namespace trireme::platform {

bool plain_present(const Scene&) { return true; }
void describe_plain(const Scene&, ClusterSpec&) {}
std::string plain_job(const Scene&) { return {}; }

}  // namespace trireme::platform
