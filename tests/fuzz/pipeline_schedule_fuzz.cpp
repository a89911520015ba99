// SPDX-License-Identifier: Apache-2.0
// A user's schedule file against hostile text. Either a schedule whose text says the same again, and, where it can run, whose
// simulation keeps its bounds; or one trireme::Exception of one line that names the text.
#include "fuzz_target.hpp"
#include "trireme/base/error.hpp"
#include "trireme/pipeline/check.hpp"
#include "trireme/pipeline/schedule_text.hpp"
#include "trireme/pipeline/simulate.hpp"

#include <string>
#include <string_view>

namespace {

using namespace trireme;

void run_it(const pipeline::Schedule& schedule) {
  try {
    const pipeline::ScheduleFacts facts = pipeline::check(schedule);
    const pipeline::Simulation simulation = pipeline::simulate(schedule, {});
    promise(facts.rank_of_stage.size() == static_cast<std::size_t>(schedule.stages), "every stage has a rank");
    for (std::size_t rank = 0; rank < simulation.ranks.size(); ++rank) {
      const pipeline::RankTimes& times = simulation.ranks[rank];
      promise(times.bubble >= times.inside && times.inside >= pipeline::Rational(0),
              "nothing is idle for less than no time");
      promise(times.peak_live >= 1 && times.peak_live == facts.peak_of_rank[rank], "every rank holds something");
    }
    promise(!pipeline::draw(schedule, simulation, 40).empty(), "it can be drawn");
  } catch (const Exception& exception) {
    promise(exception.error().code == ErrorCode::invalid_argument,
            "a schedule that cannot run is the caller's mistake");
    promise(exception.error().message.find('\n') == std::string::npos, "an error is one line");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const pipeline::Schedule schedule = pipeline::parse_schedule(text, "fuzz input");
    const std::string again = pipeline::to_text(schedule);
    promise(pipeline::parse_schedule(again, "its own text") == schedule, "a schedule's text says the same again");
    run_it(schedule);
  } catch (const Exception& exception) {
    const std::string& message = exception.error().message;
    promise(exception.error().code == ErrorCode::invalid_argument, "a text that is wrong is the caller's mistake");
    promise(message.find("fuzz input, line ") == 0, "an error names text and line");
    promise(message.find('\n') == std::string::npos, "an error is one line");
  }
  return 0;
}
