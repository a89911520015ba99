// SPDX-License-Identifier: Apache-2.0
#include "trireme/telemetry/scoped_span.hpp"
#include "trireme/telemetry/span_recorder.hpp"
#include "unit/comm/forbidden_calls.hpp"

#include <catch2/catch.hpp>

using namespace trireme::telemetry;
using namespace trireme::testing;

TEST_CASE("recording calls neither the heap nor a mutex, full or not") {
  SpanRecorder recorder(1000);
  const Track track = recorder.track("steps");
  arm_forbidden_calls();
  for (int i = 0; i < 1000; ++i) {
    const ScopedSpan step(&recorder, track, "step", {"step", i});
    recorder.instant(track, "bucket ready", SpanRecorder::Clock::now(), {"bucket", i});
  }
  const ForbiddenCalls calls = disarm_forbidden_calls();
  INFO(first_forbidden_call());
  CHECK(calls.heap == 0);
  CHECK(calls.mutex == 0);
  CHECK(recorder.dropped() == 1000);
}
