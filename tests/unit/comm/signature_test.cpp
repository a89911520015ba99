// SPDX-License-Identifier: Apache-2.0
#include "comm/signature.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <functional>
#include <random>
#include <set>
#include <vector>

using namespace trireme;
using comm::describe;
using comm::Request;
using comm::signature_of;
using plan::Collective;

namespace {

Request request_of(Collective collective) {
  Request request;
  request.collective = collective;
  request.input = ConstTensorView(nullptr, 10, DType::f32);
  request.output = TensorView(nullptr, 10, DType::f32);
  request.leaves = 4;
  return request;
}

using Change = std::function<void(Request&)>;

}  // namespace

TEST_CASE("whatever the ranks must agree on changes the signature") {
  struct Case {
    Collective collective;
    std::vector<std::pair<const char*, Change>> changes;
  };
  const std::vector<Case> cases{
      {Collective::all_reduce,
       {{"count", [](Request& r) { r.output.count = 11; }},
        {"output dtype", [](Request& r) { r.output.dtype = DType::f16; }},
        {"input dtype", [](Request& r) { r.input.dtype = DType::f16; }},
        {"reduction", [](Request& r) { r.op = product; }},
        {"divisor", [](Request& r) { r.op.scalar = 2; }},
        {"order", [](Request& r) { r.order = ReductionOrder::fastest; }},
        {"leaves", [](Request& r) { r.leaves = 5; }}}},
      {Collective::reduce_scatter,
       {{"count", [](Request& r) { r.output.count = 12; }},
        {"output dtype", [](Request& r) { r.output.dtype = DType::f64; }},
        {"input dtype", [](Request& r) { r.input.dtype = DType::f64; }},
        {"reduction", [](Request& r) { r.op = average_over(3); }},
        {"order", [](Request& r) { r.order = ReductionOrder::fastest; }},
        {"leaves", [](Request& r) { r.leaves = 8; }}}},
      {Collective::all_gather,
       {{"count", [](Request& r) { r.input.count = 20; }}, {"dtype", [](Request& r) { r.output.dtype = DType::i32; }}}},
      {Collective::broadcast,
       {{"count", [](Request& r) { r.output.count = 20; }},
        {"dtype", [](Request& r) { r.output.dtype = DType::u8; }},
        {"root", [](Request& r) { r.root = 3; }}}},
  };
  for (const auto& each : cases) {
    const auto base = signature_of(request_of(each.collective), 0);
    REQUIRE(signature_of(request_of(each.collective), 0) == base);
    for (const auto& [what, change] : each.changes) {
      CAPTURE(plan::name_of(each.collective), what);
      Request changed = request_of(each.collective);
      change(changed);
      REQUIRE(signature_of(changed, 0) != base);
      REQUIRE(describe(signature_of(changed, 0)) != describe(base));
    }
  }
  std::set<std::array<std::uint64_t, 3>> all;
  for (int i = 0; i <= static_cast<int>(Collective::send_recv); ++i)
    all.insert(signature_of(request_of(static_cast<Collective>(i)), 0).words);
  REQUIRE(all.size() == 6);
}

TEST_CASE("the sizes of a reduce_scatter's blocks and its divisor are in the signature, and its own size is not") {
  const std::array<std::size_t, 2> counts{4, 6}, others{6, 4};
  const auto call = [](std::span<const std::size_t> blocks, ReduceOp op, std::size_t own) {
    Request request = request_of(Collective::reduce_scatter);
    request.ranks = 2;
    request.output.count = own;
    request.op = op;
    request.uneven = true;
    request.input_blocks = request.output_blocks = blocks;
    return signature_of(request, 0);
  };
  REQUIRE(call(counts, sum, 4) == call(counts, sum, 6));
  REQUIRE(call(counts, sum, 4) != call(others, sum, 6));
  REQUIRE(call(counts, average_over(3), 4) != call(counts, average_over(5), 4));
  REQUIRE(call(counts, average_over(3), 4) != call(counts, average, 4));
  REQUIRE(call(counts, premultiplied_sum(3), 4) == call(counts, premultiplied_sum(5), 4));  // each rank has its own
  REQUIRE(describe(call(counts, average_over(3), 4)).find("digest of counts and divisor ") != std::string::npos);
}

TEST_CASE("the forced algorithm is part of an all_reduce's signature and of no other's") {
  std::set<std::array<std::uint64_t, 3>> seen;
  for (int algorithm = 0; algorithm <= 4; ++algorithm)
    seen.insert(signature_of(request_of(Collective::all_reduce), algorithm).words);
  REQUIRE(seen.size() == 5);
  REQUIRE(signature_of(request_of(Collective::broadcast), 1) == signature_of(request_of(Collective::broadcast), 0));
  REQUIRE(describe(signature_of(request_of(Collective::all_reduce), 4)).find("algorithm ring") != std::string::npos);
}

TEST_CASE("what may differ between ranks is not in the signature") {
  const auto base = signature_of(request_of(Collective::all_reduce), 0);
  Request other = request_of(Collective::all_reduce);
  float value = 0;
  other.input.data = &value;
  other.timeout = std::chrono::seconds(3);
  other.label[0] = 'w';
  other.root = 7;
  REQUIRE(signature_of(other, 0) == base);
  Request barrier = request_of(Collective::broadcast);
  barrier.leaves = 9;
  barrier.op = product;
  REQUIRE(signature_of(barrier, 0) == signature_of(request_of(Collective::broadcast), 0));
}

TEST_CASE("a send and the receive it meets have the same signature") {
  Request send = request_of(Collective::send_recv);
  send.outgoing = true;
  send.root = 1;
  send.output = {};
  Request receive = request_of(Collective::send_recv);
  receive.root = 0;
  receive.input = {};
  REQUIRE(signature_of(send, 0) == signature_of(receive, 0));
  send.input.count = 11;
  REQUIRE(signature_of(send, 0) != signature_of(receive, 0));
}

TEST_CASE("a signature in words says what was called") {
  Request request = request_of(Collective::all_reduce);
  REQUIRE(describe(signature_of(request, 0)) == "all_reduce(count 10, f32, sum, canonical, 4 leaves)");
  request.output.dtype = DType::bf16;
  request.op = average_over(12.5);
  request.order = ReductionOrder::fastest;
  REQUIRE(describe(signature_of(request, 3)) ==
          "all_reduce(count 10, bf16 from f32, average over 12.5, fastest, 4 leaves, algorithm tree)");
  Request broadcast = request_of(Collective::broadcast);
  broadcast.root = 2;
  REQUIRE(describe(signature_of(broadcast, 0)) == "broadcast(count 10, f32, root 2)");
  REQUIRE(describe(signature_of(request_of(Collective::barrier), 0)) == "barrier()");
  // As the caller counts: per rank, not P times as many.
  Request scatter = request_of(Collective::reduce_scatter);
  scatter.input.count = 4 * scatter.output.count;
  REQUIRE(describe(signature_of(scatter, 0)) == "reduce_scatter(count 10 per rank, f32, sum, canonical, 4 leaves)");
  Request gather = request_of(Collective::all_gather);
  gather.output.count = 4 * gather.input.count;
  REQUIRE(describe(signature_of(gather, 0)) == "all_gather(count 10 per rank, f32)");
  // With counts: of all blocks, and their digest.
  const std::array<std::size_t, 4> counts{0, 25, 10, 5};
  scatter.ranks = 4;
  scatter.uneven = true;
  scatter.input_blocks = scatter.output_blocks = counts;
  const std::string uneven = describe(signature_of(scatter, 0));
  REQUIRE(uneven.find("reduce_scatter(uneven, count 40 in all, counts' digest ") == 0);
  REQUIRE(uneven.find(", f32, sum, canonical, 4 leaves)") != std::string::npos);
  REQUIRE(describe({{0xff, 0, 0}}) == "an unknown operation");
}

TEST_CASE("what is captured in a graph is another call than the same at once, and says so") {
  Request request = request_of(Collective::all_reduce);
  for (const auto order : {ReductionOrder::canonical, ReductionOrder::fastest}) {
    request.order = order;
    const transport::Stamp at_once = comm::signature_of(request, 0);
    transport::Stamp captured = at_once;
    captured.words[0] |= comm::captured_bit;
    REQUIRE_FALSE(comm::same_call(at_once, captured));
    const std::string words = comm::describe(at_once);
    REQUIRE(comm::describe(captured) == words.substr(0, words.size() - 1) + ", captured in a graph)");
  }
}

TEST_CASE("any bits can be put into words, on one line") {
  std::mt19937_64 random(8);
  for (int i = 0; i < 20000; ++i) {
    transport::Stamp stamp{{random(), random(), random()}};
    if (i % 2 == 0) stamp.words[0] = (stamp.words[0] & ~std::uint64_t{0xff}) | random() % 8;
    const auto text = describe(stamp);
    REQUIRE(!text.empty());
    REQUIRE(text.size() < 220);
    REQUIRE(text.find('\n') == std::string::npos);
  }
}
