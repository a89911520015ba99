// SPDX-License-Identifier: Apache-2.0
#include "bench/peers/peer.hpp"

#include "trireme/data/aligned_buffer.hpp"
#include "trireme/data/random.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

namespace trireme::peers {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t period = 4093;  // a prime: what lands at the wrong place is seen
constexpr std::uint64_t seed = 20;
constexpr std::uint64_t shift_per_iteration = 257;

/// The smallest value that at least the fraction `q` of all does not exceed.
double percentile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(q * static_cast<double>(values.size())));
  return values[std::clamp<std::size_t>(rank, 1, values.size()) - 1];
}

/// Small integers, so that every order of adding gives the same bits; filling and checking are as fast as copying.
template <class T>
class Inputs {
 public:
  Inputs(int rank, int ranks) : own_(period), sum_(period) {
    for (int other = 0; other < ranks; ++other) {
      const std::uint64_t key = data::stream_key(seed, static_cast<std::uint64_t>(other));
      for (std::size_t e = 0; e < period; ++e) {
        const auto value = static_cast<T>(1 + data::splitmix64_at(key, e) % 16);
        if (other == rank) own_[e] = value;
        sum_[e] += value;
      }
    }
  }

  void fill(std::span<T> out, std::uint64_t iteration) const {
    for_each_piece(out.size(), iteration, [&](std::size_t at, std::size_t from, std::size_t count) {
      std::memcpy(out.data() + at, own_.data() + from, count * sizeof(T));
    });
  }

  std::uint64_t wrong(std::span<const T> result, std::uint64_t iteration) const {
    std::uint64_t bad = 0;
    for_each_piece(result.size(), iteration, [&](std::size_t at, std::size_t from, std::size_t count) {
      if (std::memcmp(result.data() + at, sum_.data() + from, count * sizeof(T)) == 0) return;
      for (std::size_t e = 0; e < count; ++e) bad += result[at + e] != sum_[from + e];
    });
    return bad;
  }

 private:
  template <class Body>
  static void for_each_piece(std::size_t count, std::uint64_t iteration, Body body) {
    auto from = static_cast<std::size_t>(iteration * shift_per_iteration % period);
    for (std::size_t at = 0; at < count;) {
      const std::size_t now = std::min(count - at, period - from);
      body(at, from, now);
      at += now;
      from = 0;
    }
  }

  std::vector<T> own_, sum_;
};

template <class T>
class Bench {
 public:
  Bench(Library& library, const Orders& orders)
      : library_(library), orders_(orders), inputs_(library.rank(), library.size()) {
    std::size_t bytes = 0;
    for (const Orders::Size& size : orders.sizes) bytes = std::max(bytes, stride(size) * size.buffers);
    input_ = data::AlignedBuffer<std::byte>(bytes);
    if (!orders.cold) output_ = data::AlignedBuffer<std::byte>(bytes);
  }

  void measure(const Orders::Size& size) {
    std::vector<double> mine;
    std::uint64_t wrong = 0, written = 0;
    for (std::uint64_t i = 0; i < orders_.warmup + size.iterations; ++i) {
      const bool timed = i >= orders_.warmup, last = i + 1 == orders_.warmup + size.iterations;
      const bool rewrites = orders_.cold || !timed;
      const std::span<T> from = buffer(input_, size, i);
      const std::span<T> to = orders_.cold ? from : buffer(output_, size, i);
      if (rewrites) inputs_.fill(from, written = i);
      library_.barrier();
      const auto begin = Clock::now();
      library_.all_reduce(from.data(), to.data(), size.count, orders_.dtype);
      const std::chrono::duration<double> took = Clock::now() - begin;
      if (timed) mine.push_back(took.count());
      if (rewrites || last) wrong += inputs_.wrong(to, written);
    }
    report(size, mine, wrong);
  }

 private:
  static std::size_t stride(const Orders::Size& size) { return (size.count * sizeof(T) + 127) / 128 * 128; }

  std::span<T> buffer(data::AlignedBuffer<std::byte>& memory, const Orders::Size& size, std::uint64_t turn) const {
    std::byte* const at = memory.span().data() + static_cast<std::size_t>(turn % size.buffers) * stride(size);
    return {reinterpret_cast<T*>(at), size.count};
  }

  void report(const Orders::Size& size, const std::vector<double>& mine, std::uint64_t wrong) {
    const std::vector<double> all = library_.all_gather(mine);
    std::vector<double> slowest(mine.size(), 0.0);
    for (std::size_t at = 0; at < all.size(); ++at)
      slowest[at % mine.size()] = std::max(slowest[at % mine.size()], all[at]);
    const std::array<double, 1> wrong_here{static_cast<double>(wrong)};
    double wrong_anywhere = 0;
    for (const double each : library_.all_gather(wrong_here)) wrong_anywhere += each;
    if (library_.rank() != 0) return;
    std::printf("peer bytes=%zu count=%zu time_us=%.4f p99_us=%.4f wrong=%.0f\n", size.count * sizeof(T), size.count,
                1e6 * percentile(slowest, 0.5), 1e6 * percentile(slowest, 0.99), wrong_anywhere);
    std::fflush(stdout);
  }

  Library& library_;
  const Orders& orders_;
  Inputs<T> inputs_;
  data::AlignedBuffer<std::byte> input_, output_;
};

template <class T>
void measure_all(Library& library, const Orders& orders) {
  Bench<T> bench(library, orders);
  for (const Orders::Size& size : orders.sizes) bench.measure(size);
}

}  // namespace

Orders parse_orders(std::span<char* const> words) {
  constexpr const char* usage =
      "give DTYPE cold|warm WARMUP COUNT:ITERATIONS:BUFFERS…, as `trireme perf all_reduce --compare` does";
  Orders orders;
  if (words.size() < 4) throw std::invalid_argument(usage);
  const std::string_view cache = words[1];
  unsigned long long warmup = 0;
  if (!parse_dtype(words[0], orders.dtype) || (cache != "cold" && cache != "warm") ||
      std::sscanf(words[2], "%llu", &warmup) != 1 || warmup == 0)
    throw std::invalid_argument(usage);
  orders.cold = cache == "cold";
  orders.warmup = warmup;
  for (char* const word : words.subspan(3)) {
    unsigned long long iterations = 0;
    Orders::Size size;
    if (std::sscanf(word, "%zu:%llu:%zu", &size.count, &iterations, &size.buffers) != 3 || iterations == 0 ||
        size.buffers == 0)
      throw std::invalid_argument(usage);
    size.iterations = iterations;
    orders.sizes.push_back(size);
  }
  return orders;
}

void measure(Library& library, const Orders& orders) {
  switch (orders.dtype) {
    case DType::f32: return measure_all<float>(library, orders);
    case DType::f64: return measure_all<double>(library, orders);
    case DType::i32: return measure_all<std::int32_t>(library, orders);
    case DType::i64: return measure_all<std::int64_t>(library, orders);
    default: throw std::invalid_argument("the dtype is f64, f32, i64 or i32");
  }
}

}  // namespace trireme::peers
