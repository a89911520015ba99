// SPDX-License-Identifier: Apache-2.0
#include "cli/plan/model_size.hpp"

#include "trireme/base/error.hpp"

#include <string>

namespace trireme::cli {

ModelSize gpt_size(std::int64_t layers, std::int64_t heads, std::int64_t channels, std::int64_t context,
                   std::int64_t vocabulary) {
  if (channels % heads != 0) {
    fail(ErrorCode::invalid_argument,
         "--heads " + std::to_string(heads) + " does not divide --channels " + std::to_string(channels));
  }
  const auto c = static_cast<double>(channels);
  return {.layers = layers,
          .heads = heads,
          .channels = channels,
          .context = context,
          .vocabulary = vocabulary,
          .shared_weights = 12 * c * c + 7 * c,
          .whole_weights = 6 * c};
}

ModelSize model_of(double parameters, std::int64_t layers, std::int64_t heads, std::int64_t channels,
                   std::int64_t context, std::int64_t vocabulary) {
  ModelSize model = gpt_size(layers, heads, channels, context, vocabulary);
  const double outer = model.table() + model.positions() + model.final_norm();
  const double block = (parameters - outer) / static_cast<double>(layers);
  if (block <= model.whole_weights) {
    fail(ErrorCode::invalid_argument,
         "--parameters " + std::to_string(static_cast<std::int64_t>(parameters)) + " leaves nothing for " +
             std::to_string(layers) +
             " layers: the table of --vocabulary, the positions of --context and the norms of "
             "--channels take " +
             std::to_string(static_cast<std::int64_t>(outer)));
  }
  model.shared_weights = block - model.whole_weights;
  return model;
}

}  // namespace trireme::cli
