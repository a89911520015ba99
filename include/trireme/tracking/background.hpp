// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/log.hpp"
#include "trireme/tracking/tracker.hpp"

#include <cstddef>
#include <memory>
#include <string>

namespace trireme::tracking {

struct BackgroundOptions {
  std::string name;                  ///< of the tracker, in warnings
  std::size_t most_waiting = 10000;  ///< calls; the oldest measurement is dropped for a new one beyond that
  Log log{};
};

/// `tracker`, called in the same order on a thread of its own: a file on a network, say, that is slow to write holds up nobody.
/// A call that does not return is given up at the end; if that does not end it either, it is left behind with its thread.
/// Errors: system when there is no thread.
std::unique_ptr<Tracker> in_background(std::unique_ptr<Tracker> tracker, BackgroundOptions options);

}  // namespace trireme::tracking
