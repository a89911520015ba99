// SPDX-License-Identifier: Apache-2.0
#include "trireme/data/feature_moments.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

namespace trireme::data {

FeatureMoments::FeatureMoments(std::size_t features, std::uint64_t first_row)
    : features_(features), first_row_(first_row) {
  if (features == 0) fail(ErrorCode::invalid_argument, "moments of no features");
  if (first_row % block_rows != 0) {
    fail(ErrorCode::invalid_argument, "a share of rows must begin at a multiple of " + std::to_string(block_rows) +
                                          ", not at row " + std::to_string(first_row));
  }
}

void FeatureMoments::require(Kind kind, std::size_t features, bool fewer_allowed) {
  if (features > features_ || (features < features_ && !fewer_allowed)) {
    fail(ErrorCode::invalid_argument,
         "rows of " + std::to_string(features) + " features added to moments of " + std::to_string(features_));
  }
  if (kind_ != Kind::unknown && kind_ != kind) {
    fail(ErrorCode::invalid_argument, "moments are of dense or of sparse rows, not of both");
  }
  if (closed_) {
    fail(ErrorCode::invalid_argument,
         "rows added behind row " + std::to_string(first_row_ + rows_) + ", where the data ended within a block");
  }
  kind_ = kind;
}

void FeatureMoments::begin_row() {
  if (open_.rows > 0) return;
  for (auto* values : {&open_.shift, &open_.offset, &open_.squares, &open_.largest}) values->assign(features_, 0.0);
  if (kind_ == Kind::sparse) open_.stored.assign(features_, 0);
}

void FeatureMoments::end_row() {
  ++rows_;
  if (++open_.rows < block_rows) return;
  push(closed_block());
  open_.rows = 0;
}

void FeatureMoments::add(const DenseRows& rows) {
  require(Kind::dense, rows.features, false);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    begin_row();
    const float* const x = rows.values.data() + i * features_;
    double* const shift = open_.shift.data();
    double* const offset = open_.offset.data();
    double* const squares = open_.squares.data();
    double* const largest = open_.largest.data();
    if (open_.rows == 0) std::copy_n(x, features_, shift);
    const double weight = 1.0 / static_cast<double>(open_.rows + 1);
    for (std::size_t j = 0; j < features_; ++j) {
      const double value = static_cast<double>(x[j]) - shift[j];
      const double deviation = value - offset[j];
      const double moved = offset[j] + deviation * weight;
      const double size = std::fabs(static_cast<double>(x[j]));
      offset[j] = moved;
      squares[j] += deviation * (value - moved);
      largest[j] = size > largest[j] ? size : largest[j];
    }
    end_row();
  }
}

void FeatureMoments::add(const SparseRows& rows) {
  require(Kind::sparse, rows.features, true);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    begin_row();
    const auto indices = rows.row_indices(i);
    const auto values = rows.row_values(i);
    for (std::size_t k = 0; k < indices.size(); ++k) {
      const std::uint32_t j = indices[k];
      const double x = values[k];
      if (open_.stored[j] == 0) open_.shift[j] = x;
      const double value = x - open_.shift[j];
      const double deviation = value - open_.offset[j];
      open_.offset[j] += deviation * (1.0 / static_cast<double>(++open_.stored[j]));
      open_.squares[j] += deviation * (value - open_.offset[j]);
      open_.largest[j] = std::max(open_.largest[j], std::fabs(x));
    }
    end_row();
  }
}

FeatureMoments::Node FeatureMoments::closed_block() const {
  Node node;
  node.first_block = (first_row_ + rows_ - 1) / block_rows;
  node.rows = static_cast<double>(open_.rows);
  node.shift = open_.shift;
  node.offset = open_.offset;
  node.squares = open_.squares;
  node.largest = open_.largest;
  if (kind_ != Kind::sparse) return node;
  for (std::size_t j = 0; j < features_; ++j) {
    // Joined with a zero for each row that does not store the feature.
    const double count = open_.stored[j];
    const double zeros = node.rows - count;
    if (zeros == 0) continue;
    const double mean = node.shift[j] + node.offset[j];
    node.offset[j] = node.offset[j] * (count / node.rows) - node.shift[j] * (zeros / node.rows);
    node.squares[j] += mean * mean * (count * zeros / node.rows);
  }
  return node;
}

void FeatureMoments::join(Node& left, const Node& right) {
  const double rows = left.rows + right.rows;
  const double of_right = right.rows / rows;
  const double of_both = left.rows * right.rows / rows;
  for (std::size_t j = 0; j < left.offset.size(); ++j) {
    const double apart = (right.shift[j] - left.shift[j]) + (right.offset[j] - left.offset[j]);
    left.offset[j] += apart * of_right;
    left.squares[j] = (left.squares[j] + right.squares[j]) + apart * apart * of_both;
    left.largest[j] = std::max(left.largest[j], right.largest[j]);
  }
  left.rows = rows;
}

void FeatureMoments::push(Node node) {
  nodes_.push_back(std::move(node));
  // Two complete siblings become their parent. The tree over all blocks has every such parent, wherever a share ends.
  while (nodes_.size() > 1) {
    Node& left = nodes_[nodes_.size() - 2];
    const Node& right = nodes_.back();
    if (left.level != right.level || (left.first_block >> left.level) % 2 != 0) break;
    join(left, right);
    ++left.level;
    nodes_.pop_back();
  }
}

FeatureMoments FeatureMoments::combine(std::span<const FeatureMoments> shares) {
  if (shares.empty()) fail(ErrorCode::invalid_argument, "moments of no shares");
  std::vector<const FeatureMoments*> ordered;
  for (const FeatureMoments& share : shares) {
    if (share.features_ != shares[0].features_) {
      fail(ErrorCode::invalid_argument, "shares of " + std::to_string(shares[0].features_) + " and of " +
                                            std::to_string(share.features_) + " features");
    }
    if (share.rows_ > 0) ordered.push_back(&share);
  }
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const auto* a, const auto* b) { return a->first_row_ < b->first_row_; });
  FeatureMoments whole(shares[0].features_, ordered.empty() ? shares[0].first_row_ : ordered[0]->first_row_);
  for (const FeatureMoments* share : ordered) {
    const std::uint64_t next = whole.first_row_ + whole.rows_;
    if (share->first_row_ != next) {
      fail(ErrorCode::invalid_argument, "rows " + std::to_string(std::min(next, share->first_row_)) + " to " +
                                            std::to_string(std::max(next, share->first_row_) - 1) +
                                            (share->first_row_ < next ? " may be in two shares" : " are in no share") +
                                            " of the moments");
    }
    if (whole.kind_ != Kind::unknown && whole.kind_ != share->kind_) {
      fail(ErrorCode::invalid_argument, "shares of dense and of sparse rows");
    }
    whole.kind_ = share->kind_;
    for (const Node& node : share->nodes_) whole.push(node);
    whole.rows_ += share->rows_;
    if (share->open_.rows > 0) whole.push(share->closed_block());
    whole.closed_ = whole.rows_ % block_rows != 0;
  }
  return whole;
}

FeatureMoments::Summary FeatureMoments::summary() const {
  if (rows_ == 0) fail(ErrorCode::invalid_argument, "moments of no rows");
  if (first_row_ != 0) {
    fail(ErrorCode::invalid_argument,
         "moments of the rows from " + std::to_string(first_row_) + " on: those before it are missing");
  }
  FeatureMoments whole = combine({this, 1});
  Node root = std::move(whole.nodes_.back());
  for (std::size_t k = whole.nodes_.size() - 1; k-- > 0;) {
    join(whole.nodes_[k], root);
    root = std::move(whole.nodes_[k]);
  }
  Summary summary{std::move(root.shift), std::move(root.squares), std::move(root.largest)};
  for (std::size_t j = 0; j < features_; ++j) {
    summary.mean[j] += root.offset[j];
    summary.variance[j] /= static_cast<double>(rows_);
    if (!std::isfinite(summary.mean[j]) || !std::isfinite(summary.variance[j])) {
      fail(ErrorCode::corrupt, "feature " + std::to_string(j) + " has values that are not finite");
    }
  }
  return summary;
}

// Packed: features, first row, rows, kind, nodes; then for each node first block, level, rows and its four arrays.
std::vector<double> FeatureMoments::packed() const {
  const FeatureMoments whole = combine({this, 1});
  std::vector<double> numbers = {static_cast<double>(features_), static_cast<double>(whole.first_row_),
                                 static_cast<double>(rows_), static_cast<double>(kind_),
                                 static_cast<double>(whole.nodes_.size())};
  for (const Node& node : whole.nodes_) {
    numbers.insert(numbers.end(), {static_cast<double>(node.first_block), static_cast<double>(node.level), node.rows});
    for (const auto* values : {&node.shift, &node.offset, &node.squares, &node.largest}) {
      numbers.insert(numbers.end(), values->begin(), values->end());
    }
  }
  return numbers;
}

FeatureMoments FeatureMoments::unpacked(std::span<const double> numbers) {
  const auto require = [](bool right) {
    if (!right) fail(ErrorCode::corrupt, "numbers that are no packed moments of features");
  };
  std::size_t at = 0;
  const auto whole_number = [&](double most) {
    require(at < numbers.size() && numbers[at] >= 0 && numbers[at] <= most && numbers[at] == std::floor(numbers[at]));
    return static_cast<std::uint64_t>(numbers[at++]);
  };
  constexpr double exact = 0x1p53;
  const std::uint64_t features = whole_number(static_cast<double>(numbers.size()) + 0x1p32);
  const std::uint64_t first_row = whole_number(exact);
  require(features > 0 && first_row % block_rows == 0);
  FeatureMoments moments(static_cast<std::size_t>(features), first_row);
  const std::uint64_t rows = whole_number(exact);
  moments.kind_ = static_cast<Kind>(whole_number(2));
  const std::uint64_t nodes = whole_number(128);
  require((nodes == 0) == (rows == 0));
  require(numbers.size() - at == nodes * (3 + 4 * features));
  for (std::uint64_t k = 0; k < nodes; ++k) {
    Node node;
    node.first_block = whole_number(exact);
    node.level = static_cast<std::uint32_t>(whole_number(50));
    const std::uint64_t node_rows = whole_number(exact);
    const std::uint64_t full = std::uint64_t{block_rows} << node.level;
    require(node_rows > 0 && node_rows <= full && node.first_block % (std::uint64_t{1} << node.level) == 0);
    require(node.first_block * block_rows == first_row + moments.rows_ && moments.rows_ % block_rows == 0);
    node.rows = static_cast<double>(node_rows);
    for (auto* values : {&node.shift, &node.offset, &node.squares, &node.largest}) {
      const auto part = numbers.subspan(at, features);
      values->assign(part.begin(), part.end());
      at += features;
    }
    moments.rows_ += node_rows;
    moments.push(std::move(node));
  }
  require(moments.rows_ == rows);
  moments.closed_ = rows % block_rows != 0;
  return moments;
}

}  // namespace trireme::data
