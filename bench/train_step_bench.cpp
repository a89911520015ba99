// SPDX-License-Identifier: Apache-2.0
// How many samples per second does one training step bring through? The loop of `trireme train` in f32: SGD with momentum,
// samples gathered at random from memory. It checks before it times: the loss falls and all ranks hold the same weights.
// Rank 0 prints lines of key=value; bench/training_comparison.py reads them.
#include "bench/train_step/options.hpp"
#include "bench/train_step/phase_clock.hpp"
#include "bench/train_step/trainee.hpp"
#include "trireme/base/error.hpp"
#include "trireme/models/weights_hash.hpp"
#include "trireme/optim/sgd.hpp"
#include "trireme/parallel/data_parallel.hpp"
#include "trireme/world/world.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/resource.h>
#include <time.h>

namespace trireme::bench {
namespace {

using Clock = std::chrono::steady_clock;

/// How many steps at either end the comparison of losses looks at.
constexpr std::size_t loss_window = 5;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : 0.5 * (values[half - 1] + values[half]);
}

double processor_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

double peak_rss_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024.0;
}

class TrainStepBench {
 public:
  TrainStepBench(World& world, const TrainStepOptions& options)
      : world_(world),
        options_(options),
        all_(world.communicator()),
        trainee_(make_trainee(options)),
        // Alone, each rank is a world of its own as far as training goes.
        data_parallel_(options.alone ? *all_.split(all_.rank()) : all_, trainee_->parameters(),
                       {.zero_stage = options.zero_stage, .gradients_as_bucket_views = true}),
        sampler_({.count = trainee_->samples(),
                  .global_batch = options.batch_per_rank * training_ranks(),
                  .seed = options.seed}),
        phases_(options.breakdown) {
    trainee_->use_gradients(data_parallel_.parameters());
  }

  /// Writes the weights as they start, and prints the loss of the first samples in their order.
  void write_start() {
    std::ofstream file(options_.write_start, std::ios::binary);
    for (const Parameter& parameter : trainee_->parameters()) {
      const std::span<const float> values = parameter.value.as<float>();
      file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size_bytes()));
    }
    if (!file.flush()) fail(ErrorCode::system, "cannot write " + options_.write_start);
    std::vector<std::uint32_t> first(options_.batch_per_rank);
    std::iota(first.begin(), first.end(), 0u);
    trainee_->gather(first);
    std::printf("start loss=%.9f\n", trainee_->pass([](std::size_t) {}));
  }

  void run() {
    introduce();
    const std::size_t last = options_.warm_up + options_.blocks * options_.steps_per_block;
    while (done_ < last) {
      for (Step& step : data_parallel_.steps(sampler_)) {
        before_step();
        train(step);
        ++done_;
        after_step();
        if (done_ == last) break;
      }
    }
    conclude();
  }

 private:
  std::size_t training_ranks() const { return options_.alone ? 1 : static_cast<std::size_t>(world_.size()); }
  std::size_t samples_per_step() const { return options_.batch_per_rank * static_cast<std::size_t>(world_.size()); }

  void train(Step& step) {
    phases_.lap(Phase::rest);
    for (Shard& shard : step.shards()) {
      trainee_->gather(shard.samples());
      phases_.lap(Phase::gather);
      loss_ = trainee_->pass([&](std::size_t parameter) {
        phases_.lap(Phase::compute);
        shard.ready(parameter);
        phases_.lap(Phase::announce);
      });
      phases_.lap(Phase::compute);
    }
    const StepOutcome outcome = step.reduce();
    phases_.lap(Phase::reduce);
    if (outcome == StepOutcome::ready) step.apply(optimizer_);
    phases_.lap(Phase::apply);
  }

  void before_step() {
    if (done_ < options_.warm_up || (done_ - options_.warm_up) % options_.steps_per_block != 0) return;
    if (done_ == options_.warm_up) phases_.start();
    all_.barrier();
    block_began_ = Clock::now();
    processor_began_ = processor_seconds();
    phases_.skip();
  }

  void after_step() {
    if (done_ <= loss_window) first_loss_ += loss_ / loss_window;
    if (done_ + loss_window > options_.warm_up && done_ <= options_.warm_up) warm_loss_ += loss_ / loss_window;
    if (done_ == options_.warm_up) verify();
    if (done_ > options_.warm_up && (done_ - options_.warm_up) % options_.steps_per_block == 0) finish_block();
  }

  /// A block has taken as long as its slowest rank.
  void finish_block() {
    double seconds = std::chrono::duration<double>(Clock::now() - block_began_).count();
    double processor = processor_seconds() - processor_began_;
    all_.all_reduce(std::span(&seconds, 1), maximum);
    all_.all_reduce(std::span(&processor, 1), sum);
    const std::size_t samples = options_.steps_per_block * samples_per_step();
    rates_.push_back(static_cast<double>(samples) / seconds);
    if (world_.rank() == 0) {
      std::printf("block index=%zu steps=%zu samples=%zu seconds=%.6f cpu_seconds=%.6f samples_per_s=%.1f\n",
                  rates_.size() - 1, options_.steps_per_block, samples, seconds, processor, rates_.back());
    }
    phases_.skip();
  }

  void introduce() const {
    if (world_.rank() != 0) return;
    std::size_t parameters = 0;
    for (const Parameter& parameter : trainee_->parameters()) parameters += parameter.value.count;
    std::printf(
        "setup program=trireme world=%d alone=%d zero=%d transport=%s data=%s samples=%zu batch_per_rank=%zu parameters=%zu "
        "buckets=%zu\n",
        world_.size(), options_.alone ? 1 : 0, options_.zero_stage,
        world_.size() > 1 ? world_.transport(1).c_str() : "none", trainee_->data().c_str(), trainee_->samples(),
        options_.batch_per_rank, parameters, data_parallel_.buckets().size());
    if (world_.size() > 1) std::printf("# %s\n", all_.explain(parameters).text.c_str());
  }

  void verify() {
    double losses[2] = {first_loss_, warm_loss_};
    all_.all_reduce(std::span<double>(losses), average);
    if (!(losses[1] < (options_.model == BenchModel::mlp ? 0.9 : 0.99) * losses[0])) {
      fail(ErrorCode::mismatch, "the loss does not fall: " + std::to_string(losses[0]) + " over the first steps, " +
                                    std::to_string(losses[1]) + " after " + std::to_string(options_.warm_up));
    }
    const std::string hash = same_weights();
    if (world_.rank() == 0) {
      std::printf("verified loss_first=%.4f loss_warm=%.4f weights_xxh3=%s\n", losses[0], losses[1], hash.c_str());
    }
  }

  /// The hash of the weights, the same on every rank.
  std::string same_weights() {
    const std::string hash = models::weights_hash(trainee_->parameters());
    std::vector<std::uint8_t> all(hash.size() * static_cast<std::size_t>(world_.size()));
    all_.all_gather(std::span(reinterpret_cast<const std::uint8_t*>(hash.data()), hash.size()), std::span(all));
    // Side by side the ranks see the same batches, so that even then they must end alike.
    for (std::size_t rank = 0; rank < static_cast<std::size_t>(world_.size()); ++rank) {
      if (std::memcmp(all.data() + rank * hash.size(), hash.data(), hash.size()) != 0) {
        fail(ErrorCode::mismatch,
             "rank " + std::to_string(rank) + " has other weights than rank " + std::to_string(world_.rank()));
      }
    }
    return hash;
  }

  void conclude() {
    if (phases_.on()) {
      print_breakdown("breakdown", phases_.wall());
      print_breakdown("breakdown_cpu", phases_.processor());
    }
    double loss = loss_;
    all_.all_reduce(std::span(&loss, 1), average);
    const std::string hash = same_weights();
    if (world_.rank() != 0) return;
    std::printf(
        "summary program=trireme world=%d samples_per_s=%.1f best=%.1f loss=%.4f peak_rss_mib=%.0f weights_xxh3=%s\n",
        world_.size(), median(rates_), *std::max_element(rates_.begin(), rates_.end()), loss, peak_rss_mib(),
        hash.c_str());
  }

  void print_breakdown(std::string_view name, const PhaseClock::Seconds& own) {
    constexpr std::size_t phases = phase_names.size();
    std::vector<double> all(phases * static_cast<std::size_t>(world_.size()));
    all_.all_gather(std::span<const double>(own), std::span(all));
    if (world_.rank() != 0) return;
    const double steps = static_cast<double>(options_.blocks * options_.steps_per_block);
    for (std::size_t rank = 0; rank < static_cast<std::size_t>(world_.size()); ++rank) {
      std::printf("%s rank=%zu", std::string(name).c_str(), rank);
      double sum = 0.0;
      for (std::size_t i = 0; i < phases; ++i) {
        const double microseconds = 1e6 * all[rank * phases + i] / steps;
        sum += microseconds;
        std::printf(" %s_us=%.1f", std::string(phase_names[i]).c_str(), microseconds);
      }
      std::printf(" step_us=%.1f\n", sum);
    }
  }

  World& world_;
  const TrainStepOptions& options_;
  Communicator all_;
  std::unique_ptr<Trainee> trainee_;
  DataParallel data_parallel_;
  Sgd optimizer_{{.learning_rate = 0.05, .momentum = 0.9}};
  DistributedSampler sampler_;
  PhaseClock phases_;
  std::size_t done_ = 0;
  double loss_ = 0.0;  // of this rank's part of the last step
  double first_loss_ = 0.0;
  double warm_loss_ = 0.0;
  Clock::time_point block_began_{};
  double processor_began_ = 0.0;
  std::vector<double> rates_;
};

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) try {
  const auto options = trireme::bench::parse_train_step_options(argc, argv);
  if (!options) return 0;
  auto world = trireme::World::open();
  trireme::bench::TrainStepBench bench(world, *options);
  options->write_start.empty() ? bench.run() : bench.write_start();
  return 0;
} catch (const trireme::Exception& exception) {
  std::fprintf(stderr, "train_step_bench: %s\n", exception.error().message.c_str());
  return exception.error().code == trireme::ErrorCode::invalid_argument ? 2 : 1;
} catch (const std::exception& exception) {
  std::fprintf(stderr, "train_step_bench: %s\n", exception.what());
  return 1;
}
