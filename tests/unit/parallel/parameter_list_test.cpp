// SPDX-License-Identifier: Apache-2.0
#include "field.hpp"
#include "ranks.hpp"
#include "trireme/parallel/data_parallel.hpp"

#include <catch2/catch.hpp>

#include <functional>
#include <limits>

using namespace trireme;
using namespace trireme::literals;
using namespace trireme::testing;
using Catch::Matchers::Contains;

namespace {

/// Ranks build lists of parameters over memory of their own, and change them in place.
struct Lists {
  std::vector<float> values = std::vector<float>(64), gradients = std::vector<float>(64);
  std::vector<Parameter> parameters;
  DataParallelOptions options{};

  Lists() {
    add("weight", {2, 3});
    add("bias", {3});
    add("scale", {});
  }
  void add(const std::string& name, const std::vector<std::int64_t>& shape, DType dtype = DType::f32) {
    parameters.push_back({name, shape, {}, {}});
    reshape(parameters.back(), shape, dtype);
  }
  void reshape(Parameter& parameter, const std::vector<std::int64_t>& shape, DType dtype = DType::f32) {
    std::size_t count = 1;
    for (const auto extent : shape) count *= static_cast<std::size_t>(extent);
    parameter.shape = shape;
    parameter.value = TensorView(values.data(), count, dtype);
    parameter.gradient = TensorView(gradients.data(), count, dtype);
  }
};

using Change = std::function<void(Lists&)>;

/// The error of every rank when `odd` changes its list by `change`.
std::vector<Error> refusals(int ranks, int odd, const Change& change, const std::string& transport = "mem") {
  const auto thrown =
      run_ranks_collecting(ranks,
                           [&](World& world) {
                             Lists lists;
                             if (world.rank() == odd) change(lists);
                             const DataParallel data_parallel(world.communicator(), lists.parameters, lists.options);
                           },
                           {.transport = transport});
  std::vector<Error> errors;
  for (const auto& each : thrown) errors.push_back(error_of(each));
  return errors;
}

/// The refusal of one rank alone.
Error refusal(const Change& change) { return refusals(1, 0, change).front(); }

}  // namespace

TEST_CASE("lists that differ are refused on every rank with the same message, which names both sides") {
  struct Case {
    const char* name;
    Change change;
    std::vector<std::string> parts;
  };
  const std::vector<Case> cases{
      {"count",
       [](Lists& lists) { lists.add("more", {1}); },
       {"numbers of parameters differ", "rank 0 has 3", "has 4"}},
      {"fewer",
       [](Lists& lists) { lists.parameters.pop_back(); },
       {"numbers of parameters differ", "rank 0 has 3", "has 2"}},
      {"name",
       [](Lists& lists) { lists.parameters[1].name = "offset"; },
       {"at index 1", "'bias' f32 {3}", "'offset' f32 {3}"}},
      {"shape",
       [](Lists& lists) {
         lists.parameters[0].shape = {3, 2};
       },
       {"at index 0", "'weight' f32 {2, 3}", "'weight' f32 {3, 2}"}},
      {"rank of the shape",
       [](Lists& lists) { lists.parameters[2].shape = {1}; },
       {"at index 2", "'scale' f32 {}", "'scale' f32 {1}"}},
      {"dtype",
       [](Lists& lists) { lists.reshape(lists.parameters[1], {3}, DType::f64); },
       {"at index 1", "'bias' f32 {3}", "'bias' f64 {3}"}},
      {"order",
       [](Lists& lists) { std::swap(lists.parameters[0], lists.parameters[1]); },
       {"at index 0", "'weight'", "'bias'"}},
      {"bucket_bytes",
       [](Lists& lists) { lists.options.bucket_bytes = 1_MiB; },
       {"settings differ", "bucket_bytes 26214400", "bucket_bytes 1048576"}},
      {"logical_shards",
       [](Lists& lists) { lists.options.logical_shards = 8; },
       {"settings differ", "logical_shards 8"}},
      {"order of reduction",
       [](Lists& lists) { lists.options.order = ReductionOrder::fastest; },
       {"settings differ", "order canonical", "order fastest"}},
  };
  for (const auto& each : cases) {
    for (const auto& [ranks, odd] : {std::pair{2, 0}, std::pair{2, 1}, std::pair{4, 2}}) {
      CAPTURE(each.name, ranks, odd);
      const auto errors = refusals(ranks, odd, each.change);
      for (const auto& error : errors) {
        REQUIRE(error.code == ErrorCode::mismatch);
        REQUIRE(error.message == errors[0].message);
        REQUIRE_THAT(error.message, Contains("rank 0 has ") && !Contains("\n"));
        REQUIRE_THAT(error.message, Contains("; rank " + std::to_string(odd == 0 ? 1 : odd) + " has "));
      }
      // With rank 0 odd the sides change places; the texts are there all the same.
      if (odd == 0) continue;
      for (const auto& part : each.parts) REQUIRE_THAT(errors[0].message, Contains(part));
    }
  }
}

TEST_CASE("a difference is found over every transport") {
  const auto transport = GENERATE(as<std::string>{}, "shm", "tcp");
  for (const auto& error : refusals(
           3, 1, [](Lists& lists) { lists.parameters[1].name = "offset"; }, transport)) {
    REQUIRE_THAT(error.message, Contains("'bias' f32 {3}; rank 1 has 'offset' f32 {3}"));
  }
}

TEST_CASE("long names that differ late are told apart") {
  const auto errors = refusals(2, 1, [](Lists& lists) { lists.parameters[0].name = std::string(5000, 'x'); });
  for (const auto& error : errors) REQUIRE(error.code == ErrorCode::mismatch);
}

TEST_CASE("equal lists of many parameters are found equal") {
  // The fingerprint of a list wraps round: undefined behaviour unless unsigned, which the sanitizer would show.
  const auto thrown = run_ranks_collecting(2, [](World& world) {
    Field<float> model(std::vector<std::size_t>(500, 1));
    const DataParallel data_parallel(world.communicator(), model.parameters());
  });
  for (const auto& each : thrown) REQUIRE(!each);
}

TEST_CASE("lists nobody could train with are refused by name") {
  const auto refused = [](ErrorCode code, const std::string& part, const Change& change) {
    const Error error = refusal(change);
    CAPTURE(part);
    REQUIRE_THAT(error.message, Contains(part) && !Contains("\n"));
    REQUIRE(error.code == code);
  };
  const auto invalid = ErrorCode::invalid_argument;
  refused(invalid, "the parameter list is empty", [](Lists& lists) { lists.parameters.clear(); });
  refused(invalid, "'' f32 {3} has no name", [](Lists& lists) { lists.parameters[1].name.clear(); });
  refused(invalid, "'weight' f32 {3}: the name occurs twice",
          [](Lists& lists) { lists.parameters[1].name = "weight"; });
  refused(invalid, "'bias' f32 {3}: its shape has 3 elements, value 2",
          [](Lists& lists) { lists.parameters[1].value.count = 2; });
  refused(invalid, "'bias' f32 {3}: its shape has 3 elements, value 3, gradient 4",
          [](Lists& lists) { lists.parameters[1].gradient.count = 4; });
  refused(invalid, "'bias' f32 {-3} has an impossible shape", [](Lists& lists) { lists.parameters[1].shape = {-3}; });
  refused(invalid, "has an impossible shape", [](Lists& lists) {
    lists.parameters[1].shape = {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::max()};
  });
  refused(invalid, "'bias' f32 {3}: value or gradient is null",
          [](Lists& lists) { lists.parameters[1].value.data = nullptr; });
  refused(invalid, "'bias' f32 {3}: value or gradient is null",
          [](Lists& lists) { lists.parameters[1].gradient.data = nullptr; });
  const auto unsupported = ErrorCode::unsupported;
  refused(unsupported, "'bias' f8e4m3 {3}",
          [](Lists& lists) { lists.reshape(lists.parameters[1], {3}, DType::f8e4m3); });
  refused(unsupported, "'bias' i32 {3}", [](Lists& lists) { lists.reshape(lists.parameters[1], {3}, DType::i32); });
  refused(unsupported, "'bias' f32 {3} with a gradient of f64",
          [](Lists& lists) { lists.parameters[1].gradient.dtype = DType::f64; });
  refused(invalid, "'bias' f32 {3}: all values and gradients must lie in host memory, or all on one device",
          [](Lists& lists) { lists.parameters[1].value.device.kind = DeviceKind::cuda; });
  refused(unsupported, "is in device memory, but this world has no device", [](Lists& lists) {
    for (Parameter& each : lists.parameters) each.value.device.kind = each.gradient.device.kind = DeviceKind::cuda;
  });
}

TEST_CASE("settings nobody could train with are refused by name") {
  const auto refused = [](ErrorCode code, const std::string& part, int ranks, const Change& change) {
    const auto thrown = run_ranks_collecting(ranks, [&](World& world) {
      Lists lists;
      change(lists);
      const DataParallel data_parallel(world.communicator(), lists.parameters, lists.options);
    });
    for (const auto& each : thrown) {
      const Error error = error_of(each);
      REQUIRE_THAT(error.message, Contains(part));
      REQUIRE(error.code == code);
    }
  };
  const auto invalid = ErrorCode::invalid_argument;
  refused(invalid, "logical_shards is 3", 2, [](Lists& lists) { lists.options.logical_shards = 3; });
  refused(invalid, "logical_shards is -4", 2, [](Lists& lists) { lists.options.logical_shards = -4; });
  refused(invalid, "logical_shards is 2 but there are 3 ranks", 3,
          [](Lists& lists) { lists.options.logical_shards = 2; });
  refused(invalid, "bucket_bytes", 1, [](Lists& lists) { lists.options.bucket_bytes = Bytes{0}; });
  refused(invalid, "first_bucket_bytes", 1, [](Lists& lists) { lists.options.first_bucket_bytes = Bytes{0}; });
  refused(invalid, "zero_stage is 4", 1, [](Lists& lists) { lists.options.zero_stage = 4; });
}

TEST_CASE("scalars and parameters of no elements are parameters") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    Lists lists;
    lists.add("nothing", {0, 5});
    lists.parameters.back().value.data = lists.parameters.back().gradient.data = nullptr;
    const DataParallel data_parallel(world.communicator(), lists.parameters);
    complaints.expect(world.rank(), data_parallel.parameters().size() == 4, "size");
    complaints.expect(world.rank(), data_parallel.logical_shards() == 2, "logical_shards");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("samplers that differ are refused on every rank, naming both") {
  Complaints complaints(2);
  run_ranks(2, [&](World& world) {
    Field<float> model({4});
    DataParallel data_parallel(world.communicator(), model.parameters());
    DistributedSampler sampler({.count = 8, .global_batch = 4, .seed = world.rank() == 0 ? 7u : 8u});
    std::string heard;
    try {
      data_parallel.steps(sampler).begin();
    } catch (const Exception& refused) {
      if (refused.error().code == ErrorCode::mismatch) heard = refused.error().message;
    }
    complaints.expect(world.rank(), heard.find("seed 7") != std::string::npos, "rank 0's seed in '" + heard + "'");
    complaints.expect(world.rank(), heard.find("rank 1 has count 8, global_batch 4, seed 8") != std::string::npos,
                      "rank 1's seed in '" + heard + "'");
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("a parameter whose gradient lies in its value is refused") {
  Complaints complaints(1);
  run_ranks(1, [&](World& world) {
    std::vector<float> memory(12);
    const std::span<float> all(memory);
    for (const std::size_t offset : {0u, 4u}) {
      complaints.expect_refusal(0, "'w' f32 {8}: value and gradient share memory", [&] {
        DataParallel(world.communicator(), {{"w", {8}, all.subspan(0, 8), all.subspan(offset, 8)}});
      });
    }
  });
  REQUIRE(complaints.all() == "");
}

TEST_CASE("initial values are rank 0's on every rank") {
  const auto transport = GENERATE(as<std::string>{}, "mem", "shm", "tcp");
  const int ranks = GENERATE(1, 2, 3, 4);
  const std::vector<std::size_t> counts{5, 0, 3000, 1};
  Complaints complaints(ranks);
  run_ranks(ranks,
            [&](World& world) {
              Field<float> model(counts, static_cast<std::uint64_t>(10 + world.rank()));
              const Field<float> first(counts, 10);
              complaints.expect(world.rank(), world.rank() == 0 || model.bytes() != first.bytes(),
                                "they differ before");
              const DataParallel data_parallel(world.communicator(), model.parameters());
              complaints.expect(world.rank(), model.bytes() == first.bytes(), "values");
            },
            {.transport = transport});
  REQUIRE(complaints.all() == "");
}
