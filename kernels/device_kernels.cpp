// SPDX-License-Identifier: Apache-2.0
#include "kernels/device_kernels.hpp"

#include "kernels/batch_norm/batch_norm_device.hpp"
#include "kernels/cast/cast_device.hpp"
#include "kernels/causal_softmax/causal_softmax_device.hpp"
#include "kernels/dense/dense_device.hpp"
#include "kernels/embedding/embedding_device.hpp"
#include "kernels/fold/fold_device.hpp"
#include "kernels/gelu/gelu_device.hpp"
#include "kernels/gemm/gemm_device.hpp"
#include "kernels/layer_norm/layer_norm_device.hpp"
#include "kernels/norm/norm_device.hpp"
#include "kernels/pack/pack_device.hpp"
#include "kernels/patches/patches_device.hpp"
#include "kernels/plane_convolution/plane_convolution_device.hpp"
#include "kernels/pooled_relu/pooled_relu_device.hpp"
#include "kernels/pooling/pooling_device.hpp"
#include "kernels/reduce/reduce_device.hpp"
#include "kernels/residual/residual_device.hpp"
#include "kernels/sparse_product/sparse_product_device.hpp"
#include "kernels/token_cross_entropy/token_cross_entropy_device.hpp"
#include "kernels/update/update_device.hpp"
#include "kernels/vocabulary_cross_entropy/vocabulary_cross_entropy_device.hpp"
#include "trireme/device/gemm_engines.hpp"

namespace trireme::kernels {

std::vector<const device::KernelEntry*> device_kernels() {
  std::vector<const device::KernelEntry*> kernels;
  batch_norm_kernels(kernels);
  cast_kernels(kernels);
  causal_softmax_kernels(kernels);
  dense_kernels(kernels);
  embedding_kernels(kernels);
  fold_kernels(kernels);
  gelu_kernels(kernels);
  gemm_kernels(kernels);
  layer_norm_kernels(kernels);
  norm_kernels(kernels);
  pack_kernels(kernels);
  patches_kernels(kernels);
  plane_convolution_kernels(kernels);
  pooled_relu_kernels(kernels);
  pooling_kernels(kernels);
  reduce_kernels(kernels);
  residual_kernels(kernels);
  sparse_product_kernels(kernels);
  token_cross_entropy_kernels(kernels);
  trust_kernels(kernels);
  update_kernels(kernels);
  vocabulary_cross_entropy_kernels(kernels);
  device::own_gemm_kernels(kernels);
  return kernels;
}

}  // namespace trireme::kernels
