// SPDX-License-Identifier: Apache-2.0
// The files of a SageMaker job against hostile bytes: the first byte chooses the file. A value that keeps its promises, or
// one trireme::Exception that names the file and is one line.
#include "fuzz_target.hpp"
#include "platform/hyperparameters.hpp"
#include "platform/json_text.hpp"
#include "platform/sagemaker_files.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <string>

namespace {

using namespace trireme;

void read_resources(const std::string& text) {
  const auto config = platform::parse_resource_config(text, "fuzz input");
  promise(std::count(config.hosts.begin(), config.hosts.end(), config.current_host) == 1, "this host is one of hosts");
  for (const auto& group : config.groups) {
    for (const auto& host : group.hosts)
      promise(std::count(config.hosts.begin(), config.hosts.end(), host) == 1, "groups are of hosts");
  }
}

void read_channels(const std::string& text) {
  for (const auto& [name, channel] : platform::parse_input_data_config(text, "fuzz input", "/data")) {
    promise(channel.path == "/data/" + name, "a channel is in the folder of channels");
    promise(name.find('/') == std::string::npos && name != ".." && name != ".", "and in a folder of its own");
  }
}

void read_hyperparameters(const std::string& text) {
  std::optional<std::string> metric;
  for (const auto& [name, value] : platform::parse_hyperparameters(text, "fuzz input", metric)) {
    promise(name.rfind("sagemaker_", 0) != 0, "reserved names are dropped");
    promise(value.find('\n') == std::string::npos && platform::try_json(value).has_value(),
            "a value is a line of JSON");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  try {
    if (data[0] % 3 == 0) read_resources(text);
    if (data[0] % 3 == 1) read_channels(text);
    if (data[0] % 3 == 2) read_hyperparameters(text);
  } catch (const Exception& exception) {
    const std::string& message = exception.error().message;
    promise(message.find("fuzz input") == 0, "an error names its file");
  }
  const std::string decoded = platform::decode_hyperparameter(text);
  promise(platform::try_json(decoded).has_value() || text.size() > 1000, "every text is decoded to JSON");
  return 0;
}
