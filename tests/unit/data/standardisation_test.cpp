// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/standardisation.hpp"

#include "support/failures.hpp"
#include "trireme/data/evaluation_share.hpp"
#include "trireme/data/philox.hpp"
#include "trireme/data/random.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

using namespace trireme;
using data::DenseTable;
using data::FeatureMoments;
using data::SparseScaling;
using data::SparseTable;
using data::Standardisation;

namespace {

constexpr std::size_t block = FeatureMoments::block_rows;

/// Six features: uniform, far from 0, wide, constant, constant but for an outlier in front, tiny.
DenseTable awkward_rows(std::size_t rows) {
  DenseTable table;
  table.features = 6;
  table.rows = rows;
  data::PhiloxStream random(rows);
  for (std::size_t i = 0; i < rows; ++i) {
    const auto uniform = [&] { return static_cast<float>(data::unit_interval(random.next())); };
    for (float value : {uniform(), 1e6f + uniform(), 1e20f * (uniform() - 0.5f), 0.1f,
                        i == 0 ? 1e5f : 1.0f + 1e-2f * uniform(), 1e-20f * uniform()}) {
      table.values.push_back(value);
    }
  }
  return table;
}

/// Most values are 0; feature 0 is never stored, feature 1 always the same, feature 2 stored everywhere.
SparseTable awkward_sparse(std::size_t rows) {
  SparseTable table;
  table.features = 20;
  data::PhiloxStream random(rows + 1);
  for (std::size_t i = 0; i < rows; ++i) {
    const auto store = [&](std::uint32_t index, float value) {
      table.indices.push_back(index);
      table.values.push_back(value);
    };
    store(1, -3.25f);
    store(2, 1000.0f + static_cast<float>(data::unit_interval(random.next())));
    for (std::uint32_t j = 3; j < 20; ++j) {
      if (random.below(j) == 0) store(j, static_cast<float>(data::unit_interval(random.next())) - 0.25f);
    }
    table.offsets.push_back(table.indices.size());
    table.labels.push_back(0);
  }
  return table;
}

/// What `ranks` ranks find out together, each sent as numbers, the last first.
template <class Table>
FeatureMoments moments_of_shares(const Table& table, int ranks, std::size_t piece) {
  std::vector<FeatureMoments> shares;
  for (int rank = ranks - 1; rank >= 0; --rank) {
    const auto share = data::evaluation_share(table.size(), rank, ranks, block);
    const std::size_t begin = share.size() == 0 ? 0 : share.begin;  // a share of no rows may lie behind the last
    FeatureMoments moments(table.features, begin);
    for (std::size_t row = share.begin; row < share.end; row += piece) {
      moments.add(table.view().slice(row, std::min(piece, share.end - row)));
    }
    REQUIRE(moments.rows() == share.size());
    const std::vector<double> numbers = moments.packed();
    shares.push_back(FeatureMoments::unpacked(numbers));
    REQUIRE(shares.back().packed() == numbers);
  }
  return FeatureMoments::combine(shares);
}

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](double x, double y) {
    return std::bit_cast<std::uint64_t>(x) == std::bit_cast<std::uint64_t>(y);
  });
}

/// Mean, variance and largest of each feature in long double, in two passes.
FeatureMoments::Summary reference_summary(const std::vector<std::vector<float>>& columns) {
  FeatureMoments::Summary summary;
  for (const auto& column : columns) {
    long double sum = 0;
    for (float x : column) sum += x;
    const long double mean = sum / static_cast<long double>(column.size());
    long double squares = 0;
    double largest = 0;
    for (float x : column) {
      squares += (x - mean) * (x - mean);
      largest = std::max(largest, std::fabs(static_cast<double>(x)));
    }
    summary.mean.push_back(static_cast<double>(mean));
    summary.variance.push_back(static_cast<double>(squares / static_cast<long double>(column.size())));
    summary.largest.push_back(largest);
  }
  return summary;
}

std::vector<std::vector<float>> columns_of(const DenseTable& table) {
  std::vector<std::vector<float>> columns(table.features);
  for (std::size_t i = 0; i < table.values.size(); ++i) columns[i % table.features].push_back(table.values[i]);
  return columns;
}

std::vector<std::vector<float>> columns_of(const SparseTable& table) {
  std::vector<std::vector<float>> columns(table.features, std::vector<float>(table.size()));
  for (std::size_t i = 0; i < table.size(); ++i) {
    for (std::uint64_t k = table.offsets[i]; k < table.offsets[i + 1]; ++k)
      columns[table.indices[k]][i] = table.values[k];
  }
  return columns;
}

template <class Table>
void agrees_with_reference(const Table& table) {
  const auto reference = reference_summary(columns_of(table));
  const auto summary = moments_of_shares(table, 1, table.size()).summary();
  for (std::size_t j = 0; j < table.features; ++j) {
    CAPTURE(j, reference.mean[j], reference.variance[j]);
    CHECK(summary.mean[j] == Approx(reference.mean[j]).epsilon(1e-12).margin(1e-12 * std::sqrt(reference.variance[j])));
    CHECK(summary.variance[j] == Approx(reference.variance[j]).epsilon(1e-12).margin(0));
    CHECK(summary.largest[j] == reference.largest[j]);
  }
}

}  // namespace

TEST_CASE("moments of 1 to 5 shares, added in pieces of any size, have the same bits") {
  for (std::size_t rows : {std::size_t{1}, block - 1, block, block + 1, 3 * block + 7, 11 * block + 500}) {
    const DenseTable dense = awkward_rows(rows);
    const SparseTable sparse = awkward_sparse(rows);
    const auto expected = moments_of_shares(dense, 1, rows).summary();
    const auto expected_sparse = moments_of_shares(sparse, 1, rows).summary();
    for (int ranks = 1; ranks <= 5; ++ranks) {
      CAPTURE(rows, ranks);
      const auto summary = moments_of_shares(dense, ranks, 100).summary();
      REQUIRE(same_bits(summary.mean, expected.mean));
      REQUIRE(same_bits(summary.variance, expected.variance));
      REQUIRE(same_bits(summary.largest, expected.largest));
      const auto of_sparse = moments_of_shares(sparse, ranks, 333).summary();
      REQUIRE(same_bits(of_sparse.mean, expected_sparse.mean));
      REQUIRE(same_bits(of_sparse.variance, expected_sparse.variance));
      REQUIRE(same_bits(of_sparse.largest, expected_sparse.largest));
    }
  }
}

TEST_CASE("combining shares in steps, as a tree of ranks does, gives the same bits") {
  const DenseTable table = awkward_rows(9 * block + 3);
  std::vector<FeatureMoments> shares;
  for (int rank = 0; rank < 5; ++rank) {
    const auto share = data::evaluation_share(table.size(), rank, 5, block);
    shares.emplace_back(table.features, share.begin);
    shares.back().add(table.view().slice(share.begin, share.size()));
  }
  const auto at_once = FeatureMoments::combine(shares);
  const std::vector<FeatureMoments> upper = {shares[3], shares[4], shares[2]};
  const std::vector<FeatureMoments> both = {FeatureMoments::combine(upper), shares[0], shares[1]};
  CHECK(same_bits(FeatureMoments::combine(both).packed(), at_once.packed()));
}

TEST_CASE("mean and variance equal a reference of two passes to 1e-12, far from zero and with outliers too") {
  for (std::size_t rows : {std::size_t{2}, std::size_t{1000}, 7 * block + 99}) {
    agrees_with_reference(awkward_rows(rows));
    agrees_with_reference(awkward_sparse(rows));
  }
}

TEST_CASE("a share of the rows is joined as the balanced tree over blocks says") {
  // Blocks whose means are 0, 1, 2, …: with n of them the root splits at the largest power of two below n.
  for (std::size_t blocks = 1; blocks <= 13; ++blocks) {
    DenseTable table;
    table.features = 1;
    for (std::size_t i = 0; i < blocks * block; ++i) table.values.push_back(static_cast<float>(i / block) * 0.1f);
    table.rows = table.values.size();
    struct Node {
      double rows, shift, offset, squares;
    };
    const auto node = [&](auto&& self, std::size_t first, std::size_t count) -> Node {
      if (count == 1) return {static_cast<double>(block), table.values[first * block], 0.0, 0.0};
      std::size_t left = 1;
      while (2 * left < count) left *= 2;
      const Node a = self(self, first, left);
      const Node b = self(self, first + left, count - left);
      const double rows = a.rows + b.rows;
      const double apart = (b.shift - a.shift) + (b.offset - a.offset);
      return {rows, a.shift, a.offset + apart * (b.rows / rows),
              (a.squares + b.squares) + apart * apart * (a.rows * b.rows / rows)};
    };
    const Node root = node(node, 0, blocks);
    const auto summary = moments_of_shares(table, 1, 50).summary();
    CHECK(same_bits(summary.mean, {root.shift + root.offset}));
    CHECK(same_bits(summary.variance, {root.squares / root.rows}));
  }
}

TEST_CASE("standardised rows have mean 0 and deviation 1; constant features keep deviation 1") {
  DenseTable table = awkward_rows(5000);
  const Standardisation fitted = Standardisation::fit(moments_of_shares(table, 3, 700));
  CHECK(fitted.inverse_deviation[3] == 1.0);
  CHECK(fitted.mean[3] == static_cast<double>(0.1f));
  const DenseTable before = table;
  fitted.apply(table);
  for (std::size_t k = 0; k < table.values.size(); ++k) {
    const std::size_t j = k % table.features;
    REQUIRE(table.values[k] ==
            static_cast<float>((static_cast<double>(before.values[k]) - fitted.mean[j]) * fitted.inverse_deviation[j]));
    if (j == 3) REQUIRE(table.values[k] == 0.0f);
  }
  const auto summary = moments_of_shares(table, 1, 5000).summary();
  for (std::size_t j : {0, 1, 2, 4, 5}) {
    CAPTURE(j);
    CHECK(std::fabs(summary.mean[j]) < 1e-6);
    CHECK(summary.variance[j] == Approx(1.0).epsilon(1e-6));
  }
}

TEST_CASE("sparse rows are scaled by deviation or by the largest value, and stay as sparse as they were") {
  const SparseTable table = awkward_sparse(3000);
  const FeatureMoments moments = moments_of_shares(table, 2, 3000);
  const auto summary = moments.summary();
  const SparseScaling by_deviation = SparseScaling::by_deviation(moments);
  const SparseScaling by_largest = SparseScaling::by_largest(moments);
  CHECK(by_deviation.factor[0] == 1.0);  // never stored
  CHECK(by_deviation.factor[1] == 1.0);  // constant
  std::vector<float> largest;
  for (const double each : moments.summary().largest) largest.push_back(static_cast<float>(each));
  CHECK(SparseScaling::by_largest(largest).factor == by_largest.factor);
  CHECK(by_largest.factor[0] == 1.0);
  CHECK(by_largest.factor[1] == 1.0 / 3.25);
  for (std::size_t j = 2; j < table.features; ++j)
    CHECK(by_deviation.factor[j] == 1.0 / std::sqrt(summary.variance[j]));
  for (const SparseScaling& scaling : {by_deviation, by_largest}) {
    SparseTable scaled = table;
    scaling.apply(scaled);
    CHECK(scaled.offsets == table.offsets);
    CHECK(scaled.indices == table.indices);
    for (std::size_t k = 0; k < table.values.size(); ++k) {
      REQUIRE(scaled.values[k] ==
              static_cast<float>(static_cast<double>(table.values[k]) * scaling.factor[table.indices[k]]));
      if (&scaling == &by_largest) REQUIRE(std::fabs(scaled.values[k]) <= 1.0f);
    }
  }
}

TEST_CASE("moments refuse rows and shares that do not belong together, by name") {
  const DenseTable rows = awkward_rows(2 * block + 5);
  const auto refused = [](auto&& call, const char* word, ErrorCode code = ErrorCode::invalid_argument) {
    const Error error = testing::error_of(call);
    CAPTURE(error.message);
    CHECK(error.code == code);
    CHECK_THAT(error.message, Catch::Contains(word));
  };
  FeatureMoments first(6), second(6, block), other(7);
  first.add(rows.view().slice(0, block));
  second.add(rows.view().slice(block, block + 5));
  refused([&] { FeatureMoments(0); }, "no features");
  refused([&] { FeatureMoments(3, 5); }, "multiple of 1024");
  refused([&] { other.add(rows.view()); }, "rows of 6 features added to moments of 7");
  refused([&] { first.add(awkward_sparse(3).view()); }, "20 features");
  refused([&] { FeatureMoments(20).add(rows.view()); }, "6 features");
  refused(
      [&] {
        FeatureMoments mixed(20);
        mixed.add(awkward_sparse(3).view());
        DenseTable dense{20, 1, data::AlignedVector<float>(20, 1.0f), {}};
        mixed.add(dense.view());
      },
      "not of both");
  const auto combined = [](std::vector<FeatureMoments> shares) { return FeatureMoments::combine(shares); };
  refused([&] { combined({}); }, "no shares");
  refused([&] { combined({first, other}); }, "features");
  refused([&] { combined({first, second, second}); }, "two shares");
  refused([&] { combined({first, first}); }, "rows 0 to 1023 may be in two shares");
  {
    FeatureMoments third(6, 2 * block);
    third.add(rows.view().slice(2 * block, 5));
    refused([&] { combined({third, first}); }, "rows 1024 to 2047 are in no share");
    FeatureMoments ended = combined({first, second});
    refused([&] { ended.add(rows.view().slice(0, 1)); }, "ended within a block");
  }
  refused([&] { second.summary(); }, "those before it are missing");
  refused([&] { FeatureMoments(6).summary(); }, "no rows");
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    DenseTable broken = awkward_rows(10);
    broken.values[6 * 4 + 2] = bad;
    FeatureMoments moments(6);
    moments.add(broken.view());
    refused([&] { moments.summary(); }, "feature 2", ErrorCode::corrupt);
  }
  DenseTable narrow = rows;
  narrow.features = 5;
  const Standardisation fitted = Standardisation::fit(combined({first, second}));
  refused([&] { fitted.apply(narrow); }, "applied to rows of 5");
  refused([&] { fitted.apply(std::span<float>(narrow.values).first(7)); }, "no rows of 6");
  SparseTable wide = awkward_sparse(3);
  refused([&] { SparseScaling{{1.0, 1.0}}.apply(wide); }, "applied to rows of 20");
}

TEST_CASE("numbers that are no packed moments are refused, whichever is wrong") {
  FeatureMoments moments(6);
  moments.add(awkward_rows(3 * block + 5).view());
  const std::vector<double> good = moments.packed();
  REQUIRE(FeatureMoments::unpacked(good).packed() == good);
  const auto refused = [](const std::vector<double>& numbers) {
    CHECK(testing::code_of([&] { FeatureMoments::unpacked(numbers); }) == ErrorCode::corrupt);
  };
  refused({});
  for (std::size_t kept : {std::size_t{1}, std::size_t{4}, std::size_t{5}, good.size() - 1}) {
    refused({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(kept)});
  }
  for (std::size_t at : {0, 1, 2, 4, 5, 6, 7}) {
    for (double wrong : {-1.0, 0.5, 77.0, 1e18, 1e300, std::numeric_limits<double>::quiet_NaN()}) {
      CAPTURE(at, wrong);
      std::vector<double> bad = good;
      bad[at] = wrong;
      refused(bad);
    }
  }
}
