// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/entry.hpp"
#include "support/failures.hpp"
#include "support/require.hpp"
#include "support/stride.hpp"
#include "support/volatile_files.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/checkpoint/toy_state.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <string>

namespace {

using namespace trireme;
using testing::has;
using testing::require;
using testing::ToyState;
using testing::VolatileFiles;

/// A state of some 500 KB: a large tensor has several chunks.
void with_state(World& world, VolatileFiles& files,
                const std::function<void(checkpoint::Folder&, ToyState&, checkpoint::TrainingState&)>& body) {
  auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = VolatileFiles::root});
  ToyState toy(world.rank(), world.size(), 4);
  checkpoint::TrainingState state;
  state.add("toy", toy);
  body(folder, toy, state);
}

/// How often each byte of a file is in `accesses`.
std::map<std::string, std::vector<int>> times_of(const VolatileFiles& files,
                                                 const std::vector<VolatileFiles::Access>& accesses) {
  std::map<std::string, std::vector<int>> times;
  for (const auto& [path, bytes] : files.contents()) times[path].resize(bytes.size());
  for (const auto& each : accesses) {
    const auto file = times.find(each.path);
    if (file == times.end()) continue;  // a draft or a probe
    const auto from = file->second.begin() + static_cast<std::ptrdiff_t>(each.offset);
    std::for_each(from, from + static_cast<std::ptrdiff_t>(each.bytes), [](int& n) { ++n; });
  }
  return times;
}

bool all_are(const std::vector<int>& times, int n) {
  return std::all_of(times.begin(), times.end(), [&](int each) { return each == n; });
}

checkpoint::Manifest manifest_in(const VolatileFiles& files) {
  for (const auto& [path, bytes] : files.contents()) {
    if (!has(path, "/journal/")) continue;
    const checkpoint::Entry entry = checkpoint::decode(bytes, path);
    if (const auto* manifest = std::get_if<checkpoint::Manifest>(&entry)) return *manifest;
  }
  throw std::logic_error("there is no manifest");
}

/// Ranks of `world` whose piece of `pieces` wants some of a slice: each reads the slice's only chunk for itself.
int readers_of(const checkpoint::Slice& slice, int ranks) {
  int readers = 0;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto own =
        layout::piece({0, ToyState::pieces_count}, static_cast<std::size_t>(ranks), static_cast<std::size_t>(rank));
    readers += own.size() != 0 && own.begin < slice.first + slice.count && slice.first < own.end ? 1 : 0;
  }
  return readers;
}

/// Counted: every byte of every part and of the JSON. Not counted: the journal, which every rank reads whole.
void check_reads(const VolatileFiles& files, int ranks) {
  const auto manifest = manifest_in(files);
  auto times = times_of(files, files.reads());
  const std::string root = std::string(VolatileFiles::root) + "/";
  require(all_are(times.at(root + manifest.json_file), 1), "the JSON is read once");
  for (const auto& part : manifest.parts) {
    const auto& all = times.at(root + part.file);
    require(all_are({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(part.header_bytes)}, 1),
            "the header of " + part.file + " is read once");
  }
  for (const auto& tensor : manifest.tensors) {
    for (const auto& slice : tensor.slices) {
      const auto& all = times.at(root + manifest.parts[slice.part].file);
      const auto begin = all.begin() + static_cast<std::ptrdiff_t>(slice.offset);
      const auto end = begin + static_cast<std::ptrdiff_t>(slice.count * size_of(tensor.dtype));
      // A tensor that all ranks have is read once over all ranks; of one cut among the ranks each reads the chunks that
      // hold its own range.
      const int wanted = tensor.name == "toy/pieces" ? readers_of(slice, ranks) : 1;
      require(all_are({begin, end}, wanted), tensor.name + " from " + std::to_string(slice.first) + " on is read " +
                                                 std::to_string(*begin) + " times");
    }
  }
}

TEST_CASE("A save writes each byte once, and a load on any number of ranks reads each byte once over all of them") {
  for (const int n : testing::thinned({1, 3, 8}, {1, 3})) {
    VolatileFiles files;
    testing::run_ranks(n, [&](World& world) {
      with_state(world, files, [&](checkpoint::Folder& folder, ToyState& toy, checkpoint::TrainingState& state) {
        checkpoint::Saver saver(folder);
        toy.fill(7);
        saver.save(7, state);
        const auto report = saver.finish();
        require(report && report->is_complete, "it is saved");
      });
    });
    const auto written = times_of(files, files.writes());
    for (const auto& [path, times] : written) {
      // An entry of the journal is written as a draft, and gets its name by a link.
      if (!has(path, "/journal/")) CHECK(all_are(times, 1));
    }
    std::uint64_t bytes = 0, kept = 0;
    for (const auto& each : files.writes()) bytes += each.bytes;
    for (const auto& [path, content] : files.contents()) kept += content.size();
    CHECK(bytes == kept);  // the journal too: nothing is written that does not stay
    for (const int m : testing::thinned({1, 2, 3, 4, 8}, {1, 2, 4})) {
      const auto copy = files.clone();
      testing::run_ranks(m, [&](World& world) {
        with_state(world, *copy, [&](checkpoint::Folder& folder, ToyState& toy, checkpoint::TrainingState& state) {
          const auto manifest = folder.resume(state);
          require(manifest && toy.holds(7), "every bit is back");
        });
      });
      check_reads(*copy, m);
    }
  }
}

}  // namespace
