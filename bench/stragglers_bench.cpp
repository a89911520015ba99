// SPDX-License-Identifier: Apache-2.0
// What do slow workers cost, bulk-synchronous, stale-synchronous and asynchronous, and what is learnt meanwhile? Each run stands beside
// the same way without slow workers, and beside what the waits alone would leave of it.
#include "bench/stragglers/job.hpp"
#include "bench/stragglers/judge.hpp"
#include "bench/stragglers/options.hpp"
#include "bench/stragglers/prediction.hpp"
#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <thread>

namespace trireme::bench {
namespace {

struct Row {
  std::string way, stragglers;
  JobOutcome outcome{};
  double kept = 0.0, predicted = 0.0;  ///< of the samples per second without slow workers
  Verdict end{};
  std::optional<Verdict> at_samples{};
};

class StragglersBench {
 public:
  explicit StragglersBench(const StragglersOptions& options)
      : options_(options),
        sets_(data::load_fashion_mnist(
            options.data_dir.empty() ? std::nullopt : std::optional<std::filesystem::path>(options.data_dir))),
        normalisation_(normalisation_of(sets_.train)),
        model_(model_of(options, sets_.train)) {}

  /// Whether every run ended accurate enough.
  bool run() {
    std::printf("%-12s %-12s %10s %6s %9s %13s %9s | %8s %8s %8s | %7s %8s %8s %8s\n", "way", "stragglers", "samples/s",
                "kept%", "waits%", "steps", "missed", "train", "test", "accuracy", "at_s", "train", "test", "accuracy");
    bool good = true;
    for (const Way& way : options_.ways) {
      double healthy = 0.0, healthy_steps = 0.0;
      for (const auto& stragglers : options_.stragglers) {
        const testing::Straggling straggling(stragglers, options_.workers);
        Row row{.way = way.name, .stragglers = to_string(stragglers)};
        row.outcome = run_job(options_, way, straggling, sets_.train, normalisation_);
        const double horizon = options_.seconds > 0 ? options_.seconds : row.outcome.seconds;
        const bool sleeps = stragglers.computation.count() > 0;
        const double steps =
            sleeps ? predicted_steps_per_second(straggling, options_.workers, way.consistency, horizon) : 0.0;
        if (stragglers.who == testing::Stragglers::none) {
          healthy = row.outcome.samples_per_s();
          healthy_steps = steps;
        }
        row.kept = healthy > 0 ? row.outcome.samples_per_s() / healthy : 0.0;
        row.predicted = healthy_steps > 0 ? steps / healthy_steps : 0.0;
        row.end = judge(row.outcome.end, model_, sets_);
        if (row.outcome.at_samples) row.at_samples = judge(row.outcome.at_samples->values, model_, sets_);
        good = good && row.end.test_accuracy >= options_.least_accuracy;
        report(row);
      }
    }
    if (!options_.json.empty()) write_json();
    return good;
  }

 private:
  void report(const Row& row) {
    const JobOutcome& did = row.outcome;
    std::printf("%-12s %-12s %10.0f %6.1f %9.1f %6llu-%6llu %9llu | %8.4f %8.4f %8.4f |", row.way.c_str(),
                row.stragglers.c_str(), did.samples_per_s(), 100 * row.kept, 100 * row.predicted,
                static_cast<unsigned long long>(did.least_steps), static_cast<unsigned long long>(did.most_steps),
                static_cast<unsigned long long>(did.most_staleness), row.end.train_loss, row.end.test_loss,
                row.end.test_accuracy);
    if (row.at_samples)
      std::printf(" %7.2f %8.4f %8.4f %8.4f", did.at_samples->seconds, row.at_samples->train_loss,
                  row.at_samples->test_loss, row.at_samples->test_accuracy);
    std::printf("\n");
    std::fflush(stdout);
    nlohmann::json json{{"way", row.way},
                        {"stragglers", row.stragglers},
                        {"samples", did.samples},
                        {"seconds", did.seconds},
                        {"samples_per_s", did.samples_per_s()},
                        {"kept", row.kept},
                        {"kept_by_waits_alone", row.predicted},
                        {"least_steps", did.least_steps},
                        {"most_steps", did.most_steps},
                        {"most_staleness", did.most_staleness},
                        {"end", json_of(row.end)}};
    if (row.at_samples) {
      json["at_samples"] = json_of(*row.at_samples);
      json["at_samples"]["seconds"] = did.at_samples->seconds;
    }
    rows_.push_back(std::move(json));
  }

  static nlohmann::json json_of(const Verdict& verdict) {
    return {
        {"train_loss", verdict.train_loss}, {"test_loss", verdict.test_loss}, {"test_accuracy", verdict.test_accuracy}};
  }

  void write_json() const {
    double load[1] = {std::numeric_limits<double>::quiet_NaN()};
    static_cast<void>(::getloadavg(load, 1));
    const nlohmann::json whole{
        {"environment",
         {{"workers", options_.workers},
          {"servers", options_.servers},
          {"transport", options_.tcp ? "tcp" : "mem"},
          {"computation_ms", static_cast<double>(options_.stragglers.front().computation.count()) / 1000},
          {"batch", options_.batch},
          {"hidden", options_.hidden},
          {"learning_rate", options_.learning_rate},
          {"momentum", options_.momentum},
          {"samples", options_.samples},
          {"processors", std::thread::hardware_concurrency()},
          {"load", load[0]}}},
        {"rows", rows_}};
    std::ofstream file(options_.json);
    if (!(file << whole.dump(1) << "\n").flush()) fail(ErrorCode::system, "writing " + options_.json);
  }

  const StragglersOptions& options_;
  data::TrainAndTest sets_;
  data::Normalisation normalisation_;
  models::MlpOptions model_;
  nlohmann::json rows_ = nlohmann::json::array();
};

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) try {
  const auto options = trireme::bench::parse_stragglers_options(argc, argv);
  if (!options) return 0;
  return trireme::bench::StragglersBench(*options).run() ? 0 : 3;
} catch (const trireme::Exception& exception) {
  std::fprintf(stderr, "stragglers_bench: %s\n", exception.error().message.c_str());
  return exception.error().code == trireme::ErrorCode::invalid_argument ? 2 : 1;
} catch (const std::exception& exception) {
  std::fprintf(stderr, "stragglers_bench: %s\n", exception.what());
  return 1;
}
