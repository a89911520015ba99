// SPDX-License-Identifier: Apache-2.0
// How near do the kernels of devices come to a copy on the device, in the same run? Every case is checked against the host's
// kernel before it is timed.
#include "bench/device/cases.hpp"
#include "trireme/base/error.hpp"
#include "trireme/device/cuda.hpp"
#include "trireme/device/emulated.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace trireme;

namespace {

struct Options {
  bool emulated = false;
  std::size_t elements = std::size_t{1} << 28;
  int batches = 15;
  double batch_seconds = 0.05;
  std::string filter;
};

/// Returns: whether the result was the host's.
bool print_row(const bench::Ground& ground, const bench::Case& row, const Options& options, double& copy_rate) {
  row.run();
  ground.stream.synchronize();
  if (!row.verify()) {
    std::printf("| %s | | DIFFERS FROM THE HOST | | |\n", row.name.c_str());
    return false;
  }
  if (options.emulated) {
    std::printf("| %s | %.1f | as the host | | |\n", row.name.c_str(), static_cast<double>(row.bytes) * 1e-6);
    return true;
  }
  const bench::Interval time = bench::time_of(ground, row.run, options.batches, options.batch_seconds);
  const double rate = static_cast<double>(row.bytes) / time.median * 1e-9;
  if (copy_rate == 0) copy_rate = rate;
  std::printf("| %s | %.1f | %.1f (%.1f to %.1f) | %.0f | %.3f |\n", row.name.c_str(),
              static_cast<double>(row.bytes) * 1e-6, time.median * 1e6, time.low * 1e6, time.high * 1e6, rate,
              rate / copy_rate);
  std::fflush(stdout);
  return true;
}

int run(const Options& options) {
  const auto runtime = options.emulated ? device::emulated_runtime() : device::cuda_runtime();
  if (runtime->devices() == 0) {
    std::printf("skipped: there is no GPU\n");
    return 0;
  }
  const device::OwnedStream stream(runtime, 0);
  const bench::Ground ground{runtime, stream, options.emulated ? std::size_t{1} << 18 : options.elements,
                             !options.emulated};
  std::printf("%s%s\n\n", runtime->properties(0).name.c_str(), options.emulated ? ": a dry run, nothing is timed" : "");
  std::printf("| case | MB | us, median (least to greatest) | GB/s | of the copy |\n|---|---:|---:|---:|---:|\n");
  std::vector<bench::CaseMaker> makers{bench::copy_case};
  // One line for each group of kernels.
  for (const auto& group : {bench::reduce_cases(), bench::cast_cases(), bench::pack_cases(), bench::norm_cases()})
    makers.insert(makers.end(), group.begin(), group.end());
  bool right = true;
  double copy_rate = 0;
  for (const auto& make : makers) {
    const bench::Case row = make(ground);
    if (row.name == "copy" || row.name.find(options.filter) != std::string::npos)
      right &= print_row(ground, row, options, copy_rate);
  }
  return right ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Kernels of devices beside a copy on the device");
  app.add_flag("--emulated", options.emulated,
               "Check every case on an emulated device, with little data; time nothing");
  app.add_option("--elements", options.elements, "Elements of all sources of a case together")->capture_default_str();
  app.add_option("--batches", options.batches, "Timed batches of each case")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--batch-seconds", options.batch_seconds, "Length of a batch")->capture_default_str();
  app.add_option("--filter", options.filter, "Only cases whose name has this in it, and the copy");
  CLI11_PARSE(app, argc, argv);
  if (!options.emulated) {
    if (const std::string why = device::why_no_cuda(); !why.empty()) {
      std::printf("skipped: %s\n", why.c_str());
      return 0;
    }
  }
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "device_bench: %s\n", error.what());
    return 1;
  }
}
