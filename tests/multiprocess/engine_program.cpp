// SPDX-License-Identifier: Apache-2.0
// A rank that runs every collective over the engine its environment names, and the same calls among threads over the host
// engine, and compares the bytes of all results. Prints "engine E rank R of P: N results equal"; otherwise names the first
// results that differ and exits with 1.
#include "support/exact_inputs.hpp"
#include "trireme/trireme.hpp"
#include "trireme/world/run_ranks.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <exception>
#include <numeric>
#include <span>
#include <string>
#include <vector>

using namespace trireme;

namespace {

#if defined(TRIREME_SANITIZED)
constexpr std::size_t large = 2'300'001;  // elements of 4 bytes: more than one round of any engine
#else
constexpr std::size_t large = 5'000'003;
#endif

/// What one rank got, call by call.
struct Results {
  struct Entry {
    std::string what;
    std::vector<std::byte> bytes;
  };
  std::vector<Entry> entries;

  template <class T>
  void add(std::string what, std::span<const T> data) {
    const auto bytes = std::as_bytes(data);
    entries.push_back({std::move(what), {bytes.begin(), bytes.end()}});
  }
};

/// std::vector<bool> is none.
template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t count) : bytes_(count * sizeof(T)), count_(count) {}
  std::span<T> all() { return {reinterpret_cast<T*>(bytes_.data()), count_}; }
  std::span<const T> read() { return all(); }

 private:
  std::vector<std::byte> bytes_;
  std::size_t count_;
};

enum class Values { exact, rough };

template <class T>
Buffer<T> filled(std::size_t count, int rank, Values values) {
  Buffer<T> buffer(count);
  for (std::size_t i = 0; i < count; ++i) {
    const T value = values == Values::exact ? testing::exact_value<T>(rank, i) : testing::rough_value<T>(rank, i);
    buffer.all()[i] = value;
  }
  return buffer;
}

template <class T>
std::vector<ReduceOp> operations() {
  std::vector<ReduceOp> ops{product, minimum, maximum};
  if (dtype_of<T> != DType::boolean) ops.push_back(sum);
  if (is_floating(dtype_of<T>)) ops.insert(ops.end(), {average, average_over(7.0), premultiplied_sum(0.37)});
  return ops;
}

template <class T>
void reduce_all_ways(Communicator& communicator, Results& results, const std::string& where) {
  const auto p = static_cast<std::size_t>(communicator.size());
  const int root = communicator.size() - 1;
  for (const auto order : {ReductionOrder::canonical, ReductionOrder::fastest}) {
    // Sums of exact values are the same in every order, but for a factor or a division that rounds.
    const Values values = order == ReductionOrder::canonical ? Values::rough : Values::exact;
    for (const ReduceOp op : operations<T>()) {
      if (order == ReductionOrder::fastest && op.kind == ReduceKind::premultiplied_sum) continue;
      for (const std::size_t count : {0u, 1u, 7u, 3001u}) {
        const std::string what = where + std::string(name_of(dtype_of<T>)) + " " + std::string(name_of(op.kind)) + " " +
                                 std::string(name_of(order)) + " " + std::to_string(count);
        const CallOptions options{.order = order};
        auto input = filled<T>(count, communicator.rank(), values);
        Buffer<T> output(count);
        communicator.all_reduce(input.read(), output.all(), op, options);
        results.add("all_reduce " + what, output.read());
        communicator.all_reduce(input.all(), op, options);
        results.add("all_reduce in place " + what, input.read());

        auto given = filled<T>(count, communicator.rank(), values);
        communicator.reduce(given.read(), output.all(), root, op, options);
        if (communicator.rank() == root) results.add("reduce " + what, output.read());

        auto blocks = filled<T>(count * p, communicator.rank(), values);
        Buffer<T> mine(count);
        communicator.reduce_scatter(blocks.read(), mine.all(), op, options);
        results.add("reduce_scatter " + what, mine.read());
        const auto own = blocks.all().subspan(static_cast<std::size_t>(communicator.rank()) * count, count);
        communicator.reduce_scatter(blocks.read(), own, op, options);
        results.add("reduce_scatter in place " + what, std::span<const T>(own));

        std::vector<std::size_t> counts(p);  // of unequal blocks, rank 0's empty
        for (std::size_t r = 0; r < p; ++r) counts[r] = r % 3 * count;
        const auto self = static_cast<std::size_t>(communicator.rank());
        auto uneven =
            filled<T>(std::accumulate(counts.begin(), counts.end(), std::size_t{0}), communicator.rank(), values);
        Buffer<T> kept(counts[self]);
        communicator.reduce_scatter(ConstTensorView(uneven.read()), TensorView(kept.all()), counts, op, options);
        results.add("reduce_scatter uneven " + what, kept.read());
        const auto place = uneven.all().subspan(
            std::accumulate(counts.begin(), counts.begin() + communicator.rank(), std::size_t{0}), counts[self]);
        communicator.reduce_scatter(ConstTensorView(uneven.read()), TensorView(place), counts, op, options);
        results.add("reduce_scatter uneven in place " + what, std::span<const T>(place));
      }
    }
  }
}

template <class T>
void move_all_ways(Communicator& communicator, Results& results, const std::string& where, std::size_t count) {
  const auto p = static_cast<std::size_t>(communicator.size());
  const int root = communicator.size() / 2;
  const bool is_root = communicator.rank() == root;
  const std::string what = where + std::string(name_of(dtype_of<T>)) + " " + std::to_string(count);
  auto mine = filled<T>(count, communicator.rank(), Values::exact);
  auto all = filled<T>(count * p, communicator.rank() + 10, Values::exact);
  Buffer<T> whole(count * p), part(count);

  auto shared = filled<T>(count, communicator.rank(), Values::exact);
  communicator.broadcast(shared.all(), root);
  results.add("broadcast " + what, shared.read());
  communicator.all_gather(mine.read(), whole.all());
  results.add("all_gather " + what, whole.read());
  const auto own = whole.all().subspan(static_cast<std::size_t>(communicator.rank()) * count, count);
  communicator.all_gather(std::span<const T>(own), whole.all());
  results.add("all_gather in place " + what, whole.read());
  communicator.gather(mine.read(), whole.all(), root);
  if (is_root) results.add("gather " + what, whole.read());
  communicator.scatter(all.read(), part.all(), root);
  results.add("scatter " + what, part.read());
  communicator.all_to_all(all.read(), whole.all());
  results.add("all_to_all " + what, whole.read());
  communicator.all_to_all(std::span<const T>(all.all()), all.all());
  results.add("all_to_all in place " + what, all.read());
}

void move_unevenly(Communicator& communicator, Results& results, const std::string& where, std::size_t unit) {
  const auto p = static_cast<std::size_t>(communicator.size());
  const auto self = static_cast<std::size_t>(communicator.rank());
  const std::string what = where + "uneven " + std::to_string(unit);
  std::vector<std::size_t> counts(p);
  for (std::size_t r = 0; r < p; ++r) counts[r] = (r * 2 + 1) % 4 * unit;
  const std::size_t total = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
  auto mine = filled<std::int32_t>(counts[self], communicator.rank(), Values::exact);
  auto all = filled<std::int32_t>(total, 42, Values::exact);
  Buffer<std::int32_t> whole(total), part(counts[self]);
  communicator.all_gather(ConstTensorView(mine.read()), TensorView(whole.all()), counts);
  results.add("all_gather " + what, whole.read());
  const auto own = whole.all().subspan(
      std::accumulate(counts.begin(), counts.begin() + communicator.rank(), std::size_t{0}), counts[self]);
  communicator.all_gather(ConstTensorView(std::span<const std::int32_t>(own)), TensorView(whole.all()), counts);
  results.add("all_gather in place " + what, whole.read());
  communicator.gather(ConstTensorView(mine.read()), TensorView(whole.all()), counts, 0);
  if (self == 0) results.add("gather " + what, whole.read());
  communicator.scatter(ConstTensorView(all.read()), TensorView(part.all()), counts, 0);
  results.add("scatter " + what, part.read());

  std::vector<std::size_t> to(p), from(p);
  for (std::size_t r = 0; r < p; ++r) {
    to[r] = (self + 2 * r) % 3 * unit;
    from[r] = (r + 2 * self) % 3 * unit;
  }
  auto given =
      filled<std::int32_t>(std::accumulate(to.begin(), to.end(), std::size_t{0}), communicator.rank(), Values::exact);
  Buffer<std::int32_t> got(std::accumulate(from.begin(), from.end(), std::size_t{0}));
  communicator.all_to_all(ConstTensorView(given.read()), to, TensorView(got.all()), from);
  results.add("all_to_all " + what, got.read());
}

void run_ahead(Communicator& communicator, Communicator& other, Results& results) {
  std::vector<Buffer<float>> data;
  std::vector<Work> work;
  for (int i = 0; i < 6; ++i)
    data.push_back(filled<float>(2000u + 900u * static_cast<unsigned>(i), communicator.rank() + i, Values::rough));
  for (std::size_t i = 0; i < data.size(); ++i)
    work.push_back((i % 3 == 2 ? other : communicator).all_reduce_async(data[i].all(), sum));
  work.push_back(communicator.barrier_async());
  for (std::size_t i = work.size(); i > 0; --i) work[i - 1].wait();
  for (auto& each : data) results.add("all_reduce_async", each.read());
}

void talk(Communicator& communicator, Results& results) {
  const int p = communicator.size(), self = communicator.rank();
  if (p > 1) {
    auto given = filled<double>(5000, self, Values::rough);
    Buffer<double> got(5000);
    Work sending = communicator.send_async(ConstTensorView(given.read()), (self + 1) % p);
    communicator.recv(got.all(), (self + p - 1) % p);
    sending.wait();
    results.add("send and recv", got.read());
  }
  const std::string word(static_cast<std::size_t>(self) * 7, 'x');
  for (const auto& each : communicator.all_gather_bytes(std::as_bytes(std::span(word))))
    results.add("all_gather_bytes", std::span<const std::byte>(each));
  auto first = filled<float>(10, self, Values::rough), second = filled<float>(3, self + 1, Values::rough);
  const std::array<TensorView, 2> group{TensorView(first.all()), TensorView(second.all())};
  communicator.all_reduce_group(group, average, {.leaves = 8});
  results.add("all_reduce_group", first.read());
  results.add("all_reduce_group", second.read());
  auto partial = filled<float>(999, self, Values::rough);
  Buffer<BFloat16> rounded(999);
  communicator.all_reduce(ConstTensorView(partial.read()), TensorView(rounded.all()), average);
  results.add("all_reduce bf16 from f32", rounded.read());
}

template <class... T>
void with_types(Communicator& communicator, Results& results, const std::string& where) {
  (reduce_all_ways<T>(communicator, results, where), ...);
  (move_all_ways<T>(communicator, results, where, 333), ...);
}

Results all_calls(World& world) {
  Results results;
  auto everybody = world.communicator();
  with_types<double, float, Float16, BFloat16, Float8E4M3, Float8E5M2, std::int64_t, std::int32_t, std::int8_t,
             std::uint64_t, std::uint32_t, std::uint8_t, bool>(everybody, results, "");
  if (world.size() == 1 || world.size() == 4) {
    auto sums = filled<float>(large, world.rank(), Values::rough);
    everybody.all_reduce(sums.all());
    results.add("all_reduce large", sums.read());
    auto integers = filled<std::int32_t>(large, world.rank(), Values::exact);
    everybody.all_reduce(integers.all(), sum, {.order = ReductionOrder::fastest});
    results.add("all_reduce large fastest", integers.read());
    const std::size_t block = large / static_cast<std::size_t>(world.size()) + 1;
    auto blocks = filled<float>(block * static_cast<std::size_t>(world.size()), world.rank(), Values::rough);
    Buffer<float> mine(block);
    everybody.reduce_scatter(blocks.read(), mine.all());
    results.add("reduce_scatter large", mine.read());
    if (world.size() == 4) {
      const std::array<std::size_t, 4> counts{0, 2 * block, 3,
                                              2 * block - 3};  // rounds in which some have nothing left
      Buffer<float> kept(counts[static_cast<std::size_t>(world.rank())]);
      everybody.reduce_scatter(ConstTensorView(blocks.read()), TensorView(kept.all()), counts);
      results.add("reduce_scatter large uneven", kept.read());
    }
    move_all_ways<std::int32_t>(everybody, results, "large ", block);
    move_unevenly(everybody, results, "large ", block / 2);
  }
  move_unevenly(everybody, results, "", 100);
  auto half = everybody.split(world.rank() % 2, -world.rank());
  with_types<float, BFloat16, std::int64_t>(*half, results, "half ");
  move_unevenly(*half, results, "half ", 10);
  run_ahead(everybody, *half, results);
  talk(everybody, results);
  std::vector<int> backwards(static_cast<std::size_t>(world.size()));
  std::iota(backwards.rbegin(), backwards.rend(), 0);
  if (backwards.size() > 2) backwards.pop_back();  // rank 0 is not in it
  if (auto some = everybody.subgroup(backwards)) {
    with_types<float>(*some, results, "backwards ");
    talk(*some, results);
  }
  everybody.barrier();
  return results;
}

}  // namespace

int main() try {
  auto world = World::open();
  const Results ours = all_calls(world);
  std::vector<Results> host(static_cast<std::size_t>(world.size()));
  testing::run_ranks(world.size(),
                     [&](World& thread) { host[static_cast<std::size_t>(thread.rank())] = all_calls(thread); });
  const auto& theirs = host[static_cast<std::size_t>(world.rank())];
  int differ = 0;
  for (std::size_t i = 0; i < std::max(ours.entries.size(), theirs.entries.size()) && differ < 10; ++i) {
    if (i < ours.entries.size() && i < theirs.entries.size() && ours.entries[i].bytes == theirs.entries[i].bytes)
      continue;
    ++differ;
    std::fprintf(stderr, "rank %d: %s differs from the host engine's\n", world.rank(),
                 (i < ours.entries.size() ? ours : theirs).entries[i].what.c_str());
  }
  if (differ == 0) {
    std::printf("engine %s rank %d of %d: %zu results equal\n", world.engine().c_str(), world.rank(), world.size(),
                ours.entries.size());
  }
  std::fflush(stdout);
  world.close();
  return differ == 0 ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
