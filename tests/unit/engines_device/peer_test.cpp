// SPDX-License-Identifier: Apache-2.0
#include "support/device_under_test.hpp"
#include "support/require.hpp"
#include "support/stride.hpp"
#include "unit/engines_device/peer_world.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <numeric>
#include <string>

namespace trireme {
namespace {

using testing::equal_bits;
using testing::OnDevice;
using testing::peer_world;
using testing::require;
using testing::rough;
using testing::run_ranks;
using testing::small_slots;

struct Call {
  DType input, output;
  ReduceOp op;
  int leaves = 0;
  std::string text() const {
    return std::string(name_of(input)) + " to " + std::string(name_of(output)) + ", " + std::string(name_of(op.kind)) +
           ", " + std::to_string(leaves) + " leaves";
  }
};

/// Bytes that are elements of `dtype`: rough values in floating types, small ones in integers, truth in bool.
std::vector<std::byte> elements(DType dtype, int rank, std::size_t count) {
  std::vector<std::byte> bytes(count * size_of(dtype));
  const auto fill = [&]<class T>(T) {
    for (std::size_t i = 0; i < count; ++i) {
      T value;
      if constexpr (std::is_integral_v<T>) {
        value = static_cast<T>(testing::mix(static_cast<std::uint64_t>(rank) * 7919 + i));
      } else {
        value = testing::rough_value<T>(rank, i);
      }
      std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
    }
  };
  switch (dtype) {
    case DType::f64: fill(double{}); break;
    case DType::f32: fill(float{}); break;
    case DType::f16: fill(Float16{}); break;
    case DType::bf16: fill(BFloat16{}); break;
    case DType::f8e4m3: fill(Float8E4M3{}); break;
    case DType::f8e5m2: fill(Float8E5M2{}); break;
    case DType::i64: fill(std::int64_t{}); break;
    case DType::i32: fill(std::int32_t{}); break;
    case DType::i8: fill(std::int8_t{}); break;
    case DType::u64: fill(std::uint64_t{}); break;
    case DType::u32: fill(std::uint32_t{}); break;
    case DType::u8: fill(std::uint8_t{}); break;
    case DType::boolean:
      for (std::size_t i = 0; i < count; ++i)
        bytes[i] = static_cast<std::byte>(testing::mix(static_cast<std::uint64_t>(rank) * 31 + i) & 1);
      break;
  }
  return bytes;
}

/// all_reduce, reduce to the last rank and reduce_scatter of `count` elements, on host memory and on device memory.
void compare_reductions(World& world, const std::shared_ptr<device::Runtime>& runtime, const Call& call,
                        std::size_t count) {
  auto communicator = world.communicator();
  const int rank = communicator.rank(), ranks = communicator.size();
  const OnDevice here(runtime, rank);
  const CallOptions options{.stream = here.stream(), .leaves = call.leaves};
  const CallOptions host_options{.leaves = call.leaves};
  const auto on = [&](const device::Buffer& buffer, DType dtype, std::size_t elements_of_it) {
    return buffer.view(dtype, elements_of_it);
  };
  const std::string what = call.text() + ", " + std::to_string(count) + " elements, rank " + std::to_string(rank) +
                           " of " + std::to_string(ranks);
  auto input = elements(call.input, rank, count);
  const auto device_input = here.copy_of(input);
  const std::size_t out = size_of(call.output);
  {
    std::vector<std::byte> expected(count * out);
    communicator.all_reduce(ConstTensorView(TensorView(input.data(), count, call.input)),
                            TensorView(expected.data(), count, call.output), call.op, host_options);
    const auto output = here.bytes(count * out);
    communicator.all_reduce(on(device_input, call.input, count), on(output, call.output, count), call.op, options);
    require(here.back<std::byte>(output, count * out) == expected, "all_reduce: " + what);
    if (call.input == call.output) {
      const auto in_place = here.copy_of(input);
      communicator.all_reduce(on(in_place, call.input, count), on(in_place, call.input, count), call.op, options);
      require(here.back<std::byte>(in_place, count * out) == expected, "all_reduce in place: " + what);
    }
    const int root = ranks - 1;
    const auto rooted = here.bytes(rank == root ? count * out : 0);
    const TensorView destination(rooted.data(), rank == root ? count : 0, call.output, rooted.device());
    communicator.reduce(on(device_input, call.input, count), destination, root, call.op, options);
    if (rank == root) require(here.back<std::byte>(rooted, count * out) == expected, "reduce: " + what);
  }
  const std::size_t block = count / static_cast<std::size_t>(ranks);
  const std::size_t whole = block * static_cast<std::size_t>(ranks);
  std::vector<std::byte> expected(block * out);
  communicator.reduce_scatter(ConstTensorView(TensorView(input.data(), whole, call.input)),
                              TensorView(expected.data(), block, call.output), call.op, host_options);
  const auto output = here.bytes(block * out);
  communicator.reduce_scatter(on(device_input, call.input, whole),
                              TensorView(output.data(), block, call.output, output.device()), call.op, options);
  require(here.back<std::byte>(output, block * out) == expected, "reduce_scatter: " + what);

  // Blocks of unequal sizes: rank r has r parts, the last one the rest.
  std::vector<std::size_t> counts(static_cast<std::size_t>(ranks));
  const std::size_t unit = count / static_cast<std::size_t>(ranks * ranks);
  for (std::size_t r = 0; r < counts.size(); ++r) counts[r] = r * unit;
  counts.back() += count - std::accumulate(counts.begin(), counts.end(), std::size_t{0});
  const std::size_t kept = counts[static_cast<std::size_t>(rank)];
  std::vector<std::byte> mine(kept * out);
  communicator.reduce_scatter(ConstTensorView(TensorView(input.data(), count, call.input)),
                              TensorView(mine.data(), kept, call.output), counts, call.op, host_options);
  const auto room = here.bytes(kept * out);
  communicator.reduce_scatter(on(device_input, call.input, count),
                              TensorView(room.data(), kept, call.output, room.device()), counts, call.op, options);
  require(here.back<std::byte>(room, kept * out) == mine, "reduce_scatter with counts: " + what);
}

}  // namespace

TEST_CASE("A reduction on device memory has the bits of the same on host memory: every type and operation") {
  std::vector<Call> calls;
  for (int k = 0; k < dtype_count; ++k) {
    const auto dtype = static_cast<DType>(k);
    for (const ReduceOp op : {sum, product, minimum, maximum, average, average_over(3.7), premultiplied_sum(0.3)}) {
      const bool floats_only = op.kind == ReduceKind::average || op.kind == ReduceKind::premultiplied_sum;
      if ((floats_only && !is_floating(dtype)) || (dtype == DType::boolean && op.kind == ReduceKind::sum)) continue;
#if defined(TRIREME_SANITIZED)
      if (k % 3 == 2 || op.kind == ReduceKind::max) continue;  // less of the same
#endif
      calls.push_back({dtype, dtype, op});
      if (accumulator_of(dtype) != dtype) calls.push_back({accumulator_of(dtype), dtype, op});
    }
  }
  for (const auto& runtime : testing::runtimes_under_test()) {
    run_ranks(
        3,
        [&](World& world) {
          for (const Call& call : calls) {
            for (const std::size_t count : testing::thinned<std::size_t>({301, 2900}, {2900}))
              compare_reductions(world, runtime, call, count);
          }
        },
        peer_world(runtime, small_slots));
  }
}

TEST_CASE("Sizes around the edges of vectors, blocks, slots and rounds make no difference") {
#if defined(TRIREME_SANITIZED)
  const std::vector<std::size_t> edges{0, 1, 1025, 8193, 20000};
#else
  const std::vector<std::size_t> edges{0, 1, 7, 1023, 1024, 1025, 8191, 8192, 8193, 16385, 40000};
#endif
  const auto ranks = GENERATE(1, 2, 4, 8);
  const auto devices = GENERATE(1, 2);
  if (devices > ranks) return;
  const auto seed = static_cast<std::uint64_t>(7 + ranks);
  for (const auto& runtime :
       testing::beside_gpus({device::emulated_runtime({.devices = devices, .seed = seed})}, devices)) {
    run_ranks(
        ranks,
        [&](World& world) {
          for (const std::size_t count : edges) {
            compare_reductions(world, runtime, {DType::f32, DType::f32, sum, ranks == 4 ? 9 : 0}, count);
            compare_reductions(world, runtime, {DType::bf16, DType::bf16, average, 2 * ranks}, count);
          }
        },
        peer_world(runtime, small_slots));
  }
}

TEST_CASE("Sums of more than eight ranks, and of ranks that are no power of two, have the host's bits") {
  const auto ranks = GENERATE(6, 11, 16);
  const auto runtime = device::emulated_runtime({.devices = 2, .seed = static_cast<std::uint64_t>(ranks)});
  auto slots = small_slots;
  slots.slot_bytes = 65536;
  run_ranks(
      ranks,
      [&](World& world) {
        for (const std::size_t count : {301u, 9000u}) {
          compare_reductions(world, runtime, {DType::f32, DType::f32, sum}, count);
          compare_reductions(world, runtime, {DType::bf16, DType::bf16, average, 3 * ranks + 1}, count);
          compare_reductions(world, runtime, {DType::f32, DType::f16, premultiplied_sum(0.3)}, count);
          compare_reductions(world, runtime, {DType::i32, DType::i32, sum}, count);
        }
      },
      peer_world(runtime, slots));
}

TEST_CASE("The order of a device's threads and the moment of its commands change no bit") {
  for (const std::uint64_t seed : {1u, 99u, 4711u}) {
    const auto runtime =
        device::emulated_runtime({.devices = 1, .seed = seed, .delay = std::chrono::microseconds(200)});
    run_ranks(
        4,
        [&](World& world) {
          for (const std::size_t count : {100u, 5000u, 20000u})
            compare_reductions(world, runtime, {DType::f16, DType::f16, sum}, count);
        },
        peer_world(runtime, small_slots));
  }
}

TEST_CASE("What moves without being added arrives as on host memory, for even and uneven blocks") {
  const auto ranks = GENERATE(1, 2, 3, 4, 8);
  for (const auto& runtime : testing::runtimes_under_test()) {
    if (ranks == 8 && runtime->name() != "cuda") continue;  // threads of threads: slow
    run_ranks(
        ranks,
        [&](World& world) {
          auto communicator = world.communicator();
          const int rank = communicator.rank();
          const auto size = static_cast<std::size_t>(ranks);
          const OnDevice here(runtime, rank);
          const CallOptions options{.stream = here.stream()};
          for (const std::size_t count : testing::thinned({0u, 1u, 777u, 9000u, 20001u}, {0u, 1u, 20001u})) {
            const std::string what = std::to_string(count) + " elements, rank " + std::to_string(rank);
            const auto mine = rough<float>(rank, count);
            const auto many = rough<float>(rank + 100, count * size);
            const auto from = here.copy_of(mine);
            const auto all_from = here.copy_of(many);
            const auto to = here.bytes(count * sizeof(float));
            const auto all_to = here.bytes(count * size * sizeof(float));
            std::vector<float> expected(count), all_expected(count * size);
            const auto check_all = [&](const char* call) {
              require(equal_bits(here.back<float>(all_to, count * size), all_expected), call + (": " + what));
            };
            const auto f32 = [](const device::Buffer& buffer, std::size_t elements_of_it) {
              return buffer.view(DType::f32, elements_of_it);
            };
            communicator.all_gather(std::span<const float>(mine), std::span<float>(all_expected));
            communicator.all_gather(f32(from, count), f32(all_to, count * size), options);
            check_all("all_gather");
            communicator.all_to_all(std::span<const float>(many), std::span<float>(all_expected));
            communicator.all_to_all(f32(all_from, count * size), f32(all_to, count * size), options);
            check_all("all_to_all");
            here.put(all_to, many);
            communicator.all_to_all(f32(all_to, count * size), f32(all_to, count * size), options);
            check_all("all_to_all in place");

            for (int root = 0; root < ranks; ++root) {
              communicator.gather(ConstTensorView(std::span<const float>(mine)),
                                  TensorView(std::span<float>(all_expected)), root);
              communicator.gather(f32(from, count), f32(all_to, count * size), root, options);
              if (rank == root) check_all("gather");
              communicator.scatter(ConstTensorView(std::span<const float>(many)),
                                   TensorView(std::span<float>(expected)), root);
              communicator.scatter(f32(all_from, count * size), f32(to, count), root, options);
              require(equal_bits(here.back<float>(to, count), expected), "scatter: " + what);
              auto data = rough<float>(rank, count);
              here.put(to, data);
              communicator.broadcast(TensorView(std::span<float>(data)), root);
              communicator.broadcast(f32(to, count), root, options);
              require(equal_bits(here.back<float>(to, count), data), "broadcast: " + what);
            }

            std::vector<std::size_t> counts(size);
            for (std::size_t r = 0; r < size; ++r) counts[r] = r == 1 ? 0 : count / (r + 1);
            const std::size_t own = counts[static_cast<std::size_t>(rank)];
            const std::size_t sum_of_counts = std::accumulate(counts.begin(), counts.end(), std::size_t{0});
            all_expected.assign(sum_of_counts, 0);
            communicator.all_gather(ConstTensorView(TensorView(const_cast<float*>(mine.data()), own, DType::f32)),
                                    TensorView(std::span<float>(all_expected)), counts);
            communicator.all_gather(f32(from, own), f32(all_to, sum_of_counts), counts, options);
            require(equal_bits(here.back<float>(all_to, sum_of_counts), all_expected), "uneven all_gather: " + what);
            communicator.scatter(f32(all_from, sum_of_counts), f32(to, own), counts, ranks - 1, options);
            communicator.gather(f32(to, own), f32(all_to, sum_of_counts), counts, 0, options);
            const auto root_s = rough<float>(ranks - 1 + 100, count * size);
            if (rank == 0)
              require(std::equal(root_s.begin(), root_s.begin() + static_cast<std::ptrdiff_t>(sum_of_counts),
                                 here.back<float>(all_to, sum_of_counts).begin()),
                      "uneven scatter and gather: " + what);
          }
        },
        peer_world(runtime, small_slots));
  }
}

TEST_CASE("A group of tensors is one vector, however many there are and however the others have cut it") {
  for (const auto& runtime : testing::beside_gpus({device::emulated_runtime({.seed = 5})})) {
    run_ranks(
        3,
        [&](World& world) {
          auto communicator = world.communicator();
          const int rank = communicator.rank();
          const OnDevice here(runtime, rank);
          constexpr std::size_t count = 30000;
          auto expected = rough<float>(rank, count);
          const auto values = expected;
          for (const ReduceOp op : {sum, average, premultiplied_sum(0.5 + rank)}) {
            // Other pieces on every rank: of 1, 102 and 203 elements at least, one of none.
            const auto buffer = here.copy_of(values);
            std::vector<TensorView> tensors;
            for (std::size_t begin = 0, k = 0; begin < count; ++k) {
              const std::size_t piece =
                  k == 3 ? 0 : std::min(count - begin, 1 + 101 * static_cast<std::size_t>(rank) + k);
              tensors.push_back(buffer.view(DType::f32, piece, begin * sizeof(float)));
              begin += piece;
            }
            expected = values;
            communicator.all_reduce(std::span<const float>(values), std::span<float>(expected), op);
            communicator.all_reduce_group(tensors, op, {.stream = here.stream()});
            require(equal_bits(here.back<float>(buffer, count), expected),
                    "all_reduce_group " + std::string(name_of(op.kind)));

            here.put(buffer, values);
            communicator.broadcast_group(tensors, 1, {.stream = here.stream()});
            require(equal_bits(here.back<float>(buffer, count), rough<float>(1, count)), "broadcast_group");
          }
        },
        peer_world(runtime, small_slots));
  }
}

TEST_CASE("An operation begins behind its stream and the stream of wait_on goes on behind its end") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    run_ranks(
        2,
        [&](World& world) {
          auto communicator = world.communicator();
          const OnDevice here(runtime, communicator.rank());
          const device::OwnedStream after(runtime, here.index());
          constexpr std::size_t count = 3000;
          const auto values = rough<float>(communicator.rank(), count);
          device::PinnedBuffer pinned(runtime, count * sizeof(float)), result(runtime, count * sizeof(float));
          std::memcpy(pinned.data(), values.data(), count * sizeof(float));
          std::vector<float> expected(count);
          communicator.all_reduce(std::span<const float>(values), std::span<float>(expected), sum);
          const auto buffer = here.bytes(count * sizeof(float));
          for (int round = 0; round < 20; ++round) {
            // Nothing waits for the host in between.
            runtime->copy(buffer.data(), pinned.data(), count * sizeof(float), here.stream());
            Work work = communicator.all_reduce_async(buffer.view(DType::f32, count), buffer.view(DType::f32, count),
                                                      sum, {.stream = here.stream()});
            work.wait_on(after.get());
            runtime->copy(result.data(), buffer.data(), count * sizeof(float), after.get());
            work.wait();
            after.synchronize();
            std::vector<float> got(count);
            std::memcpy(got.data(), result.data(), count * sizeof(float));
            require(equal_bits(got, expected), "round " + std::to_string(round));
          }
        },
        peer_world(runtime, small_slots));
  }
}

TEST_CASE("Many operations in flight, and one of more rounds than are launched at a time, end in order") {
  for (const auto& runtime : testing::beside_gpus({device::emulated_runtime({.devices = 2, .seed = 3})})) {
    run_ranks(
        4,
        [&](World& world) {
          auto communicator = world.communicator();
          const int rank = communicator.rank();
          const OnDevice here(runtime, rank);
          constexpr std::size_t large = 700000, small = 50;  // 86 rounds, 1 round
          std::vector<float> values(large, static_cast<float>(rank));
          const auto buffer = here.copy_of(values);
          std::vector<device::Buffer> others;
          std::vector<Work> works;
          works.push_back(
              communicator.all_reduce_async(buffer.view(DType::f32, large), buffer.view(DType::f32, large), sum));
          for (int k = 0; k < 30; ++k) {
            others.push_back(here.copy_of(std::vector<float>(small, static_cast<float>(rank + k))));
            works.push_back(communicator.all_reduce_async(others.back().view(DType::f32, small),
                                                          others.back().view(DType::f32, small), sum));
          }
          for (Work& work : works) work.wait();
          require(here.back<float>(buffer, large) == std::vector<float>(large, 6.0f), "the large one");
          for (int k = 0; k < 30; ++k)
            require(here.back<float>(others[static_cast<std::size_t>(k)], small) ==
                        std::vector<float>(small, static_cast<float>(6 + 4 * k)),
                    "small one " + std::to_string(k));
        },
        peer_world(runtime, small_slots));
  }
}

TEST_CASE("Sub-communicators have windows of their own") {
  for (const auto& runtime : testing::beside_gpus({device::emulated_runtime({.devices = 2, .seed = 3})})) {
    run_ranks(
        4,
        [&](World& world) {
          auto communicator = world.communicator();
          const int rank = communicator.rank();
          const OnDevice here(runtime, rank);
          auto half = communicator.split(rank % 2, rank);
          require(half.has_value(), "split");
          const std::vector<float> ones(1000, static_cast<float>(rank + 1));
          const auto a = here.copy_of(ones), b = here.copy_of(ones);
          Work first = half->all_reduce_async(a.view(DType::f32, 1000), a.view(DType::f32, 1000), sum);
          Work second = communicator.all_reduce_async(b.view(DType::f32, 1000), b.view(DType::f32, 1000), sum);
          second.wait();
          first.wait();
          require(here.back<float>(a, 1000) == std::vector<float>(1000, rank % 2 == 0 ? 4.0f : 6.0f), "half");
          require(here.back<float>(b, 1000) == std::vector<float>(1000, 10.0f), "all");
        },
        peer_world(runtime, small_slots));
  }
}

TEST_CASE("There is no peer engine, on any rank, where devices do not reach each other") {
  const auto runtime = device::emulated_runtime({.devices = 2, .peer_access = false});
  std::atomic<int> none{0};
  auto options = peer_world(runtime);
  options.devices.make_engine = [&](comm::DeviceRoom room) -> std::unique_ptr<comm::Engine> {
    none += engines::device::make_peer_engine(room) == nullptr ? 1 : 0;
    // Those of one device reach each other.
    fail(ErrorCode::unsupported, "no peer engine here");
  };
  const auto thrown = testing::run_ranks_collecting(
      4, [](World&) {}, options);
  CHECK(none == 4);
}

TEST_CASE("There is no peer engine, on any rank, where one has no memory for its window") {
  const auto runtime = device::emulated_runtime({.devices = 2, .memory_bytes = std::size_t{1} << 20});
  std::atomic<int> none{0};
  auto options = peer_world(runtime);
  options.devices.make_engine = [&](comm::DeviceRoom room) -> std::unique_ptr<comm::Engine> {
    const bool first = room.room.rank == 0;
    none += engines::device::make_peer_engine(room, {.slot_bytes = first ? 65536u : 524288u * 4}) == nullptr ? 1 : 0;
    fail(ErrorCode::unsupported, "no peer engine here");
  };
  static_cast<void>(testing::run_ranks_collecting(
      2, [](World&) {}, options));
  CHECK(none <= 2);
}

TEST_CASE("The peer engine refuses what it does not take") {
  const auto runtime = device::emulated_runtime({});
  const auto thrown = testing::run_ranks_collecting(
      2,
      [&](World& world) {
        const OnDevice here(runtime, world.communicator().rank());
        const auto buffer = here.copy_of(std::vector<float>(8, 1.0f));
        const int peer = 1 - world.communicator().rank();
        try {
          if (peer == 1) world.communicator().send(buffer.view(DType::f32, 8), peer);
          if (peer == 0) world.communicator().recv(buffer.view(DType::f32, 8), peer);
        } catch (const Exception& exception) {
          require(exception.error().code == ErrorCode::unsupported, exception.what());
          return;
        }
        fail(ErrorCode::corrupt, "it was taken");
      },
      peer_world(runtime, small_slots));
  CHECK(!thrown[0]);
  CHECK(!thrown[1]);
}

}  // namespace trireme
