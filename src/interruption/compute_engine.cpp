// SPDX-License-Identifier: Apache-2.0
#include "interruption/compute_engine.hpp"

#include "interruption/metadata.hpp"
#include "trireme/base/error.hpp"

namespace trireme::interruption {
namespace {

constexpr std::chrono::seconds preemption_notice(30);
constexpr std::chrono::seconds maintenance_notice(60);

bool is_googles(const http::Response& response) {
  const auto flavor = response.headers.find("metadata-flavor");
  return flavor != response.headers.end() && flavor->second == "Google";
}

}  // namespace

http::Response ComputeEngine::get(http::Client& client, const std::string& path) const {
  return client.send(metadata_request(address_ + "/computeMetadata/v1/instance/" + path, "Metadata-Flavor: Google"));
}

Reply ComputeEngine::ask(http::Client& client, const Moment& moment) {
  const http::Response response = get(client, "preempted");
  if (!is_googles(response)) {
    if (response.status >= 200 && response.status < 500) return {.is_here = false};
    refuse_answer(name(), "instance/preempted", response);
  }
  // Some of its stand-ins, in clusters, do not tell.
  if (!has_answered_ && (response.status == 403 || response.status == 404)) return {.is_here = false};
  const std::string_view preempted = response.status == 200 ? trimmed(response.body) : "";
  has_answered_ = has_answered_ || preempted == "TRUE" || preempted == "FALSE";
  if (preempted == "TRUE") {
    const auto deadline = first_sight_.deadline("preempted", moment, preemption_notice, preemption_notice);
    return {.announcement = Announcement{"preemption", deadline}};
  }
  if (preempted != "FALSE") refuse_answer(name(), "instance/preempted", response);

  const http::Response maintenance = get(client, "maintenance-event");
  if (maintenance.status == 200 && trimmed(maintenance.body) == "TERMINATE_ON_HOST_MAINTENANCE") {
    const auto deadline = first_sight_.deadline("maintenance", moment, maintenance_notice, maintenance_notice);
    return {.announcement = Announcement{"maintenance that ends this machine", deadline}};
  }
  first_sight_.forget();
  return {};
}

}  // namespace trireme::interruption
