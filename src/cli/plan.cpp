// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/json_file.hpp"
#include "cli/plan/options.hpp"
#include "cli/plan/report.hpp"
#include "cli/plan/search.hpp"
#include "cli/subcommand.hpp"

#include <cstdio>
#include <optional>
#include <string>

namespace trireme::cli {

int plan_mesh(const Invocation& invocation) {
  const auto options = parse_plan_options(invocation.arguments);
  if (!options) return 0;
  std::optional<JsonFile> json;
  if (!options->json.empty()) json.emplace(options->json);
  const PlanSearch found = search_plans(options->setting, options->micro_batches);
  if (json) {
    json->write(plan_json(*options, found));
    json->finish();
  }
  const std::string text = plan_text(*options, found);
  const bool said = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  return said && !found.plans.empty() ? 0 : 1;
}

}  // namespace trireme::cli
