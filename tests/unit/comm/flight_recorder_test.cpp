// SPDX-License-Identifier: Apache-2.0
#include "comm/flight_recorder.hpp"

#include "comm/signature.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <thread>

using namespace trireme;
using comm::FlightRecorder;

namespace {

transport::Stamp stamp_of(std::uint64_t count) {
  comm::Request request;
  request.output.count = count;
  return comm::signature_of(request, 0);
}

std::array<char, 32> label_of(const std::string& text) {
  std::array<char, 32> label{};
  std::copy_n(text.begin(), std::min(text.size(), label.size() - 1), label.begin());
  return label;
}

/// The numbers behind every "name": in order.
std::vector<std::uint64_t> numbers(const std::string& json, const std::string& name) {
  std::vector<std::uint64_t> found;
  const std::string key = "\"" + name + "\": ";
  for (auto at = json.find(key); at != std::string::npos; at = json.find(key, at + 1))
    found.push_back(std::stoull(json.substr(at + key.size(), 20)));
  return found;
}

std::size_t occurrences(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

}  // namespace

TEST_CASE("an unused recorder is an empty list") {
  const FlightRecorder recorder;
  REQUIRE(recorder.to_json() == "[]");
  REQUIRE(!recorder.signature(0));
}

TEST_CASE("the recorder tells the operations in order, how they ended and when") {
  FlightRecorder recorder;
  recorder.issued(0, stamp_of(10), label_of("w"), 100);
  recorder.issued(1, stamp_of(20), label_of(""), 200);
  recorder.issued(2, stamp_of(30), label_of(""), 300);
  recorder.ended(1, FlightRecorder::Outcome::done, 250);
  recorder.ended(0, FlightRecorder::Outcome::failed, 400);
  REQUIRE(
      recorder.to_json() ==
      "[\n"
      "  {\"sequence\": 0, \"operation\": \"all_reduce(count 10, f32, sum, canonical, 0 leaves)\", \"label\": \"w\", "
      "\"started_ns\": 100, \"ended_ns\": 400, \"outcome\": \"failed\"},\n"
      "  {\"sequence\": 1, \"operation\": \"all_reduce(count 20, f32, sum, canonical, 0 leaves)\", \"label\": \"\", "
      "\"started_ns\": 200, \"ended_ns\": 250, \"outcome\": \"done\"},\n"
      "  {\"sequence\": 2, \"operation\": \"all_reduce(count 30, f32, sum, canonical, 0 leaves)\", \"label\": \"\", "
      "\"started_ns\": 300, \"ended_ns\": 0, \"outcome\": \"issued\"}\n"
      "]");
  REQUIRE(recorder.signature(1) == stamp_of(20));
  REQUIRE(!recorder.signature(3));
}

TEST_CASE("of more operations than it holds the recorder keeps the last, and forgets the others entirely") {
  FlightRecorder recorder;
  constexpr std::uint64_t total = FlightRecorder::capacity * 2 + 100;
  for (std::uint64_t i = 0; i < total; ++i) recorder.issued(i, stamp_of(i), label_of(""), static_cast<std::int64_t>(i));
  const auto sequences = numbers(recorder.to_json(), "sequence");
  REQUIRE(sequences.size() == FlightRecorder::capacity);
  for (std::size_t i = 0; i < sequences.size(); ++i) REQUIRE(sequences[i] == total - FlightRecorder::capacity + i);
  REQUIRE(!recorder.signature(5));
  REQUIRE(recorder.signature(total - 1) == stamp_of(total - 1));
  // The late end of an operation whose entry has gone to another must not end that one.
  recorder.ended(total - 1 - FlightRecorder::capacity, FlightRecorder::Outcome::failed, 1);
  REQUIRE(recorder.to_json().find("failed") == std::string::npos);
}

TEST_CASE("labels are escaped for JSON") {
  REQUIRE(comm::json_escaped("plain 'text'") == "plain 'text'");
  REQUIRE(comm::json_escaped("a\"b\\c") == "a\\\"b\\\\c");
  REQUIRE(comm::json_escaped("line\nbreak\ttab") == "line\\u000abreak\\u0009tab");
  REQUIRE(comm::json_escaped(std::string("\x7f\xff\x01", 3)) == "\\u007f\\ufffd\\u0001");
  REQUIRE(comm::json_escaped("gewicht.größe €𝛼") == "gewicht.größe €𝛼");
  REQUIRE(comm::json_escaped("cut \xe2\x82") == "cut \\ufffd\\ufffd");
  REQUIRE(comm::json_escaped("\xc0\xaf \xed\xa0\x80") == "\\ufffd\\ufffd \\ufffd\\ufffd\\ufffd");
  FlightRecorder recorder;
  recorder.issued(0, stamp_of(1), label_of("a\"b"), 0);
  REQUIRE(recorder.to_json().find("\"label\": \"a\\\"b\"") != std::string::npos);
}

TEST_CASE("a dump during operations shows whole entries in order") {
  FlightRecorder recorder;
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> written{0};
  std::thread writer([&] {
    // All numbers of operation i are i, its end twice that.
    for (std::uint64_t i = 0; !stop; ++i) {
      recorder.issued(i, stamp_of(i), label_of(std::to_string(i)), static_cast<std::int64_t>(i));
      recorder.ended(i, FlightRecorder::Outcome::done, static_cast<std::int64_t>(2 * i + 1));
      written = i;
    }
  });
  while (written < 100) std::this_thread::yield();
  int wrong = 0;
  for (int dump = 0; dump < 8; ++dump) {
    const auto json = recorder.to_json();
    const auto sequences = numbers(json, "sequence");
    const auto started = numbers(json, "started_ns");
    const auto ended = numbers(json, "ended_ns");
    const auto issued_only = occurrences(json, "\"issued\"");
    REQUIRE(sequences.size() == started.size());
    REQUIRE(sequences.size() == ended.size());
    std::size_t unfinished = 0, at = 0;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      wrong += started[i] != sequences[i];
      wrong += i > 0 && sequences[i] <= sequences[i - 1];
      unfinished += ended[i] == 0;
      wrong += ended[i] != 0 && ended[i] != 2 * sequences[i] + 1;
      at = json.find("(count " + std::to_string(sequences[i]) + ",", at);  // each behind the one before
      if (at == std::string::npos) {
        ++wrong;
        break;
      }
    }
    wrong += unfinished != issued_only;
  }
  stop = true;
  writer.join();
  REQUIRE(wrong == 0);
}

TEST_CASE("the processor's count of time is turned to the steady clock's nanoseconds") {
  const comm::TickReading reading{.first_tick = 1000, .first_ns = 50, .ns_per_tick = 0.5};
  REQUIRE(reading.nanoseconds(1000) == 50);
  REQUIRE(reading.nanoseconds(3000) == 1050);
  REQUIRE(reading.nanoseconds(800) == -50);

  const comm::TickScale scale;
  const auto begin = std::chrono::steady_clock::now().time_since_epoch();
  const std::int64_t first = comm::ticks();
  std::int64_t last = first;
  while (last == first) last = comm::ticks();
  const auto end = std::chrono::steady_clock::now().time_since_epoch();
  const comm::TickReading now = scale.read();
  REQUIRE(now.ns_per_tick > 0);
  REQUIRE(now.nanoseconds(last) >= now.nanoseconds(first));
  // Both lines run through the same first point, and the moment lies between the looks but for the error of a look.
  const auto slack = std::chrono::milliseconds(100);
  REQUIRE(std::chrono::nanoseconds(now.nanoseconds(first)) >= begin - slack);
  REQUIRE(std::chrono::nanoseconds(now.nanoseconds(first)) <= end + slack);
}
