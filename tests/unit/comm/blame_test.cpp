// SPDX-License-Identifier: Apache-2.0
// What a rank tells the coordinator of a failure: whose it is, and which operation it ended.
#include "comm/message_space.hpp"
#include "comm/signature.hpp"
#include "support/failures.hpp"
#include "unit/comm/scripted_engine.hpp"

#include <catch2/catch.hpp>

#include <cerrno>
#include <vector>

using namespace trireme;
using namespace std::chrono_literals;
using testing::Scripted;

using testing::error_of;
using testing::has;

namespace {

/// A coordinator that only listens, and asks the reporter for its status when it does.
struct Heard {
  std::vector<rendezvous::Cause> causes;
  std::vector<rendezvous::Status> statuses;
};

comm::ContextOptions reporting_to(Heard& heard, int rank = 1) {
  class Channel final : public rendezvous::ControlChannel {
   public:
    Channel(Heard& heard, rendezvous::ControlListener& listener) : heard_(heard), listener_(listener) {}
    void report(const rendezvous::Cause& cause) noexcept override {
      heard_.causes.push_back(cause);
      heard_.statuses.push_back(listener_.status());
    }
    void leave() noexcept override {}
    void abandon() noexcept override {}

   private:
    Heard& heard_;
    rendezvous::ControlListener& listener_;
  };
  return {.rank = rank,
          .timeout = 1h,
          .verdict_wait = 0ms,
          .open_control = [&heard](rendezvous::ControlListener& listener) {
            return std::make_unique<Channel>(heard, listener);
          }};
}

transport::Stamp stamp_of_broadcast() {
  comm::Request request;
  request.collective = plan::Collective::broadcast;
  return comm::signature_of(request, 0);
}

}  // namespace

TEST_CASE("a broken connection is reported with the operation it interrupts, by number, name and label") {
  Heard heard;
  Scripted scripted(reporting_to(heard));
  scripted.script->missing = {2};
  scripted.script->finished = 2;
  auto communicator = scripted.communicator();
  communicator.barrier();
  communicator.barrier();
  Work work = communicator.barrier_async({.label = "epoch end"});
  const bool corrupt = GENERATE(false, true);
  if (corrupt) {
    scripted.context->corrupted(2, "nonsense");
  } else {
    scripted.context->peer_ended(2, transport::LinkState::lost, ECONNRESET);
  }
  REQUIRE(heard.causes.size() == 1);
  const auto& cause = heard.causes.front();
  REQUIRE(cause.code == (corrupt ? ErrorCode::corrupt : ErrorCode::peer_lost));
  REQUIRE(cause.communicator == 0);
  REQUIRE(cause.operation == 2);
  REQUIRE(cause.operation_name == "barrier #2 'epoch end'");
  REQUIRE(cause.member == 2);
  REQUIRE(cause.member_host == "host-a");
  REQUIRE(has(cause.message, "rank 2 (host-a)"));
  REQUIRE(has(cause.message, "during barrier #2 'epoch end'"));
  REQUIRE(heard.statuses.front().in_operation);
  REQUIRE(heard.statuses.front().operation == 2);
  const auto error = error_of([&] { work.wait(); });
  REQUIRE(error.operation == "barrier #2");
  REQUIRE(error.label == "epoch end");
  REQUIRE(error.message == cause.message);
}

TEST_CASE("a broken connection between operations interrupts none, and none is named") {
  Heard heard;
  Scripted scripted(reporting_to(heard));
  scripted.context->peer_ended(2, transport::LinkState::lost, 0);
  REQUIRE(heard.causes.size() == 1);
  REQUIRE(heard.causes.front().operation_name.empty());
  REQUIRE(!has(heard.causes.front().message, "#"));
}

TEST_CASE("who reports a timeout answers with that operation, not with an older one nobody waits for") {
  Heard heard;
  Scripted scripted(reporting_to(heard));
  scripted.script->missing = {3};
  std::array<float, 1> data{};
  auto communicator = scripted.communicator();
  Work early = communicator.recv_async(TensorView(std::span<float>(data)), 0);
  Work late = communicator.barrier_async({.deadline = 30ms});
  REQUIRE(error_of([&] { late.wait(); }).code == ErrorCode::timeout);
  REQUIRE(heard.statuses.size() == 1);
  REQUIRE(heard.statuses.front().operation_name == "barrier #0");
  REQUIRE(heard.statuses.front().waiting_for == std::vector<std::int32_t>{3});
}

TEST_CASE("an operation that meets another rank's different one while it starts is found, with label and hosts") {
  Heard heard;
  Scripted scripted(reporting_to(heard));
  scripted.script->on_start = [&](const comm::Operation& operation) {
    scripted.context->mismatched(0, {comm::collective_space(0), 0, 0}, operation.stamp, stamp_of_broadcast());
  };
  Work work = scripted.communicator().barrier_async({.label = "epoch end"});
  REQUIRE(heard.causes.size() == 1);
  const auto& cause = heard.causes.front();
  REQUIRE(cause.code == ErrorCode::mismatch);
  REQUIRE(cause.operation_name == "barrier #0 'epoch end'");
  REQUIRE(cause.message ==
          "the ranks disagree on operation #0: rank 0 called broadcast(count 0, f32, root 0) on host-a; rank 1 called "
          "barrier() 'epoch end' on host-a");
  scripted.script->finished = 1;  // even though the engine would call it done
  REQUIRE(error_of([&] { work.wait(); }).code == ErrorCode::mismatch);
}

TEST_CASE("a signature that comes before its communicator is kept and compared") {
  Heard heard;
  Scripted scripted(reporting_to(heard));
  scripted.script->finished = 10;
  // Others for communicators that never come must not take all the room.
  for (std::uint64_t i = 0; i < 5000; ++i)
    scripted.context->noted(0, comm::signature_note, {comm::collective_space(9), 0, i}, stamp_of_broadcast());
  scripted.context->noted(0, comm::signature_note, {comm::collective_space(5), 0, 1}, stamp_of_broadcast());
  const auto group = std::make_shared<comm::Group>(scripted.context, 5, std::vector<int>{0, 1, 2, 3}, 1,
                                                   std::make_unique<testing::ScriptedEngine>(scripted.script));
  Communicator late(group);
  late.barrier();
  REQUIRE(heard.causes.empty());
  Work work = late.barrier_async();
  REQUIRE(heard.causes.size() == 1);
  REQUIRE(heard.causes.front().code == ErrorCode::mismatch);
  REQUIRE(heard.causes.front().communicator == 5);
  REQUIRE(heard.causes.front().operation == 1);
  REQUIRE(error_of([&] { work.wait(); }).code == ErrorCode::mismatch);
}

TEST_CASE("a rank that cannot start an operation for reasons of its own tells the others, and its caller") {
  Heard heard;
  Scripted scripted(reporting_to(heard));
  scripted.script->on_start = [](const comm::Operation&) { fail(ErrorCode::system, "no memory left"); };
  auto communicator = scripted.communicator();
  Error error;
  try {
    communicator.barrier({.label = "w"});
  } catch (const Exception& caught) {
    error = caught.error();
  }
  REQUIRE(error.code == ErrorCode::system);
  REQUIRE(error.operation == "barrier #0");
  REQUIRE(error.label == "w");
  REQUIRE(has(error.message, "no memory left"));
  REQUIRE(heard.causes.size() == 1);
  REQUIRE(heard.causes.front().code == ErrorCode::system);
  REQUIRE(heard.causes.front().member == 1);
  REQUIRE(heard.causes.front().operation_name == "barrier #0 'w'");
  REQUIRE(heard.causes.front().message == error.message);
}
