// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/train_step/options.hpp"
#include "trireme/data/labelled_images.hpp"

namespace trireme::bench {

/// The training set of Fashion-MNIST, or images of its shape (60000 of 28 x 28 bytes, 10 classes): a random pattern per
/// class under noise, and some wrong labels, so that a loss on them falls as well but not to 0.
/// Errors: those of load_fashion_mnist, unless options.data is auto or synthetic.
data::LabelledImages load_training_data(const TrainStepOptions& options);

}  // namespace trireme::bench
