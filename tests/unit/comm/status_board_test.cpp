// SPDX-License-Identifier: Apache-2.0
#include "comm/status_board.hpp"

#include "trireme/base/deadline.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>
#include <vector>

using namespace trireme;
using comm::Request;
using comm::StatusBoard;

namespace {

/// A status all of whose fields follow from n.
struct Written {
  explicit Written(std::uint64_t n) : request{}, waiting(n % 7, static_cast<int>(n % 1000)) {
    request.collective = static_cast<plan::Collective>(n % 5);
    const std::string label = "label " + std::to_string(n % 100000);
    std::copy(label.begin(), label.end(), request.label.begin());
  }
  Request request;
  std::vector<int> waiting;
};

}  // namespace

TEST_CASE("who is in no operation is known by the last one, whether that was ever shown under way or not") {
  comm::StatusBoard board;
  comm::Request shown;
  shown.collective = plan::Collective::all_reduce;
  std::strcpy(shown.label.data(), "bucket 0");
  board.write(7, 5, &shown, {});
  board.write(7, 5, nullptr, {});
  comm::Request passed;
  passed.collective = plan::Collective::barrier;
  board.write_idle(7, 6, passed);
  const auto status = board.read(3);
  CHECK_FALSE(status.in_operation);
  CHECK(status.operation == 6);
  CHECK(status.operation_name == "barrier #6");
  comm::StatusBoard fresh;
  fresh.write_idle(1, 0, passed);
  CHECK(fresh.read(0).operation_name == "barrier #0");
}

TEST_CASE("an empty board says that nothing has been called yet") {
  const StatusBoard board;
  const auto status = board.read(3);
  REQUIRE(status.rank == 3);
  REQUIRE(!status.in_operation);
  REQUIRE(status.operation == 0);
  REQUIRE(status.operation_name.empty());
  REQUIRE(status.waiting_for.empty());
}

TEST_CASE("the board tells operation, label and missing ranks, and after the end the last operation") {
  StatusBoard board;
  Request request;
  request.collective = plan::Collective::broadcast;
  std::copy_n("embedding", 9, request.label.begin());
  const std::vector<int> waiting{4, 2};
  board.write(6, 17, &request, waiting);
  auto status = board.read(1);
  REQUIRE(status.communicator == 6);
  REQUIRE(status.operation == 17);
  REQUIRE(status.in_operation);
  REQUIRE(status.operation_name == "broadcast #17 'embedding'");
  REQUIRE(status.waiting_for == std::vector<std::int32_t>{4, 2});
  board.write(6, 17, nullptr, {});
  status = board.read(1);
  REQUIRE(!status.in_operation);
  REQUIRE(status.operation == 17);
  REQUIRE(status.operation_name == "broadcast #17 'embedding'");
  REQUIRE(status.waiting_for.empty());
}

TEST_CASE("a label of full length and more missing ranks than fit are cut, not overrun") {
  StatusBoard board;
  Request request;
  request.label.fill('x');
  request.label.back() = '\0';
  std::vector<int> waiting(1000);
  for (std::size_t i = 0; i < waiting.size(); ++i) waiting[i] = static_cast<int>(i);
  board.write(0, 1, &request, waiting);
  const auto status = board.read(0);
  REQUIRE(status.operation_name == "all_reduce #1 '" + std::string(31, 'x') + "'");
  REQUIRE(status.waiting_for.size() == 128);
  REQUIRE(status.waiting_for.back() == 127);
}

TEST_CASE("a reader never sees half of one status and half of another") {
  StatusBoard board;
  std::atomic<bool> stop{false};
  const auto write = [&](std::uint64_t n) {
    const Written written(n);
    board.write(n, n, &written.request, written.waiting);
  };
  write(1);
  std::thread writer([&] {
    for (std::uint64_t n = 2; !stop; ++n) {
      write(n);
      if (n % 16 == 0) std::this_thread::yield();
    }
  });
  int torn = 0;
  std::uint64_t last = 0, different = 0;
  const Deadline limit = Deadline::after(std::chrono::seconds(60));  // for the writer to have its turn
  for (int i = 0; i < 30000 || (different <= 1 && !limit.passed()); ++i) {
    const auto status = board.read(0);
    const Written expected(status.operation);
    torn += status.communicator != status.operation || !status.in_operation ||
            status.waiting_for != std::vector<std::int32_t>(expected.waiting.begin(), expected.waiting.end()) ||
            status.operation_name != std::string(plan::name_of(expected.request.collective)) + " #" +
                                         std::to_string(status.operation) + " '" + expected.request.label.data() + "'";
    different += status.operation != last;
    last = status.operation;
    if (i % 64 == 0) std::this_thread::yield();
  }
  stop = true;
  writer.join();
  REQUIRE(torn == 0);
  REQUIRE(different > 1);
}
