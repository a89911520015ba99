// SPDX-License-Identifier: Apache-2.0
#include "ps/pulled_values.hpp"

#include "trireme/base/error.hpp"

#include <exception>
#include <string>

namespace trireme::ps {

/// The client would write to memory that its owner may free next.
PulledValues::~PulledValues() {
  try {
    wait_for_all();
  } catch (const std::exception&) {  // a client that has failed writes nothing more
  }
}

void PulledValues::pull_all(std::uint64_t step) {
  wait_for_all();
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    under_way_[p] = true;
    session_->client().pull(p, step, parameters_[p].value);
  }
}

void PulledValues::wait_for_all() {
  for (std::size_t p = 0; p < parameters_.size(); ++p) wait_for(p);
}

void PulledValues::wait_for(std::size_t parameter) {
  if (!under_way_[parameter]) return;
  session_->client().wait_values(parameter);
  under_way_[parameter] = false;
}

std::size_t PulledValues::checked(const char* call, std::size_t parameter) const {
  if (parameter < parameters_.size()) return parameter;
  fail(ErrorCode::invalid_argument, std::string(call) + ": there is no parameter " + std::to_string(parameter) +
                                        " among " + std::to_string(parameters_.size()) +
                                        ", of which each is a unit of its own");
}

}  // namespace trireme::ps
