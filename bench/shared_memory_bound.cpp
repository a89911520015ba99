// SPDX-License-Identifier: Apache-2.0
// What can processes of one host reach at all? Two stand-alone kernels without any library: no matching, no errors, no
// choice of algorithm. `zero_copy` is the bound for memory that all processes map: each combines its part of all inputs
// into all outputs, a barrier before and after. `staged` is what is attainable on private memory: the part that another
// process combines passes through a shared slot in chunks; who reads a slot also writes the result into it, because
// stores to lines that the other side has written are several times faster than to lines it has only read.
// `cross_memory` is the other way on private memory: the kernel copies what the other process has (process_vm_readv), its
// input to be combined, then its results. Where that is forbidden (containers without ptrace rights) it says so.
// Inputs are rewritten before each call; a call takes as long as its slowest process; every result is checked.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define TARGET __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TARGET
#endif

namespace {

constexpr std::size_t most_processes = 8;
constexpr std::size_t slots = 4;

/// One size: how often it is measured, in how many buffers that calls use in turn.
struct Size {
  std::size_t count = 0, iterations = 0, buffers = 1;
  std::size_t bytes() const { return count * sizeof(float); }
  /// From one buffer to the next, in floats: whole cache lines.
  std::size_t stride() const { return (count + 15) / 16 * 16; }
};

enum class Kind { zero_copy, staged, cross_memory };

const char* name_of(Kind kind) {
  if (kind == Kind::zero_copy) return "zero_copy";
  return kind == Kind::staged ? "staged" : "cross_memory";
}

struct Options {
  Kind kind = Kind::zero_copy;
  std::size_t warmup = 3, processes = 2, min_bytes = 4, max_bytes = 256 << 20, factor = 4, chunk = 128 << 10,
              iterations = 0;
  std::vector<Size> sizes;

  /// Floats a process needs for its data.
  std::size_t room() const {
    std::size_t most = 0;
    for (const Size& size : sizes) most = std::max(most, size.stride() * size.buffers);
    return most;
  }
};

struct Shared {
  struct alignas(128) Flag {
    std::atomic<std::uint64_t> value;
  };
  Flag arrived[most_processes], filled[most_processes], combined[most_processes];
  double seconds[most_processes];
  std::uint64_t wrong[most_processes];
  pid_t process[most_processes];
  const float* data[most_processes];  // as that process has it mapped
};

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

void wait_for(const std::atomic<std::uint64_t>& flag, std::uint64_t value, bool crowded) {
  for (unsigned spins = 0; flag.load(std::memory_order_acquire) < value; ++spins) {
    if (crowded) sched_yield();
    pause_briefly();
  }
}

TARGET void add_two(float* __restrict a, float* __restrict b, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) a[i] = b[i] = a[i] + b[i];
}

/// Own contribution `mine` (result goes there too) plus the one in the slot, which takes the result as well.
TARGET void add_slot(float* __restrict mine, float* __restrict slot, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) mine[i] = slot[i] = mine[i] + slot[i];
}

TARGET void add_to(float* __restrict sum, const float* __restrict other, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) sum[i] += other[i];
}

class Process {
 public:
  Process(const Options& options, std::size_t rank, Shared& shared, std::vector<float*> arenas,
          std::vector<float*> staging)
      : options_(options),
        rank_(rank),
        shared_(shared),
        arenas_(std::move(arenas)),
        staging_(std::move(staging)),
        crowded_(options.processes > static_cast<std::size_t>(sysconf(_SC_NPROCESSORS_ONLN))) {
    if (options.kind != Kind::zero_copy) own_.resize(options.room());
    if (options.kind == Kind::cross_memory) {
      arrived_.resize(options.room());
      shared.process[rank] = getpid();
      shared.data[rank] = own_.data();
      prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);  // or Yama would let nobody but a parent read
    }
  }

  void run() {
    for (const Size& size : options_.sizes) measure(size);
  }

 private:
  float* data() { return (options_.kind == Kind::zero_copy ? arenas_[rank_] : own_.data()) + offset_; }
  std::size_t begin_of(std::size_t part, std::size_t count) const {
    return part == options_.processes ? count : count * part / options_.processes / 16 * 16;
  }

  void barrier() {
    ++round_;
    shared_.arrived[rank_].value.store(round_, std::memory_order_release);
    for (std::size_t r = 0; r < options_.processes; ++r) wait_for(shared_.arrived[r].value, round_, crowded_);
  }

  void zero_copy(std::size_t count) {
    barrier();
    const std::size_t part = (rank_ + calls_) % options_.processes;  // owners change: no part stays in one cache
    const std::size_t begin = begin_of(part, count), n = begin_of(part + 1, count) - begin;
    if (options_.processes == 2) {
      add_two(arenas_[0] + offset_ + begin, arenas_[1] + offset_ + begin, n);
    } else {
      constexpr std::size_t tile = 2048;
      for (std::size_t at = 0; at < n; at += tile) {
        const std::size_t now = std::min(tile, n - at);
        const std::size_t here = offset_ + begin + at;
        for (std::size_t r = 1; r < options_.processes; ++r) add_to(arenas_[0] + here, arenas_[r] + here, now);
        for (std::size_t r = 1; r < options_.processes; ++r)
          std::memcpy(arenas_[r] + here, arenas_[0] + here, now * sizeof(float));
      }
    }
    barrier();
  }

  float* slot(std::size_t owner, std::uint64_t chunk) const {
    return staging_[owner] + chunk % slots * (options_.chunk / sizeof(float));
  }

  /// Two processes only.
  void staged(std::size_t count) {
    const std::size_t per_chunk = options_.chunk / sizeof(float);
    const std::size_t chunks = (count + per_chunk - 1) / per_chunk;
    const std::size_t other = 1 - rank_;
    std::uint64_t in = 0, add = 0, out = 0;
    const auto range = [&](std::uint64_t chunk, std::size_t owner) {
      const std::size_t first = chunk * per_chunk, n = std::min(per_chunk, count - first);
      const std::size_t half = n / 2;
      return owner == 0 ? std::pair(first, half) : std::pair(first + half, n - half);
    };
    while (out < chunks) {
      if (in < chunks && in < out + slots) {
        const auto [at, n] = range(in, other);
        std::memcpy(slot(rank_, chunk_ + in), data() + at, n * sizeof(float));
        shared_.filled[rank_].value.store(chunk_ + ++in, std::memory_order_release);
      }
      if (add < in && shared_.filled[other].value.load(std::memory_order_acquire) > chunk_ + add) {
        const auto [at, n] = range(add, rank_);
        add_slot(data() + at, slot(other, chunk_ + add), n);
        shared_.combined[rank_].value.store(chunk_ + ++add, std::memory_order_release);
      }
      if (out < add && shared_.combined[other].value.load(std::memory_order_acquire) > chunk_ + out) {
        const auto [at, n] = range(out, other);
        std::memcpy(data() + at, slot(rank_, chunk_ + out), n * sizeof(float));
        ++out;
      }
    }
    chunk_ += chunks;
  }

  void read_other(float* to, std::size_t begin, std::size_t n) {
    if (n == 0) return;
    const std::size_t other = 1 - rank_;
    iovec here{to, n * sizeof(float)};
    iovec there{const_cast<float*>(shared_.data[other]) + offset_ + begin, n * sizeof(float)};
    if (process_vm_readv(shared_.process[other], &here, 1, &there, 1, 0) == static_cast<ssize_t>(here.iov_len)) return;
    std::perror("shared_memory_bound: process_vm_readv");
    std::exit(1);
  }

  /// Two processes only.
  void cross_memory(std::size_t count) {
    const std::size_t begin = begin_of(rank_, count), n = begin_of(rank_ + 1, count) - begin;
    barrier();
    read_other(arrived_.data(), begin, n);
    add_to(data() + begin, arrived_.data(), n);
    barrier();
    const std::size_t theirs = begin_of(1 - rank_, count);
    read_other(data() + theirs, theirs, count - n);
    barrier();
  }

  void call(std::size_t count) {
    switch (options_.kind) {
      case Kind::zero_copy: return zero_copy(count);
      case Kind::staged: return staged(count);
      case Kind::cross_memory: return cross_memory(count);
    }
  }

  void measure(const Size& size) {
    const std::size_t count = size.count;
    std::vector<double> times;
    std::uint64_t wrong = 0;
    for (std::size_t i = 0; i < size.iterations + options_.warmup; ++i, ++calls_) {
      offset_ = i % size.buffers * size.stride();
      for (std::size_t e = 0; e < count; ++e) data()[e] = static_cast<float>((e + calls_) % 1021 + rank_);
      barrier();
      const auto begin = std::chrono::steady_clock::now();
      call(count);
      shared_.seconds[rank_] = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      barrier();
      if (i >= options_.warmup)
        times.push_back(*std::max_element(shared_.seconds, shared_.seconds + options_.processes));
      barrier();
      if (i >= options_.warmup) continue;
      const float ranks = static_cast<float>(options_.processes * (options_.processes - 1) / 2);
      for (std::size_t e = 0; e < count; ++e) {
        const float expected = static_cast<float>(options_.processes * ((e + calls_) % 1021)) + ranks;
        wrong += data()[e] != expected;
      }
    }
    shared_.wrong[rank_] = wrong;
    barrier();
    if (rank_ != 0) return;
    std::sort(times.begin(), times.end());
    for (std::size_t r = 1; r < options_.processes; ++r) wrong += shared_.wrong[r];
    std::printf("peer bytes=%zu count=%zu time_us=%.3f p99_us=%.3f wrong=%llu least_us=%.3f kind=%s processes=%zu\n",
                size.bytes(), count, 1e6 * times[times.size() / 2], 1e6 * times[times.size() * 99 / 100],
                static_cast<unsigned long long>(wrong), 1e6 * times.front(), name_of(options_.kind),
                options_.processes);
    std::fflush(stdout);
  }

  Options options_;
  std::size_t rank_;
  Shared& shared_;
  std::vector<float*> arenas_, staging_;
  std::vector<float> own_, arrived_;
  bool crowded_;
  std::uint64_t round_ = 0, calls_ = 0, chunk_ = 0;
  std::size_t offset_ = 0;  // of the buffer whose turn it is
};

void* map(std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    std::perror("shared_memory_bound: mmap");
    std::exit(1);
  }
  return memory;
}

[[noreturn]] void usage(const char* what) {
  std::fprintf(
      stderr,
      "shared_memory_bound: %s\nusage: shared_memory_bound [--kind zero_copy|staged|cross_memory] [--processes N] "
      "[--min-bytes B] [--max-bytes B] [--factor F] [--chunk B] [--iterations N]\n"
      "       or, as `trireme perf --compare` starts it, behind --kind, --processes and --chunk: f32 cold WARMUP "
      "COUNT:ITERATIONS:BUFFERS ...\n",
      what);
  std::exit(2);
}

/// What `trireme perf --compare` measures (bench/peers/peer.hpp has the form).
void parse_sizes(int argc, char** argv, Options& options) {
  if (argc < 4 || std::string_view(argv[0]) != "f32" || std::string_view(argv[1]) != "cold")
    usage("only f32 is added here, and inputs are rewritten: f32 cold WARMUP COUNT:ITERATIONS:BUFFERS ...");
  options.warmup = std::strtoull(argv[2], nullptr, 10);
  if (options.warmup == 0) usage("WARMUP is a number above 0");
  for (int i = 3; i < argc; ++i) {
    Size size;
    if (std::sscanf(argv[i], "%zu:%zu:%zu", &size.count, &size.iterations, &size.buffers) != 3 || size.count == 0 ||
        size.iterations == 0 || size.buffers == 0)
      usage("a size is COUNT:ITERATIONS:BUFFERS, each above 0");
    options.sizes.push_back(size);
  }
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string_view name = argv[i];
    if (name.substr(0, 2) != "--") {
      parse_sizes(argc - i, argv + i, options);
      break;
    }
    if (i + 1 == argc) usage("a flag without a value");
    const std::string value = argv[i + 1];
    char* end = nullptr;
    const std::size_t number = std::strtoull(value.c_str(), &end, 10);
    if (name == "--kind") {
      if (value != "zero_copy" && value != "staged" && value != "cross_memory")
        usage("--kind is zero_copy, staged or cross_memory");
      options.kind = value == "zero_copy" ? Kind::zero_copy : value == "staged" ? Kind::staged : Kind::cross_memory;
      continue;
    }
    if (value.empty() || *end != '\0' || (number == 0 && name != "--iterations"))
      usage("a value is not a number above 0");
    if (name == "--processes") {
      options.processes = number;
    } else if (name == "--min-bytes") {
      options.min_bytes = number;
    } else if (name == "--max-bytes") {
      options.max_bytes = number;
    } else if (name == "--factor") {
      options.factor = number;
    } else if (name == "--chunk") {
      options.chunk = number;
    } else if (name == "--iterations") {
      options.iterations = number;
    } else {
      usage("unknown flag");
    }
  }
  if (options.processes < 2 || options.processes > most_processes) usage("--processes is 2 to 8");
  if (options.kind != Kind::zero_copy && options.processes != 2)
    usage("--kind staged and cross_memory are for 2 processes");
  if (options.factor < 2 || options.min_bytes < sizeof(float) || options.chunk % 128 != 0) usage("sizes do not fit");
  if (!options.sizes.empty()) return options;
  for (std::size_t bytes = options.min_bytes; bytes <= options.max_bytes; bytes *= options.factor) {
    const std::size_t by_volume = std::clamp<std::size_t>((std::size_t{1} << 30) / bytes, 12, 2000);
    options.sizes.push_back({bytes / sizeof(float), options.iterations != 0 ? options.iterations : by_volume, 1});
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  auto& shared = *static_cast<Shared*>(map(sizeof(Shared)));
  std::vector<float*> arenas(options.processes, nullptr), staging;
  for (std::size_t r = 0; r < options.processes; ++r) {
    if (options.kind == Kind::zero_copy) arenas[r] = static_cast<float*>(map(options.room() * sizeof(float) + 4096));
    staging.push_back(static_cast<float*>(map(slots * options.chunk)));
  }
  std::vector<pid_t> children;
  for (std::size_t r = 0; r < options.processes; ++r) {
    const pid_t child = fork();
    if (child < 0) {
      std::perror("shared_memory_bound: fork");
      return 1;
    }
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      cpu_set_t core;
      CPU_ZERO(&core);
      CPU_SET(r % static_cast<std::size_t>(sysconf(_SC_NPROCESSORS_ONLN)), &core);
      sched_setaffinity(0, sizeof core, &core);
      Process(options, r, shared, arenas, staging).run();
      return 0;
    }
    children.push_back(child);
  }
  int result = 0;
  for (std::size_t left = children.size(); left > 0; --left) {
    int status = 0;
    const pid_t ended = waitpid(-1, &status, 0);
    std::erase(children, ended);
    if (status == 0) continue;
    result = 1;
    for (const pid_t other : children) kill(other, SIGKILL);  // they would wait for the one that failed for ever
  }
  for (std::size_t r = 0; r < options.processes; ++r) {
    if (shared.wrong[r] != 0) result = 1;
  }
  return result;
}
