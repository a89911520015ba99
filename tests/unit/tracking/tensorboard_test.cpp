// SPDX-License-Identifier: Apache-2.0
#include "trireme/tracking/tensorboard.hpp"

#include "support/temporary_folder.hpp"
#include "tracking/event_record.hpp"
#include "trireme/base/error.hpp"

#include <catch2/catch.hpp>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>

#include <unistd.h>

namespace {

using namespace trireme;
using namespace trireme::testing;
using namespace trireme::tracking;

/// A reader of event files written from their description, bit by bit: it shares nothing with the writer.
std::uint32_t slow_crc32c(const std::string& bytes) {
  std::uint32_t crc = 0xFFFFFFFF;
  for (const char c : bytes) {
    for (int bit = 0; bit < 8; ++bit) {
      const std::uint32_t low = (crc ^ (static_cast<unsigned char>(c) >> bit)) & 1;
      crc = crc >> 1 ^ (low == 1 ? 0x82F63B78 : 0);
    }
  }
  return crc ^ 0xFFFFFFFF;
}

template <class Number>
Number take(std::string& bytes) {
  Number number{};
  REQUIRE(bytes.size() >= sizeof number);
  std::memcpy(&number, bytes.data(), sizeof number);
  bytes.erase(0, sizeof number);
  return number;
}

void check_crc(const std::string& of, std::uint32_t found) {
  const std::uint32_t crc = slow_crc32c(of);
  CHECK(found == static_cast<std::uint32_t>((crc >> 15 | crc << 17) + 0xA282EAD8u));
}

std::vector<std::string> records(std::string bytes) {
  std::vector<std::string> all;
  while (!bytes.empty()) {
    const std::string head = bytes.substr(0, 8);
    const auto length = take<std::uint64_t>(bytes);
    check_crc(head, take<std::uint32_t>(bytes));
    REQUIRE(bytes.size() >= length + 4);
    all.push_back(bytes.substr(0, length));
    bytes.erase(0, length);
    check_crc(all.back(), take<std::uint32_t>(bytes));
  }
  return all;
}

std::uint64_t take_varint(std::string& bytes) {
  std::uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = take<std::uint8_t>(bytes);
    value |= std::uint64_t{byte & 127u} << shift;
    if (byte < 128) return value;
  }
}

struct ReadEvent {
  double time = 0;
  std::int64_t step = 0;
  std::string version;
  std::vector<std::pair<std::string, float>> scalars;
};

std::string take_text(std::string& bytes) {
  const auto length = take_varint(bytes);
  REQUIRE(bytes.size() >= length);
  const std::string text = bytes.substr(0, length);
  bytes.erase(0, length);
  return text;
}

ReadEvent event_of(std::string bytes) {
  ReadEvent event;
  while (!bytes.empty()) {
    switch (take_varint(bytes)) {
      case 1 << 3 | 1: event.time = take<double>(bytes); break;
      case 2 << 3 | 0: event.step = static_cast<std::int64_t>(take_varint(bytes)); break;
      case 3 << 3 | 2: event.version = take_text(bytes); break;
      case 5 << 3 | 2: {
        std::string summary = take_text(bytes);
        while (!summary.empty()) {
          REQUIRE(take_varint(summary) == (1 << 3 | 2));
          std::string value = take_text(summary);
          REQUIRE(take_varint(value) == (1 << 3 | 2));
          const std::string tag = take_text(value);
          REQUIRE(take_varint(value) == (2 << 3 | 5));
          event.scalars.emplace_back(tag, take<float>(value));
          CHECK(value.empty());
        }
        break;
      }
      default: FAIL("an unknown field");
    }
  }
  return event;
}

std::vector<std::string> files_of(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& each : std::filesystem::directory_iterator(folder)) files.push_back(each.path().string());
  return files;
}

std::vector<ReadEvent> events_of(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  std::vector<ReadEvent> events;
  for (const std::string& record : records(text.str())) events.push_back(event_of(record));
  return events;
}

}  // namespace

TEST_CASE("CRC-32C is that of RFC 3720") {
  CHECK(crc32c("123456789") == 0xE3069283);
  CHECK(crc32c(std::string(32, '\0')) == 0x8A9136AA);
  CHECK(crc32c(std::string(32, '\xFF')) == 0x62A8AB43);
  CHECK(crc32c("") == 0);
}

TEST_CASE("Another reader finds in an event file what was measured, each report as soon as it is made") {
  const TemporaryFolder folder;
  const std::string inner = folder.path() + "/a/b";
  const auto tracker = make_tensorboard_tracker({.folder = inner, .host = "node/1"});
  REQUIRE(files_of(inner).size() == 1);
  const std::string file = files_of(inner)[0];
  const std::string name = std::filesystem::path(file).filename();
  CHECK(name.find("events.out.tfevents.") == 0);
  const std::string end = ".node_1." + std::to_string(::getpid());
  CHECK(name.substr(name.size() - end.size()) == end);

  using Moment = std::chrono::system_clock::time_point;
  tracker->log(
      {.step = 1, .time = Moment(std::chrono::milliseconds(1500)), .metrics = {{"loss", 0.1}, {"val_loss", 2}}});
  CHECK(events_of(file).size() == 2);
  tracker->log({.step = 2, .metrics = {}});
  tracker->log({.step = std::uint64_t{1} << 40,
                .time = Moment(std::chrono::milliseconds(2500)),
                .metrics = {{"loss", std::numeric_limits<double>::quiet_NaN()}, {std::string(200, 'n'), 1e300}}});
  tracker->finish(Ending::finished, std::chrono::milliseconds(0));
  const auto events = events_of(file);
  REQUIRE(events.size() == 3);
  CHECK(events[0].version == "brain.Event:2");
  CHECK(events[1].time == 1.5);
  CHECK(events[1].step == 1);
  CHECK(events[1].scalars == std::vector<std::pair<std::string, float>>{{"loss", 0.1f}, {"val_loss", 2.0f}});
  CHECK(events[2].step == std::int64_t{1} << 40);
  CHECK(std::isnan(events[2].scalars[0].second));
  CHECK(std::isinf(events[2].scalars[1].second));
}

TEST_CASE("Two starts in one second have two files") {
  const TemporaryFolder folder;
  const auto first = make_tensorboard_tracker({.folder = folder.path()});
  const auto second = make_tensorboard_tracker({.folder = folder.path()});
  CHECK(files_of(folder.path()).size() == 2);
}

TEST_CASE("A folder that cannot be made is named") {
  const TemporaryFolder folder;
  std::ofstream(folder.path() + "/file") << "x";
  try {
    static_cast<void>(make_tensorboard_tracker({.folder = folder.path() + "/file/below"}));
    FAIL("it was taken");
  } catch (const Exception& refusal) {
    CHECK(refusal.error().message.find(folder.path() + "/file/below") != std::string::npos);
  }
}
