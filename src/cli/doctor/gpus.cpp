// SPDX-License-Identifier: Apache-2.0
#include "cli/doctor/gpus.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <utility>

namespace trireme::cli {
namespace {

/// The text behind "Model:" in the driver's information file.
std::string model_in(const std::filesystem::path& file) {
  constexpr std::string_view field = "Model:";
  std::ifstream information(file);
  for (std::string line; std::getline(information, line);) {
    if (line.rfind(field, 0) != 0) continue;
    auto begin = line.find_first_not_of(" \t", field.size());
    return begin == std::string::npos ? std::string() : line.substr(begin);
  }
  return {};
}

}  // namespace

std::vector<Gpu> find_gpus(const std::string& driver_folder) {
  std::vector<Gpu> gpus;
  std::error_code problem;
  for (std::filesystem::directory_iterator entry(driver_folder, problem), end; !problem && entry != end;
       entry.increment(problem)) {
    gpus.push_back({entry->path().filename().string(), model_in(entry->path() / "information"), {}});
  }
  std::sort(gpus.begin(), gpus.end(), [](const Gpu& a, const Gpu& b) { return a.bus < b.bus; });
  return gpus;
}

std::vector<Gpu> find_gpus(const platform::Environment& environment) {
  const auto pretended = environment.integer("TRIREME_GPU_COUNT", 0, 4096);
  if (!pretended) return find_gpus(environment.find("TRIREME_ROOT").value_or("") + "/proc/driver/nvidia/gpus");
  std::vector<Gpu> gpus;
  for (int index = 0; index < *pretended; ++index)
    gpus.push_back({"pretended " + std::to_string(index), "TRIREME_GPU_COUNT=" + std::to_string(*pretended), {}});
  return gpus;
}

std::vector<Gpu> with_devices(std::vector<Gpu> listed, const std::vector<CudaDevice>& devices) {
  std::vector<Gpu> gpus;
  for (const CudaDevice& device : devices) {
    Gpu gpu{device.properties.bus, device.properties.name, device};
    const auto same = std::find_if(listed.begin(), listed.end(), [&](const Gpu& one) { return one.bus == gpu.bus; });
    if (same != listed.end()) listed.erase(same);
    gpus.push_back(std::move(gpu));
  }
  gpus.insert(gpus.end(), listed.begin(), listed.end());
  return gpus;
}

}  // namespace trireme::cli
