// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "interruption/source.hpp"
#include "interruption/times.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::interruption {

/// One entry of the list of scheduled events.
struct ScheduledEvent {
  std::string id;
  std::string type;                    ///< Preempt, Terminate, Reboot, Redeploy, Freeze
  bool is_started = false;             ///< its time has come
  std::string not_before;              ///< as it is told; empty once it has begun
  std::vector<std::string> resources;  ///< names of machines
};
/// {"DocumentIncarnation": 1, "Events": [{"EventId": …, "EventType": …, "EventStatus": …, "Resources": […], "NotBefore": …}]}.
/// Nothing for anything else.
std::optional<std::vector<ScheduledEvent>> parse_scheduled_events(std::string_view json);

/// Azure's scheduled events. The service begins its work with the first question and may take two minutes for the first
/// answer. It tells of all machines of a placement group, so that the own name must be known; where the service does not tell
/// it, every event counts. An event that is gone from the list was withdrawn, or is over.
class AzureEvents final : public Source {
 public:
  explicit AzureEvents(std::string address) : address_(std::move(address)) {}
  std::string name() const override { return "Azure"; }
  Reply ask(http::Client& client, const Moment& moment) override;

 private:
  http::Response get(http::Client& client, const std::string& path, std::chrono::milliseconds timeout) const;
  void learn_name(http::Client& client);
  bool concerns_us(const ScheduledEvent& event) const;

  std::string address_;
  bool has_asked_for_name_ = false;
  std::string own_name_;  // empty: not known
  bool has_answered_ = false;
  std::map<std::string, FirstSight> first_sights_;  // by event
};

}  // namespace trireme::interruption
