// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/batch_loader.hpp"

#include "support/failures.hpp"
#include "unit/data/heap_counter.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

using namespace trireme;
using data::BatchLoader;
using testing::error_of;
using Indices = std::vector<std::uint32_t>;

namespace {

constexpr std::size_t pixels = 15;

data::LabelledImages some_images(std::size_t count = 200) {
  data::LabelledImages images;
  images.name = "made-up";
  images.rows = 3;
  images.columns = 5;
  images.classes = 10;
  for (std::size_t i = 0; i < count * pixels; ++i) images.images.push_back(static_cast<std::uint8_t>(i * 7 % 256));
  for (std::size_t i = 0; i < count; ++i) images.labels.push_back(static_cast<std::uint8_t>(i * 3 % 10));
  return images;
}

template <class T>
void matches(const data::Batch& batch, const data::LabelledImages& images, const Indices& samples) {
  REQUIRE(batch.rows == samples.size());
  REQUIRE(batch.columns == pixels);
  REQUIRE(batch.features.dtype == dtype_of<T>);
  REQUIRE(batch.features.count == samples.size() * pixels);
  REQUIRE(reinterpret_cast<std::uintptr_t>(batch.features.data) % 64 == 0);
  REQUIRE(batch.labels.size() == samples.size());
  const auto features = batch.features.as<T>();
  bool equal = true;
  for (std::size_t row = 0; row < samples.size(); ++row) {
    equal = equal && batch.labels[row] == images.labels[samples[row]];
    for (std::size_t i = 0; i < pixels; ++i) {
      equal = equal && features[row * pixels + i] == static_cast<T>(images.images[samples[row] * pixels + i]) / T{255};
    }
  }
  REQUIRE(equal);
}

/// Batch `k` of a run: other samples and another size each time.
Indices samples_of(std::uint32_t k) {
  Indices samples;
  for (std::uint32_t i = 0; i < 1 + k % 9; ++i) samples.push_back((k * 31 + i * 17) % 200);
  return samples;
}

}  // namespace

TEST_CASE("BatchLoader answers every request in order, with and without a thread, at any depth") {
  const auto images = some_images();
  const int threads = GENERATE(0, 1);
  const std::size_t depth = GENERATE(0u, 1u, 2u, 5u);
  BatchLoader loader(images, {.depth = depth, .threads = threads});
  REQUIRE(loader.has_thread() == (threads == 1 && depth > 0));
  REQUIRE(loader.capacity() == std::max<std::size_t>(depth, 1));
  std::uint32_t asked = 0;
  for (std::uint32_t answered = 0; answered < 60; ++answered) {
    while (loader.outstanding() < loader.capacity()) loader.request(samples_of(asked++));
    matches<float>(loader.next(), images, samples_of(answered));
  }
}

TEST_CASE("a batch stays as it is until the next one is taken, whatever is requested meanwhile") {
  const auto images = some_images();
  BatchLoader loader(images, {.depth = 2, .threads = 1});
  loader.request(samples_of(0));
  const data::Batch batch = loader.next();
  for (std::uint32_t k = 1; k <= 2; ++k) loader.request(samples_of(k));
  matches<float>(batch, images, samples_of(0));
  matches<float>(loader.next(), images, samples_of(1));
}

TEST_CASE("BatchLoader makes f64 features, empty batches and consecutive samples") {
  const auto images = some_images();
  const int threads = GENERATE(0, 1);
  BatchLoader loader(images, {.depth = 2, .threads = threads, .dtype = DType::f64});
  loader.request(Indices{});
  loader.request(layout::Interval{197, 200});
  matches<double>(loader.next(), images, {});
  matches<double>(loader.next(), images, {197, 198, 199});
}

TEST_CASE("BatchLoader normalises after scaling to [0, 1]") {
  const auto images = some_images();
  BatchLoader loader(images, {.threads = 0, .normalisation = data::Normalisation{.mean = 0.25, .deviation = 0.5}});
  loader.request(Indices{4});
  const auto features = loader.next().features.as<float>();
  for (std::size_t i = 0; i < pixels; ++i) {
    REQUIRE(features[i] == (static_cast<float>(images.images[4 * pixels + i]) / 255.0f - 0.25f) / 0.5f);
  }
}

TEST_CASE("a bad sample index surfaces at its own next() and harms no other request") {
  const auto images = some_images();
  const int threads = GENERATE(0, 1);
  BatchLoader loader(images, {.depth = 3, .threads = threads});
  loader.request(Indices{1, 2});
  loader.request(Indices{3, 200});
  loader.request(Indices{4});
  matches<float>(loader.next(), images, {1, 2});
  const Error error = error_of([&] { loader.next(); });
  CHECK(error.code == ErrorCode::invalid_argument);
  CHECK_THAT(error.message, Catch::Contains("sample 200") && Catch::Contains("made-up"));
  matches<float>(loader.next(), images, {4});
  CHECK(error_of([&] { loader.request(layout::Interval{199, 201}); }).code == ErrorCode::invalid_argument);
}

TEST_CASE("BatchLoader refuses one request too many and a next() nobody asked for") {
  const auto images = some_images();
  const int threads = GENERATE(0, 1);
  BatchLoader loader(images, {.depth = 2, .threads = threads});
  CHECK(error_of([&] { loader.next(); }).code == ErrorCode::invalid_argument);
  loader.request(Indices{1});
  loader.request(Indices{2});
  CHECK(error_of([&] { loader.request(Indices{3}); }).code == ErrorCode::invalid_argument);
  matches<float>(loader.next(), images, {1});
  matches<float>(loader.next(), images, {2});
}

TEST_CASE("BatchLoader ends with requests outstanding, at any moment") {
  const auto images = some_images();
  for (int round = 0; round < 50; ++round) {
    BatchLoader loader(images, {.depth = 4, .threads = 1});
    for (int k = 0; k < round % 5; ++k) loader.request(Indices(50, 3));
    if (round % 5 > 1) matches<float>(loader.next(), images, Indices(50, 3));
  }
}

TEST_CASE("BatchLoader uses no heap once its buffers have seen the largest batch") {
  const auto images = some_images();
  const int threads = GENERATE(0, 1);
  BatchLoader loader(images, {.depth = 2, .threads = threads});
  const Indices largest(64, 5);
  const auto run = [&](int batches) {
    for (int k = 0; k < batches; ++k) {
      loader.request(std::span(largest).first(k % 3 == 0 ? 64u : 10u));
      loader.next();
    }
  };
  for (int k = 0; k < 3; ++k) {
    loader.request(largest);
    loader.next();
  }
  const auto before = testing::heap_calls();
  run(300);
  const auto after = testing::heap_calls();
  REQUIRE(after == before);
}

TEST_CASE("BatchLoader starts no thread of its own accord where every core is busy") {
  const auto images = some_images();
  BatchLoader loader(images, {.busy_threads = 1u << 30});
  REQUIRE_FALSE(loader.has_thread());
}

TEST_CASE("BatchLoader refuses options and images that make no sense") {
  auto images = some_images(3);
  const auto code_of = [&](const data::BatchLoaderOptions& options) {
    return error_of([&] { BatchLoader loader(images, options); }).code;
  };
  CHECK(code_of({.threads = 2}) == ErrorCode::invalid_argument);
  CHECK(code_of({.threads = -1}) == ErrorCode::invalid_argument);
  CHECK(code_of({.dtype = DType::bf16}) == ErrorCode::unsupported);
  CHECK(code_of({.normalisation = data::Normalisation{0.5, 0.0}}) == ErrorCode::invalid_argument);
  images.labels.pop_back();
  CHECK(code_of({}) == ErrorCode::invalid_argument);
}
