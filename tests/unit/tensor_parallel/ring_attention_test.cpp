// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/ring_attention.hpp"

#include "trireme/base/error.hpp"
#include "unit/tensor_parallel/field.hpp"

namespace trireme::tensor_parallel {
namespace {

using namespace testing;

/// Causal attention of whole sequences, forward and backward, in plain loops.
struct DenseAttention {
  std::size_t rows, length, heads, inner, width;
  Values qkv, dout, out, dqkv;

  DenseAttention(std::size_t r, std::size_t l, std::size_t h, std::size_t c)
      : rows(r),
        length(l),
        heads(h),
        inner(c),
        width(h * c),
        qkv(numbers(r * l * 3 * width, 1)),
        dout(numbers(r * l * width, 2)),
        out(r * l * width, 0.0),
        dqkv(qkv.size(), 0.0) {
    for (double& value : qkv) value *= 4;  // weights that differ
    const double scale = 1 / std::sqrt(static_cast<double>(inner));
    for (std::size_t row = 0; row < rows; ++row) {
      for (std::size_t head = 0; head < heads; ++head) {
        const auto at = [&](std::size_t which, std::size_t i, std::size_t channel) {
          return ((row * length + i) * 3 + which) * width + head * inner + channel;
        };
        const auto in_out = [&](std::size_t i, std::size_t channel) {
          return (row * length + i) * width + head * inner + channel;
        };
        for (std::size_t i = 0; i < length; ++i) {
          Values p(i + 1, 0.0), dp(i + 1, 0.0);
          for (std::size_t j = 0; j <= i; ++j)
            for (std::size_t k = 0; k < inner; ++k) p[j] += scale * qkv[at(0, i, k)] * qkv[at(1, j, k)];
          const double shift = *std::max_element(p.begin(), p.end());
          double sum = 0, mean = 0;
          for (double& value : p) sum += value = std::exp(value - shift);
          for (std::size_t j = 0; j <= i; ++j) {
            p[j] /= sum;
            for (std::size_t k = 0; k < inner; ++k) {
              out[in_out(i, k)] += p[j] * qkv[at(2, j, k)];
              dp[j] += dout[in_out(i, k)] * qkv[at(2, j, k)];
              dqkv[at(2, j, k)] += p[j] * dout[in_out(i, k)];
            }
            mean += p[j] * dp[j];
          }
          for (std::size_t j = 0; j <= i; ++j) {
            for (std::size_t k = 0; k < inner; ++k) {
              dqkv[at(0, i, k)] += scale * p[j] * (dp[j] - mean) * qkv[at(1, j, k)];
              dqkv[at(1, j, k)] += scale * p[j] * (dp[j] - mean) * qkv[at(0, i, k)];
            }
          }
        }
      }
    }
  }

  /// What a rank has of a tensor of `channels` per position.
  Values share(const Values& whole, std::size_t channels, const std::array<layout::Interval, 2>& positions) const {
    Values mine;
    for (std::size_t row = 0; row < rows; ++row) {
      for (const layout::Interval piece : positions) {
        const auto begin = whole.begin() + static_cast<std::ptrdiff_t>((row * length + piece.begin) * channels);
        mine.insert(mine.end(), begin, begin + static_cast<std::ptrdiff_t>(piece.size() * channels));
      }
    }
    return mine;
  }
};

}  // namespace

TEST_CASE("Ring attention equals dense causal attention, forward and all gradients, to 1e-12") {
  for (const int ranks : {1, 2, 3, 4, 8}) {
    CAPTURE(ranks);
    REQUIRE(on_axis(ranks, [](Axis& axis) {
              std::string complaints;
              for (const std::size_t length : {std::size_t{1}, std::size_t{5}, std::size_t{16}, std::size_t{37}}) {
                const DenseAttention dense(2, length, 3, 4);
                for (const ContextShare share : {ContextShare::contiguous, ContextShare::balanced}) {
                  RingAttention<double> attention(axis, "attention",
                                                  {.length = length, .heads = 3, .head_channels = 4, .share = share});
                  const auto positions = attention.positions();
                  const Values qkv = dense.share(dense.qkv, 3 * dense.width, positions),
                               dout = dense.share(dense.dout, dense.width, positions);
                  const std::size_t queries = dense.rows * dense.heads * attention.local_length();
                  Values out(dout.size()), dqkv(qkv.size(), 9.0), greatest(queries), sums(queries);
                  const RingAttention<double>::Statistics statistics{greatest.data(), sums.data()};
                  attention.forward(qkv.data(), dense.rows, out.data(), statistics);
                  attention.backward(qkv.data(), out.data(), dout.data(), statistics, dense.rows, dqkv.data());
                  complaints += close("out", out, dense.share(dense.out, dense.width, positions));
                  complaints += close("dqkv", dqkv, dense.share(dense.dqkv, 3 * dense.width, positions));
                }
              }
              return complaints;
            }) == "");
  }
}

TEST_CASE("Positions of all ranks cover the sequence once; balanced ones share the work of causal attention evenly") {
  for (const int ranks : {2, 4}) {
    std::vector<int> owners(64, 0);
    std::vector<std::size_t> work(static_cast<std::size_t>(ranks), 0);
    REQUIRE(on_axis(ranks, [&](Axis& axis) {
              RingAttention<float> attention(axis, "attention", {.length = 64, .head_channels = 1});
              if (axis.rank() != 0) return std::string();
              for (int rank = 0; rank < axis.size(); ++rank)
                for (const layout::Interval piece : attention.positions(rank))
                  for (std::size_t i = piece.begin; i < piece.end; ++i) {
                    ++owners[i];
                    work[static_cast<std::size_t>(rank)] += i + 1;
                  }
              return std::string();
            }) == "");
    REQUIRE(std::all_of(owners.begin(), owners.end(), [](int owner) { return owner == 1; }));
    REQUIRE(std::all_of(work.begin(), work.end(), [&](std::size_t each) { return each == work.front(); }));
  }
}

TEST_CASE("Ring attention repeats itself bit for bit, and sends keys and values once round") {
  REQUIRE(on_axis(3, [](Axis& axis) {
            constexpr std::size_t rows = 2, length = 17, width = 8;
            RingAttention<float> attention(axis, "attention", {.length = length, .heads = 2, .head_channels = 4});
            std::vector<float> qkv(rows * attention.local_length() * 3 * width);
            const Values drawn = numbers(qkv.size(), 40 + static_cast<std::uint64_t>(axis.rank()));
            std::copy(drawn.begin(), drawn.end(), qkv.begin());
            const std::size_t queries = rows * 2 * attention.local_length();
            std::vector<float> out(rows * attention.local_length() * width), again(out.size()), greatest(queries);
            std::vector<double> sums(queries);
            const std::uint64_t before = axis.communicator().payload_bytes_sent();
            attention.forward(qkv.data(), rows, out.data(), {greatest.data(), sums.data()});
            const std::uint64_t sent = axis.communicator().payload_bytes_sent() - before;
            attention.forward(qkv.data(), rows, again.data(), {greatest.data(), sums.data()});
            std::uint64_t wanted = 0;  // all blocks but that of the right neighbour pass here
            for (int rank = 0; rank < axis.size(); ++rank)
              if (rank != (axis.rank() + 1) % axis.size())
                wanted += 2 * rows * attention.local_length(rank) * width * sizeof(float);
            return std::string(out == again ? "" : "other bits ") +
                   (sent == wanted ? "" : std::to_string(sent) + " bytes, not " + std::to_string(wanted));
          }) == "");
}

TEST_CASE("Attention of nothing is refused, naming the layer") {
  REQUIRE(on_axis(1, [](Axis& axis) {
            try {
              RingAttention<float>(axis, "block0.attention", {.length = 4, .heads = 0, .head_channels = 2});
            } catch (const Exception& refused) {
              const std::string& text = refused.error().message;
              return text.find("'block0.attention': attention of 4 positions, 0 heads") != std::string::npos ? ""
                                                                                                             : text;
            }
            return std::string("not refused");
          }) == "");
}

}  // namespace trireme::tensor_parallel
