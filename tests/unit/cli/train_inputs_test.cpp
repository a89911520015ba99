// SPDX-License-Identifier: Apache-2.0
#include "cli/train/inputs/brought_inputs.hpp"
#include "cli/train/inputs/fifo_source.hpp"
#include "cli/train/inputs/spool.hpp"
#include "cli/train/tasks/row_source.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/base/error.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <iterator>
#include <mutex>
#include <numeric>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace trireme;
using namespace trireme::cli;
using Catch::Matchers::Contains;
using Mode = platform::InputChannel::Mode;
using testing::TemporaryFolder;
namespace fs = std::filesystem;

namespace {

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void put(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

/// Somebody who makes a FIFO, unless it is there, and writes it as whoever fills a pipe does.
class Writer {
 public:
  Writer(std::string path, std::string text, bool makes)
      : thread_([path = std::move(path), text = std::move(text), makes] {
          if (makes) ::mkfifo(path.c_str(), 0600);
          const int descriptor = ::open(path.c_str(), O_WRONLY);
          for (std::size_t at = 0; at < text.size();) {
            const ssize_t written =
                ::write(descriptor, text.data() + at, std::min<std::size_t>(text.size() - at, 5000));
            if (written <= 0) break;
            at += static_cast<std::size_t>(written);
          }
          ::close(descriptor);
        }) {}
  ~Writer() { thread_.join(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

 private:
  std::thread thread_;
};

std::string record(const std::string& bytes) {
  std::string text = "\x0a\x23\xd7\xce";
  for (unsigned shift = 0; shift < 32; shift += 8) text += static_cast<char>(bytes.size() >> shift & 0xff);
  return text + bytes + std::string((4 - bytes.size() % 4) % 4, '\0');
}

std::string everything_of(data::ByteSource& source) {
  std::vector<std::uint8_t> bytes(1 << 20);
  bytes.resize(source.read(bytes));
  return {bytes.begin(), bytes.end()};
}

template <class F>
Error error_from(F f) {
  try {
    f();
  } catch (const Exception& exception) {
    return exception.error();
  }
  return {};
}

const std::atomic<bool>& never() {
  static const std::atomic<bool> stop{false};
  return stop;
}

std::string numbers(int first, int count) {
  std::string text;
  for (int i = first; i < first + count; ++i) text += std::to_string(i) + "," + std::to_string(i % 3) + "\n";
  return text;
}

}  // namespace

TEST_CASE("A pipe is read to where its writer closes it, whoever comes first") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/train_0", text = std::string(70000, 'a') + "end";
  const bool waits = GENERATE(false, true);
  if (!waits) REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  const Writer writer(path, text, waits);
  FifoSource pipe(path, {.stop = never()});
  CHECK(everything_of(pipe) == text);
}

TEST_CASE("A pipe whose writer has nothing to say is empty") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/train_0";
  const Writer writer(path, "", true);
  FifoSource pipe(path, {.stop = never()});
  CHECK(everything_of(pipe).empty());
}

TEST_CASE("Nobody waits for a pipe for ever, and it is named") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/train_0";
  std::atomic<bool> stop{false};
  const FifoWait brief{.stop = stop, .longest = std::chrono::milliseconds(1)};
  Error error = error_from([&] { FifoSource(path, brief); });
  CHECK(error.code == ErrorCode::invalid_argument);
  CHECK(error.message == "the pipe " + path + " is not there for 0 s");
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
  error = error_from([&] {
    FifoSource pipe(path, brief);
    everything_of(pipe);
  });
  CHECK(error.message == "nothing comes through the pipe " + path + " for 0 s");
  stop = true;
  CHECK(error_from([&] {
          FifoSource pipe(path, {.stop = stop});
          everything_of(pipe);
        }).code == ErrorCode::closed);
  CHECK(error_from([&] { FifoSource(folder.path(), brief); }).message == folder.path() + " is no pipe");
}

TEST_CASE("A spooled pipe is one file; of records, one file each where they are to stay apart") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/c";
  platform::InputChannel channel{.path = path, .mode = Mode::pipe};
  Scratch scratch(folder.path());
  const auto spool = [&](const std::string& text, bool apart) {
    const Writer writer(path + "_0", text, true);
    std::vector<std::string> contents;
    for (const auto& each : spool_pipe(channel, apart, scratch, {.stop = never()}))
      contents.push_back(content_of(each));
    return contents;
  };
  CHECK(spool("1,2\n3,4\n", true) == std::vector<std::string>{"1,2\n3,4\n"});
  channel.record_io = true;
  const std::string records = record("a,b\n1,2\n") + record("a,b\n3,4");
  CHECK(spool(records, true) == std::vector<std::string>{"a,b\n1,2\n", "a,b\n3,4"});
  CHECK(spool(records, false) == std::vector<std::string>{"a,b\n1,2\na,b\n3,4"});
  CHECK(error_from([&] { spool("1,2\n3,4\n", true); }).message == path + "_0: no RecordIO record begins at byte 0");
  CHECK(error_from([&] { spool("", true); }).message == "nothing came through the pipe " + path + "_0");
  channel.sharded = true;
  CHECK(spool("", true).empty());
  CHECK(spool(records, true).size() == 2);
}

TEST_CASE("The ranks of a host read a pipe together, though one has read it; then it is gone") {
  const TemporaryFolder folder;
  const std::string path = folder.path() + "/train", text = numbers(0, 500);
  const Writer writer(path + "_0", text, true);
  testing::run_ranks(3, [&](World& world) {
    DataOptions data{.dataset = {.kind = DatasetKind::csv, .path = "channel:train", .channel = "train"}};
    data.channels["train"] = {.path = path, .mode = Mode::pipe};
    std::string seen;
    fs::path file;
    {
      const BroughtInputs inputs(world.communicator(), data, {.host = "h", .scratch = folder.path()});
      if (data.dataset.files.size() == 1) seen = content_of(file = data.dataset.files.front());
      world.communicator().barrier();
    }
    world.communicator().barrier();
    if (seen != text || fs::exists(file)) throw std::runtime_error("another text, or it is still there");
  });
}

TEST_CASE("Hosts that have a part of a channel each see all of it, by name") {
  const TemporaryFolder folder;
  const std::vector<std::string> hosts{"h0", "h0", "h1", "h2"};  // of four ranks
  std::string large(9'000'001, 'x');
  for (std::size_t i = 0; i < large.size(); i += 1000) large[i] = static_cast<char>('a' + i / 1000 % 26);
  put(folder.path() + "/h0/b", "second");
  put(folder.path() + "/h1/a", "first");
  put(folder.path() + "/h1/c", large);
  put(folder.path() + "/h1/e", "");
  put(folder.path() + "/h2/d", "fourth");
  put(folder.path() + "/h2/b", "second too");
  const std::vector<std::string> expected{"first", "second", "second too", large, "fourth", ""};
  std::mutex mutex;
  std::vector<std::string> said;
  testing::run_ranks(4, [&](World& world) {
    const auto& host = hosts[static_cast<std::size_t>(world.rank())];
    DataOptions data{.dataset = {.kind = DatasetKind::text, .path = "channel:train", .channel = "train"}};
    data.channels["train"] = {.path = folder.path() + "/" + host, .sharded = true};
    BroughtInputs inputs(world.communicator(), data,
                         {.host = host, .scratch = folder.path(), .say = [&](const std::string& line) {
                            const std::lock_guard lock(mutex);
                            said.push_back(line);
                          }});
    std::vector<std::string> seen;
    for (const auto& each : data.dataset.files) seen.push_back(content_of(each));
    world.communicator().barrier();
    if (seen != expected) throw std::runtime_error("rank " + std::to_string(world.rank()) + " sees something else");
  });
  REQUIRE(said.size() == 1);
  CHECK_THAT(said.front(), Contains("channel train is sharded: 3 hosts have 8.6 MiB in 6 files"));
  std::size_t left = 0;
  for (const auto& each : fs::directory_iterator(folder.path())) left += each.path().filename().string().size() > 2;
  CHECK(left == 0);
}

TEST_CASE("A host may have none of a sharded channel, as long as another has some") {
  const TemporaryFolder folder;
  put(folder.path() + "/h1/a", "first");
  fs::create_directory(folder.path() + "/h0");
  fs::create_directory(folder.path() + "/h2");
  std::mutex mutex;
  std::vector<std::string> refusals;
  testing::run_ranks(3, [&](World& world) {
    const auto bring = [&](const std::string& below) {
      DataOptions data{.dataset = {.kind = DatasetKind::text, .path = "channel:t", .channel = "t"}};
      const std::string host = "h" + std::to_string(world.rank());
      data.channels["t"] = {.path = folder.path() + "/" + (below.empty() ? host : below), .sharded = true};
      BroughtInputs inputs(world.communicator(), data,
                           {.host = host, .scratch = folder.path(), .say = [](const std::string&) {}});
      if (data.dataset.files.size() != 1 || content_of(data.dataset.files.front()) != "first")
        throw std::runtime_error("something else");
      world.communicator().barrier();
    };
    bring("");
    try {
      bring("h2");  // nobody has any
    } catch (const Exception& refusal) {
      const std::lock_guard lock(mutex);
      refusals.push_back(refusal.error().message);
    }
  });
  CHECK(refusals == std::vector<std::string>(3, "channel t is sharded, but no host has any of it"));
}

TEST_CASE("A sharded channel on one host is the whole, and nothing is copied") {
  const TemporaryFolder folder;
  put(folder.path() + "/a", "first");
  testing::run_ranks(2, [&](World& world) {
    DataOptions data{.dataset = {.kind = DatasetKind::text, .path = "channel:t", .channel = "t"}};
    data.channels["t"] = {.path = folder.path(), .sharded = true};
    BroughtInputs inputs(world.communicator(), data, {.host = "h", .scratch = "/tmp"});
    if (data.dataset.files != std::vector<fs::path>{folder.path() + "/a"}) throw std::runtime_error("another file");
  });
}

TEST_CASE("What one host cannot bring all ranks refuse, in the same words") {
  const TemporaryFolder folder;
  put(folder.path() + "/h0/a", "first");
  std::mutex mutex;
  std::vector<std::string> refusals;
  const auto bring = [&](World& world, const platform::InputChannel& channel, const fs::path& scratch) {
    DataOptions data{.dataset = {.kind = DatasetKind::text, .path = "channel:t", .channel = "t"}};
    data.channels["t"] = channel;
    try {
      BroughtInputs inputs(world.communicator(), data,
                           {.host = "h" + std::to_string(world.rank() / 2),
                            .scratch = scratch,
                            .longest_wait = std::chrono::milliseconds(1)});
    } catch (const Exception& refusal) {
      const std::lock_guard lock(mutex);
      refusals.push_back(refusal.error().message);
    }
  };
  testing::run_ranks(4, [&](World& world) {
    bring(world, {.path = folder.path() + "/h" + std::to_string(world.rank() / 2), .sharded = true}, folder.path());
  });
  REQUIRE(refusals.size() == 4);
  for (const auto& each : refusals) CHECK(each == refusals.front());
  refusals.clear();
  testing::run_ranks(
      2, [&](World& world) { bring(world, {.path = folder.path() + "/pipe", .mode = Mode::pipe}, folder.path()); });
  CHECK(refusals == std::vector<std::string>(2, "the pipe " + folder.path() + "/pipe_0 is not there for 0 s"));
  refusals.clear();
  testing::run_ranks(2, [&](World& world) {
    bring(world, {.path = folder.path() + "/h0", .sharded = true}, folder.path() + "/nowhere");
  });
  REQUIRE(refusals.size() == 2);
  CHECK_THAT(refusals.front(), Contains("cannot make a folder for input data in " + folder.path() + "/nowhere"));
}

TEST_CASE("The files of a folder are one table, in memory and on disk") {
  const TemporaryFolder folder;
  put(folder.path() + "/whole.csv", "x,y\n" + numbers(0, 90));
  put(folder.path() + "/parts/0.csv", "x,y\n" + numbers(0, 40));
  put(folder.path() + "/parts/1.csv", "x,y\n" + numbers(40, 1));
  put(folder.path() + "/parts/2.csv", "x,y\n" + numbers(41, 49));
  const auto rows = [&](const std::string& name, std::uint64_t most) {
    const auto source = open_dense({.kind = DatasetKind::csv, .path = folder.path() + "/" + name}, {}, most);
    REQUIRE(source->size() == 90);
    CHECK(source->names() == std::vector<std::string>{"x"});
    std::vector<std::uint32_t> all(90);
    std::iota(all.rbegin(), all.rend(), 0U);
    all.insert(all.end(), {39, 40, 41, 0, 89});
    data::DenseTable table;
    source->read(all, table);
    return std::pair(std::vector<float>(table.values.begin(), table.values.end()),
                     std::vector<float>(table.labels.begin(), table.labels.end()));
  };
  CHECK(rows("parts", 1 << 20) == rows("whole.csv", 1 << 20));
  CHECK(rows("parts", 0) == rows("whole.csv", 0));
  put(folder.path() + "/parts/3.csv", "x,z,y\n1,2,3\n");
  CHECK_THAT(error_from([&] { open_dense({.kind = DatasetKind::csv, .path = folder.path() + "/parts"}, {}); }).message,
             Contains("/parts/3.csv has other columns than "));
}

TEST_CASE("LibSVM files of a folder are one table with the features of all") {
  const TemporaryFolder folder;
  put(folder.path() + "/0", "1 1:2 3:4\n0 2:1\n");
  put(folder.path() + "/1", "1 7:5\n");
  const auto source = open_sparse({.kind = DatasetKind::libsvm, .path = folder.path()});
  CHECK(source->size() == 3);
  data::SparseTable table;
  source->read(std::vector<std::uint32_t>{2, 0}, table);
  CHECK(table.features == source->features());
  CHECK(table.size() == 2);
  CHECK(table.view().row_values(0)[0] == 5.0f);
  CHECK(table.view().row_values(1).size() == 2);
}
