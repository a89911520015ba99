// SPDX-License-Identifier: Apache-2.0
#include "parallel/leaf_pass.hpp"

#include "trireme/base/error.hpp"
#include "trireme/layout/reduction_tree.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace trireme::parallel {
namespace {

[[noreturn]] void refuse_call(const std::string& what) { fail(ErrorCode::invalid_argument, what); }

}  // namespace

void LeafPass::begin_step() {
  leaf_ = -1;
  leaf_of_fold_ = {};
  in_leaf_ = last_ = false;
}

void LeafPass::begin_leaf(double weight) {
  if (in_leaf_ || leaf_ + 1 >= own_leaves_) refuse_call("a shard is begun before the last one ended, or one too many");
  ++leaf_;
  in_leaf_ = true;
  last_ = leaf_ + 1 == own_leaves_;
  leaf_of_fold_.combines = layout::combines_after(own_leaves_, leaf_);
  leaf_of_fold_.weight = weight;
  touched_ = false;
  std::fill(settled_.begin(), settled_.end(), false);
}

void LeafPass::set_weight(double weight) {
  if (!in_leaf_) refuse_call("weight(): no shard is under way");
  if (touched_) refuse_call("weight() must come before the first ready() of its shard");
  if (!std::isfinite(weight) || weight < 0)
    refuse_call("weight(): " + std::to_string(weight) + " is not a finite number of at least 0");
  leaf_of_fold_.weight = weight;
}

void LeafPass::end_leaf() {
  if (!in_leaf_) refuse_call("a shard ends that was not begun");
  leaf_of_fold_.below += 1 - leaf_of_fold_.combines;
  in_leaf_ = false;
}

void LeafPass::check_passed() const {
  if (in_leaf_ || leaf_ + 1 != own_leaves_)
    refuse_call("reduce(): " + std::to_string(own_leaves_ - leaf_ - 1 + in_leaf_) + " shards have not been passed");
}

void LeafPass::check_in_leaf(const std::string& call) const {
  if (!in_leaf_) refuse_call(call + ": no shard is under way");
}

bool LeafPass::touch() { return !std::exchange(touched_, true); }

}  // namespace trireme::parallel
