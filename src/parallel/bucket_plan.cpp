// SPDX-License-Identifier: Apache-2.0
#include "parallel/bucket_plan.hpp"

#include "trireme/base/dtype.hpp"

#include <algorithm>

namespace trireme::parallel {
namespace {

constexpr std::size_t line = 64;
constexpr std::size_t round_up(std::size_t bytes) { return (bytes + line - 1) / line * line; }

}  // namespace

std::vector<std::size_t> reverse_order(const std::vector<bool>& left_out) {
  std::vector<std::size_t> order;
  for (std::size_t p = left_out.size(); p-- > 0;) {
    if (!left_out[p]) order.push_back(p);
  }
  return order;
}

BucketPlan plan_buckets(std::span<const Parameter> parameters, Bytes first, Bytes rest) {
  return plan_buckets(parameters, first, rest, reverse_order(std::vector<bool>(parameters.size(), false)));
}

BucketPlan plan_buckets(std::span<const Parameter> parameters, Bytes first, Bytes rest,
                        std::span<const std::size_t> order, std::span<const std::size_t> unit_of) {
  first = std::min(first, rest);
  BucketPlan plan;
  std::size_t last_unit = no_unit;
  plan.places.resize(parameters.size());
  for (const std::size_t i : order) {
    const DType dtype = accumulator_of(parameters[i].gradient.dtype);
    const std::size_t bytes = round_up(parameters[i].gradient.count * size_of(dtype));
    const Bytes limit = plan.buckets.size() <= 1 ? first : rest;
    const std::size_t unit = unit_of.empty() ? no_unit : unit_of[i];
    // A change of type or unit starts a new bucket; so does what would overflow the one under way.
    const bool fits = !plan.buckets.empty() && plan.buckets.back().dtype == dtype && unit == last_unit &&
                      (unit != no_unit || plan.buckets.back().count * size_of(dtype) + bytes <= limit.value);
    last_unit = unit;
    if (!fits) {
      plan.buckets.emplace_back();
      plan.buckets.back().dtype = dtype;
      plan.buckets.back().begin_bytes = plan.size_bytes;
    }
    auto& bucket = plan.buckets.back();
    bucket.parameters.push_back(i);
    plan.places[i] = {plan.buckets.size() - 1, plan.size_bytes, parameters[i].gradient.count, dtype};
    bucket.count += bytes / size_of(dtype);
    plan.size_bytes += bytes;
  }
  return plan;
}

std::vector<std::string> bucket_labels(const BucketPlan& plan, std::span<const Parameter> parameters) {
  std::vector<std::string> labels;
  for (const Bucket& bucket : plan.buckets) {
    const auto& in = bucket.parameters;
    labels.push_back("bucket " + std::to_string(labels.size()) + " " + parameters[in.front()].name);
    if (in.size() > 1) labels.back() += "..";
  }
  return labels;
}

void place_gradients(std::span<Parameter> parameters, const BucketPlan& plan, std::span<std::byte> memory) {
  for (const Bucket& bucket : plan.buckets) {
    for (const std::size_t p : bucket.parameters) {
      const GradientPlace& place = plan.places[p];
      const Device device = parameters[p].value.device;
      parameters[p].gradient = {memory.data() + place.begin_bytes, place.count, place.dtype, device};
    }
  }
}

}  // namespace trireme::parallel
