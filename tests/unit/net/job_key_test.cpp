// SPDX-License-Identifier: Apache-2.0
#include "trireme/net/job_key.hpp"

#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include <sys/stat.h>
#include <unistd.h>

using namespace trireme;
using namespace trireme::net;
using namespace trireme::testing;

namespace {

/// A file that is gone at the end of the test.
class KeyFile {
 public:
  explicit KeyFile(const std::string& content) {
    char name[] = "/tmp/trireme-key-XXXXXX";
    int descriptor = ::mkstemp(name);
    REQUIRE(descriptor >= 0);
    ::close(descriptor);
    path = name;
    std::ofstream(path) << content;
  }
  KeyFile(const KeyFile&) = delete;
  ~KeyFile() { std::remove(path.c_str()); }
  std::string path;
};

}  // namespace

TEST_CASE("A random key goes through text and comes back") {
  JobKey key = JobKey::random();
  CHECK(key.to_text().size() == 64);
  CHECK(JobKey::from_text(key.to_text()).bytes() == key.bytes());
  CHECK(JobKey::random().bytes() != key.bytes());
}

TEST_CASE("Any text makes the same key everywhere: its SHA-256") {
  JobKey key = JobKey::from_text("correct horse battery staple");
  CHECK(key.to_text() == "c4bbcb1fbec99d65bf59d85c8cb62ee2db963f0fe106f483d9afa73bd4e39a8a");
  CHECK(JobKey::from_text(" \tcorrect horse battery staple\r\n").bytes() == key.bytes());
  CHECK(JobKey::from_text("correct horse battery stapl").bytes() != key.bytes());
}

TEST_CASE("Sixty-four hex digits are the key itself, in either case") {
  std::string digits = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
  CHECK(JobKey::from_text(digits).to_text() == digits);
  std::string upper = digits;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' ? static_cast<char>(c - 32) : c; });
  CHECK(JobKey::from_text(upper).to_text() == digits);
  CHECK(JobKey::from_text(digits.substr(1) + "g").to_text() != digits.substr(1) + "g");
}

TEST_CASE("A text below sixteen characters is refused without being shown") {
  for (std::string text : {"", "   ", "secret", "secret-of-15-ch", "   secret-of-15-ch   "}) {
    Error error = error_of([&] { JobKey::from_text(text); });
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK_FALSE(has(error.message, "secret"));
  }
  CHECK(code_of([] { JobKey::from_text("secret-of-16-chr"); }) == ErrorCode::none);
}

TEST_CASE("A key file gives the key of its first line") {
  std::string text = "a job key of some length";
  CHECK(JobKey::from_file(KeyFile(text).path.c_str()).bytes() == JobKey::from_text(text).bytes());
  CHECK(JobKey::from_file(KeyFile(text + "\nanother line\n").path).bytes() == JobKey::from_text(text).bytes());
  CHECK(JobKey::from_file(KeyFile(text + "\r\n" + std::string(10000, 'x')).path).bytes() ==
        JobKey::from_text(text).bytes());
}

TEST_CASE("A key file without a key is refused by name, without its content") {
  for (std::string content : {"", "\n", "  \nsecret-secret-secret\n", "secret\n"}) {
    KeyFile file(content);
    Error error = error_of([&] { JobKey::from_file(file.path); });
    CHECK(error.code == ErrorCode::invalid_argument);
    CHECK(has(error.message, file.path));
    CHECK_FALSE(has(error.message, "secret"));
  }
  KeyFile endless(std::string(5000, 's'));
  CHECK(code_of([&] { JobKey::from_file(endless.path); }) == ErrorCode::invalid_argument);
  CHECK(code_of([] { JobKey::from_file("/dev/zero"); }) == ErrorCode::invalid_argument);
  CHECK(code_of([] { JobKey::from_file("/tmp"); }) == ErrorCode::invalid_argument);
  Error missing = error_of([] { JobKey::from_file("/no/such/file"); });
  CHECK(missing.code == ErrorCode::invalid_argument);
  CHECK(has(missing.message, "/no/such/file"));
}

TEST_CASE("A key derived from a job id depends on it alone") {
  CHECK(JobKey::derived("job-1").bytes() == JobKey::derived("job-1").bytes());
  CHECK(JobKey::derived("job-1").bytes() != JobKey::derived("job-2").bytes());
  CHECK(JobKey::derived("a job id of length").bytes() != JobKey::from_text("a job id of length").bytes());
}
