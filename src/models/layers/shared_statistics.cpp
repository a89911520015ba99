// SPDX-License-Identifier: Apache-2.0
#include "models/layers/shared_statistics.hpp"

#include <algorithm>

namespace trireme::models::layers {
namespace {

// How one rank's moments lie in what is gathered: the count, the means, the squares.

void combine_parts(double* left, const double* right, std::size_t width) {
  const double left_count = left[0];
  const double right_count = right[0];
  if (right_count == 0.0) return;
  if (left_count == 0.0) {
    std::copy_n(right, width, left);
    return;
  }
  const double count = left_count + right_count;
  const double share = right_count / count;
  const std::size_t channels = (width - 1) / 2;
  left[0] = count;
  for (std::size_t c = 1; c <= channels; ++c) {
    const double difference = right[c] - left[c];
    left[c] = left[c] + difference * share;
    left[channels + c] = left[channels + c] + right[channels + c] + difference * difference * (left_count * share);
  }
}

void add_parts(double* left, const double* right, std::size_t width) {
  for (std::size_t i = 0; i < width; ++i) left[i] = left[i] + right[i];
}

}  // namespace

SharedStatistics::SharedStatistics(StatisticsExchange& exchange, std::size_t channels)
    : exchange_(exchange),
      tree_(layout::ReductionTree::contracted(static_cast<int>(exchange.ranks()), static_cast<int>(exchange.ranks()))),
      own_(2 * channels + 1),
      all_(exchange.ranks() * own_.size()) {}

/// Of every inner node in all_, on its lowest rank; at last the root on rank 0's place.
template <class Combine>
void SharedStatistics::fold(std::size_t width, Combine combine) {
  const std::span<double> all = std::span(all_).first(exchange_.ranks() * width);
  exchange_.gather(std::span<const double>(own_).first(width), all);
  const auto part = [&](int node) {
    return all.data() + width * static_cast<std::size_t>(tree_.nodes()[static_cast<std::size_t>(node)].first_rank);
  };
  for (const auto& node : tree_.nodes()) {
    if (node.left >= 0) combine(part(node.left), part(node.right), width);
  }
}

double SharedStatistics::combine_moments(double count, std::span<double> mean, std::span<double> squares) {
  const std::size_t channels = mean.size();
  own_[0] = count;
  std::copy(mean.begin(), mean.end(), own_.begin() + 1);
  std::copy(squares.begin(), squares.end(), own_.begin() + 1 + static_cast<std::ptrdiff_t>(channels));
  fold(2 * channels + 1, combine_parts);
  std::copy_n(all_.data() + 1, channels, mean.data());
  std::copy_n(all_.data() + 1 + channels, channels, squares.data());
  return all_[0];
}

void SharedStatistics::add(double share, std::span<double> first, std::span<double> second) {
  const std::size_t channels = first.size();
  for (std::size_t c = 0; c < channels; ++c) {
    own_[c] = share * first[c];
    own_[channels + c] = share * second[c];
  }
  fold(2 * channels, add_parts);
  std::copy_n(all_.data(), channels, first.data());
  std::copy_n(all_.data() + channels, channels, second.data());
}

}  // namespace trireme::models::layers
