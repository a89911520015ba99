// SPDX-License-Identifier: Apache-2.0
// Batch normalisation over the samples of several ranks is that of one leaf with all of them.
#include "models/layers/batch_norm.hpp"
#include "models/layers/shared_statistics.hpp"
#include "support/failures.hpp"
#include "trireme/models/cnn.hpp"
#include "trireme/models/mlp.hpp"
#include "trireme/models/resnet.hpp"
#include "unit/data/heap_counter.hpp"
#include "unit/models/labelled_samples.hpp"

#include <catch2/catch.hpp>

#include <barrier>
#include <cmath>
#include <functional>
#include <memory>
#include <numeric>
#include <thread>

using namespace trireme;
using models::Classifier;
using models::ResNet;
using testing::same_bits;

namespace {

/// Ranks as threads of one process, which meet at a barrier.
class Meeting {
 public:
  explicit Meeting(std::size_t ranks) : parts_(ranks), barrier_(static_cast<std::ptrdiff_t>(ranks)) {}

  class Seat final : public models::StatisticsExchange {
   public:
    Seat(Meeting& meeting, std::size_t rank) : meeting_(meeting), rank_(rank) {}
    std::size_t ranks() const override { return meeting_.parts_.size(); }
    void gather(std::span<const double> own, std::span<double> all) override {
      ++gathered;
      meeting_.parts_[rank_] = own;
      meeting_.barrier_.arrive_and_wait();
      for (std::size_t r = 0; r < ranks(); ++r) {
        std::copy(meeting_.parts_[r].begin(), meeting_.parts_[r].end(), all.data() + r * own.size());
      }
      meeting_.barrier_.arrive_and_wait();
    }
    std::size_t gathered = 0;

   private:
    Meeting& meeting_;
    std::size_t rank_;
  };

 private:
  std::vector<std::span<const double>> parts_;
  std::barrier<> barrier_;
};

/// Runs body(rank, its exchange) on a thread per rank.
void meet(std::size_t ranks, const std::function<void(std::size_t, Meeting::Seat&)>& body) {
  Meeting meeting(ranks);
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      Meeting::Seat seat(meeting, rank);
      body(rank, seat);
    });
  }
  for (auto& thread : threads) thread.join();
}

using Rows = std::vector<std::size_t>;

std::size_t total(const Rows& rows) { return std::accumulate(rows.begin(), rows.end(), std::size_t{0}); }

constexpr models::ImageExtent shared_image{6, 5, 2};
constexpr std::size_t shared_classes = 4;

models::ResNetOptions shared_resnet() {
  return {.input = shared_image, .stages = {3, 5}, .blocks = 2, .classes = shared_classes, .seed = 4, .rows = 8};
}

/// What a pass over a batch gives: its mean loss, the mean gradient, what the norms saw, and the buffers settled by that.
struct Outcome {
  double loss = 0.0;
  std::vector<double> gradients;
  std::vector<double> statistics;
  std::vector<double> buffers;
};

std::vector<double> settled(Classifier& model) {
  model.settle_buffers(model.statistics());
  std::vector<double> all;
  for (const Parameter& buffer : model.buffers()) {
    const auto values = buffer.value.as<double>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

Outcome pass_of(Classifier& model, const testing::Samples<double>& samples, std::size_t begin, std::size_t end) {
  testing::poison_gradients(model);
  const double loss = model.forward_backward(samples.rows(begin, end), samples.labels_of(begin, end));
  const auto statistics = model.statistics();
  return {loss, testing::gradients_of<double>(model), {statistics.begin(), statistics.end()}, settled(model)};
}

/// A ResNet on every rank, each with its rows of the samples.
std::vector<Outcome> passes_of(const Rows& rows, const testing::Samples<double>& samples) {
  std::vector<Outcome> outcomes(rows.size());
  meet(rows.size(), [&](std::size_t rank, Meeting::Seat& seat) {
    ResNet<double> model(shared_resnet());
    model.use_statistics_exchange(&seat);
    const std::size_t begin =
        std::accumulate(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(rank), std::size_t{0});
    outcomes[rank] = pass_of(model, samples, begin, begin + rows[rank]);
  });
  return outcomes;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double largest = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    largest = std::max(largest, std::isfinite(a[i]) ? std::abs(a[i] - b[i]) : std::numeric_limits<double>::infinity());
  }
  return largest;
}

constexpr models::ImageExtent norm_input{2, 2, 2};

/// A norm of one rank, with its part of the function: the sum over ranks of <r, y(x)>.
struct NormOnRank {
  NormOnRank(bool relu, std::size_t count, std::size_t seed)
      : norm(store, {.name = "n", .input = norm_input, .relu = relu}),
        rows(count),
        x(testing::random_samples<double>(rows, norm_input.elements(), 2, seed).features),
        r(testing::random_samples<double>(rows, norm_input.elements(), 2, seed + 50).features) {
    store.allocate(1);
    store.parameters()[0].value.as<double>()[1] = 1.4;
    store.parameters()[1].value.as<double>()[0] = 0.3;
    norm.make_room(rows);
  }
  models::layers::ParameterStore<double> store;
  models::layers::BatchNorm<double> norm;
  std::size_t rows;
  data::AlignedBuffer<double> x;
  data::AlignedBuffer<double> r;
  double value = 0.0;
  std::vector<double> dx;
};

}  // namespace

TEST_CASE("Ranks that share statistics have the loss, gradients and buffers of one leaf with all samples") {
  const Rows rows = GENERATE(Rows{7}, Rows{4, 4}, Rows{1, 6}, Rows{5, 0}, Rows{0, 2, 3}, Rows{3, 1, 5},
                             Rows{2, 0, 4, 3}, Rows{0, 0, 0, 2}, Rows{1, 0, 0, 0});
  CAPTURE(rows);
  const std::size_t count = total(rows);
  const auto samples = testing::random_samples<double>(count, shared_image.elements(), shared_classes, 9);
  ResNet<double> alone(shared_resnet());
  const Outcome expected = pass_of(alone, samples, 0, count);

  const auto outcomes = passes_of(rows, samples);
  double loss = 0.0;
  std::vector<double> gradients(expected.gradients.size());
  for (std::size_t rank = 0; rank < rows.size(); ++rank) {
    const double share = static_cast<double>(rows[rank]) / static_cast<double>(count);
    loss += share * outcomes[rank].loss;
    for (std::size_t i = 0; i < gradients.size(); ++i) gradients[i] += share * outcomes[rank].gradients[i];
    CHECK(same_bits(outcomes[rank].statistics, outcomes[0].statistics));
    CHECK(same_bits(outcomes[rank].buffers, outcomes[0].buffers));
  }
  CHECK(std::abs(loss - expected.loss) < 1e-10);
  CHECK(largest_difference(gradients, expected.gradients) < 1e-10);
  CHECK(largest_difference(outcomes[0].statistics, expected.statistics) < 1e-10);
  CHECK(largest_difference(outcomes[0].buffers, expected.buffers) < 1e-10);
}

TEST_CASE("A synchronised norm's gradients are those of its function over two ranks, and an idle one joins") {
  const bool relu = GENERATE(false, true);
  const Rows rows = GENERATE(Rows{2, 3}, Rows{2, 0, 3});
  std::vector<std::unique_ptr<NormOnRank>> ranks;
  for (std::size_t rank = 0; rank < rows.size(); ++rank) {
    ranks.push_back(std::make_unique<NormOnRank>(relu, rows[rank], 20 + rank));
  }
  const models::Classifier::Listener listener{nullptr, [](void*, std::size_t) {}, nullptr, [](void*) {}};
  const auto run = [&](bool with_backward) {
    meet(ranks.size(), [&](std::size_t number, Meeting::Seat& seat) {
      NormOnRank& rank = *ranks[number];
      rank.store.share_statistics(&seat);
      if (rank.rows == 0) {
        rank.norm.forward_nothing();
        if (with_backward) rank.norm.backward_nothing(listener);
        return;
      }
      const double* y = rank.norm.forward(rank.x.data(), rank.rows, models::layers::Pass::training);
      rank.value = std::inner_product(y, y + rank.r.size(), rank.r.data(), 0.0);
      if (!with_backward) return;
      // What a rank hands on is the derivative of its mean loss: times all rows over its own.
      const double factor = static_cast<double>(total(rows)) / static_cast<double>(rank.rows);
      data::AlignedBuffer<double> dy(rank.r.size());
      for (std::size_t i = 0; i < dy.size(); ++i) dy.data()[i] = factor * rank.r.data()[i];
      rank.norm.backward(rank.x.data(), dy.data(), dy.data(), rank.rows, listener);
      rank.dx.clear();
      for (const double each : dy.span()) rank.dx.push_back(each / factor);
    });
    double value = 0.0;
    for (const auto& rank : ranks) value += rank->value;
    return value;
  };
  run(true);
  constexpr double h = 1e-5;
  double error = 0.0;
  for (const auto& rank : ranks) {
    for (std::size_t i = 0; i < rank->x.size(); ++i) {
      double& x = rank->x.data()[i];
      const double kept = x;
      x = kept + h;
      const double above = run(false);
      x = kept - h;
      const double below = run(false);
      x = kept;
      error = std::max(error, std::abs(rank->dx[i] - (above - below) / (2 * h)));
    }
  }
  CHECK(error < 1e-8);
  for (std::size_t p = 0; p < 2; ++p) {
    for (std::size_t c = 0; c < norm_input.channels; ++c) {
      double mean = 0.0;
      for (const auto& rank : ranks) {
        mean += static_cast<double>(rank->rows) / static_cast<double>(total(rows)) * rank->store.gradient(p)[c];
      }
      const auto move = [&](double by) {
        for (const auto& rank : ranks) rank->store.value(p)[c] += by;
      };
      move(h);
      const double above = run(false);
      move(-2 * h);
      const double below = run(false);
      move(h);
      CHECK(std::abs(mean - (above - below) / (2 * h)) < 1e-8);
    }
  }
}

TEST_CASE(
    "A rank that shares statistics with nobody, and one that ceased to share them, has the bits of one that never did") {
  const auto samples = testing::random_samples<float>(6, shared_image.elements(), shared_classes);
  ResNet<float> plain(shared_resnet());
  ResNet<float> other(shared_resnet());
  const double loss = plain.forward_backward(samples.all(), samples.labels);
  const std::vector<double> statistics(plain.statistics().begin(), plain.statistics().end());
  Meeting meeting(1);
  Meeting::Seat seat(meeting, 0);
  for (models::StatisticsExchange* exchange : {static_cast<models::StatisticsExchange*>(&seat), {}}) {
    other.use_statistics_exchange(exchange);
    testing::poison_gradients(other);
    CHECK(other.forward_backward(samples.all(), samples.labels) == loss);
    CHECK(same_bits(testing::gradients_of<float>(other), testing::gradients_of<float>(plain)));
    CHECK(same_bits(std::vector<double>(other.statistics().begin(), other.statistics().end()), statistics));
  }
  CHECK(seat.gathered > 0);
}

TEST_CASE(
    "Every norm exchanges once forward and once backward, with or without rows; an evaluation exchanges nothing") {
  const auto samples = testing::random_samples<double>(5, shared_image.elements(), shared_classes);
  ResNet<double> model(shared_resnet());
  const std::size_t norms = model.buffers().size() / 2;
  Meeting meeting(1);
  Meeting::Seat seat(meeting, 0);
  model.use_statistics_exchange(&seat);
  model.evaluate(samples.all(), samples.labels);
  CHECK(seat.gathered == 0);
  std::size_t forward = 0;
  const auto count_forward = [&] { forward = seat.gathered; };
  model.forward_backward(
      samples.all(), samples.labels, [](std::size_t) {}, count_forward);
  CHECK(forward == norms);
  CHECK(seat.gathered == 2 * norms);

  seat.gathered = 0;
  testing::poison_gradients(model);
  std::vector<std::size_t> order;
  const double loss = model.forward_backward(
      samples.rows(0, 0), {}, [&](std::size_t p) { order.push_back(p); }, count_forward);
  CHECK(loss == 0.0);
  CHECK(forward == norms);
  CHECK(seat.gathered == 2 * norms);
  REQUIRE(order.size() == model.parameters().size());
  CHECK(std::is_sorted(order.rbegin(), order.rend()));
  const auto gradients = testing::gradients_of<double>(model);
  CHECK(same_bits(gradients, std::vector<double>(gradients.size(), 0.0)));
}

TEST_CASE("A rank without samples exchanges at the same place among its gradients as the others") {
  const auto samples = testing::random_samples<double>(3, shared_image.elements(), shared_classes);
  std::vector<std::vector<std::size_t>> gathered_before(2);  // by announcement
  meet(2, [&](std::size_t rank, Meeting::Seat& seat) {
    ResNet<double> model(shared_resnet());
    model.use_statistics_exchange(&seat);
    const std::size_t rows = rank == 0 ? 3 : 0;
    model.forward_backward(samples.rows(0, rows), samples.labels_of(0, rows),
                           [&](std::size_t) { gathered_before[rank].push_back(seat.gathered); });
  });
  CHECK(gathered_before[0] == gathered_before[1]);
}

TEST_CASE("Shared variances keep their digits where the means are large and far apart") {
  const std::vector<std::vector<double>> parts{{1e8, 1e8 + 1}, {}, {1e8 + 2, 1e8 + 3, 1e8 + 7}};
  std::vector<std::vector<double>> found(parts.size());
  meet(parts.size(), [&](std::size_t rank, Meeting::Seat& seat) {
    const auto& own = parts[rank];
    const auto count = static_cast<double>(own.size());
    std::vector<double> mean(1), squares(1);
    for (const double x : own) mean[0] += x / count;
    for (const double x : own) squares[0] += (x - mean[0]) * (x - mean[0]);
    models::layers::SharedStatistics shared(seat, 1);
    const double all = shared.combine_moments(count, mean, squares);
    found[rank] = {all, mean[0], squares[0]};
  });
  for (const auto& each : found) CHECK(same_bits(each, found[0]));
  CHECK(found[0][0] == 5.0);
  CHECK(found[0][1] == Approx(1e8 + 2.6).epsilon(1e-15));
  CHECK(found[0][2] == Approx(29.2).epsilon(1e-7));  // one unit in the last place of the means moves it so much
}

TEST_CASE("A call that shares statistics uses no heap once its rows fit") {
  const auto samples = testing::random_samples<float>(8, shared_image.elements(), shared_classes);
  ResNet<float> model(shared_resnet());
  Meeting meeting(1);
  Meeting::Seat seat(meeting, 0);
  model.use_statistics_exchange(&seat);
  model.forward_backward(samples.all(), samples.labels);
  const auto before = testing::heap_calls();
  for (int step = 0; step < 3; ++step) {
    model.forward_backward(samples.all(), samples.labels);
    model.forward_backward(samples.rows(0, 0), {});
  }
  CHECK(testing::heap_calls() == before);
}

TEST_CASE("Models without batch normalisation refuse to share statistics by name") {
  Meeting meeting(1);
  Meeting::Seat seat(meeting, 0);
  models::Cnn<float> cnn({});
  models::Mlp<float> mlp({.sizes = {4, 3}});
  for (Classifier* model : std::initializer_list<Classifier*>{&cnn, &mlp}) {
    const Error error = testing::error_of([&] { model->use_statistics_exchange(&seat); });
    CHECK(error.code == ErrorCode::unsupported);
    CHECK_THAT(error.message, Catch::StartsWith(model->description()));
    model->use_statistics_exchange(nullptr);
  }
}
