// SPDX-License-Identifier: Apache-2.0
#include "interruption/probe.hpp"
#include "trireme/base/error.hpp"
#include "trireme/interruption/watch.hpp"

#include <array>
#include <charconv>
#include <utility>

namespace trireme::interruption {
namespace {

constexpr std::int64_t latest_end = std::int64_t{1} << 40;  // a time in milliseconds is beyond it

std::vector<SourceKind> sources_of(std::string_view platform) {
  if (platform == "sagemaker") return {SourceKind::ec2_spot};
  if (platform == "vertex") return {SourceKind::compute_engine};
  if (platform == "azureml") return {SourceKind::azure_events};
  return {SourceKind::ec2_spot, SourceKind::compute_engine, SourceKind::azure_events};
}

SourceKind source_named(std::string_view name, const std::string& all) {
  constexpr std::array<std::pair<std::string_view, SourceKind>, 4> names{
      {{"ec2_spot", SourceKind::ec2_spot},
       {"compute_engine", SourceKind::compute_engine},
       {"azure_events", SourceKind::azure_events},
       {"slurm", SourceKind::slurm}}};
  for (const auto& [each, kind] : names) {
    if (each == name) return kind;
  }
  fail(ErrorCode::invalid_argument, "TRIREME_INTERRUPTION is '" + all +
                                        "': give off, auto, or some of ec2_spot, compute_engine, azure_events, slurm "
                                        "with commas between them");
}

std::vector<SourceKind> sources_listed(const std::string& text) {
  std::vector<SourceKind> sources;
  std::string_view rest = text;
  for (;;) {
    const auto comma = rest.find(',');
    sources.push_back(source_named(rest.substr(0, comma), text));
    if (comma == std::string_view::npos) return sources;
    rest.remove_prefix(comma + 1);
  }
}

/// What is no time is none of ours to complain of: Slurm's own programs live with it.
std::optional<std::int64_t> slurm_end(const platform::Environment& environment) {
  const auto text = environment.find("SLURM_JOB_END_TIME");
  if (!text) return std::nullopt;
  std::int64_t end = 0;
  const auto [stop, error] = std::from_chars(text->data(), text->data() + text->size(), end);
  if (error != std::errc() || stop != text->data() + text->size() || end <= 0 || end > latest_end) return std::nullopt;
  return end;
}

}  // namespace

WatchOptions watch_options(const platform::Environment& environment, std::string_view platform, const Log& log) {
  WatchOptions options{.slurm_end = slurm_end(environment), .log = log};
  const std::string choice = environment.find("TRIREME_INTERRUPTION").value_or("auto");
  if (choice == "off") return options;
  if (const auto address = environment.find("TRIREME_METADATA_ADDRESS")) {
    options.address = *address;
    try {
      static_cast<void>(parse_metadata_address(*address));
    } catch (const Exception& refusal) {
      fail(refusal.error().code, "TRIREME_METADATA_ADDRESS: " + refusal.error().message);
    }
  }
  options.sources = choice == "auto" ? sources_of(platform) : sources_listed(choice);
  if (choice == "auto" && options.slurm_end) options.sources.push_back(SourceKind::slurm);
  return options;
}

}  // namespace trireme::interruption
