// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/half.hpp"
#include "trireme/layout/flat_shards.hpp"
#include "trireme/layout/interval.hpp"
#include "unit/optim/rules.hpp"
#include "unit/optim/tensors.hpp"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

namespace trireme::testing {

/// Tensors of every type that is updated, some of several reduction blocks, with values and gradients that depend on the step
/// alone.
struct PartedModel {
  struct Tensor {
    std::string name;
    std::vector<std::int64_t> shape;
    DType dtype, gradient_dtype;
    std::size_t count;
    std::vector<std::byte> value, gradient;
  };
  std::vector<Tensor> tensors;

  PartedModel() {
    add("layer.weight", {130, 100}, DType::f32, DType::f32);
    add("layer.bias", {7}, DType::f32, DType::f32);
    add("wide.weight", {2, 4096}, DType::f64, DType::f64);
    add("half.weight", {3 * 4096 + 77}, DType::f16, DType::f16);
    add("brain.weight", {90, 101}, DType::bf16, DType::f32);
    add("brain.bias", {4097}, DType::bf16, DType::bf16);
    add("empty", {0}, DType::f32, DType::f32);
  }
  void add(std::string name, std::vector<std::int64_t> shape, DType dtype, DType gradient) {
    std::size_t count = 1;
    for (const std::int64_t side : shape) count *= static_cast<std::size_t>(side);
    tensors.push_back({std::move(name), std::move(shape), dtype, gradient, count,
                       elements(tensors.size(), count, dtype), std::vector<std::byte>(count * size_of(gradient))});
  }
  static std::vector<std::byte> elements(std::uint64_t stream, std::size_t count, DType dtype) {
    std::vector<std::byte> bytes(count * size_of(dtype));
    for (std::size_t i = 0; i < count; ++i) {
      const double wide = uniform(stream, i);
      const auto narrow = static_cast<float>(wide);
      const BFloat16 brain = to_bfloat16(narrow);
      const Float16 half = to_float16(narrow);
      std::byte* to = bytes.data() + i * size_of(dtype);
      switch (dtype) {
        case DType::f64: std::memcpy(to, &wide, 8); break;
        case DType::f32: std::memcpy(to, &narrow, 4); break;
        case DType::bf16: std::memcpy(to, &brain, 2); break;
        default: std::memcpy(to, &half, 2);
      }
    }
    return bytes;
  }
  void set_gradients(std::uint64_t step) {
    for (std::size_t i = 0; i < tensors.size(); ++i)
      tensors[i].gradient = elements(100 * step + i + 1000, tensors[i].count, tensors[i].gradient_dtype);
  }
  /// One of them, from `part.begin` to `part.end`.
  static Optimizer::TensorUpdate update_of(Tensor& each, layout::Interval part) {
    return {.parameter = each.name,
            .value = {each.value.data() + part.begin * size_of(each.dtype), part.size(), each.dtype},
            .gradient = {each.gradient.data() + part.begin * size_of(each.gradient_dtype), part.size(),
                         each.gradient_dtype},
            .shape = each.shape,
            .first = part.begin};
  }
  std::vector<Optimizer::TensorUpdate> updates() {
    std::vector<Optimizer::TensorUpdate> all;
    for (Tensor& each : tensors) all.push_back(update_of(each, {0, each.count}));
    return all;
  }
};

/// The parts of every tensor that each of `owners` has: cut at edges of blocks that `seed` chooses, or between tensors.
inline std::vector<std::vector<layout::Interval>> random_parts(const PartedModel& model, std::size_t owners,
                                                               std::uint64_t seed, bool whole_tensors) {
  std::vector<std::vector<layout::Interval>> parts(owners);
  for (std::size_t t = 0; t < model.tensors.size(); ++t) {
    const std::size_t count = model.tensors[t].count;
    const std::size_t blocks = (count + layout::reduction_block - 1) / layout::reduction_block;
    std::vector<std::size_t> edges{0, count};
    const std::size_t alone = mix(seed + 31 * t) % owners;
    for (std::size_t k = 1; k < owners; ++k) {
      const std::size_t cut = mix(seed * 977 + t * 131 + k) % (blocks + 1);
      edges.push_back(whole_tensors ? (k <= alone ? 0 : count) : std::min(cut * layout::reduction_block, count));
    }
    std::sort(edges.begin(), edges.end());
    for (std::size_t k = 0; k < owners; ++k) parts[k].push_back({edges[k], edges[k + 1]});
  }
  return parts;
}

/// Threads that own parts: the sums of all, given to all.
class ThreadSums {
 public:
  explicit ThreadSums(std::size_t owners) : owners_(owners) {}
  void sum(std::span<double> own) {
    std::unique_lock lock(mutex_);
    if (arrived_ == 0) sums_.assign(own.size(), -0.0);
    for (std::size_t i = 0; i < own.size(); ++i) sums_[i] += own[i];
    const std::size_t round = round_;
    if (++arrived_ == owners_) {
      arrived_ = 0;
      ++round_;
      result_ = sums_;
      all_here_.notify_all();
    }
    all_here_.wait(lock, [&] { return round_ != round; });
    std::copy(result_.begin(), result_.end(), own.begin());
    ++calls_;
  }
  std::size_t calls() const { return calls_; }

 private:
  std::size_t owners_;
  std::mutex mutex_;
  std::condition_variable all_here_;
  std::vector<double> sums_, result_;
  std::size_t arrived_ = 0, round_ = 0, calls_ = 0;
};

class ThreadExchange final : public Optimizer::SumsExchange {
 public:
  explicit ThreadExchange(ThreadSums& sums) : sums_(sums) {}
  void sum(std::span<double> block_sums) override { sums_.sum(block_sums); }

 private:
  ThreadSums& sums_;
};

/// A copy of what an optimizer has of a parameter.
struct PartState {
  Optimizer::SavedState saved;
  std::map<std::string, std::vector<std::byte>> bytes;
};
inline PartState state_of_part(const Optimizer& optimizer, const std::string& parameter) {
  PartState state{optimizer.saved(parameter), {}};
  for (const auto& [name, tensor] : state.saved.tensors) {
    auto& to = state.bytes[name];
    to.resize(tensor.size_bytes());
    if (!to.empty()) std::memcpy(to.data(), tensor.data, to.size());
  }
  return state;
}

/// What is wrong with `part` as a part of the state `whole` had; empty: nothing.
inline std::string difference(const Optimizer& whole, const Optimizer& part, const std::string& parameter,
                              layout::Interval range) {
  const PartState all = state_of_part(whole, parameter), some = state_of_part(part, parameter);
  if (all.saved.steps != some.saved.steps) return parameter + ": other counts of steps";
  if (some.saved.count != range.size()) return parameter + ": another count";
  if (some.saved.shape.count() != all.saved.count) return parameter + ": another whole";
  if (range.size() != 0 && some.saved.first != range.begin) return parameter + ": it begins elsewhere";
  const std::size_t size = all.saved.dtype == DType::f64 ? 8 : 4;
  for (const auto& [name, bytes] : all.bytes) {
    const auto& other = some.bytes.at(name);
    const bool is_whole = range.size() == all.saved.count;
    const std::size_t from = is_whole ? 0 : range.begin * size;
    const std::size_t length = is_whole ? bytes.size() : std::min(bytes.size(), range.size() * size);
    if (other.size() != length) return parameter + "/" + name + ": " + std::to_string(other.size()) + " bytes";
    if (length != 0 && std::memcmp(bytes.data() + from, other.data(), length) != 0)
      return parameter + "/" + name + ": other bits";
  }
  return "";
}

}  // namespace trireme::testing
