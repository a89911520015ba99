// SPDX-License-Identifier: Apache-2.0
#include "unit/tracking/fake_mlflow.hpp"

#include <nlohmann/json.hpp>

namespace trireme::testing {

using Json = nlohmann::json;

FakeMlflow::FakeMlflow(Misbehaviour misbehave)
    : misbehave_(std::move(misbehave)), server_([this](const HttpRequest& request) { return handle(request); }) {}

HttpAnswer FakeMlflow::handle(const HttpRequest& request) {
  const std::string front = "/api/2.0/mlflow/";
  const bool is_ours = request.target.compare(0, front.size(), front) == 0;
  const std::string path = is_ours ? request.target.substr(front.size()) : request.target;
  const std::string call = request.method + " " + path.substr(0, path.find('?'));
  const auto misbehaviour = misbehave_(request);
  const std::lock_guard lock(mutex_);
  const auto secret = request.headers.find("authorization");
  last_authorization_ = secret == request.headers.end() ? "" : secret->second;
  calls_.push_back(call);
  changed_.notify_all();
  return misbehaviour ? *misbehaviour : respond(call, request);
}

HttpAnswer FakeMlflow::respond(const std::string& call, const HttpRequest& request) {
  if (call == "GET experiments/get-by-name") {
    const auto found = experiments_.find(request.target.substr(request.target.find('=') + 1));
    if (found == experiments_.end()) return answer(404, R"({"error_code":"RESOURCE_DOES_NOT_EXIST","message":"none"})");
    return answer(200, Json{{"experiment", {{"experiment_id", found->second}}}}.dump());
  }
  const Json body = Json::parse(request.body, nullptr, false);
  if (call == "POST experiments/create") {
    experiments_[body["name"]] = "17";
    return answer(200, R"({"experiment_id":"17"})");
  }
  if (call == "POST runs/create") {
    experiment_ = body["experiment_id"];
    return answer(200, R"({"run":{"info":{"run_id":"made"}}})");
  }
  if (call == "POST runs/search") return answer(200, "{}");
  if (call == "POST runs/log-batch") record(request);
  if (call == "POST runs/update") status_ = body["status"];
  return answer(200, "{}");
}

void FakeMlflow::record(const HttpRequest& request) {
  const Json batch = Json::parse(request.body, nullptr, false);
  std::size_t count = 0;
  for (const auto& each : batch.value("metrics", Json::array()))
    metrics_.emplace_back(each["key"], each["value"].dump(), each["step"]), ++count;
  for (const auto& each : batch.value("params", Json::array())) parameters_[each["key"]] = each["value"], ++count;
  for (const auto& each : batch.value("tags", Json::array())) tags_[each["key"]] = each["value"], ++count;
  batch_sizes_.push_back(count);
}

std::vector<std::string> FakeMlflow::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}
std::vector<FakeMlflow::Metric> FakeMlflow::metrics() const {
  const std::lock_guard lock(mutex_);
  return metrics_;
}
std::map<std::string, std::string> FakeMlflow::parameters() const {
  const std::lock_guard lock(mutex_);
  return parameters_;
}
std::map<std::string, std::string> FakeMlflow::tags() const {
  const std::lock_guard lock(mutex_);
  return tags_;
}
std::vector<std::size_t> FakeMlflow::batch_sizes() const {
  const std::lock_guard lock(mutex_);
  return batch_sizes_;
}
std::string FakeMlflow::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}
std::string FakeMlflow::experiment() const {
  const std::lock_guard lock(mutex_);
  return experiment_;
}
std::string FakeMlflow::last_authorization() const {
  const std::lock_guard lock(mutex_);
  return last_authorization_;
}

bool FakeMlflow::await_calls(std::size_t count) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::seconds(30), [&] { return calls_.size() >= count; });
}

}  // namespace trireme::testing
