// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/ring_attention.hpp"

#include "kernels/float_environment.hpp"
#include "kernels/scalar/scalar.hpp"
#include "kernels/vocabulary_cross_entropy/vocabulary_cross_entropy.hpp"
#include "tensor_parallel/product.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace trireme::tensor_parallel {
namespace {

enum Travelling : std::size_t {
  keys_and_values,
  next_keys_and_values,
  gradients,
  incoming_gradients,
  outgoing_gradients
};

}  // namespace

template <class T>
RingAttention<T>::RingAttention(Axis& axis, std::string name, const RingAttentionOptions& options)
    : axis_(axis), name_(std::move(name)), options_(options) {
  if (options.length == 0 || options.heads == 0 || options.head_channels == 0) {
    fail(ErrorCode::invalid_argument, "'" + name_ + "': attention of " + std::to_string(options.length) +
                                          " positions, " + std::to_string(options.heads) + " heads and " +
                                          std::to_string(options.head_channels) + " channels each is not possible");
  }
  for (int rank = 0; rank < axis.size(); ++rank) longest_ = std::max(longest_, local_length(rank));
  scale_ = static_cast<T>(1.0 / std::sqrt(static_cast<double>(options.head_channels)));
}

template <class T>
std::array<layout::Interval, 2> RingAttention<T>::positions(int rank) const {
  const auto ranks = static_cast<std::size_t>(axis_.size()), r = static_cast<std::size_t>(rank);
  const layout::Interval all{0, options_.length};
  if (options_.share == ContextShare::contiguous) return {layout::piece(all, ranks, r), {}};
  return {layout::piece(all, 2 * ranks, r), layout::piece(all, 2 * ranks, 2 * ranks - 1 - r)};
}

template <class T>
std::size_t RingAttention<T>::local_length(int rank) const {
  const auto pieces = positions(rank);
  return pieces[0].size() + pieces[1].size();
}

template <class T>
std::size_t RingAttention<T>::visible(std::size_t query, int owner) const {
  const auto own = positions(), theirs = positions(owner);
  const std::size_t at =
      query < own[0].size() ? own[0].begin + query : own[1].begin + (query - own[0].size());  // in the sequence
  std::size_t keys = 0;
  for (const layout::Interval piece : theirs) keys += std::clamp(at + 1, piece.begin, piece.end) - piece.begin;
  return keys;
}

template <class T>
void RingAttention<T>::gather_heads(const T* from, std::size_t width, std::size_t which, std::size_t rows,
                                    T* to) const {
  const std::size_t length = local_length(), inner = options_.head_channels;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t head = 0; head < options_.heads; ++head) {
      const T* source = from + row * length * width + which * channels() + head * inner;
      for (std::size_t i = 0; i < length; ++i, source += width, to += inner) std::copy_n(source, inner, to);
    }
  }
}

template <class T>
void RingAttention<T>::scatter_heads(const T* from, std::size_t width, std::size_t which, std::size_t rows,
                                     T* to) const {
  const std::size_t length = local_length(), inner = options_.head_channels;
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t head = 0; head < options_.heads; ++head) {
      T* target = to + row * length * width + which * channels() + head * inner;
      for (std::size_t i = 0; i < length; ++i, target += width, from += inner) std::copy_n(from, inner, target);
    }
  }
}

template <class T>
T* RingAttention<T>::travelling(std::size_t which, std::size_t rows) {
  const std::size_t bytes = std::max<std::size_t>(1, 2 * rows * longest_ * channels()) * sizeof(T);
  ArenaBuffer& buffer = travelling_[which];
  if (buffer.bytes().size() < bytes) {
    buffer = {};
    buffer = axis_.communicator().memory().allocate(Bytes{bytes});
  }
  return buffer.as<T>().data();
}

template <class T>
void RingAttention<T>::score(const T* query, const T* key, std::size_t keys) {
  const std::size_t count = local_length() * keys;
  product(axis_, Form::plain, Form::transposed, local_length(), keys, options_.head_channels, query, key,
          products_.data());
  for (std::size_t i = 0; i < count; ++i) products_.data()[i] *= scale_;
}

/// The softmax in one pass: what was attended to before is scaled down where a greater score comes.
template <class T>
void RingAttention<T>::attend(const Pass& pass, int owner, const T* block) {
  const std::size_t length = local_length(), keys = local_length(owner), inner = options_.head_channels;
  if (length == 0 || visible(length - 1, owner) == 0) return;
  const std::size_t matrices = pass.rows * options_.heads;
  Communicator communicator = axis_.communicator();
  for (std::size_t m = 0; m < matrices; ++m) {
    T* const attended = attended_.data() + m * length * inner;
    score(queries_.data() + m * length * inner, block + m * keys * inner, keys);
    for (std::size_t i = 0; i < length; ++i) {
      T* const row = products_.data() + i * keys;
      const std::size_t seen = visible(i, owner);
      std::fill(row + seen, row + keys, T{0});
      if (seen == 0) continue;
      T& greatest = pass.statistics.greatest[m * length + i];
      double& sum = pass.statistics.sums[m * length + i];
      T here{};
      kernels::row_maxima(&here, row, 1, seen);
      const T before = std::exchange(greatest, std::max(greatest, here));
      double added = 0;
      kernels::row_exponentials(row, &added, &greatest, 1, seen);
      const double less = kernels::exponential(static_cast<double>(before) - static_cast<double>(greatest));
      sum = sum * less + added;
      if (less == 1.0) continue;
      for (std::size_t c = 0; c < inner; ++c) attended[i * inner + c] *= static_cast<T>(less);
    }
    product(axis_, Form::plain, Form::plain, length, inner, keys, products_.data(),
            block + (matrices + m) * keys * inner, terms_.data());
    for (std::size_t e = 0; e < length * inner; ++e) attended[e] = attended[e] + terms_.data()[e];
    communicator.progress();
  }
}

template <class T>
void RingAttention<T>::forward(const T* qkv, std::size_t rows, T* out, const Statistics& statistics) {
  const kernels::FloatEnvironment environment;
  const std::size_t length = local_length(), count = rows * length * channels(),
                    queries = rows * options_.heads * length;
  queries_.ensure(count);
  attended_.ensure(count);
  products_.ensure(length * longest_);
  terms_.ensure(length * options_.head_channels);
  gather_heads(qkv, 3 * channels(), 0, rows, queries_.data());
  std::fill_n(attended_.data(), count, T{0});
  std::fill_n(statistics.greatest, queries, -std::numeric_limits<T>::infinity());
  std::fill_n(statistics.sums, queries, 0.0);

  T* current = travelling(keys_and_values, rows);
  T* next = travelling(next_keys_and_values, rows);
  gather_heads(qkv, 3 * channels(), 1, rows, current);
  gather_heads(qkv, 3 * channels(), 2, rows, current + count);
  Communicator communicator = axis_.communicator();
  const int ranks = axis_.size(), to = (axis_.rank() + 1) % ranks, from = owner_at(1);
  for (int distance = 0; distance < ranks; ++distance) {
    Work received, sent;
    if (distance + 1 < ranks) {
      received = communicator.recv_async(std::span<T>(next, block_count(owner_at(distance + 1), rows)), from,
                                         axis_.call(name_));
      sent = communicator.send_async(std::span<const T>(current, block_count(owner_at(distance), rows)), to,
                                     axis_.call(name_));
    }
    attend({rows, statistics}, owner_at(distance), current);
    received.wait();
    sent.wait();
    std::swap(current, next);
  }
  for (std::size_t q = 0; q < queries; ++q) {
    T* const row = attended_.data() + q * options_.head_channels;
    const auto factor = static_cast<T>(1.0 / statistics.sums[q]);
    for (std::size_t c = 0; c < options_.head_channels; ++c) row[c] *= factor;
  }
  scatter_heads(attended_.data(), channels(), 0, rows, out);
}

/// With p the weights and D = sum over channels of dout out: dv = p^T dout, ds = p (dout v^T - D) scale, dq += ds k, dk = ds^T q.
template <class T>
void RingAttention<T>::attend_backward(const Pass& pass, int owner, const T* block, const std::vector<double>& dots,
                                       T* block_gradient) {
  const std::size_t length = local_length(), keys = local_length(owner), inner = options_.head_channels;
  const std::size_t matrices = pass.rows * options_.heads;
  if (length == 0 || visible(length - 1, owner) == 0) {
    std::fill_n(block_gradient, 2 * matrices * keys * inner, T{0});
    return;
  }
  Communicator communicator = axis_.communicator();
  for (std::size_t m = 0; m < matrices; ++m) {
    const T* const query = queries_.data() + m * length * inner;
    const T* const dout = attended_.data() + m * length * inner;
    const T *const key = block + m * keys * inner, *const value = block + (matrices + m) * keys * inner;
    T* const weights = weights_.data();
    score(query, key, keys);
    for (std::size_t i = 0; i < length; ++i) {
      T* const row = products_.data() + i * keys;
      const std::size_t seen = visible(i, owner), q = m * length + i;
      double unused = 0;
      kernels::row_exponentials(row, &unused, pass.statistics.greatest + q, 1, seen);
      const auto factor = static_cast<T>(1.0 / pass.statistics.sums[q]);
      for (std::size_t j = 0; j < seen; ++j) weights[i * keys + j] = row[j] * factor;
      std::fill(weights + i * keys + seen, weights + (i + 1) * keys, T{0});
    }
    product(axis_, Form::transposed, Form::plain, keys, inner, length, weights, dout,
            block_gradient + (matrices + m) * keys * inner);
    product(axis_, Form::plain, Form::transposed, length, keys, inner, dout, value, products_.data());
    for (std::size_t i = 0; i < length; ++i) {
      const auto dot = static_cast<T>(dots[m * length + i]);
      for (std::size_t j = i * keys; j < (i + 1) * keys; ++j)
        weights[j] = weights[j] * (products_.data()[j] - dot) * scale_;
    }
    product(axis_, Form::transposed, Form::plain, keys, inner, length, weights, query,
            block_gradient + m * keys * inner);
    product(axis_, Form::plain, Form::plain, length, inner, keys, weights, key, terms_.data());
    T* const dquery = query_gradients_.data() + m * length * inner;
    for (std::size_t e = 0; e < length * inner; ++e) dquery[e] = dquery[e] + terms_.data()[e];
    communicator.progress();
  }
}

template <class T>
void RingAttention<T>::backward(const T* qkv, const T* out, const T* dout, const Statistics& statistics,
                                std::size_t rows, T* dqkv) {
  const kernels::FloatEnvironment environment;
  const std::size_t length = local_length(), count = rows * length * channels(), inner = options_.head_channels;
  for (auto* buffer : {&queries_, &attended_, &query_gradients_}) buffer->ensure(count);
  for (auto* buffer : {&products_, &weights_}) buffer->ensure(length * longest_);
  terms_.ensure(length * inner);
  std::vector<double> dots(rows * options_.heads * length);
  gather_heads(out, channels(), 0, rows, query_gradients_.data());
  gather_heads(dout, channels(), 0, rows, attended_.data());  // whose derivative it is
  for (std::size_t e = 0; e < count; ++e) {
    dots[e / inner] += static_cast<double>(query_gradients_.data()[e]) * static_cast<double>(attended_.data()[e]);
  }
  gather_heads(qkv, 3 * channels(), 0, rows, queries_.data());
  std::fill_n(query_gradients_.data(), count, T{0});

  T* current = travelling(keys_and_values, rows);
  T* next = travelling(next_keys_and_values, rows);
  T* mine = travelling(gradients, rows);
  T* incoming = travelling(incoming_gradients, rows);
  T* outgoing = travelling(outgoing_gradients, rows);
  gather_heads(qkv, 3 * channels(), 1, rows, current);
  gather_heads(qkv, 3 * channels(), 2, rows, current + count);
  Communicator communicator = axis_.communicator();
  const int ranks = axis_.size(), to = (axis_.rank() + 1) % ranks, from = owner_at(1);
  Work gradients_sent, gradients_received;
  for (int distance = 0; distance < ranks; ++distance) {
    const std::size_t block = block_count(owner_at(distance), rows);
    Work received, sent;
    if (distance + 1 < ranks) {
      received = communicator.recv_async(std::span<T>(next, block_count(owner_at(distance + 1), rows)), from,
                                         axis_.call(name_));
      sent = communicator.send_async(std::span<const T>(current, block), to, axis_.call(name_));
    }
    attend_backward({rows, statistics}, owner_at(distance), current, dots, mine);
    if (ranks > 1) {
      gradients_received.wait();  // of this block, by those who had it before
      if (distance > 0)
        for (std::size_t e = 0; e < block; ++e) mine[e] = incoming[e] + mine[e];
      gradients_sent.wait();
      std::swap(mine, outgoing);
      // The last one sends the block's gradients home, and gets its own.
      gradients_received = communicator.recv_async(std::span<T>(incoming, block_count(owner_at(distance + 1), rows)),
                                                   from, axis_.call(name_));
      gradients_sent = communicator.send_async(std::span<const T>(outgoing, block), to, axis_.call(name_));
    }
    received.wait();
    sent.wait();
    std::swap(current, next);
  }
  gradients_received.wait();
  gradients_sent.wait();
  const T* const home = ranks > 1 ? incoming : mine;
  scatter_heads(query_gradients_.data(), 3 * channels(), 0, rows, dqkv);
  scatter_heads(home, 3 * channels(), 1, rows, dqkv);
  scatter_heads(home + count, 3 * channels(), 2, rows, dqkv);
}

template class RingAttention<float>;
template class RingAttention<double>;

}  // namespace trireme::tensor_parallel
