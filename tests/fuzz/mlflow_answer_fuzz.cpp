// SPDX-License-Identifier: Apache-2.0
// What an MLflow server, or whatever stands in its place, may answer: a status (the first two bytes) and a body. Every answer
// has a verdict, whose reason can be shown as one line.
#include "fuzz_target.hpp"
#include "tracking/mlflow_answer.hpp"

#include <algorithm>
#include <string>

using namespace trireme::tracking;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const int status = 100 + (data[0] << 8 | data[1]) % 500;
  const std::string body(reinterpret_cast<const char*>(data) + 2, size - 2);
  const MlflowVerdict verdict = judged(status, body);
  const std::string shown = one_line(verdict.reason);
  promise(shown.size() <= 200, "a reason is short");
  promise(std::all_of(shown.begin(), shown.end(), [](unsigned char c) { return c >= 32 && c < 127; }), "and one line");
  promise(verdict.kind != MlflowVerdict::Kind::taken || (status >= 200 && status < 300), "only success is one");
  promise(verdict.kind == MlflowVerdict::Kind::taken || !verdict.reason.empty(), "what is not taken has a reason");
  promise(verdict.kind != MlflowVerdict::Kind::hopeless || status >= 300, "an answer of success leaves hope");
  const std::string run = text_at(body, {"run", "info", "run_id"});
  promise(run.size() <= body.size() * 3, "a text is not longer than what it is in");  // replaced by U+FFFD it may grow
  static_cast<void>(text_at(body, {"runs", "0", "info", "run_id"}));
  static_cast<void>(is_mlflow_refusal(body));
  return 0;
}
