// SPDX-License-Identifier: Apache-2.0
#include "interruption/azure_events.hpp"

#include "interruption/metadata.hpp"
#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace trireme::interruption {
namespace {

constexpr std::chrono::seconds first_answer_within(130);
constexpr std::chrono::seconds later_answer_within(5);
constexpr std::chrono::seconds least_notice(30);
constexpr std::chrono::minutes longest_preemption_notice(2);
constexpr std::chrono::minutes longest_notice(10);

std::string text_in(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool is_same_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char one, unsigned char other) { return std::tolower(one) == std::tolower(other); });
}

bool takes_the_machine_away(const std::string& type) {
  constexpr std::array<std::string_view, 4> types{"Preempt", "Terminate", "Reboot", "Redeploy"};
  return std::find(types.begin(), types.end(), type) != types.end();
}

std::chrono::seconds time_ahead(const ScheduledEvent& event, WallTime now) {
  if (event.is_started || event.not_before.empty()) return std::chrono::seconds(0);
  auto time = parse_rfc1123_time(event.not_before);
  if (!time) time = parse_iso_time(event.not_before);
  return time ? *time - now : least_notice;
}

}  // namespace

std::optional<std::vector<ScheduledEvent>> parse_scheduled_events(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto list = json.find("Events");
  if (list == json.end() || !list->is_array()) return std::nullopt;
  std::vector<ScheduledEvent> events;
  for (const auto& each : *list) {
    if (!each.is_object()) return std::nullopt;
    ScheduledEvent event{.id = text_in(each, "EventId"),
                         .type = text_in(each, "EventType"),
                         .is_started = text_in(each, "EventStatus") == "Started",
                         .not_before = text_in(each, "NotBefore"),
                         .resources = {}};
    if (const auto resources = each.find("Resources"); resources != each.end() && resources->is_array()) {
      for (const auto& name : *resources)
        if (name.is_string()) event.resources.push_back(name.get<std::string>());
    }
    events.push_back(std::move(event));
  }
  return events;
}

http::Response AzureEvents::get(http::Client& client, const std::string& path,
                                std::chrono::milliseconds timeout) const {
  return client.send(metadata_request(address_ + "/metadata/" + path, "Metadata: true", timeout));
}

void AzureEvents::learn_name(http::Client& client) {
  if (has_asked_for_name_) return;
  const http::Response response =
      get(client, "instance/compute/name?api-version=2021-02-01&format=text", later_answer_within);
  if (response.status >= 500) refuse_answer(name(), "instance/compute/name", response);
  has_asked_for_name_ = true;
  const std::string_view told = trimmed(response.body);
  const bool is_name = response.status == 200 && told.size() <= 256 &&
                       std::all_of(told.begin(), told.end(), [](char c) { return c > ' ' && c <= '~' && c != '<'; });
  if (is_name) own_name_ = told;
}

bool AzureEvents::concerns_us(const ScheduledEvent& event) const {
  return own_name_.empty() || std::any_of(event.resources.begin(), event.resources.end(),
                                          [this](const auto& each) { return is_same_name(each, own_name_); });
}

Reply AzureEvents::ask(http::Client& client, const Moment& moment) {
  learn_name(client);
  const http::Response response =
      get(client, "scheduledevents?api-version=2020-07-01", has_answered_ ? later_answer_within : first_answer_within);
  if (!has_answered_ && response.status >= 400 && response.status < 500 && response.status != 429)
    return {.is_here = false};
  const auto events = response.status == 200 ? parse_scheduled_events(response.body) : std::nullopt;
  if (!events) refuse_answer(name(), "scheduledevents", response);
  has_answered_ = true;

  const WallTime now = clock_of(response, moment);
  std::map<std::string, FirstSight> sights;
  std::optional<Announcement> nearest;
  for (const ScheduledEvent& event : *events) {
    if (!takes_the_machine_away(event.type) || !concerns_us(event)) continue;
    const std::string key = event.type + " " + event.id;
    FirstSight& sight = sights[key] = first_sights_[key];
    const std::chrono::seconds most = event.type == "Preempt" ? longest_preemption_notice : longest_notice;
    const auto deadline = sight.deadline(event.is_started ? "started" : "not before " + event.not_before, moment,
                                         time_ahead(event, now), most);
    if (!nearest || deadline < nearest->deadline) nearest = Announcement{"event " + event.type, deadline};
  }
  first_sights_ = std::move(sights);
  return {.announcement = nearest};
}

}  // namespace trireme::interruption
