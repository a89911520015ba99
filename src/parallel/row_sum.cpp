// SPDX-License-Identifier: Apache-2.0
#include "parallel/row_sum.hpp"

#include "kernels/fold/fold.hpp"
#include "parallel/fold_elements.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace trireme::parallel {
namespace {

/// Only grows: what was there need not be kept, and nothing is filled twice.
std::byte* room(std::vector<std::byte>& memory, std::size_t bytes) {
  if (memory.size() < bytes) memory.resize(bytes);
  return memory.data();
}

void copy(std::byte* to, const std::byte* from, std::size_t bytes) {
  if (bytes != 0) std::memcpy(to, from, bytes);
}

}  // namespace

void RowSum::assign_identity() {
  identity_ = true;
  rows_.clear();
}

void RowSum::assign(const TensorView& gradient, std::span<const std::uint32_t> rows, double weight) {
  identity_ = false;
  rows_.assign(rows.begin(), rows.end());
  std::byte* const values = room(values_, rows.size() * row_bytes());
  const auto* const source = static_cast<const std::byte*>(gradient.data);
  for (std::size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
    end = end_of_run(rows, begin);
    kernels::scale(values + begin * row_bytes(), source + rows[begin] * columns_ * size_of(gradient.dtype),
                   gradient.dtype, weight, (end - begin) * columns_);
  }
}

void RowSum::add(const RowSum& right, Workspace& workspace) {
  if (right.identity_ && right.rows_.empty()) return;  // x + -0 is x
  if (rows_ == right.rows_) {
    add_elements(values_.data(), right.values_.data(), dtype_, rows_.size() * columns_);
  } else {
    workspace.rows.clear();
    std::set_union(rows_.begin(), rows_.end(), right.rows_.begin(), right.rows_.end(),
                   std::back_inserter(workspace.rows));
    const std::size_t bytes = workspace.rows.size() * row_bytes();
    std::byte* const sum = room(workspace.left, bytes);
    std::byte* const other = room(workspace.right, bytes);
    lay_out(sum, workspace.rows);
    right.lay_out(other, workspace.rows);
    add_elements(sum, other, dtype_, workspace.rows.size() * columns_);
    rows_.swap(workspace.rows);
    values_.swap(workspace.left);
  }
  identity_ = identity_ && right.identity_;
}

void RowSum::fill_untouched(std::byte* memory, std::size_t rows) const {
  if (identity_) {
    fill_identity(memory, dtype_, rows * columns_);
  } else {
    std::fill_n(memory, rows * row_bytes(), std::byte{0});
  }
}

void RowSum::lay_out(std::byte* memory, std::span<const std::uint32_t> among) const {
  std::size_t own = 0;
  for (std::size_t begin = 0, end = 0; begin < among.size(); begin = end) {
    std::byte* const to = memory + begin * row_bytes();
    end = begin;
    if (own < rows_.size() && rows_[own] == among[begin]) {
      const std::size_t first = own;
      while (end < among.size() && own < rows_.size() && rows_[own] == among[end]) ++end, ++own;
      copy(to, values_.data() + first * row_bytes(), (end - begin) * row_bytes());
    } else {
      while (end < among.size() && (own == rows_.size() || rows_[own] != among[end])) ++end;
      fill_untouched(to, end - begin);
    }
  }
}

void RowSum::lay_out_all(std::byte* memory, std::size_t count) const {
  std::size_t done = 0;
  for (std::size_t begin = 0, end = 0; begin < rows_.size(); begin = end) {
    end = end_of_run(rows_, begin);
    fill_untouched(memory + done * row_bytes(), rows_[begin] - done);
    copy(memory + rows_[begin] * row_bytes(), values_.data() + begin * row_bytes(), (end - begin) * row_bytes());
    done = rows_[begin] + (end - begin);
  }
  fill_untouched(memory + done * row_bytes(), count - done);
}

}  // namespace trireme::parallel
