// SPDX-License-Identifier: Apache-2.0
#include "kernels/batch_norm/batch_norm.hpp"
#include "kernels/batch_norm/reference.hpp"
#include "kernels/patches/patches.hpp"
#include "kernels/patches/reference.hpp"
#include "kernels/plane_convolution/plane_convolution.hpp"
#include "kernels/plane_convolution/reference.hpp"
#include "kernels/pooled_relu/pooled_relu.hpp"
#include "kernels/pooled_relu/reference.hpp"
#include "kernels/pooling/pooling.hpp"
#include "kernels/pooling/reference.hpp"
#include "samples.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

namespace trireme::kernels {
namespace {

template <class T>
std::vector<T> image_values(std::size_t count, unsigned seed, std::size_t special_every = 0) {
  const samples::Array array = samples::random(dtype_of<T>, count, seed, special_every);
  std::vector<T> result(count);
  for (std::size_t i = 0; i < count; ++i) result[i] = static_cast<T>(array.value(i));
  return result;
}

template <class T>
bool equal_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](T x, T y) { return (std::isnan(x) && std::isnan(y)) || std::memcmp(&x, &y, sizeof(T)) == 0; });
}

}  // namespace

TEMPLATE_TEST_CASE("Patches are gathered and scattered as the reference does", "", float, double) {
  using T = TestType;
  for (Isa isa : samples::isas()) {
    for (std::size_t kernel : {1u, 3u, 5u}) {
      for (std::size_t stride : {1u, 2u}) {
        for (const auto& [height, width, channels] :
             {std::array<std::size_t, 3>{1, 1, 1}, {2, 3, 2}, {5, 4, 1}, {7, 7, 3}, {6, 8, 17}, {5, 6, 16}}) {
          const PatchShape shape{
              .images = 2, .height = height, .width = width, .channels = channels, .kernel = kernel, .stride = stride};
          CAPTURE(name_of(isa), kernel, stride, height, width, channels);
          const auto x = image_values<T>(2 * height * width * channels, 1, 5);
          std::vector<T> expected(shape.patches() * shape.patch(), T{7}), actual(expected);
          reference::gather_patches(expected.data(), x.data(), shape);
          gather_patches(actual.data(), x.data(), shape, isa);
          REQUIRE(equal_bits(expected, actual));

          const auto patches = image_values<T>(expected.size(), 2);
          std::vector<T> expected_x(x.size(), T{7}), actual_x(expected_x);
          reference::scatter_patches(expected_x.data(), patches.data(), shape);
          scatter_patches(actual_x.data(), patches.data(), shape, isa);
          REQUIRE(equal_bits(expected_x, actual_x));
        }
      }
    }
  }
}

TEMPLATE_TEST_CASE("The mean of an image and its derivative give the reference's bits", "", float, double) {
  using T = TestType;
  for (Isa isa : samples::isas()) {
    for (const auto& [height, width, channels] :
         {std::array<std::size_t, 3>{2, 2, 1}, {4, 6, 3}, {5, 7, 16}, {1, 4, 2}, {6, 4, 33}}) {
      const PoolShape shape{.images = 3, .height = height, .width = width, .channels = channels};
      CAPTURE(name_of(isa), height, width, channels);
      const auto x = image_values<T>(3 * height * width * channels, 3);
      std::vector<T> expected(3 * channels), actual(3 * channels);
      reference::mean_pool(expected.data(), x.data(), shape);
      mean_pool(actual.data(), x.data(), shape, isa);
      REQUIRE(equal_bits(expected, actual));
      std::vector<T> expected_dx(x.size(), T{7}), actual_dx(expected_dx);
      reference::mean_pool_backward(expected_dx.data(), expected.data(), shape);
      mean_pool_backward(actual_dx.data(), expected.data(), shape, isa);
      REQUIRE(equal_bits(expected_dx, actual_dx));
    }
  }
}

TEMPLATE_TEST_CASE("Bias, relu and pooling in one give the reference's bits, of odd extents and NaN too", "", float,
                   double) {
  using T = TestType;
  for (Isa isa : samples::isas()) {
    for (const auto& [height, width, channels] :
         {std::array<std::size_t, 3>{2, 2, 1}, {4, 6, 3}, {5, 7, 16}, {1, 4, 2}, {6, 4, 33}}) {
      const PoolShape shape{.images = 3, .height = height, .width = width, .channels = channels};
      CAPTURE(name_of(isa), height, width, channels);
      const std::size_t out = 3 * (height / 2) * (width / 2) * channels;
      const auto x = image_values<T>(3 * height * width * channels, 1, 3);
      const auto bias = image_values<T>(channels, 4);
      std::vector<T> expected(out), actual(out);
      std::vector<PoolPlace> expected_places(out), places(out);
      reference::pooled_relu(expected.data(), expected_places.data(), x.data(), bias.data(), shape);
      pooled_relu<T>(actual.data(), places.data(), x.data(), bias.data(), shape, isa);
      REQUIRE(equal_bits(expected, actual));
      REQUIRE(places == expected_places);

      auto dy = image_values<T>(out, 2);
      std::vector<T> expected_dx(x.size(), T{7}), actual_dx(expected_dx);
      reference::pooled_relu_backward(expected_dx.data(), dy.data(), places.data(), shape);
      pooled_relu_backward<T>(actual_dx.data(), dy.data(), places.data(), shape, isa);
      REQUIRE(equal_bits(expected_dx, actual_dx));

      auto expected_dy = dy;
      reference::pooled_relu_mask(expected_dy.data(), places.data(), out);
      pooled_relu_mask(dy.data(), places.data(), out, isa);
      REQUIRE(equal_bits(expected_dy, dy));
    }
  }
}

TEST_CASE("What passes relu goes back to the first greatest of its window, and to no other") {
  for (Isa isa : samples::isas()) {
    const PoolShape shape{.images = 1, .height = 2, .width = 6, .channels = 1};
    const float nan = std::nanf("");
    const std::vector<float> x{1, 3, nan, 0, -2, -1, /**/ 3, 3, 5, 1, -1, -3};
    const std::vector<float> bias{0.5f};
    std::vector<float> y(3), dx(12);
    std::vector<PoolPlace> places(3);
    pooled_relu(y.data(), places.data(), x.data(), bias.data(), shape, isa);
    REQUIRE(y[0] == 3.5f);
    REQUIRE(std::isnan(y[1]));
    REQUIRE(y[2] == 0.0f);
    REQUIRE(places == std::vector<PoolPlace>{1, nowhere, nowhere});
    const std::vector<float> dy{10, 20, 30};
    pooled_relu_backward(dx.data(), dy.data(), places.data(), shape, isa);
    REQUIRE(dx == std::vector<float>{0, 10, 0, 0, 0, 0, /**/ 0, 0, 0, 0, 0, 0});
  }
}

TEMPLATE_TEST_CASE("The convolution of a plane and its gradients give the reference's bits", "", float, double) {
  using T = TestType;
  for (Isa isa : samples::isas()) {
    for (const auto& [height, width, outputs] :
         {std::array<std::size_t, 3>{2, 2, 1}, {4, 6, 3}, {5, 7, 16}, {8, 3, 4}, {6, 4, 21}}) {
      const PlaneShape shape{.images = 2, .height = height, .width = width, .outputs = outputs};
      CAPTURE(name_of(isa), height, width, outputs);
      const auto x = image_values<T>(2 * height * width, 1);
      const auto weight = image_values<T>(outputs * 9, 2);
      const auto bias = image_values<T>(outputs, 3);
      const std::size_t out = 2 * shape.image_outputs();
      std::vector<T> expected(out), actual(out), padded(shape.padded());
      std::vector<PoolPlace> expected_places(out), places(out);
      reference::plane_convolution(expected.data(), expected_places.data(), x.data(), weight.data(), bias.data(), shape,
                                   padded.data());
      plane_convolution<T>(actual.data(), places.data(), x.data(), weight.data(), bias.data(), shape, padded.data(),
                           isa);
      REQUIRE(equal_bits(expected, actual));
      REQUIRE(places == expected_places);

      const auto dy = image_values<T>(out, 4);
      std::vector<T> expected_weights(2 * outputs * 9), weights(expected_weights);
      std::vector<T> expected_biases(2 * outputs), biases(expected_biases);
      reference::plane_gradients(expected_weights.data(), expected_biases.data(), x.data(), dy.data(), places.data(),
                                 shape, padded.data());
      plane_gradients<T>(weights.data(), biases.data(), x.data(), dy.data(), places.data(), shape, padded.data(), isa);
      REQUIRE(equal_bits(expected_weights, weights));
      REQUIRE(equal_bits(expected_biases, biases));
    }
  }
}

TEMPLATE_TEST_CASE("Moments, normalisation and its derivative give the reference's bits", "", float, double) {
  using T = TestType;
  for (Isa isa : samples::isas()) {
    for (std::size_t rows : {1u, 5u, 64u, 65u, 200u, 449u}) {
      for (std::size_t columns : {1u, 7u, 16u, 33u, 64u}) {
        CAPTURE(name_of(isa), rows, columns);
        const auto x = image_values<T>(rows * columns, 1);
        const auto dy = image_values<T>(rows * columns, 2);
        std::vector<double> mean(columns), squares(columns), expected_mean(columns), expected_squares(columns);
        reference::column_moments(expected_mean.data(), expected_squares.data(), x.data(), rows, columns);
        column_moments(mean.data(), squares.data(), x.data(), rows, columns, isa);
        REQUIRE(equal_bits(mean, expected_mean));
        REQUIRE(equal_bits(squares, expected_squares));

        const auto centre = image_values<T>(columns, 3);
        const auto scale = image_values<T>(columns, 4);
        const auto shift = image_values<T>(columns, 5);
        const auto slope = image_values<T>(columns, 6);
        for (const bool relu : {false, true}) {
          std::vector<T> y(x.size()), expected_y(x.size());
          NormaliseCall<T> call{.y = expected_y.data(),
                                .x = x.data(),
                                .rows = rows,
                                .columns = columns,
                                .mean = centre.data(),
                                .scale = scale.data(),
                                .shift = shift.data(),
                                .relu = relu};
          reference::normalise(call);
          call.y = y.data();
          normalise(call, isa);
          REQUIRE(equal_bits(y, expected_y));

          const T* mask = relu ? y.data() : nullptr;
          std::vector<double> sum(columns), projected(columns), expected_sum(columns), expected_projected(columns);
          DerivativeSumsCall<T> sums{.sum = expected_sum.data(),
                                     .projected = expected_projected.data(),
                                     .dy = dy.data(),
                                     .x = x.data(),
                                     .y = mask,
                                     .rows = rows,
                                     .columns = columns,
                                     .mean = mean.data()};
          reference::derivative_sums(sums);
          sums.sum = sum.data();
          sums.projected = projected.data();
          derivative_sums(sums, isa);
          REQUIRE(equal_bits(sum, expected_sum));
          REQUIRE(equal_bits(projected, expected_projected));

          std::vector<T> dx(dy), expected_dx(dy.size());
          NormaliseBackwardCall<T> backward{.dx = expected_dx.data(),
                                            .dy = dy.data(),
                                            .x = x.data(),
                                            .y = mask,
                                            .rows = rows,
                                            .columns = columns,
                                            .mean = centre.data(),
                                            .scale = scale.data(),
                                            .mean_dy = shift.data(),
                                            .slope = slope.data()};
          reference::normalise_backward(backward);
          backward.dx = dx.data();
          backward.dy = dx.data();  // in place
          normalise_backward(backward, isa);
          REQUIRE(equal_bits(dx, expected_dx));
        }
      }
    }
  }
}

}  // namespace trireme::kernels
