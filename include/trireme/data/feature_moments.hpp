// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/data/rows.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace trireme::data {

/// Mean, sum of squared deviations from it, and largest absolute value of every feature over consecutive rows of a data
/// set: what a rank finds out about its share. The shares of evaluation_share(rows, rank, ranks, block_rows) combine to
/// the same bits whatever their number.
/// Order:   all in f64; a mean is a shift, the first value of its first block, and an offset m from it, so that data
///          far from 0 lose nothing. Within a block of block_rows rows of the data set, row k (from 1) of value y above the
///          shift, d = y - m, moves m by d (1/k) and adds d (y - m), with the moved m, to the squares; of a sparse
///          feature only the stored values do, to which the zeros are then joined. Blocks are joined by the balanced
///          tree over blocks (a node of n splits at the largest power of two strictly below n): with d the difference
///          of the means of a and b rows, m + d b/(a+b), and the sum of both squares + d d a b/(a+b).
/// Cost:    32 bytes per feature for each complete subtree that a share holds: at most 2 log2(rows / block_rows) of
///          them. A sparse block costs time for every feature, stored or not.
/// Threads: one at a time.
/// Source:  B. P. Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics
///          1962; Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
///          1979.
class FeatureMoments {
 public:
  /// Rows of a block.
  static constexpr std::size_t block_rows = 1024;

  /// Of no rows yet; the first added will be row `first_row` of the data set.
  /// Errors: invalid_argument when there are no features, or the row is not a multiple of block_rows.
  explicit FeatureMoments(std::size_t features, std::uint64_t first_row = 0);

  /// Adds the rows that follow the last one added, in pieces of any size.
  /// Errors: invalid_argument when they have other features (sparse rows may have fewer), are dense after sparse or the
  ///         reverse, or follow a share that ended within a block.
  void add(const DenseRows& rows);
  void add(const SparseRows& rows);

  std::size_t features() const { return features_; }
  std::uint64_t first_row() const { return first_row_; }
  std::uint64_t rows() const { return rows_; }

  /// The moments of all rows of `shares`, in whatever order they are given. A pure function; shares of no rows are left
  /// out.
  /// Errors: invalid_argument naming the rows when some are in two shares or in none, or the features differ.
  static FeatureMoments combine(std::span<const FeatureMoments> shares);

  /// All of it as numbers, for sending to other ranks.
  std::vector<double> packed() const;
  /// Errors: corrupt when the numbers are not what packed() gives.
  static FeatureMoments unpacked(std::span<const double> numbers);

  /// Of all rows: what is left when the tree over the blocks is folded to its root.
  struct Summary {
    std::vector<double> mean;
    std::vector<double> variance;  ///< the sum of squares divided by the rows
    std::vector<double> largest;   ///< max |x|
  };
  /// Errors: invalid_argument without rows or when the first is not row 0; corrupt naming a feature that is not finite.
  Summary summary() const;

 private:
  enum class Kind { unknown, dense, sparse };

  /// A complete subtree of 2^level blocks, or the last block, which may be short.
  struct Node {
    std::uint64_t first_block = 0;
    std::uint32_t level = 0;
    double rows = 0;
    std::vector<double> shift;
    std::vector<double> offset;  ///< of the mean from the shift
    std::vector<double> squares;
    std::vector<double> largest;
  };

  /// The block that is being filled.
  struct OpenBlock {
    std::size_t rows = 0;
    std::vector<std::uint32_t> stored;
    std::vector<double> shift;
    std::vector<double> offset;
    std::vector<double> squares;
    std::vector<double> largest;
  };

  void require(Kind kind, std::size_t features, bool fewer_allowed);
  void begin_row();
  void end_row();
  Node closed_block() const;
  void push(Node node);
  /// Joins `right` to `left`.
  static void join(Node& left, const Node& right);

  std::size_t features_ = 0;
  std::uint64_t first_row_ = 0;
  std::uint64_t rows_ = 0;
  Kind kind_ = Kind::unknown;
  bool closed_ = false;  ///< ended within a block
  std::vector<Node> nodes_;
  OpenBlock open_;
};

}  // namespace trireme::data
