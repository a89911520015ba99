// SPDX-License-Identifier: Apache-2.0
// What can a ring all-reduce reach over sockets alone? One process per host, one connection to the next and one from the
// previous, no library: P-1 rounds in which a block is received and added while another is sent, then P-1 rounds that
// pass the sums on. A round begins when the one before has ended; within it, bytes are added as they arrive.
// All processes wait for each other before each call, and a call takes as long as its slowest process. The untimed calls
// are checked; the timed ones follow one another at once: a limited link lets its burst through for nothing after every
// pause. Rank 0 prints one line of JSON per size.
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::size_t rank = 0;
  std::vector<std::string> hosts{};
  int port = 29600;  ///< and the one above it
  std::size_t min_bytes = 64 << 10, max_bytes = 64 << 20, factor = 4, iterations = 20, warmup = 2;
};

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what + (errno != 0 ? std::string(": ") + std::strerror(errno) : ""));
}

addrinfo* resolve(const char* host, int port, int flags) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host, std::to_string(port).c_str(), &hints, &found) != 0) fail(std::string("no address: ") + host);
  return found;
}

void without_delay(int socket) {
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

int listen_at(const std::string& host, int port) {
  addrinfo* address = resolve(host.c_str(), port, AI_PASSIVE);
  const int socket = ::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket, address->ai_addr, address->ai_addrlen) != 0 || ::listen(socket, 16) != 0) fail("cannot listen");
  ::freeaddrinfo(address);
  return socket;
}

int connect_to(const std::string& host, int port) {
  addrinfo* address = resolve(host.c_str(), port, 0);
  for (int attempt = 0; attempt < 1000; ++attempt) {
    const int socket = ::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(socket, address->ai_addr, address->ai_addrlen) == 0) {
      ::freeaddrinfo(address);
      without_delay(socket);
      return socket;
    }
    ::close(socket);
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  fail("cannot connect to " + host);
}

int accept_from(int listener) {
  const int socket = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (socket < 0) fail("cannot accept");
  without_delay(socket);
  return socket;
}

void send_all(int socket, const void* data, std::size_t bytes) {
  if (::send(socket, data, bytes, MSG_NOSIGNAL) != static_cast<ssize_t>(bytes)) fail("cannot send");
}

void receive_all(int socket, void* data, std::size_t bytes) {
  if (::recv(socket, data, bytes, MSG_WAITALL) != static_cast<ssize_t>(bytes)) fail("cannot receive");
}

/// Everybody's connection to rank 0: waiting for each other and the slowest time, beside the ring.
class Star {
 public:
  Star(const Options& options, int listener) {
    if (options.rank != 0) {
      spokes_.push_back(connect_to(options.hosts[0], options.port));
      return;
    }
    is_hub_ = true;
    for (std::size_t i = 1; i < options.hosts.size(); ++i) spokes_.push_back(accept_from(listener));
  }

  void barrier() { largest(0); }

  /// The largest of all values, on every rank.
  double largest(double value) {
    if (!is_hub_) {
      send_all(spokes_[0], &value, sizeof value);
      receive_all(spokes_[0], &value, sizeof value);
      return value;
    }
    for (int spoke : spokes_) {
      double other = 0;
      receive_all(spoke, &other, sizeof other);
      value = std::max(value, other);
    }
    for (int spoke : spokes_) send_all(spoke, &value, sizeof value);
    return value;
  }

 private:
  bool is_hub_ = false;
  std::vector<int> spokes_;
};

class Ring {
 public:
  Ring(const Options& options, int listener) : rank_(options.rank), size_(options.hosts.size()) {
    // Both ends of a pair connect before they accept: the listeners are there already.
    next_ = connect_to(options.hosts[(rank_ + 1) % size_], options.port + 1);
    previous_ = accept_from(listener);
    scratch_.resize(256 << 10);
  }

  void all_reduce(std::span<float> data) {
    for (std::size_t round = 0; round + 1 < size_; ++round)
      exchange(block(data, rank_ + size_ - round), block(data, rank_ + 2 * size_ - round - 1), true);
    for (std::size_t round = 0; round + 1 < size_; ++round)
      exchange(block(data, rank_ + 1 + size_ - round), block(data, rank_ + 2 * size_ - round), false);
  }

 private:
  std::span<float> block(std::span<float> data, std::size_t index) const {
    const std::size_t begin = index % size_ * data.size() / size_, end = (index % size_ + 1) * data.size() / size_;
    return data.subspan(begin, end - begin);
  }

  void exchange(std::span<const float> out, std::span<float> in, bool adds) {
    auto rest = std::as_bytes(out);
    std::size_t got = 0;
    const std::size_t wanted = in.size_bytes();
    while (!rest.empty() || got < wanted) {
      bool moved = false;
      if (!rest.empty()) {
        const auto count = ::send(next_, rest.data(), rest.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN) fail("cannot send");
        if (count > 0) rest = rest.subspan(static_cast<std::size_t>(count)), moved = true;
      }
      if (got < wanted) moved |= receive(in, got, adds);
      if (moved) continue;
      std::array<pollfd, 2> waiting{pollfd{rest.empty() ? -1 : next_, POLLOUT, 0},
                                    pollfd{got < wanted ? previous_ : -1, POLLIN, 0}};
      ::poll(waiting.data(), waiting.size(), -1);
    }
  }

  bool receive(std::span<float> in, std::size_t& got, bool adds) {
    const auto into = std::as_writable_bytes(in);
    const std::size_t odd = adds ? got % sizeof(float) : 0;  // the first bytes of an element that has come in part
    std::byte* const to = adds ? scratch_.data() + odd : into.data() + got;
    const std::size_t room = std::min(adds ? scratch_.size() - odd : into.size(), into.size() - got);
    const auto count = ::recv(previous_, to, room, MSG_DONTWAIT);
    if (count == 0) errno = 0;
    if (count == 0 || (count < 0 && errno != EAGAIN)) fail("cannot receive");
    if (count < 0) return false;
    const std::size_t begin = got - odd;
    got += static_cast<std::size_t>(count);
    if (!adds) return true;
    const std::size_t whole = (got - begin) / sizeof(float);
    const float* const other = reinterpret_cast<const float*>(scratch_.data());
    float* const own = in.data() + begin / sizeof(float);
    for (std::size_t i = 0; i < whole; ++i) own[i] += other[i];
    std::memmove(scratch_.data(), scratch_.data() + whole * sizeof(float), (got - begin) % sizeof(float));
    return true;
  }

  std::size_t rank_, size_;
  int next_ = -1, previous_ = -1;
  std::vector<std::byte> scratch_;
};

/// Small integers: sums are exact in any order.
float value_of(std::size_t rank, std::size_t element, std::size_t turn) {
  return static_cast<float>((element * 7 + rank * 5 + turn) % 64);
}

void measure(const Options& options, Ring& ring, Star& star, std::size_t bytes) {
  const std::size_t count = bytes / sizeof(float), ranks = options.hosts.size();
  std::vector<float> data(count);
  std::vector<double> times;
  std::size_t wrong = 0;
  for (std::size_t turn = 0; turn < options.warmup + options.iterations; ++turn) {
    const bool timed = turn >= options.warmup;
    for (std::size_t i = 0; i < count && !timed; ++i) data[i] = value_of(options.rank, i, turn);
    star.barrier();
    const auto begin = Clock::now();
    ring.all_reduce(data);
    const std::chrono::duration<double> own = Clock::now() - begin;
    for (std::size_t i = 0; i < count && !timed; ++i) {
      float expected = 0;
      for (std::size_t rank = 0; rank < ranks; ++rank) expected += value_of(rank, i, turn);
      wrong += data[i] != expected ? 1 : 0;
    }
    if (timed) times.push_back(own.count());
  }
  for (double& time : times) time = star.largest(time);
  if (star.largest(static_cast<double>(wrong)) > 0) throw std::runtime_error("results are wrong");
  if (options.rank != 0) return;
  std::sort(times.begin(), times.end());
  std::printf("{\"bytes\": %zu, \"ranks\": %zu, \"time_us\": %.2f, \"best_us\": %.2f}\n", bytes, ranks,
              1e6 * times[times.size() / 2], 1e6 * times.front());
  std::fflush(stdout);
}

Options parse(int argc, char** argv) {
  Options options;
  const auto number = [](const char* text) { return static_cast<std::size_t>(std::strtoull(text, nullptr, 10)); };
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view flag = argv[i];
    const char* value = argv[i + 1];
    if (flag == "--rank") {
      options.rank = number(value);
    } else if (flag == "--hosts") {
      for (std::string_view rest = value; !rest.empty();) {
        const auto comma = std::min(rest.find(','), rest.size());
        options.hosts.emplace_back(rest.substr(0, comma));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
      }
    } else if (flag == "--port") {
      options.port = static_cast<int>(number(value));
    } else if (flag == "--min-bytes") {
      options.min_bytes = number(value);
    } else if (flag == "--max-bytes") {
      options.max_bytes = number(value);
    } else if (flag == "--factor") {
      options.factor = number(value);
    } else if (flag == "--iterations") {
      options.iterations = number(value);
    } else if (flag == "--warmup") {
      options.warmup = number(value);
    } else {
      throw std::runtime_error("unknown flag " + std::string(flag));
    }
  }
  if (argc % 2 == 0 || options.hosts.size() < 2 || options.rank >= options.hosts.size() || options.factor < 2 ||
      options.min_bytes < 4 || options.iterations < 1 || options.warmup < 1) {
    throw std::runtime_error(
        "usage: raw_ring --rank R --hosts ADDRESS,ADDRESS[,…] [--port N] [--min-bytes B] [--max-bytes B] [--factor F]"
        " [--iterations N] [--warmup N]");
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) try {
  errno = 0;
  const Options options = parse(argc, argv);
  const std::string& own = options.hosts[options.rank];
  const int ring_listener = listen_at(own, options.port + 1);
  const int star_listener = options.rank == 0 ? listen_at(own, options.port) : -1;
  Star star(options, star_listener);
  Ring ring(options, ring_listener);
  for (std::size_t bytes = options.min_bytes; bytes <= options.max_bytes; bytes *= options.factor)
    measure(options, ring, star, bytes);
  star.barrier();
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "raw_ring: %s\n", error.what());
  return 1;
}
