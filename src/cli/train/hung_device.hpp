// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"

#include <cstdio>
#include <cstdlib>
#include <functional>

namespace trireme::cli {

/// Whatever a job has to do before it may end, when its end cannot be an orderly one.
struct LastWords {
  std::function<bool()> device_hangs;    ///< World::device_hangs()
  std::function<int(const Error&)> say;  ///< all there is to say and to write; the exit code
};

/// body(). Where it fails while the device still works on what was given up, the process ends in here, behind what it
/// has to say: giving back memory and streams, as destructors would, may wait for the device for ever.
template <class Body>
auto outlive_device(Body body, const LastWords& last_words) {
  try {
    return body();
  } catch (const Exception& exception) {
    if (!last_words.device_hangs()) throw;
    const int exit_code = last_words.say(exception.error());
    std::fflush(nullptr);
    std::_Exit(exit_code);
  }
}

}  // namespace trireme::cli
