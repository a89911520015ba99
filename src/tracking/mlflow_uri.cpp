// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/error.hpp"
#include "trireme/tracking/mlflow.hpp"

namespace trireme::tracking {
namespace {

constexpr std::string_view azure_interface = "/mlflow/v1.0/";

bool begins_with(const std::string& text, std::string_view front) { return text.compare(0, front.size(), front) == 0; }

}  // namespace

std::string mlflow_base_url(const std::string& tracking_uri) {
  const std::string all = tracking_uri.substr(0, tracking_uri.find_first_of("?#"));
  std::string url;
  if (begins_with(all, "azureml://")) url = "https://" + all.substr(10);
  if (begins_with(all, "http://") || begins_with(all, "https://")) url = all;
  if (begins_with(all, "arn:")) {
    fail(
        ErrorCode::unsupported,
        "the tracking URI is an ARN: SageMaker's managed MLflow wants signed requests, which this version cannot make; give "
        "the http:// or https:// address of another server");
  }
  if (url.empty()) {  // only the kind is shown: databases have passwords in theirs
    const auto colon = all.find(':');
    fail(ErrorCode::unsupported,
         "the tracking URI is " +
             (colon == std::string::npos ? "a path" : "of the kind '" + all.substr(0, colon) + ":'") +
             ": only servers are reported to, at http://, https:// or azureml:// addresses");
  }
  while (url.back() == '/') url.pop_back();
  return url;
}

std::string azure_token_url(const std::string& base_url, const std::string& experiment_id, const std::string& run_id) {
  const auto at = base_url.find(azure_interface);
  if (at == std::string::npos || experiment_id.empty() || run_id.empty()) return "";
  return base_url.substr(0, at) + "/history/v1.0/" + base_url.substr(at + azure_interface.size()) + "/experimentids/" +
         experiment_id + "/runs/" + run_id + "/token";
}

}  // namespace trireme::tracking
