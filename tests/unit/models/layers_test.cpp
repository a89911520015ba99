// SPDX-License-Identifier: Apache-2.0
// Every layer by itself: its derivatives are those of its function.
#include "models/layers/batch_norm.hpp"
#include "models/layers/convolution.hpp"
#include "models/layers/dense.hpp"
#include "models/layers/plane_convolution.hpp"
#include "models/layers/pooled_convolution.hpp"
#include "models/layers/pooling.hpp"
#include "models/layers/residual_block.hpp"
#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"
#include "unit/models/labelled_samples.hpp"

#include <catch2/catch.hpp>

#include <cmath>
#include <functional>
#include <memory>

using namespace trireme;
using namespace trireme::models::layers;
using models::ImageExtent;

namespace {

using Values = std::vector<double>;

data::AlignedBuffer<double> random_buffer(std::size_t count, std::uint64_t seed) {
  data::AlignedBuffer<double> values(count);
  data::PhiloxStream random(seed);
  for (double& value : values.span()) value = 2.0 * data::unit_interval(random.next()) - 1.0;
  return values;
}

double dot(const double* a, const double* b, std::size_t count) {
  double sum = 0.0;
  for (std::size_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

/// A layer with what it needs, and the scalar function <r, y(x, parameters)> of it.
struct Rig {
  using Make = std::function<std::unique_ptr<Layer<double>>(ParameterStore<double>&, Workspace<double>&)>;

  Rig(const Make& make, const ImageExtent& input, std::size_t rows_)
      : layer(make(store, workspace)), rows(rows_), x(random_buffer(rows * input.elements(), 11)) {
    store.allocate(5);
    // Gains and shifts other than those they start from.
    std::size_t number = 0;
    for (const Parameter& parameter : store.parameters()) {
      for (double& value : parameter.value.as<double>()) {
        value += 0.3 * std::sin(static_cast<double>(++number));
      }
    }
    layer->make_room(rows);
    r = random_buffer(rows * layer->output().elements(), 12);
  }
  double value() { return dot(r.data(), layer->forward(x.data(), rows, Pass::training), r.size()); }

  /// Parameters in the order of their announcement.
  std::vector<std::size_t> backward(double* dx) {
    value();
    data::AlignedBuffer<double> dy(r.size());
    std::copy_n(r.data(), r.size(), dy.data());
    std::vector<std::size_t> order;
    const models::Classifier::Listener listener{
        &order, [](void* list, std::size_t p) { static_cast<std::vector<std::size_t>*>(list)->push_back(p); }, nullptr,
        [](void*) {}};
    layer->backward(x.data(), dy.data(), dx, rows, listener);
    return order;
  }

  ParameterStore<double> store;
  Workspace<double> workspace;
  std::unique_ptr<Layer<double>> layer;
  std::size_t rows;
  data::AlignedBuffer<double> x;
  data::AlignedBuffer<double> r;
};

/// Central differences of rig.value() by every element of `values`.
void require_derivatives(Rig& rig, std::span<double> values, const Values& derivatives) {
  double largest = 0.0;
  double error = 0.0;
  for (std::size_t e = 0; e < values.size(); ++e) {
    constexpr double h = 1e-5;
    const double kept = values[e];
    values[e] = kept + h;
    const double above = rig.value();
    values[e] = kept - h;
    const double below = rig.value();
    values[e] = kept;
    largest = std::max(largest, std::abs(derivatives[e]));
    error = std::max(error, std::abs(derivatives[e] - (above - below) / (2 * h)));
  }
  CAPTURE(error, largest);
  REQUIRE(largest > 1e-3);
  REQUIRE(error <= 1e-6 * largest);
}

void require_gradients(const Rig::Make& make, const ImageExtent& input, std::size_t rows) {
  Rig rig(make, input, rows);
  data::AlignedBuffer<double> dx(rig.x.size());
  for (const Parameter& parameter : rig.store.parameters()) {
    for (double& each : parameter.gradient.as<double>()) each = std::nan("");
  }
  std::fill_n(dx.data(), dx.size(), std::nan(""));
  const auto order = rig.backward(dx.data());
  std::vector<std::size_t> descending(rig.store.parameters().size());
  for (std::size_t p = 0; p < descending.size(); ++p) descending[p] = descending.size() - 1 - p;
  REQUIRE(order == descending);
  for (const Parameter& parameter : rig.store.parameters()) {
    CAPTURE(parameter.name);
    const auto gradient = parameter.gradient.as<double>();
    require_derivatives(rig, parameter.value.as<double>(), Values(gradient.begin(), gradient.end()));
  }
  require_derivatives(rig, rig.x.span(), Values(dx.data(), dx.data() + dx.size()));

  // Without dx the gradients are the same.
  Values before;
  for (const Parameter& parameter : rig.store.parameters()) {
    for (double& each : parameter.gradient.as<double>()) before.push_back(std::exchange(each, 0.0));
  }
  rig.backward(nullptr);
  Values after;
  for (const Parameter& parameter : rig.store.parameters()) {
    for (const double each : parameter.gradient.as<double>()) after.push_back(each);
  }
  REQUIRE(testing::same_bits(before, after));
}

Rig::Make convolution(const ConvolutionOptions& options) {
  return [=](auto& store, auto& workspace) { return std::make_unique<Convolution<double>>(store, workspace, options); };
}

}  // namespace

TEST_CASE("A convolution's gradients are those of its function") {
  const std::size_t kernel = GENERATE(1u, 3u);
  const std::size_t stride = GENERATE(1u, 2u);
  const bool bias = GENERATE(true, false);
  const ImageExtent input = GENERATE(ImageExtent{4, 5, 3}, ImageExtent{1, 1, 2}, ImageExtent{6, 3, 1});
  const bool relu = bias && input.height == 4;
  CAPTURE(kernel, stride, bias, relu, input.height, input.width, input.channels);
  require_gradients(convolution({.name = "c",
                                 .input = input,
                                 .outputs = 4,
                                 .kernel = kernel,
                                 .stride = stride,
                                 .bias = bias,
                                 .relu = relu,
                                 .bound = 0.7}),
                    input, 3);
}

TEST_CASE("A convolution is that of the definition, over several groups of images and at every stride") {
  const std::size_t stride = GENERATE(1u, 2u);
  const ImageExtent input{28, 30, 5};
  constexpr std::size_t rows = 30;  // 6 or 27 images of these patches are gathered at a time
  constexpr std::size_t outputs = 3;
  Rig rig(convolution({.name = "c", .input = input, .outputs = outputs, .stride = stride, .bound = 0.5}), input, rows);
  const double* y = rig.layer->forward(rig.x.data(), rows, Pass::training);
  const ImageExtent output = rig.layer->output();
  REQUIRE(output == ImageExtent{28 / stride, 30 / stride, outputs});
  const auto weight = rig.store.parameters()[0].value.as<double>();
  const auto bias = rig.store.parameters()[1].value.as<double>();
  double error = 0.0;
  for (std::size_t i = 0; i < rows * output.elements(); ++i) {
    const std::size_t o = i % outputs;
    const std::size_t column = i / outputs % output.width;
    const std::size_t line = i / outputs / output.width % output.height;
    const std::size_t n = i / output.elements();
    double expected = bias[o];
    for (std::size_t k = 0; k < 9 * input.channels; ++k) {
      const auto down = static_cast<std::ptrdiff_t>(line * stride + k / input.channels / 3) - 1;
      const auto right = static_cast<std::ptrdiff_t>(column * stride + k / input.channels % 3) - 1;
      if (down < 0 || right < 0 || down >= 28 || right >= 30) continue;
      const auto pixel = (n * 28 + static_cast<std::size_t>(down)) * 30 + static_cast<std::size_t>(right);
      expected += weight[o * 9 * input.channels + k] * rig.x.data()[pixel * input.channels + k % input.channels];
    }
    error = std::max(error, std::abs(y[i] - expected));
  }
  CHECK(error < 1e-13);

  // Linear in the weights and in x: <gradient, weights> = <dx, x> = <r, y - bias>.
  for (double& each : bias) each = 0.0;
  data::AlignedBuffer<double> dx(rig.x.size());
  rig.backward(dx.data());
  const double expected = rig.value();
  CHECK(dot(rig.store.gradient(0), weight.data(), weight.size()) == Approx(expected).epsilon(1e-12));
  CHECK(dot(dx.data(), rig.x.data(), rig.x.size()) == Approx(expected).epsilon(1e-12));
}

TEST_CASE("A dense layer's gradients are those of its function") {
  const bool relu = GENERATE(false, true);
  require_gradients(
      [=](auto& store, auto&) {
        return std::make_unique<Dense<double>>(
            store, DenseOptions{.name = "d", .inputs = 7, .outputs = 5, .relu = relu, .bound = 0.5});
      },
      {1, 1, 7}, 4);
}

TEST_CASE("Pooling's derivatives are those of its function, of odd extents too") {
  const ImageExtent input = GENERATE(ImageExtent{4, 6, 2}, ImageExtent{5, 3, 3}, ImageExtent{2, 2, 1});
  require_gradients([=](auto&, auto&) { return std::make_unique<MeanPool<double>>(input); }, input, 3);
}

TEST_CASE("Batch normalisation's gradients are those of its function, through mean and variance") {
  const bool relu = GENERATE(false, true);
  const ImageExtent input = GENERATE(ImageExtent{3, 2, 4}, ImageExtent{1, 1, 3}, ImageExtent{9, 9, 1});
  require_gradients(
      [=](auto& store, auto&) {
        return std::make_unique<BatchNorm<double>>(store, BatchNormOptions{.name = "n", .input = input, .relu = relu});
      },
      input, 5);
}

TEST_CASE("Batch normalisation gives mean 0 and variance 1 in training, and its statistics are those of the leaf") {
  constexpr std::size_t channels = 3, rows = 4;
  const ImageExtent input{5, 5, channels};
  ParameterStore<double> store;
  BatchNorm<double> norm(store, {.name = "n", .input = input, .epsilon = 1e-12});
  store.allocate(1);
  norm.make_room(rows);
  const auto x = random_buffer(rows * input.elements(), 3);
  const double* y = norm.forward(x.data(), rows, Pass::training);
  const auto statistics = store.statistics();
  REQUIRE(statistics.size() == 2 * channels);
  for (std::size_t c = 0; c < channels; ++c) {
    double mean = 0.0, y_mean = 0.0, variance = 0.0, y_variance = 0.0;
    constexpr double count = rows * 25;
    for (std::size_t r = 0; r < rows * 25; ++r) {
      mean += x.data()[r * channels + c] / count;
      y_mean += y[r * channels + c] / count;
    }
    for (std::size_t r = 0; r < rows * 25; ++r) {
      variance += std::pow(x.data()[r * channels + c] - mean, 2) / (count - 1);
      y_variance += std::pow(y[r * channels + c] - y_mean, 2) / count;
    }
    CHECK(std::abs(y_mean) < 1e-14);
    CHECK(y_variance == Approx(1.0).epsilon(1e-10));
    CHECK(statistics[c] == Approx(mean).epsilon(1e-13));
    CHECK(statistics[channels + c] == Approx(variance).epsilon(1e-13));
  }
}

TEST_CASE("Batch normalisation of a single pixel is the shift, and its unbiased variance counts as 0") {
  ParameterStore<double> store;
  BatchNorm<double> norm(store, {.name = "n", .input = {1, 1, 2}});
  store.allocate(1);
  norm.make_room(1);
  const auto x = random_buffer(2, 3);
  const double* y = norm.forward(x.data(), 1, Pass::training);
  CHECK((y[0] == 0.0 && y[1] == 0.0));
  CHECK(store.statistics()[0] == x.data()[0]);
  CHECK(store.statistics()[2] == 0.0);
}

TEST_CASE("In evaluation batch normalisation uses the running values, which move by the momentum") {
  ParameterStore<double> store;
  BatchNorm<double> norm(store, {.name = "n", .input = {1, 1, 2}, .epsilon = 1e-5});
  store.allocate(1);
  norm.make_room(3);
  const auto x = random_buffer(6, 3);
  const double* y = norm.forward(x.data(), 3, Pass::evaluation);
  for (std::size_t i = 0; i < 6; ++i) CHECK(y[i] == Approx(x.data()[i] / std::sqrt(1.0 + 1e-5)).epsilon(1e-14));

  const Values seen{2.0, -4.0, 9.0, 16.0};
  store.settle_buffers(seen, 0.25);
  const auto buffers = store.buffers();
  REQUIRE(buffers.size() == 2);
  CHECK(buffers[0].name == "n.running_mean");
  CHECK(buffers[1].name == "n.running_variance");
  CHECK(buffers[0].value.as<double>()[1] == -1.0);
  CHECK(buffers[1].value.as<double>()[0] == 3.0);
  y = norm.forward(x.data(), 3, Pass::evaluation);
  CHECK(y[0] == Approx((x.data()[0] - 0.5) / std::sqrt(3.0 + 1e-5)).epsilon(1e-14));
}

TEST_CASE("A residual block's gradients are those of its function, with and without a projection") {
  const ImageExtent input{4, 5, 3};
  const std::size_t outputs = GENERATE(3u, 4u);
  const std::size_t stride = GENERATE(1u, 2u);
  CAPTURE(outputs, stride);
  const Rig::Make make = [=](auto& store, auto& workspace) {
    return std::make_unique<ResidualBlock<double>>(
        store, workspace, ResidualBlockOptions{.name = "b", .input = input, .outputs = outputs, .stride = stride});
  };
  require_gradients(make, input, 3);
  CHECK(Rig(make, input, 1).store.parameters().size() == (outputs == 3 && stride == 1 ? 6u : 9u));
}

namespace {

Rig::Make pooled(const ImageExtent& input, std::size_t outputs) {
  return [=](auto& store, auto& workspace) {
    return std::make_unique<PooledConvolution<double>>(
        store, workspace, PooledConvolutionOptions{.name = "conv", .input = input, .outputs = outputs, .bound = 0.4});
  };
}

Rig::Make plane(const ImageExtent& input, std::size_t outputs) {
  return [=](auto& store, auto& workspace) {
    return std::make_unique<PlaneConvolution<double>>(
        store, workspace, PlaneConvolutionOptions{.name = "conv", .input = input, .outputs = outputs, .bound = 0.4});
  };
}

/// The layer computes what two steps do: a convolution with relu, then the greatest of every 2 x 2 pixels. How many outputs
/// relu has cut.
std::size_t require_two_steps(const Rig::Make& make, const ImageExtent& input, std::size_t outputs, std::size_t rows) {
  Rig rig(make, input, rows);
  Rig whole(convolution({.name = "conv", .input = input, .outputs = outputs, .relu = true, .bound = 0.4}), input, rows);
  const double* z = whole.layer->forward(rig.x.data(), rows, Pass::training);
  const double* y = rig.layer->forward(rig.x.data(), rows, Pass::training);
  const ImageExtent output = rig.layer->output();
  REQUIRE(output == ImageExtent{input.height / 2, input.width / 2, outputs});
  std::fill_n(whole.r.data(), whole.r.size(), 0.0);
  std::size_t cut = 0;
  for (std::size_t e = 0; e < rows * output.elements(); ++e) {
    const std::size_t pixel = e / outputs;
    const std::size_t line = pixel / output.width % output.height;
    std::size_t place = 0;
    for (std::size_t q = 0; q < 4; ++q) {
      const std::size_t across = 2 * (pixel % output.width) + q % 2;
      const std::size_t down = pixel / output.pixels() * input.height + 2 * line + q / 2;
      const std::size_t from = (down * input.width + across) * outputs + e % outputs;
      if (q == 0 || z[from] > z[place]) place = from;
    }
    REQUIRE(y[e] == Approx(z[place]).margin(1e-12));
    whole.r.data()[place] = rig.r.data()[e];
    cut += y[e] == 0.0 ? 1 : 0;
  }
  rig.backward(nullptr);
  whole.backward(nullptr);
  for (std::size_t p = 0; p < 2; ++p) {
    const auto own = rig.store.parameters()[p].gradient.as<double>();
    for (std::size_t e = 0; e < own.size(); ++e) REQUIRE(own[e] == Approx(whole.store.gradient(p)[e]).margin(1e-10));
  }
  return cut;
}

}  // namespace

TEST_CASE("A pooled convolution has the derivatives of its function, over several groups of images too") {
  require_gradients(pooled({4, 6, 2}, 3), {4, 6, 2}, 2);
  require_gradients(pooled({5, 3, 4}, 5), {5, 3, 4}, 2);  // a row and a column are left out
  REQUIRE(require_two_steps(pooled({12, 10, 8}, 6), {12, 10, 8}, 6, 20) > 0);
}

TEST_CASE("A convolution of a plane is a pooled convolution of one channel") {
  std::size_t cut = 0;
  for (const std::size_t outputs : {1u, 3u, 4u, 9u}) {
    CAPTURE(outputs);
    cut += require_two_steps(plane({6, 8, 1}, outputs), {6, 8, 1}, outputs, 3);
    cut += require_two_steps(plane({5, 7, 1}, outputs), {5, 7, 1}, outputs, 2);
  }
  REQUIRE(cut > 0);
}
