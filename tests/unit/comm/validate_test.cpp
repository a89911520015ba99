// SPDX-License-Identifier: Apache-2.0
#include "comm/validate.hpp"

#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <string>

using namespace trireme;
using comm::Request;
using plan::Collective;

namespace {

constexpr int ranks = 4;
alignas(64) std::array<float, 64> values{};
alignas(64) std::array<float, 64> other_values{};

Request call_of(Collective collective) {
  Request request;
  request.ranks = ranks;
  request.collective = collective;
  request.leaves = ranks;
  const std::size_t in = collective == Collective::reduce_scatter ? 4 * ranks : 4;
  const std::size_t out = collective == Collective::all_gather ? 4 * ranks : 4;
  request.input = ConstTensorView(values.data(), in, DType::f32);
  request.output = TensorView(other_values.data(), out, DType::f32);
  if (collective == Collective::broadcast) request.input = request.output;
  return request;
}

Error refusal(const Request& request, int rank = 1) {
  try {
    comm::validate(request, rank);
  } catch (const Exception& caught) {
    return caught.error();
  }
  return {};
}

}  // namespace

TEST_CASE("a right call of every collective passes") {
  for (int i = 0; i <= static_cast<int>(Collective::send_recv); ++i) {
    Request request = call_of(static_cast<Collective>(i));
    CAPTURE(plan::name_of(request.collective), refusal(request).message);
    REQUIRE(!refusal(request));
    request.outgoing = true;
    REQUIRE(!refusal(request));
  }
}

TEST_CASE("a wrong argument is refused before any byte moves, by the operation's name, its label and what is wrong") {
  struct Wrong {
    Collective collective;
    ErrorCode code;
    const char* text;
    std::function<void(Request&)> make;
  };
  const auto invalid = ErrorCode::invalid_argument;
  const auto unsupported = ErrorCode::unsupported;
  const std::vector<Wrong> wrongs{
      {Collective::all_reduce, invalid, "input has 3 elements, output 4", [](Request& r) { r.input.count = 3; }},
      {Collective::all_reduce, invalid, "input is null", [](Request& r) { r.input.data = nullptr; }},
      {Collective::all_reduce, invalid, "output is null", [](Request& r) { r.output.data = nullptr; }},
      {Collective::all_reduce, invalid, "impossible count",
       [](Request& r) { r.input.count = r.output.count = std::numeric_limits<std::size_t>::max() / 2; }},
      {Collective::all_reduce, invalid, "not aligned",
       [](Request& r) { r.input.data = reinterpret_cast<const std::byte*>(values.data()) + 1; }},
      {Collective::all_reduce, invalid, "sum of bool",
       [](Request& r) { r.input.dtype = r.output.dtype = DType::boolean; }},
      {Collective::all_reduce, unsupported, "device memory",
       [](Request& r) { r.output.device.kind = DeviceKind::cuda; }},
      {Collective::all_reduce, invalid, "average of integers",
       [](Request& r) {
         r.input.dtype = r.output.dtype = DType::i32;
         r.op = average;
       }},
      {Collective::all_reduce, invalid, "input is f32 but output i32", [](Request& r) { r.output.dtype = DType::i32; }},
      {Collective::all_reduce, invalid, "input is f16 but output f32", [](Request& r) { r.input.dtype = DType::f16; }},
      {Collective::all_reduce, invalid, "overlap in part", [](Request& r) { r.output.data = values.data() + 1; }},
      {Collective::all_reduce, invalid, "overlap in part",
       [](Request& r) {
         r.output.data = values.data();
         r.output.dtype = DType::f16;
       }},
      {Collective::all_reduce, invalid, "leaves is 3", [](Request& r) { r.leaves = 3; }},
      {Collective::all_reduce, invalid, "leaves is 65536", [](Request& r) { r.leaves = 65536; }},
      {Collective::all_reduce, invalid, "leaves is -1", [](Request& r) { r.leaves = -1; }},
      {Collective::reduce_scatter, invalid, "input must have 4 times output's 4 elements, has 15",
       [](Request& r) { r.input.count = 15; }},
      {Collective::reduce_scatter, invalid, "overlap in part", [](Request& r) { r.output.data = values.data(); }},
      {Collective::reduce_scatter, invalid, "overlap in part", [](Request& r) { r.output.data = values.data() + 5; }},
      {Collective::reduce_scatter, invalid, "overlap in part", [](Request& r) { r.output.data = values.data() + 8; }},
      {Collective::all_gather, invalid, "output must have 4 times input's 4 elements, has 4",
       [](Request& r) { r.output.count = 4; }},
      {Collective::all_gather, invalid, "differ in dtype", [](Request& r) { r.input.dtype = DType::i32; }},
      {Collective::all_gather, invalid, "overlap in part",
       [](Request& r) { r.input.data = other_values.data(); }},  // rank 0's place
      {Collective::broadcast, invalid, "root 4 is not a rank of 0..3", [](Request& r) { r.root = 4; }},
      {Collective::broadcast, invalid, "root -1", [](Request& r) { r.root = -1; }},
      {Collective::broadcast, invalid, "data is null", [](Request& r) { r.output.data = nullptr; }},
      {Collective::send_recv, invalid, "peer 4 is not a rank of 0..3", [](Request& r) { r.root = 4; }},
      {Collective::send_recv, invalid, "data is null",
       [](Request& r) {
         r.outgoing = true;
         r.input.data = nullptr;
       }},
      {Collective::barrier, invalid, "leaves is 0", [](Request& r) { r.leaves = 0; }},
  };
  for (const auto& each : wrongs) {
    Request request = call_of(each.collective);
    each.make(request);
    const std::string label = "layer1.bias";
    std::copy(label.begin(), label.end(), request.label.begin());
    const auto error = refusal(request);
    CAPTURE(plan::name_of(each.collective), each.text, error.message);
    REQUIRE(error.code == each.code);
    REQUIRE(error.message.find(std::string(plan::name_of(each.collective)) + " 'layer1.bias': ") == 0);
    REQUIRE(error.message.find(each.text) != std::string::npos);
  }
}

TEST_CASE("buffers may be the same, or next to each other") {
  Request in_place = call_of(Collective::all_reduce);
  in_place.output.data = values.data();
  REQUIRE(!refusal(in_place));
  Request behind = call_of(Collective::all_reduce);
  behind.output.data = values.data() + 4;
  REQUIRE(!refusal(behind));
  Request before = call_of(Collective::all_reduce);
  before.input.data = values.data() + 4;
  before.output.data = values.data();
  REQUIRE(!refusal(before));
  Request gather = call_of(Collective::all_gather);
  for (int rank = 0; rank < ranks; ++rank) {
    gather.input.data = other_values.data() + 4 * rank;
    REQUIRE(!refusal(gather, rank));
    REQUIRE(refusal(gather, (rank + 1) % ranks).code == ErrorCode::invalid_argument);
  }
  Request scatter = call_of(Collective::reduce_scatter);
  for (int rank = 0; rank < ranks; ++rank) {
    scatter.output.data = values.data() + 4 * rank;
    REQUIRE(!refusal(scatter, rank));
    REQUIRE(refusal(scatter, (rank + 1) % ranks).code == ErrorCode::invalid_argument);
  }
}

TEST_CASE("counts of a reduce_scatter are one for each rank, add up to the input and fit the output") {
  const auto call = [](const std::vector<std::size_t>& counts, int rank) {
    Request request = call_of(Collective::reduce_scatter);  // of 16 elements
    request.uneven = true;
    request.input_blocks = request.output_blocks = counts;
    request.output.count = counts[static_cast<std::size_t>(rank)];
    return request;
  };
  const std::vector<std::size_t> counts{3, 0, 9, 4};
  std::size_t begin = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    Request right = call(counts, rank);
    REQUIRE(!refusal(right, rank));
    right.output.data = values.data() + begin;  // in place
    REQUIRE(!refusal(right, rank));
    right.output.data = values.data() + begin + 1;
    REQUIRE(!refusal(right, rank) == (right.output.count == 0));
    begin += right.output.count;
  }
  REQUIRE(refusal(call({3, 9, 4}, 1)).message.find("counts has 3 entries; give one for each of the 4 ranks") !=
          std::string::npos);
  REQUIRE(refusal(call({3, 1, 9, 4}, 1)).message.find("counts add up to 17 elements, input has 16") !=
          std::string::npos);
  Request wrong = call(counts, 2);
  REQUIRE(refusal(wrong, 3).message.find("output has 9 elements, but counts gives rank 3 4") != std::string::npos);
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max() / 16;
  const std::vector<std::size_t> impossible{most, 4, most, 0};
  REQUIRE(refusal(call(impossible, 1)).message.find("impossible count") != std::string::npos);
  const std::vector<std::size_t> nothing(ranks, 0);
  Request empty = call(nothing, 1);
  empty.input = ConstTensorView(nullptr, 0, DType::f32);
  empty.output = TensorView(nullptr, 0, DType::f32);
  REQUIRE(!refusal(empty));
}

TEST_CASE("nothing is a legal amount, wherever it lies") {
  for (const auto collective : {Collective::all_reduce, Collective::reduce_scatter, Collective::all_gather,
                                Collective::broadcast, Collective::send_recv}) {
    Request request = call_of(collective);
    request.input = ConstTensorView(nullptr, 0, DType::f32);
    request.output = TensorView(nullptr, 0, DType::f32);
    REQUIRE(!refusal(request));
  }
}

TEST_CASE("partial sums in the accumulator type are a legal input of a 16-bit result") {
  Request request = call_of(Collective::all_reduce);
  for (const DType half : {DType::f16, DType::bf16}) {
    request.output.dtype = half;
    REQUIRE(!refusal(request));
  }
}
