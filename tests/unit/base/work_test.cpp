// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/work.hpp"

#include <catch2/catch.hpp>

#include <type_traits>
#include <utility>
#include <vector>

using namespace trireme;

namespace {

/// An operation that is done after so many drives, and remembers what was asked of it.
class FakeState final : public WorkState {
 public:
  explicit FakeState(int drives_needed, Error failure = {})
      : drives_left_(drives_needed), failure_(std::move(failure)) {}

  bool done() const noexcept override { return drives_left_ <= 0; }
  bool drive(Deadline until) noexcept override {
    ++drives;
    last_until = until;
    // Without a deadline a drive lasts until the end; with one it gets as far as it gets.
    drives_left_ = until.is_never() ? 0 : drives_left_ - 1;
    return done();
  }
  void order(Stream stream) noexcept override { ordered.push_back(stream.pointer); }
  const Error* error() const noexcept override { return done() && failure_ ? &failure_ : nullptr; }
  void release() noexcept override {
    ++releases;
    done_at_release = done();
    drive(Deadline::never());  // as the contract says: waits for the end
  }

  int drives = 0;
  int releases = 0;
  bool done_at_release = false;
  Deadline last_until = Deadline::never();
  std::vector<void*> ordered;

 private:
  int drives_left_;
  Error failure_;
};

Error an_error() { return {.code = ErrorCode::timeout, .message = "rank 1 is slow"}; }

}  // namespace

TEST_CASE("an empty Work is done and has no error") {
  Work work;
  REQUIRE(work.done());
  REQUIRE(work.error() == nullptr);
  REQUIRE(work.wait_for(std::chrono::seconds(0)));
  work.wait_on(Stream{});
  REQUIRE_NOTHROW(work.wait());
}

TEST_CASE("the end of a Work releases its operation once, which waits for it") {
  FakeState state(3);
  { const Work work(&state); }
  REQUIRE(state.releases == 1);
  REQUIRE(state.done());
}

TEST_CASE("wait drives without a deadline, then releases once") {
  FakeState state(5);
  {
    Work work(&state);
    work.wait();
    REQUIRE(state.releases == 1);
    REQUIRE(state.done_at_release);
    work.wait();  // empty by now
    REQUIRE(work.done());
  }
  REQUIRE(state.releases == 1);
}

TEST_CASE("wait throws the operation's error and has released it before") {
  FakeState state(1, an_error());
  Work work(&state);
  try {
    work.wait();
    FAIL("did not throw");
  } catch (const Exception& caught) {
    REQUIRE(caught.error().code == ErrorCode::timeout);
    REQUIRE(caught.error().message == "rank 1 is slow");
  }
  REQUIRE(state.releases == 1);
  REQUIRE(work.done());
  REQUIRE(work.error() == nullptr);
  REQUIRE_NOTHROW(work.wait());
}

TEST_CASE("the destructor never throws, whatever the operation's end") {
  static_assert(std::is_nothrow_destructible_v<Work>);
  FakeState state(1, an_error());
  { const Work work(&state); }
  REQUIRE(state.releases == 1);
}

TEST_CASE("a Work that is moved from lets go") {
  static_assert(!std::is_copy_constructible_v<Work> && !std::is_copy_assignable_v<Work>);
  static_assert(std::is_nothrow_move_constructible_v<Work> && std::is_nothrow_move_assignable_v<Work>);
  FakeState first(10), second(10);
  {
    Work a(&first);
    Work b(std::move(a));
    REQUIRE(a.done());  // NOLINT(bugprone-use-after-move): an empty Work is a state of its own
    REQUIRE(first.releases == 0);
    Work c(&second);
    c = std::move(b);  // what it held is waited for
    REQUIRE(second.releases == 1);
    REQUIRE(first.releases == 0);
    Work& same = c;
    c = std::move(same);
    REQUIRE(first.releases == 0);
  }
  REQUIRE(first.releases == 1);
  REQUIRE(second.releases == 1);
}

TEST_CASE("wait_for is bounded and done does not block") {
  FakeState state(2, an_error());
  Work work(&state);
  REQUIRE(!work.done());
  REQUIRE(state.last_until.passed());
  REQUIRE(work.error() == nullptr);  // not before the end
  REQUIRE(work.wait_for(std::chrono::hours(1)));
  REQUIRE(!state.last_until.is_never());
  REQUIRE(!state.last_until.passed());
  REQUIRE(work.error() != nullptr);
  REQUIRE(work.error()->code == ErrorCode::timeout);
  REQUIRE(state.releases == 0);
}

TEST_CASE("wait_on orders the stream and keeps the operation") {
  FakeState state(4);
  Work work(&state);
  int target = 0;
  work.wait_on({.device = {DeviceKind::cuda, 0}, .pointer = &target});
  REQUIRE(state.ordered == std::vector<void*>{&target});
  REQUIRE(state.drives == 0);
  REQUIRE(state.releases == 0);
}
