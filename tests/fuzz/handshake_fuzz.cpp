// SPDX-License-Identifier: Apache-2.0
// The handshake against a peer without the key. The first byte of an input chooses what the rest is given to.
#include "fuzz_target.hpp"
#include "net/handshake_messages.hpp"
#include "trireme/base/error.hpp"

#include <algorithm>
#include <chrono>

#include <sys/socket.h>

using namespace trireme;
using namespace trireme::net;

namespace {

using Bytes = std::span<const std::byte>;

void read_header(Bytes bytes) {
  if (bytes.size() < frame_header_bytes) return;
  std::string problem;
  auto header = parse_frame_header(bytes.first<frame_header_bytes>(), problem);
  promise(header.has_value() == problem.empty(), "a header is refused with a reason");
  if (!header) return;
  promise(header->payload_bytes <= frame_limit_bytes, "no frame is above the limit");
  promise(may_start_frame(bytes.front()), "a frame starts as frames do");
  auto again = make_frame(header->kind, std::vector<std::byte>(header->payload_bytes));
  promise(std::equal(again.begin(), again.begin() + frame_header_bytes, bytes.begin()), "a header has one encoding");
}

void read_identity(Bytes bytes) {
  auto identity = parse_identity(bytes);
  if (!identity) return;
  auto again = encode_identity(*identity);
  promise(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()), "an identity has one encoding");
  for (char each : describe_mismatch(make_identity("job", "worker", "data", 1, 0), *identity)) {
    promise(each >= ' ' && each < 0x7f, "a peer's text cannot break out of its line");
  }
}

void read_introduction(Bytes bytes) {
  auto introduction = parse_introduction(bytes);
  if (!introduction) return;
  auto again = encode_introduction(*introduction);
  promise(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()), "an introduction has one encoding");
  read_identity(introduction->identity);
}

using SideFunction = Identity (*)(const Socket&, const JobKey&, const Identity&, Deadline, SessionSecret*);

/// The whole of one side; the peer's bytes are all there already, followed by the end of the stream.
void meet(SideFunction side, Bytes bytes) {
  int ends[2];
  promise(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0, "a socket pair is there");
  Socket own(ends[0]);
  Socket peer(ends[1]);
  Deadline deadline = Deadline::after(std::chrono::seconds(10));
  send_all(peer, bytes, deadline);
  ::shutdown(peer.descriptor(), SHUT_WR);
  ErrorCode code = ErrorCode::none;
  try {
    side(own, JobKey::random(), make_identity("job", "worker", "data", 1, 0), deadline, nullptr);
  } catch (const Exception& exception) {
    code = exception.error().code;
    for (char each : exception.error().message) promise(each >= ' ' && each < 0x7f, "a message is one printable line");
  }
  promise(code == ErrorCode::corrupt || code == ErrorCode::closed || code == ErrorCode::invalid_argument,
          "without the key the handshake ends in one of three errors");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > std::size_t{16} << 10) return 0;  // what a socket takes without a reader
  auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
  switch (data[0] % 5) {
    case 0: read_header(bytes); break;
    case 1: read_identity(bytes); break;
    case 2: read_introduction(bytes); break;
    case 3: meet(handshake_as_server, bytes); break;
    default: meet(handshake_as_client, bytes); break;
  }
  return 0;
}
