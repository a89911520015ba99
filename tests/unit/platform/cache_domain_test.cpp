// SPDX-License-Identifier: Apache-2.0
// Trees of files as the kernel shows them, made here.
#include "platform/cache_domain.hpp"

#include "platform/binding.hpp"

#include <catch2/catch.hpp>

#include <fstream>
#include <string>

#include <unistd.h>

using namespace trireme::platform;
namespace fs = std::filesystem;

namespace {

/// A folder that goes with the test.
class Tree {
 public:
  Tree() {
    std::string name = (fs::temp_directory_path() / "trireme-caches-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    root_ = name;
  }
  ~Tree() { fs::remove_all(root_); }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  const fs::path& root() const { return root_; }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text << '\n';
  }
  void cache(int processor, int index, int level, const std::string& type, const std::string& sharers) const {
    const std::string folder = "cpu/cpu" + std::to_string(processor) + "/cache/index" + std::to_string(index) + "/";
    write(folder + "level", std::to_string(level));
    write(folder + "type", type);
    write(folder + "shared_cpu_list", sharers);
  }

 private:
  fs::path root_;
};

/// Two sockets of two third-level caches of two cores of two threads: threads of a core are c and c + 8.
void write_two_sockets(const Tree& tree) {
  for (int p = 0; p < 16; ++p) {
    const int core = p % 8, cache = core / 2;
    const std::string pair = std::to_string(core) + "," + std::to_string(core + 8);
    const std::string sharers = to_text({2 * cache, 2 * cache + 1, 2 * cache + 8, 2 * cache + 9});
    tree.cache(p, 0, 1, "Data", pair);
    tree.cache(p, 1, 1, "Instruction", pair);
    tree.cache(p, 2, 2, "Unified", pair);
    tree.cache(p, 3, 3, "Unified", sharers);
    tree.write("cpu/cpu" + std::to_string(p) + "/topology/thread_siblings_list", pair);
  }
  tree.write("node/node0/cpulist", "0-3,8-11");
  tree.write("node/node1/cpulist", "4-7,12-15");
  tree.write("node/possible", "0-1");
}

std::vector<ProcessorPlace> places(const ProcessorList& processors, const Tree& tree) {
  std::vector<ProcessorPlace> all;
  for (const int each : processors) all.push_back(place_of(each, tree.root()));
  return all;
}

}  // namespace

TEST_CASE("a rank's cache domain is what all its processors share") {
  Tree tree;
  write_two_sockets(tree);
  REQUIRE(domain_of({0, 1}, tree.root()) == CacheDomain{0, 0});
  REQUIRE(domain_of({9}, tree.root()) == CacheDomain{0, 0});
  REQUIRE(domain_of({2, 10}, tree.root()) == CacheDomain{0, 2});
  REQUIRE(domain_of({14, 15}, tree.root()) == CacheDomain{1, 6});
  REQUIRE(!domain_of({1, 2}, tree.root()));  // two caches
  REQUIRE(!domain_of({0, 4}, tree.root()));  // two sockets
  REQUIRE(!domain_of({}, tree.root()));
  REQUIRE(!domain_of({16}, tree.root()));
  REQUIRE(place_of(13, tree.root()).core == 5);
}

TEST_CASE("one third-level cache is one domain, unless it spans two nodes") {
  Tree tree;
  for (int p = 0; p < 4; ++p) tree.cache(p, 3, 3, "Unified", "0-3");
  REQUIRE(domain_of({0, 1, 2, 3}, tree.root()) == CacheDomain{0, 0});  // a kernel without NUMA
  tree.write("node/node0/cpulist", "0-1");
  tree.write("node/node1/cpulist", "2-3");
  REQUIRE(!domain_of({0, 1, 2, 3}, tree.root()));
  REQUIRE(domain_of({2, 3}, tree.root()) == CacheDomain{1, 0});
}

TEST_CASE("the cache that counts is the last, and never one of instructions") {
  Tree tree;
  tree.cache(0, 0, 1, "Data", "0");
  tree.cache(0, 1, 1, "Instruction", "0-7");
  REQUIRE(domain_of({0}, tree.root()) == CacheDomain{0, 0});
  REQUIRE(!domain_of({0, 1}, tree.root()));
  tree.cache(0, 2, 2, "Unified", "0-1");
  REQUIRE(domain_of({0, 1}, tree.root()) == CacheDomain{0, 0});
}

TEST_CASE("files that are missing or garbage leave the domain unknown") {
  Tree tree;
  REQUIRE(!domain_of({0}, tree.root()));
  REQUIRE(!domain_of({0}, tree.root() / "nothing here"));
  REQUIRE(place_of(0, tree.root()).core == 0);
  for (const char* sharers : {"", "garbage", "0-", "1-3", "99999999999"}) {
    tree.cache(0, 2, 2, "Unified", "0-1");
    tree.cache(0, 3, 3, "Unified", sharers);
    CAPTURE(sharers);
    REQUIRE(!domain_of({0}, tree.root()));
  }
  tree.cache(0, 3, 3, "Unified", "0-1");
  tree.write("cpu/cpu0/cache/index4/level", "four");
  REQUIRE(domain_of({0}, tree.root()) == CacheDomain{0, 0});
  tree.write("node/node0/cpulist", "everything");
  REQUIRE(!domain_of({0}, tree.root()));  // there are nodes, and none is known to have it
}

TEST_CASE("ranks that are bound fill one cache before the next, and every core before its second thread") {
  Tree tree;
  write_two_sockets(tree);
  ProcessorList all;
  for (int p = 0; p < 16; ++p) all.push_back(p);
  const auto places_of_all = places(all, tree);
  REQUIRE(bind_ranks(3, places_of_all) == std::vector<int>{0, 1, 2});
  REQUIRE(bind_ranks(8, places_of_all) == std::vector<int>{0, 1, 2, 3, 4, 5, 6, 7});
  REQUIRE(bind_ranks(16, places_of_all) == std::vector<int>{0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15});
  REQUIRE(bind_ranks(4, places({0, 4, 1, 5}, tree)) == std::vector<int>{0, 1, 4, 5});
  REQUIRE(bind_ranks(3, places({6, 2}, tree)) == std::vector<int>{2, 6, 2});
}

TEST_CASE("processors of which nothing is known are taken in their own order") {
  Tree tree;
  REQUIRE(bind_ranks(3, places({3, 5, 4}, tree)) == std::vector<int>{3, 4, 5});
  REQUIRE_THROWS(bind_ranks(1, {}));
}
