// SPDX-License-Identifier: Apache-2.0
#include "trireme/models/classifier.hpp"

#include "trireme/base/error.hpp"

namespace trireme::models {

void Classifier::settle_buffers(std::span<const double> statistics) {
  if (!statistics.empty()) {
    fail(ErrorCode::invalid_argument,
         std::to_string(statistics.size()) + " statistics for a model that has no buffers to settle");
  }
}

void Classifier::use_access(ParameterAccess&) {
  fail(ErrorCode::unsupported, description() + ": gradients stay in the model's own memory");
}

void Classifier::use_statistics_exchange(StatisticsExchange* exchange) {
  if (exchange != nullptr) {
    fail(ErrorCode::unsupported,
         description() + ": there is no batch normalisation whose statistics ranks could share");
  }
}

}  // namespace trireme::models
