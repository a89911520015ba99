// SPDX-License-Identifier: Apache-2.0
#include "cli/plan/search.hpp"

#include <algorithm>
#include <tuple>

namespace trireme::cli {
namespace {

constexpr int most_micro_batches = 256;

struct NamedSchedule {
  const char* name;
  int chunks;
};
constexpr NamedSchedule schedules[] = {{"gpipe", 1}, {"1f1b", 1}, {"interleaved", 2}, {"zb-h1", 1}, {"zb-v", 2}};

class Search {
 public:
  Search(const PlanSetting& setting, int micro_batches) : setting_(setting), micro_batches_(micro_batches) {}

  PlanSearch run() {
    for (int tensor = 1; tensor <= setting_.world; ++tensor) {
      if (setting_.world % tensor != 0) continue;
      const int rest = setting_.world / tensor;
      for (int pipeline = 1; pipeline <= rest; ++pipeline) {
        if (rest % pipeline == 0) try_mesh({.data = rest / pipeline, .pipeline = pipeline, .tensor = tensor});
      }
    }
    std::stable_sort(found_.plans.begin(), found_.plans.end(), [](const Plan& a, const Plan& b) {
      return std::tuple(a.prediction.step_s(), a.prediction.memory()) <
             std::tuple(b.prediction.step_s(), b.prediction.memory());
    });
    if (!found_.plans.empty()) found_.closest.reset();
    return std::move(found_);
  }

 private:
  void try_mesh(MeshChoice choice) {
    if (micro_batches_ != 0) {
      choice.micro_batches = micro_batches_;
      return try_schedules(choice);
    }
    for (choice.micro_batches = 1; choice.micro_batches <= most_micro_batches; choice.micro_batches *= 2) {
      // Further ones are no choices; the first is one that is left out.
      if (choice.micro_batches > 1 && choice.data > setting_.batch_size / choice.micro_batches) break;
      try_schedules(choice);
    }
  }

  void try_schedules(MeshChoice choice) {
    if (choice.pipeline == 1) return try_stages(choice);
    for (const NamedSchedule& schedule : schedules) {
      choice.schedule = schedule.name;
      choice.chunks = schedule.chunks;
      try_stages(choice);
    }
  }

  void try_stages(MeshChoice choice) {
    const int stages = choice.data == 1 ? 1 : 4;
    for (choice.zero_stage = 0; choice.zero_stage < stages; ++choice.zero_stage) {
      if (const auto reason = why_not(setting_, choice)) {
        ++found_.left_out[*reason];
        continue;
      }
      Plan plan{choice, predict(setting_, choice)};
      if (plan.prediction.memory() <= setting_.memory_per_rank) {
        found_.plans.push_back(std::move(plan));
        continue;
      }
      ++found_.left_out["more memory than --memory-per-rank"];
      if (!found_.closest || plan.prediction.memory() < found_.closest->prediction.memory())
        found_.closest = std::move(plan);
    }
  }

  const PlanSetting& setting_;
  int micro_batches_;
  PlanSearch found_;
};

}  // namespace

PlanSearch search_plans(const PlanSetting& setting, int micro_batches) { return Search(setting, micro_batches).run(); }

}  // namespace trireme::cli
