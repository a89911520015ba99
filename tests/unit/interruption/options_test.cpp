// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/error.hpp"
#include "trireme/interruption/watch.hpp"

#include <catch2/catch.hpp>

using namespace trireme;
using namespace trireme::interruption;
using Catch::Matchers::Contains;
using Kinds = std::vector<SourceKind>;

namespace {

std::string refusal_of(const platform::Environment& environment) {
  try {
    watch_options(environment, "plain");
  } catch (const Exception& failure) {
    CHECK(failure.error().code == ErrorCode::invalid_argument);
    return failure.error().message;
  }
  return "";
}

}  // namespace

TEST_CASE("Each platform's own cloud is asked, and all three where it does not tell") {
  CHECK(watch_options({}, "sagemaker").sources == Kinds{SourceKind::ec2_spot});
  CHECK(watch_options({}, "vertex").sources == Kinds{SourceKind::compute_engine});
  CHECK(watch_options({}, "azureml").sources == Kinds{SourceKind::azure_events});
  for (const char* platform : {"kubernetes", "slurm", "plain"}) CHECK(watch_options({}, platform).sources.size() == 3);
}

TEST_CASE("Slurm's end of time counts wherever it is told, and only as a number") {
  const auto told = watch_options({{"SLURM_JOB_END_TIME", "1767229200"}}, "vertex");
  CHECK(told.sources == Kinds{SourceKind::compute_engine, SourceKind::slurm});
  CHECK(told.slurm_end == 1767229200);
  for (const char* text : {"", "soon", "-5", "0", "1767229200x", "99999999999999999999"})
    CHECK(watch_options({{"SLURM_JOB_END_TIME", text}}, "plain").sources.size() == 3);
}

TEST_CASE("TRIREME_INTERRUPTION turns the watch off or chooses; what it does not know it refuses, naming itself") {
  CHECK(
      watch_options({{"TRIREME_INTERRUPTION", "off"}, {"SLURM_JOB_END_TIME", "1767229200"}}, "plain").sources.empty());
  CHECK(watch_options({{"TRIREME_INTERRUPTION", "azure_events,slurm"}}, "sagemaker").sources ==
        Kinds{SourceKind::azure_events, SourceKind::slurm});
  CHECK_THAT(refusal_of({{"TRIREME_INTERRUPTION", "ec2_spot,"}}), Contains("TRIREME_INTERRUPTION is 'ec2_spot,'"));
  CHECK_THAT(refusal_of({{"TRIREME_INTERRUPTION", "on"}}), Contains("give off, auto"));
}

TEST_CASE("TRIREME_METADATA_ADDRESS takes numbers and ports, and nothing else") {
  for (const char* text :
       {"http://127.0.0.1:8080", "http://169.254.169.254/", "http://[::1]:80", "http://[fd00:ec2::254]"})
    CHECK(refusal_of({{"TRIREME_METADATA_ADDRESS", text}}).empty());
  for (const char* text : {"", "127.0.0.1:80", "https://127.0.0.1", "http://localhost", "http://127.0.0.1:", "http://",
                           "http://127.0.0.1:99x", "http://[::1", "http://127.0.0.1/path", "http://[::1]x"})
    CHECK_THAT(refusal_of({{"TRIREME_METADATA_ADDRESS", text}}), Contains("TRIREME_METADATA_ADDRESS"));
}
