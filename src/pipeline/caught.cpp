// SPDX-License-Identifier: Apache-2.0
#include "pipeline/caught.hpp"

#include "trireme/base/error.hpp"

#include <exception>

namespace trireme::pipeline {

void abort_with_caught(Communicator communicator, const std::string& where) noexcept {
  Error cause;
  try {
    throw;
  } catch (const Exception& exception) {
    cause = exception.error();
  } catch (const std::exception& exception) {
    cause.message = exception.what();
  } catch (...) {
    cause.message = "an exception of an unknown type";
  }
  cause.message = where + " failed: " + cause.message;
  communicator.abort(cause);
}

}  // namespace trireme::pipeline
