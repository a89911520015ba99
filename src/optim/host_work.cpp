// SPDX-License-Identifier: Apache-2.0
#include "optim/host_work.hpp"

#include "kernels/cast/cast.hpp"
#include "optim/state_layout.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace trireme::optim {
namespace {

template <class View>
View cut(View view, std::size_t begin, std::size_t count) {
  using Byte = std::conditional_t<std::is_same_v<View, TensorView>, std::byte, const std::byte>;
  if (begin != 0) view.data = static_cast<Byte*>(view.data) + begin * size_of(view.dtype);
  view.count = count;
  return view;
}

std::span<std::byte> bytes_of(const TensorView& view) {
  return {static_cast<std::byte*>(view.data), view.size_bytes()};
}

bool is_far(const SpanUpdate& update) { return on_a_device(update.gradient.device); }

}  // namespace

std::size_t HostWork::piece_of(const HostJob& job) const {
  const std::size_t count = job.span.value.count, size = size_of(job.span.value.dtype);
  if (job.extent == nullptr) return count;
  std::size_t bytes = job.span.copy.count != 0 ? size : 0;  // of an element's state, master included
  for (const TensorView& each : job.span.state) {
    if (each.count != count) return count;
    bytes += size;
  }
  const std::size_t blocks = piece_bytes / (std::max<std::size_t>(bytes, 1) * layout::reduction_block);
  return std::max<std::size_t>(blocks, 1) * layout::reduction_block;
}

template <class Visit>
void HostWork::for_extent(const HostJob& job, std::size_t begin, const Visit& visit) const {
  const std::size_t skip = begin * size_of(job.span.value.dtype);
  std::size_t at = 0;
  for (std::size_t k = 0; k < state_here_.size(); ++k) {
    visit(state_here_[k], at + skip);
    at += padded(job.span.state[k].size_bytes());
  }
  if (job.span.copy.count != 0) visit(here_.value, at + skip);
}

void HostWork::fetch(const HostJob& job, OnDevice* device, std::size_t begin, std::size_t count) {
  const SpanUpdate& all = job.span;
  const bool has_master = all.copy.count != 0, in_file = job.extent != nullptr, far = is_far(all);
  const auto size_of_state = [&](const TensorView& each) { return each.count == all.value.count ? count : each.count; };
  here_ = all;
  here_.gradient = cut(all.gradient, begin, count);
  if (has_master) here_.copy = cut(all.copy, begin, count);
  if (!in_file || !has_master) here_.value = cut(all.value, begin, count);
  state_here_.clear();
  for (const TensorView& each : all.state)
    state_here_.push_back(in_file ? each : cut(each, each.count == all.value.count ? begin : 0, size_of_state(each)));
  if (far) {
    there_ = here_;
    state_there_ = state_here_;
    std::size_t bytes = padded(here_.gradient.size_bytes()) + padded(here_.copy.size_bytes());
    if (on_a_device(here_.value.device)) bytes += padded(here_.value.size_bytes());
    for (const TensorView& each : state_here_) bytes += in_file ? 0 : padded(each.size_bytes());
    std::byte* at = device->staging(bytes);
    const auto staged = [&](const ConstTensorView& there, bool is_fetched) {
      const TensorView view(at, there.count, there.dtype);
      at += padded(there.size_bytes());
      if (is_fetched) device->copy(view.data, there.data, there.size_bytes());
      return view;
    };
    here_.gradient = staged(there_.gradient, true);
    if (has_master) here_.copy = staged(there_.copy, in_file && job.is_fresh);
    if (on_a_device(there_.value.device)) here_.value = staged(there_.value, true);
    if (!in_file)
      for (TensorView& each : state_here_) each = staged(each, true);
    device->synchronize();
  }
  if (in_file) {
    std::size_t bytes = has_master ? padded(count * size_of(all.value.dtype)) : 0;
    for (const TensorView& each : state_here_) bytes += padded(size_of_state(each) * size_of(each.dtype));
    const std::size_t lines = (bytes + sizeof(Line) - 1) / sizeof(Line);
    if (buffer_.size() < lines) {
      buffer_ = {};  // first the old one
      buffer_.resize(lines);
    }
    auto* at = reinterpret_cast<std::byte*>(buffer_.data());
    const auto placed = [&](std::size_t elements, DType dtype) {
      const TensorView view(at, elements, dtype);
      at += padded(view.size_bytes());
      return view;
    };
    for (TensorView& each : state_here_) each = placed(size_of_state(each), each.dtype);
    if (has_master) here_.value = placed(count, all.value.dtype);
    for_extent(job, begin, [&](const TensorView& tensor, std::size_t from) {
      if (job.is_fresh) {
        std::memset(tensor.data, 0, tensor.size_bytes());
      } else {
        job.extent->read(from, bytes_of(tensor));
        if (begin + count < all.value.count) job.extent->expect(from + tensor.size_bytes(), tensor.size_bytes());
      }
    });
    if (has_master && job.is_fresh)
      kernels::cast(here_.value.data, here_.value.dtype, here_.copy.data, here_.copy.dtype, count);
  }
  here_.state = state_here_;
}

void HostWork::put_back(const HostJob& job, OnDevice* device, std::size_t begin) const {
  if (job.extent != nullptr) {
    for_extent(job, begin, [&](const TensorView& tensor, std::size_t to) { job.extent->write(to, bytes_of(tensor)); });
  }
  if (!is_far(job.span)) return;
  if (job.extent == nullptr) {
    for (std::size_t k = 0; k < state_here_.size(); ++k)
      device->copy(state_there_[k].data, state_here_[k].data, state_here_[k].size_bytes());
  }
  if (on_a_device(there_.value.device)) device->copy(there_.value.data, here_.value.data, here_.value.size_bytes());
  if (here_.copy.count != 0) device->copy(there_.copy.data, here_.copy.data, here_.copy.size_bytes());
  device->synchronize();
}

}  // namespace trireme::optim
