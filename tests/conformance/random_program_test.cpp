// SPDX-License-Identifier: Apache-2.0
// One seed, one program of random collectives on all ranks: shapes at the edges where the way changes, every rank with
// memory of its own kind, several in flight. A failing seed is named and replays.
#include "conformance/case_world.hpp"
#include "conformance/complaints.hpp"
#include "support/exact_inputs.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <deque>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <numeric>
#include <optional>
#include <tuple>

#include <malloc.h>

using namespace trireme;
using namespace trireme::testing;

namespace {

#ifdef TRIREME_SANITIZED
using ProgramTypes = std::tuple<float, BFloat16>;
#else
using ProgramTypes = std::tuple<float, double, BFloat16, std::int32_t, std::int8_t>;
#endif

/// What all ranks agree on about one operation.
struct Call {
  enum class Kind {
    all_reduce,
    reduce_scatter,
    all_gather,
    broadcast,
    barrier,
    reduce,
    gather,
    scatter,
    all_to_all,
    uneven_all_gather,
    uneven_all_to_all,
    uneven_reduce_scatter,
    group,
    premultiplied
  } kind;
  static constexpr std::uint64_t kinds = 14;
  std::size_t count;
  int root;
};

constexpr std::array<std::size_t, 18> counts{0,    1,    5,    6,    7,     255,   256,   257,   2047,
                                             2048, 2049, 5000, 8191, 16384, 32767, 32768, 32769, 70001};

template <class T>
struct Pending {
  Call call;
  std::uint64_t number;
  std::optional<ArenaBuffer> input_arena, output_arena;
  std::vector<T> input_foreign, output_foreign;
  std::span<T> input, output;
  std::vector<std::size_t> send_counts, receive_counts;
  Work work;
};

/// Memory of `count` elements, in the arena or not.
template <class T>
std::span<T> take(CaseWorld& world, bool arena, std::size_t count, std::optional<ArenaBuffer>& in,
                  std::vector<T>& out) {
  if (!arena) {
    out.resize(count);
    return out;
  }
  in = world.memory().allocate<T>(std::max<std::size_t>(count, 1));
  return in->as<T>().first(count);
}

template <class T>
class Program {
 public:
  Program(CaseWorld& world, std::uint64_t seed) : world_(world), seed_(seed), communicator_(world.communicator()) {}

  std::string run(std::uint64_t operations) {
    for (std::uint64_t i = 0; i < operations; ++i) {  // also after a complaint: the others still need this rank
      issue(i);
      // The same on all ranks or not, as chance has it: when a rank looks at its results is its own affair.
      const std::size_t may_fly = mix(seed_ + 77 * i + static_cast<std::uint64_t>(world_.rank())) % 13;
      while (flying_.size() > may_fly) finish();
    }
    while (!flying_.empty()) finish();
    return complaint_;
  }

 private:
  void issue(std::uint64_t i) {
    const std::uint64_t dice = mix(seed_ * 1000003 + i);
    const std::uint64_t own = mix(dice + 1 + static_cast<std::uint64_t>(world_.rank()));
    const auto p = static_cast<std::size_t>(world_.size());
    flying_.emplace_back();
    Pending<T>& each = flying_.back();
    each.number = i;
    each.call = {static_cast<typename Call::Kind>(dice % Call::kinds), counts[(dice >> 8) % counts.size()],
                 static_cast<int>((dice >> 20) % p)};
    if (each.call.kind == Call::Kind::premultiplied && !is_floating(dtype_of<T>)) each.call.kind = Call::Kind::barrier;
    const auto rank = static_cast<std::size_t>(world_.rank());
    const bool is_root = each.call.root == world_.rank();
    std::size_t in = each.call.count, out = each.call.count;
    std::size_t inner = 0;  // where the smaller of input and output lies in the larger, in place
    switch (each.call.kind) {
      case Call::Kind::reduce_scatter:
        in *= p;
        inner = rank * out;
        break;
      case Call::Kind::all_gather:
        out *= p;
        inner = rank * in;
        break;
      case Call::Kind::reduce: out *= is_root; break;
      case Call::Kind::gather:
        out *= p * is_root;
        inner = rank * in;
        break;
      case Call::Kind::scatter:
        in *= p * is_root;
        inner = rank * out;
        break;
      case Call::Kind::all_to_all:
        in *= p;
        out *= p;
        break;
      case Call::Kind::uneven_all_gather:
        for (std::size_t r = 0; r < p; ++r) each.send_counts.push_back(uneven(dice, r, 0, each.call.count));
        in = each.send_counts[rank];
        inner = before(each.send_counts, rank);
        out = before(each.send_counts, p);
        break;
      case Call::Kind::uneven_reduce_scatter:
        for (std::size_t r = 0; r < p; ++r) each.send_counts.push_back(uneven(dice, r, 0, each.call.count));
        in = before(each.send_counts, p);
        inner = before(each.send_counts, rank);
        out = each.send_counts[rank];
        break;
      case Call::Kind::uneven_all_to_all:
        for (std::size_t r = 0; r < p; ++r) {
          each.send_counts.push_back(uneven(dice, rank, r, each.call.count));
          each.receive_counts.push_back(uneven(dice, r, rank, each.call.count));
        }
        in = before(each.send_counts, p);
        out = before(each.receive_counts, p);
        break;
      default: break;
    }
    // Two buffers, or one in the other; an uneven all_to_all has no place of its own in the other.
    const bool in_place = (own >> 4) % 2 == 0 && each.call.kind != Call::Kind::uneven_all_to_all &&
                          (in != 0 || out != 0) && (!needs_root(each.call.kind) || is_root);
    each.output = take(world_, own % 2 == 0, std::max(in, out), each.output_arena, each.output_foreign);
    if (!in_place) {
      each.input = take(world_, (own >> 2) % 2 == 0, in, each.input_arena, each.input_foreign);
      each.output = each.output.first(out);
    } else if (in < out) {
      each.input = each.output.subspan(inner, in);
    } else {
      each.input = each.output;
      each.output = each.input.subspan(in == out ? 0 : inner, out);
    }
    for (std::size_t e = 0; e < in; ++e) each.input[e] = value(i, world_.rank(), e);
    const std::span<const T> input = each.input;
    const int root = each.call.root;
    switch (each.call.kind) {
      case Call::Kind::all_reduce: each.work = communicator_.all_reduce_async(input, each.output); return;
      case Call::Kind::reduce_scatter: each.work = communicator_.reduce_scatter_async(input, each.output); return;
      case Call::Kind::all_gather: each.work = communicator_.all_gather_async(input, each.output); return;
      case Call::Kind::broadcast:
        each.output = each.input;
        each.work = communicator_.broadcast_async(each.output, root);
        return;
      case Call::Kind::barrier: communicator_.barrier(); return;
      case Call::Kind::reduce: each.work = communicator_.reduce_async(input, each.output, root); return;
      case Call::Kind::gather: each.work = communicator_.gather_async(input, each.output, root); return;
      case Call::Kind::scatter: each.work = communicator_.scatter_async(input, each.output, root); return;
      case Call::Kind::all_to_all: each.work = communicator_.all_to_all_async(input, each.output); return;
      case Call::Kind::uneven_all_gather:
        each.work = communicator_.all_gather_async(input, each.output, each.send_counts);
        return;
      case Call::Kind::uneven_reduce_scatter:
        each.work = communicator_.reduce_scatter_async(input, each.output, each.send_counts);
        return;
      case Call::Kind::uneven_all_to_all:
        each.work = communicator_.all_to_all_async(input, each.send_counts, each.output, each.receive_counts);
        return;
      case Call::Kind::group: {
        each.output = each.input;
        const std::size_t cut = each.output.size() / 3;
        const std::array<TensorView, 3> tensors{each.output.first(cut), each.output.subspan(cut, 0),
                                                each.output.subspan(cut)};
        each.work = communicator_.all_reduce_group_async(tensors);
        return;
      }
      case Call::Kind::premultiplied:
        each.work = communicator_.all_reduce_async(input, each.output, premultiplied_sum(1 + world_.rank()));
        return;
    }
  }

  void finish() {
    Pending<T>& each = flying_.front();
    each.work.wait();
    const std::size_t count = each.call.count;
    for (std::size_t e = 0; e < each.output.size() && complaint_.empty(); ++e) {
      double expected = 0;
      switch (each.call.kind) {
        case Call::Kind::all_reduce: expected = total(each.number, e); break;
        case Call::Kind::reduce_scatter:
          expected = total(each.number, static_cast<std::size_t>(world_.rank()) * count + e);
          break;
        case Call::Kind::all_gather:
          expected = to_double(value(each.number, static_cast<int>(e / count), e % count));
          break;
        case Call::Kind::broadcast: expected = to_double(value(each.number, each.call.root, e)); break;
        case Call::Kind::barrier: continue;
        case Call::Kind::reduce:
        case Call::Kind::group: expected = total(each.number, e); break;
        case Call::Kind::gather:
          expected = to_double(value(each.number, static_cast<int>(e / count), e % count));
          break;
        case Call::Kind::scatter:
          expected = to_double(value(each.number, each.call.root, static_cast<std::size_t>(world_.rank()) * count + e));
          break;
        case Call::Kind::all_to_all:
          expected = to_double(value(each.number, static_cast<int>(e / count),
                                     static_cast<std::size_t>(world_.rank()) * count + e % count));
          break;
        case Call::Kind::uneven_all_gather: {
          const auto r = giver(each.send_counts, e);
          expected = to_double(value(each.number, static_cast<int>(r), e - before(each.send_counts, r)));
          break;
        }
        case Call::Kind::uneven_reduce_scatter:
          expected = total(each.number, before(each.send_counts, static_cast<std::size_t>(world_.rank())) + e);
          break;
        case Call::Kind::uneven_all_to_all: {
          const auto r = giver(each.receive_counts, e);
          const std::uint64_t dice = mix(seed_ * 1000003 + each.number);
          std::size_t begin = 0;  // of this rank's block in theirs
          for (std::size_t k = 0; k < static_cast<std::size_t>(world_.rank()); ++k) begin += uneven(dice, r, k, count);
          expected = to_double(value(each.number, static_cast<int>(r), begin + e - before(each.receive_counts, r)));
          break;
        }
        case Call::Kind::premultiplied:
          for (int r = 0; r < world_.size(); ++r) expected += (1 + r) * to_double(value(each.number, r, e));
          break;
      }
      if (to_double(each.output[e]) != expected) {
        complaint_ = "rank " + std::to_string(world_.rank()) + ", operation " + std::to_string(each.number) +
                     " of kind " + std::to_string(static_cast<int>(each.call.kind)) + ", count " +
                     std::to_string(count) + ": element " + std::to_string(e) + " is " +
                     std::to_string(to_double(each.output[e])) + ", not " + std::to_string(expected);
      }
    }
    flying_.pop_front();
  }

  static bool needs_root(typename Call::Kind kind) {
    return kind == Call::Kind::reduce || kind == Call::Kind::gather || kind == Call::Kind::scatter;
  }
  /// How many elements `from` has for `to` in an uneven call: the same for all who ask.
  static std::size_t uneven(std::uint64_t dice, std::size_t from, std::size_t to, std::size_t about) {
    const auto chance = mix(dice + 31 * from + 1009 * to);
    return chance % 4 == 0 ? 0 : about / 2 + chance % (about + 1);
  }
  static std::size_t before(const std::vector<std::size_t>& sizes, std::size_t rank) {
    return std::accumulate(sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(rank), std::size_t{0});
  }
  static std::size_t giver(const std::vector<std::size_t>& sizes, std::size_t element) {
    std::size_t r = 0;
    for (; element >= sizes[r]; ++r) element -= sizes[r];
    return r;
  }

  /// 0 to 3: sums of a few stay exact in every type.
  T value(std::uint64_t number, int rank, std::size_t element) const {
    return from_double<T>(static_cast<double>((element + number * 7 + static_cast<std::uint64_t>(rank) * 5) % 11 % 4));
  }
  double total(std::uint64_t number, std::size_t element) const {
    double sum = 0;
    for (int r = 0; r < world_.size(); ++r) sum += to_double(value(number, r, element));
    return sum;
  }

  CaseWorld& world_;
  std::uint64_t seed_;
  CaseCommunicator communicator_;
  std::deque<Pending<T>> flying_;
  std::string complaint_;
};

/// A transport by its name; "tcp3" is tcp with three flows, over which whatever is not tiny travels in pieces.
testing::RunRanksOptions options_over(const std::string& transport) {
  if (transport == "tcp3") return {.transport = "tcp", .world = {.tcp_flows = 3, .eager_bytes = Bytes{64}}};
  return {.transport = transport};
}

}  // namespace

TEMPLATE_LIST_TEST_CASE("a random program of collectives gives every rank the right elements", "", ProgramTypes) {
  const auto transport = GENERATE(from_range(places({"mem", "shm", "tcp", "tcp3"})));
  const int ranks = GENERATE(from_range(rank_counts({1, 2, 3, 5})));
  if (transport.starts_with("tcp") && ranks == 5) return;
  for (std::uint64_t seed = 1; seed <= 1; ++seed) {
    CAPTURE(transport, ranks, seed);
    REQUIRE(joined(run_case(ranks, options_over(transport),
                            [&](CaseWorld& world) { return Program<TestType>(world, seed).run(40); })) == "");
  }
}

namespace {

/// What a program holds that a leak would make more of.
struct Holdings {
  std::size_t descriptors = 0, threads = 0, mappings = 0, heap_bytes = 0;

  static Holdings now() {
    const auto entries = [](const char* folder) {
      return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
    };
    Holdings held{entries("/proc/self/fd"), entries("/proc/self/task")};
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);)
      held.mappings += line.find("trireme") != std::string::npos && line.find("memfd") != std::string::npos;
    const auto heap = ::mallinfo2();
    held.heap_bytes = heap.uordblks + heap.hblkhd;
    return held;
  }
};

}  // namespace

TEST_CASE("ten thousand random operations give no wrong bit and leave nothing behind", "[.full]") {
  const auto transport = GENERATE(from_range(places({"mem", "shm", "tcp", "tcp3"})));
  const int ranks = GENERATE(from_range(rank_counts({2, 3})));
  if (transport == "tcp3" && ranks == 3) return;
  const auto run = [&](std::uint64_t seed, std::uint64_t operations) {
    return joined(run_case(ranks, options_over(transport),
                           [&](CaseWorld& world) { return Program<float>(world, seed).run(operations); }));
  };
  CAPTURE(transport, ranks);
  REQUIRE(run(7, 100) == "");  // what is made once and kept
  const auto before = Holdings::now();
  REQUIRE(run(8, 10'000) == "");
  if (!cases_choose_options()) return;  // what an MPI holds is its own affair
  const auto after = Holdings::now();
  REQUIRE(after.descriptors == before.descriptors);
  REQUIRE(after.threads == before.threads);
  REQUIRE(after.mappings == before.mappings);
  REQUIRE(after.heap_bytes < before.heap_bytes + (64u << 10));  // the allocator's own caches
}
