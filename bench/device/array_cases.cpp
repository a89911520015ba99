// SPDX-License-Identifier: Apache-2.0
#include "bench/device/cases.hpp"
#include "bench/device/memory.hpp"
#include "kernels/cast/cast.hpp"
#include "kernels/cast/cast_device.hpp"
#include "kernels/reduce/reduce_device.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <cstring>
#include <memory>
#include <string>

namespace trireme::bench {
namespace {

Case reduce_case(const Ground& ground, int sources, DType dtype) {
  struct State {
    std::vector<Twin> twins;
    std::vector<kernels::ReduceSource> host, device;
    std::vector<std::int16_t> program;
  };
  const auto state = std::make_shared<State>();
  const auto size = static_cast<std::size_t>(sources);
  const std::size_t count = ground.elements / size;
  for (std::size_t k = 0; k <= size; ++k) {  // the last one takes the result
    state->twins.emplace_back(ground, dtype, count, static_cast<std::uint32_t>(k));
    if (k == size) break;
    state->host.push_back({state->twins[k].host(), dtype});
    state->device.push_back({state->twins[k].device(), dtype});
  }
  const auto tree = layout::ReductionTree::contracted(sources, sources);
  state->program.assign(tree.postfix().begin(), tree.postfix().end());
  const auto call = [state, dtype, count](void* destination, const std::vector<kernels::ReduceSource>& from) {
    return kernels::ReduceCall{.kind = ReduceKind::sum,
                               .accumulator = accumulator_of(dtype),
                               .destination = destination,
                               .output = dtype,
                               .count = count,
                               .sources = from,
                               .program = state->program};
  };
  return {"reduce/" + std::to_string(sources) + "/" + std::string(name_of(dtype)), (size + 1) * count * size_of(dtype),
          [=] { kernels::reduce(call(state->twins.back().device(), state->device), ground.stream.queue()); },
          [=] {
            kernels::reduce(call(state->twins.back().host(), state->host));
            return state->twins.back().same(ground);
          }};
}

Case cast_case(const Ground& ground, DType from, DType to) {
  const std::size_t count = ground.elements / 2;
  const auto source = std::make_shared<Twin>(ground, from, count, 1);
  const auto destination = std::make_shared<Twin>(ground, to, count, 2);
  return {"cast/" + std::string(name_of(from)) + "_to_" + std::string(name_of(to)),
          count * (size_of(from) + size_of(to)),
          [=] { kernels::cast(destination->device(), to, source->device(), from, count, ground.stream.queue()); },
          [=] {
            kernels::cast(destination->host(), to, source->host(), from, count);
            return destination->same(ground);
          }};
}

}  // namespace

Case copy_case(const Ground& ground) {
  const std::size_t count = ground.elements / 2;
  const auto source = std::make_shared<Twin>(ground, DType::f32, count, 1);
  const auto destination = std::make_shared<Twin>(ground, DType::f32, count, 2);
  const std::size_t bytes = count * sizeof(float);
  return {"copy", 2 * bytes,
          [=] { ground.runtime->copy(destination->device(), source->device(), bytes, ground.stream.get()); },
          [=] {
            std::memcpy(destination->host(), source->host(), bytes);
            return destination->same(ground);
          }};
}

std::vector<CaseMaker> reduce_cases() {
  std::vector<CaseMaker> cases;
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const int sources : {2, 4, 8})
      cases.push_back([=](const Ground& ground) { return reduce_case(ground, sources, dtype); });
  }
  return cases;
}

std::vector<CaseMaker> cast_cases() {
  std::vector<CaseMaker> cases;
  for (const auto& [from, to] :
       {std::pair{DType::f32, DType::bf16}, std::pair{DType::bf16, DType::f32}, std::pair{DType::f32, DType::f16},
        std::pair{DType::f16, DType::f32}, std::pair{DType::f32, DType::f8e4m3}, std::pair{DType::f8e4m3, DType::f32},
        std::pair{DType::f64, DType::f32}})
    cases.push_back([from = from, to = to](const Ground& ground) { return cast_case(ground, from, to); });
  return cases;
}

}  // namespace trireme::bench
