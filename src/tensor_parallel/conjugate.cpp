// SPDX-License-Identifier: Apache-2.0
#include "trireme/tensor_parallel/conjugate.hpp"

#include "tensor_parallel/share_moves.hpp"

namespace trireme::tensor_parallel {

void replicated_to_copies_backward(Axis& axis, TensorView dx, std::string_view label) {
  replicated_to_copies_backward_async(axis, dx, label).wait();
}

Work replicated_to_copies_backward_async(Axis& axis, TensorView dx, std::string_view label) {
  if (axis.size() == 1) return {};
  Communicator communicator = axis.communicator();
  return communicator.all_reduce_async(dx, dx, sum, axis.call(label));
}

void partial_to_replicated(Axis& axis, TensorView x, std::string_view label) {
  if (axis.size() == 1) return;
  Communicator communicator = axis.communicator();
  communicator.all_reduce(x, x, sum, axis.call(label));
}

void replicated_to_sharded(Axis& axis, const Split& split, ConstTensorView whole, TensorView share,
                           std::string_view label) {
  take_share(axis, split, whole, share, label);
}
void replicated_to_sharded_backward(Axis& axis, const Split& split, ConstTensorView dshare, TensorView dwhole,
                                    std::string_view label) {
  gather_shares(axis, split, dshare, dwhole, label);
}

void sharded_to_replicated(Axis& axis, const Split& split, ConstTensorView share, TensorView whole,
                           std::string_view label) {
  gather_shares(axis, split, share, whole, label);
}
void sharded_to_replicated_backward(Axis& axis, const Split& split, ConstTensorView dwhole, TensorView dshare,
                                    std::string_view label) {
  take_share(axis, split, dwhole, dshare, label);
}

void sharded_to_copies(Axis& axis, const Split& split, ConstTensorView share, TensorView whole,
                       std::string_view label) {
  gather_shares(axis, split, share, whole, label);
}
void sharded_to_copies_backward(Axis& axis, const Split& split, ConstTensorView dwhole, TensorView dshare,
                                std::string_view label) {
  sum_to_shares(axis, split, dwhole, dshare, label);
}

void partial_to_sharded(Axis& axis, const Split& split, ConstTensorView whole, TensorView share,
                        std::string_view label) {
  sum_to_shares(axis, split, whole, share, label);
}
void partial_to_sharded_backward(Axis& axis, const Split& split, ConstTensorView dshare, TensorView dwhole,
                                 std::string_view label) {
  gather_shares(axis, split, dshare, dwhole, label);
}

}  // namespace trireme::tensor_parallel
