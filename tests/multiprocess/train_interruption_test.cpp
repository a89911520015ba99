// SPDX-License-Identifier: Apache-2.0
#include "multiprocess/idx_folder.hpp"
#include "multiprocess/launched.hpp"
#include "multiprocess/train_job.hpp"
#include "support/metadata_server.hpp"
#include "support/reserved_port.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <map>
#include <thread>

using namespace trireme::testing;
using Catch::Matchers::Contains;
using Words = std::vector<std::string>;
using Environment = std::map<std::string, std::string>;

namespace {

/// A deadline so far away has not passed when a job begins, which beside other tests takes some seconds.
constexpr int notice_seconds = 12;

/// Each step writes a line, so a job whose output nobody reads cannot end: the pipe holds fewer.
Words announced_job(const std::string& folder, const std::string& epochs, const std::string& log_every = "1") {
  static const IdxFolder images(90, 40);
  Words words{"train", "--data-dir", images.path(), "--hidden",    "8",       "--batch-size",     "44", "--epochs",
              epochs,  "--seed",     "7",           "--log-every", log_every, "--logical-shards", "2"};
  if (!folder.empty()) words.insert(words.end(), {"--checkpoint-dir", folder, "--checkpoint-every", "0"});
  return words;
}

Words in_world(int ranks, const Words& job) {
  if (ranks == 1) return job;
  Words words{"run", "-n", std::to_string(ranks), "--", TRIREME_PROGRAM};
  words.insert(words.end(), job.begin(), job.end());
  return words;
}

Environment asking(const MetadataServer& server) { return {{"TRIREME_METADATA_ADDRESS", server.url()}}; }

std::string spot_action_in(int seconds) {
  return R"({"action": "terminate", "time": ")" + iso_time_in(seconds) + R"("})";
}

std::string preemption_in(const std::string& machine, int seconds) {
  return R"([{"EventId": "A", "EventStatus": "Scheduled", "EventType": "Preempt", "Resources": [")" + machine +
         R"("], "NotBefore": ")" + rfc1123_time_in(seconds) + R"("}])";
}

bool has_checkpoint(const TemporaryFolder& folder) {
  return std::filesystem::exists(folder.path() + "/journal/00000002");
}

void check_announced_stop(const Result& result, const std::string& who) {
  INFO("stdout: " << result.out.substr(0, 2000) << "\nstderr: " << result.err);
  CHECK(result.exit_code == 143);
  CHECK_THAT(result_of(result), Contains(" interrupted=1 "));
  CHECK_THAT(result.err, Contains("is announced by " + who) && Contains("stops in order, ") &&
                             Contains("wrote the checkpoint of step " + value(result_of(result), "steps")));
  CHECK_THAT(result.err, !Contains(MetadataServer::token));
}

}  // namespace

TEST_CASE("A notice gives a checkpoint at once, another before its deadline, and 143") {
  const TemporaryFolder alone, together;
  MetadataServer ec2(MetadataServer::ec2(spot_action_in(notice_seconds)));
  MetadataServer azure(MetadataServer::azure("vm-1", preemption_in("vm-1", notice_seconds)));
  // Two jobs at once: they mostly wait. Nobody reads the first one's lines meanwhile.
  Launched of_two(in_world(2, announced_job(together.path(), "1000000", "1000000")), asking(azure));
  check_announced_stop(run_trireme(announced_job(alone.path(), "1000000"), asking(ec2)), "EC2");
  check_announced_stop(of_two.wait(), "Azure");
  for (const TemporaryFolder* folder : {&alone, &together})
    CHECK(std::filesystem::exists(folder->path() + "/journal/00000003"));  // the attempt, and two checkpoints
}

TEST_CASE("A notice of Compute Engine, whose half minute is fixed", "[.full]") {
  const TemporaryFolder folder;
  MetadataServer server(MetadataServer::compute_engine("TRUE"));
  const Result result = run_trireme(in_world(2, announced_job(folder.path(), "1000000")), asking(server));
  CHECK_THAT(result.err, !Contains("stops in order, 0 s before"));
  check_announced_stop(result, "Compute Engine");
}

namespace {

void check_withdrawal(const std::string& who) {
  INFO(who);
  static const std::string undisturbed = outcome_of(run_trireme(announced_job("", "1000")));
  const TemporaryFolder folder;
  const auto respond = [&](bool announces) {
    if (who == "EC2") return MetadataServer::ec2(announces ? spot_action_in(60) : "");
    if (who == "Azure") return MetadataServer::azure("vm-1", announces ? preemption_in("vm-1", 60) : "[]");
    return MetadataServer::compute_engine(announces ? "TRUE" : "FALSE");
  };
  MetadataServer server(respond(true));
  auto environment = asking(server);
  environment["TRIREME_INTERRUPTION"] = who == "EC2" ? "ec2_spot" : who == "Azure" ? "azure_events" : "compute_engine";
  Launched launched(announced_job(folder.path(), "1000"), environment);
  for (int step = 5; step < 2500 && !has_checkpoint(folder); step += 5) {
    launched.await_out("metric step=" + std::to_string(step) + " ");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  REQUIRE(has_checkpoint(folder));
  server.respond(respond(false));
  // One round of asking is up to three requests, and only the next round shows that the whole of one was understood.
  const auto before = server.asked().size();
  REQUIRE(eventually([&] { return server.asked().size() >= before + 5; }, std::chrono::seconds(60)));
  const Result result = launched.wait();
  CHECK(outcome_of(result) == undisturbed);
  CHECK_THAT(result.err, Contains("is announced by " + who) && Contains("is withdrawn: training goes on"));
}

}  // namespace

TEST_CASE(
    "A notice that is withdrawn costs no step: the job ends with 0 and the weights of one that nothing disturbed") {
  check_withdrawal("Azure");
}

TEST_CASE("So it is with the notices of the other clouds", "[.full]") {
  const std::string who = GENERATE("EC2", "Compute Engine");
  check_withdrawal(who);
}

TEST_CASE("A host without metadata services trains as ever, and hears nothing of it") {
  const Result off = run_trireme(announced_job("", "5"), {{"TRIREME_INTERRUPTION", "off"}});
  ReservedPort refusing;
  const Result refused =
      run_trireme(announced_job("", "5"), {{"TRIREME_METADATA_ADDRESS", "http://" + refusing.address.to_string()}});
  CHECK(outcome_of(refused) == outcome_of(off));
  CHECK(std::count(refused.err.begin(), refused.err.end(), '\n') == std::count(off.err.begin(), off.err.end(), '\n'));
  for (const MetadataServer::Answer& answer :
       {MetadataServer::Answer{.hangs = true}, {.status = 404}, {.status = 500}, {.raw = "nonsense"}}) {
    MetadataServer server(MetadataServer::always(answer));
    const Result result = run_trireme(announced_job("", "5"), asking(server));
    CHECK(outcome_of(result) == outcome_of(off));
    CHECK(std::count(result.err.begin(), result.err.end(), '\n') == std::count(off.err.begin(), off.err.end(), '\n'));
  }
}

TEST_CASE("Without --checkpoint-dir a notice is one warning, and the stop of SIGTERM") {
  MetadataServer server(MetadataServer::ec2(spot_action_in(2)));
  const Result result = run_trireme(announced_job("", "1000000"), asking(server));
  INFO("stderr: " << result.err);
  CHECK(result.exit_code == 143);
  CHECK_THAT(result.err, Contains("warning: without --checkpoint-dir"));
  CHECK_THAT(result_of(result), Contains(" stopped_by_signal=15 "));
}

TEST_CASE("A job ends by itself before the end of its time in Slurm") {
  const TemporaryFolder folder;
  const Environment environment{{"SLURM_JOB_END_TIME", std::to_string(std::time(nullptr) + notice_seconds)},
                                {"TRIREME_INTERRUPTION", "slurm"}};
  check_announced_stop(run_trireme(announced_job(folder.path(), "1000000"), environment), "Slurm");
}

TEST_CASE("What the watch cannot be told is refused before training, naming the variable") {
  require_refusal(run_trireme(announced_job("", "5"), {{"TRIREME_INTERRUPTION", "perhaps"}}), "TRIREME_INTERRUPTION");
  const Result of_two = run_trireme(in_world(2, announced_job("", "5")), {{"TRIREME_INTERRUPTION", "perhaps"}});
  CHECK(of_two.exit_code == 2);
  require_refusal(run_trireme(announced_job("", "5"), {{"TRIREME_METADATA_ADDRESS", "http://localhost"}}),
                  "TRIREME_METADATA_ADDRESS");
}
