// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/log.hpp"
#include "trireme/tracking/tracker.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace trireme::tracking {

struct TensorboardSettings {
  std::string folder;
  std::string host = "localhost";  ///< part of the file's name
  /// From one fsync to the next: mounted buckets show what was written only then.
  std::chrono::milliseconds sync_every{10'000};
};

/// Scalars in a new event file of `folder`, which is made: events.out.tfevents.SECONDS.HOST.PID. Each report is in the file
/// when log() returns.
/// Errors: system naming the folder or file that cannot be made.
/// Source: TFRecord framing, and the messages Event and Summary of TensorFlow (event.proto, summary.proto).
std::unique_ptr<Tracker> make_tensorboard_tracker(TensorboardSettings settings, Log log = {});

}  // namespace trireme::tracking
