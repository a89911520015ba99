// SPDX-License-Identifier: Apache-2.0
// Every way there is to reduce in canonical order, on 1 to 9 ranks, in every type and at the counts where blocks are empty,
// single or uneven: each result byte for byte that of the contracted tree, computed here once per world size.
#include "conformance/case_world.hpp"
#include "conformance/complaints.hpp"
#include "support/exact_inputs.hpp"
#include "trireme/plan/plans.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <optional>

using namespace trireme;
using namespace trireme::testing;

namespace {

template <class T>
using Wide = std::conditional_t<is_narrow<T>, float, T>;

template <class T>
Wide<T> wide_value(int rank, std::size_t element) {
  const T value = rough_value<T>(rank, element);
  if constexpr (is_narrow<T>)
    return to_float(value);
  else
    return value;
}

template <class T>
Wide<T> combined(ReduceKind kind, Wide<T> a, Wide<T> b) {
  if constexpr (std::is_same_v<T, bool>) {
    return kind == ReduceKind::max ? a || b : a && b;
  } else {
    switch (kind) {
      case ReduceKind::product:
        if constexpr (std::is_integral_v<T>)
          return static_cast<T>(static_cast<std::uint64_t>(a) * static_cast<std::uint64_t>(b));
        return static_cast<Wide<T>>(a * b);
      case ReduceKind::min: return std::min(a, b);
      case ReduceKind::max: return std::max(a, b);
      default:
        if constexpr (std::is_integral_v<T>)
          return static_cast<T>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
        return static_cast<Wide<T>>(a + b);
    }
  }
}

/// The balanced tree over ranks [first, first + count): a node splits at the largest power of two below its size.
template <class T>
Wide<T> tree_value(ReduceKind kind, int first, int count, std::size_t element) {
  if (count == 1) return wide_value<T>(first, element);
  int left = 1;
  while (2 * left < count) left *= 2;
  return combined<T>(kind, tree_value<T>(kind, first, left, element),
                     tree_value<T>(kind, first + left, count - left, element));
}

/// One reduction: what every rank gives, and the bytes all must get.
struct Reduction {
  DType dtype;
  ReduceOp op;
  std::size_t count;
  std::vector<std::vector<std::byte>> inputs{};
  std::vector<std::byte> expected{};

  std::string describe() const {
    return std::string(name_of(op.kind)) + " of " + std::to_string(count) + " " + std::string(name_of(dtype));
  }
};

template <class T>
Reduction reduction_of(ReduceOp op, std::size_t count, int ranks) {
  Reduction made{dtype_of<T>, op, count};
  made.expected.resize(count * sizeof(T));
  for (std::size_t i = 0; i < count; ++i) {
    Wide<T> value = tree_value<T>(op.kind, 0, ranks, i);
    if constexpr (std::is_floating_point_v<Wide<T>>) {
      if (op.kind == ReduceKind::average) value /= static_cast<Wide<T>>(ranks);
    }
    T rounded;
    if constexpr (is_narrow<T>)
      rounded = from_double<T>(static_cast<double>(value));
    else
      rounded = value;
    std::memcpy(made.expected.data() + i * sizeof(T), &rounded, sizeof(T));
  }
  for (int rank = 0; rank < ranks; ++rank) {
    auto& input = made.inputs.emplace_back(count * sizeof(T));
    for (std::size_t i = 0; i < count; ++i) {
      const T value = rough_value<T>(rank, i);
      std::memcpy(input.data() + i * sizeof(T), &value, sizeof(T));
    }
  }
  return made;
}

template <class T>
void add_reductions(std::vector<Reduction>& all, int ranks) {
  const auto p = static_cast<std::size_t>(ranks);
  std::vector<std::size_t> counts{0, 1, p - 1, p, p + 1, 17, 257, 4099};
  std::sort(counts.begin(), counts.end());
  counts.erase(std::unique(counts.begin(), counts.end()), counts.end());
  for (const std::size_t count : counts) {
    const bool is_bool = std::is_same_v<T, bool>;
    all.push_back(reduction_of<T>(is_bool ? minimum : sum, count, ranks));
    if (is_floating(dtype_of<T>) && count == 17) all.push_back(reduction_of<T>(average, count, ranks));
    if (count == 257) all.push_back(reduction_of<T>(maximum, count, ranks));
    // Wide enough for the product of nine such values.
    if ((sizeof(Wide<T>) == sizeof(T) || std::is_same_v<T, BFloat16>)&&!is_bool && count == p + 1)
      all.push_back(reduction_of<T>(product, count, ranks));
  }
}

template <class... T>
std::vector<Reduction> reductions_of(int ranks) {
  std::vector<Reduction> all;
  (add_reductions<T>(all, ranks), ...);
  return all;
}

std::vector<Reduction> every_reduction(int ranks) {
  auto all = reductions_of<double, float, Float16, BFloat16, Float8E4M3, Float8E5M2, std::int64_t, std::int32_t,
                           std::int8_t, std::uint64_t, std::uint32_t, std::uint8_t, bool>(ranks);
  all.push_back(reduction_of<float>(sum, 16411, ranks));  // just above what travels at once over TCP
  if (ranks == 2 || ranks == 3 || ranks == 5)             // blocks of several segments, cut unevenly
    all.push_back(reduction_of<float>(sum, 1'000'003, ranks));
  return all;
}

/// Room for the input and the output of any of them, in the arena or not.
class Rooms {
 public:
  Rooms(CaseWorld& world, std::size_t bytes)
      : arena_{world.memory().allocate<std::byte>(bytes), world.memory().allocate<std::byte>(bytes)},
        foreign_{std::vector<std::byte>(bytes), std::vector<std::byte>(bytes)} {}
  std::byte* of(bool arena, std::size_t index) {
    return arena ? arena_[index].as<std::byte>().data() : foreign_[index].data();
  }

 private:
  std::array<ArenaBuffer, 2> arena_;
  std::array<std::vector<std::byte>, 2> foreign_;
};

enum class Place { arena, foreign, mixed };  // mixed: by rank

/// What differed on this rank, at most a few.
class Checker {
 public:
  Checker(CaseWorld& world, const std::vector<Reduction>& all, std::size_t bytes)
      : communicator_(world.communicator()), rank_(world.rank()), all_(all), rooms_(world, bytes) {}

  std::string run() {
    for (const Place place : {Place::arena, Place::foreign, Place::mixed}) {
      const bool arena = place == Place::arena || (place == Place::mixed && rank_ % 2 == 0);
      for (std::size_t k = 0; k < all_.size(); ++k) {
        if (place == Place::mixed && k % 3 != 0) continue;
        const Reduction& each = all_[k];
        all_reduce(each, arena, k % 2 == 0);
        if (place != Place::mixed) rooted(each, arena, static_cast<int>(k) % communicator_.size());
        if (place != Place::mixed && each.count % static_cast<std::size_t>(communicator_.size()) == 0)
          reduce_scatter(each, arena);
      }
    }
    return complaints_;
  }

 private:
  std::byte* given(const Reduction& each, bool arena) {
    const auto& input = each.inputs[static_cast<std::size_t>(rank_)];
    return std::copy(input.begin(), input.end(), rooms_.of(arena, 0)) - input.size();
  }

  void all_reduce(const Reduction& each, bool arena, bool in_place) {
    std::byte* const in = given(each, arena);
    std::byte* const out = in_place ? in : rooms_.of(arena, 1);
    communicator_.all_reduce(ConstTensorView(in, each.count, each.dtype), TensorView(out, each.count, each.dtype),
                             each.op);
    compare("all_reduce: ", each, out, each.expected);
  }

  void rooted(const Reduction& each, bool arena, int root) {
    std::byte* const out = rooms_.of(arena, 1);
    communicator_.reduce(ConstTensorView(given(each, arena), each.count, each.dtype),
                         TensorView(out, rank_ == root ? each.count : 0, each.dtype), root, each.op);
    if (rank_ == root) compare("reduce: ", each, out, each.expected);
  }

  void reduce_scatter(const Reduction& each, bool arena) {
    const std::size_t own = each.count / static_cast<std::size_t>(communicator_.size());
    const std::size_t bytes = own * size_of(each.dtype);
    std::byte* const out = rooms_.of(arena, 1);
    communicator_.reduce_scatter(ConstTensorView(given(each, arena), each.count, each.dtype),
                                 TensorView(out, own, each.dtype), each.op);
    compare("reduce_scatter: ", each, out,
            std::span(each.expected).subspan(static_cast<std::size_t>(rank_) * bytes, bytes));
  }

  void compare(const char* what, const Reduction& each, const std::byte* got, std::span<const std::byte> expected) {
    const auto differs = std::mismatch(expected.begin(), expected.end(), got).first;
    if (differs == expected.end() || complaints_.size() > 300) return;  // the others still need this rank
    const auto at = static_cast<std::size_t>(differs - expected.begin()) / size_of(each.dtype);
    complaints_ += std::string(what) + each.describe() + ", rank " + std::to_string(rank_) + ", element " +
                   std::to_string(at) + "; ";
  }

  CaseCommunicator communicator_;
  int rank_;
  const std::vector<Reduction>& all_;
  Rooms rooms_;
  std::string complaints_;
};

/// "" is what the library chooses, which on one host is its common memory.
std::vector<std::string> every_algorithm(int ranks) {
  std::vector<std::string> names{""};
  if (!cases_choose_options()) return names;
  for (const auto algorithm :
       plan::defined_algorithms({.collective = plan::Collective::all_reduce, .ranks = ranks, .leaves = ranks}, true)) {
    names.emplace_back(plan::name_of(algorithm));
  }
  return names;
}

/// A way to the same bytes that a setting chooses.
struct Way {
  std::string name;
  std::optional<Bytes> eager_bytes{};
  std::optional<int> tcp_flows{};
  std::optional<comm::CacheGroups> cache_groups{};
};

std::vector<Way> every_way(const std::string& transport, const std::string& algorithm, int ranks) {
  std::vector<Way> ways{{"as it comes"}};
  if (!cases_choose_options()) return ways;
  // Small messages at once or offered first: offered is another way through every plan.
  if (ranks <= 6) ways.push_back({.name = "offered", .eager_bytes = Bytes{64}});
  if (transport == "tcp" && ranks <= 4) ways.push_back({.name = "three flows", .tcp_flows = 3});
  if (transport != "tcp" && algorithm.empty() && (ranks == 4 || ranks == 6 || ranks == 8)) {
    comm::CacheGroups two{.from_bytes = 0};
    for (int rank = 0; rank < ranks; ++rank) two.domain_of.push_back(2 * rank / ranks);
    ways.push_back({.name = "two caches", .cache_groups = two});
  }
  return ways;
}

}  // namespace

TEST_CASE("every canonical reduction gives the bytes of one reference", "[.bits]") {
  const int ranks = GENERATE(from_range(rank_counts({1, 2, 3, 4, 5, 6, 7, 8, 9})));
  const auto all = every_reduction(ranks);
  std::size_t bytes = 64;
  for (const auto& each : all) bytes = std::max(bytes, each.expected.size());
  for (const std::string& transport : places({"mem", "shm", "tcp"})) {
    for (const std::string& algorithm : every_algorithm(ranks)) {
      for (const Way& way : every_way(transport, algorithm, ranks)) {
        Options options{.tcp_flows = way.tcp_flows, .eager_bytes = way.eager_bytes, .arena_reserve = Bytes{64u << 20}};
        if (!algorithm.empty()) options.algorithm = algorithm;
        CAPTURE(transport, ranks, algorithm, way.name);
        REQUIRE(joined(run_case(ranks, {.transport = transport, .cache_groups = way.cache_groups, .world = options},
                                [&](CaseWorld& world) { return Checker(world, all, bytes).run(); })) == "");
      }
    }
  }
}
