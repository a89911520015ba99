// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/protocol.hpp"

#include "rendezvous/store_contents.hpp"
#include "trireme/net/wire.hpp"

#include <algorithm>

namespace trireme::rendezvous {
namespace {

using net::Reader;
using net::Writer;

/// First byte of a body. Values are part of the wire format: never renumber.
enum class Kind : std::uint8_t {
  hello = 1,
  set = 2,
  get = 3,
  add = 4,
  report = 5,
  answer = 6,
  leave = 7,
  abandon = 8,
  welcome = 64,
  refused = 65,
  done = 66,
  value = 67,
  number = 68,
  failed = 69,
  query = 70,
  verdict = 71,
  goodbye = 72,
};

void put(Writer& out, Kind kind) { out.u8(static_cast<std::uint8_t>(kind)); }

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// For texts that end in messages and logs: one line each, whatever a peer sends.
void put_text(Writer& out, const std::string& text) {
  std::string line = text.substr(0, text_limit);
  std::replace_if(line.begin(), line.end(), is_control, ' ');
  out.text(line);
}

std::string take_text(Reader& in, bool& valid) {
  std::string line = in.text(text_limit);
  if (std::any_of(line.begin(), line.end(), is_control)) valid = false;
  return line;
}

ErrorCode take_code(Reader& in, bool& valid) {
  std::uint8_t code = in.u8();
  if (code > static_cast<std::uint8_t>(ErrorCode::corrupt)) {
    valid = false;
    return ErrorCode::none;
  }
  return static_cast<ErrorCode>(code);
}

void put_cause(Writer& out, const Cause& cause) {
  out.u8(static_cast<std::uint8_t>(cause.code));
  out.u64(cause.epoch);
  out.u64(cause.communicator);
  out.u64(cause.operation);
  out.i32(cause.member);
  put_text(out, cause.member_host);
  put_text(out, cause.operation_name);
  put_text(out, cause.message);
}

Cause take_cause(Reader& in, bool& valid) {
  Cause cause;
  cause.code = take_code(in, valid);
  cause.epoch = in.u64();
  cause.communicator = in.u64();
  cause.operation = in.u64();
  cause.member = in.i32();
  cause.member_host = take_text(in, valid);
  cause.operation_name = take_text(in, valid);
  cause.message = take_text(in, valid);
  return cause;
}

void put_status(Writer& out, const Status& status) {
  out.i32(status.rank);
  out.u64(status.communicator);
  out.u64(status.operation);
  out.u8(status.in_operation ? 1 : 0);
  put_text(out, status.operation_name);
  std::size_t count = std::min(status.waiting_for.size(), waiting_limit);
  out.u32(static_cast<std::uint32_t>(count));
  for (std::size_t i = 0; i < count; ++i) out.i32(status.waiting_for[i]);
}

Status take_status(Reader& in, bool& valid) {
  Status status;
  status.rank = in.i32();
  status.communicator = in.u64();
  status.operation = in.u64();
  std::uint8_t in_operation = in.u8();
  if (in_operation > 1) valid = false;
  status.in_operation = in_operation == 1;
  status.operation_name = take_text(in, valid);
  std::uint32_t count = in.u32();
  if (count > waiting_limit) valid = false;
  // Grows with the bytes that are there, not with the count that is claimed.
  for (std::uint32_t i = 0; valid && in.ok() && i < count; ++i) status.waiting_for.push_back(in.i32());
  return status;
}

struct ClientEncoder {
  Writer& out;
  void operator()(const Hello& hello) const {
    put(out, Kind::hello);
    out.u8(static_cast<std::uint8_t>(hello.service));
    put_text(out, hello.host);
    out.u32(hello.world_size);
  }
  void operator()(const SetRequest& request) const {
    put(out, Kind::set);
    out.u64(request.id);
    out.text(request.key);
    out.text(request.value);
  }
  void operator()(const GetRequest& request) const {
    put(out, Kind::get);
    out.u64(request.id);
    out.text(request.key);
  }
  void operator()(const AddRequest& request) const {
    put(out, Kind::add);
    out.u64(request.id);
    out.text(request.key);
    out.u64(static_cast<std::uint64_t>(request.delta));
  }
  void operator()(const Report& report) const {
    put(out, Kind::report);
    put_cause(out, report.cause);
  }
  void operator()(const Answer& answer) const {
    put(out, Kind::answer);
    put_status(out, answer.status);
  }
  void operator()(const Leave&) const { put(out, Kind::leave); }
  void operator()(const Abandon&) const { put(out, Kind::abandon); }
};

struct ServerEncoder {
  Writer& out;
  void operator()(const Welcome&) const { put(out, Kind::welcome); }
  void operator()(const Refused& refused) const {
    put(out, Kind::refused);
    out.u8(static_cast<std::uint8_t>(refused.code));
    put_text(out, refused.message);
  }
  void operator()(const DoneReply& reply) const {
    put(out, Kind::done);
    out.u64(reply.id);
  }
  void operator()(const ValueReply& reply) const {
    put(out, Kind::value);
    out.u64(reply.id);
    out.text(reply.value);
  }
  void operator()(const NumberReply& reply) const {
    put(out, Kind::number);
    out.u64(reply.id);
    out.u64(static_cast<std::uint64_t>(reply.number));
  }
  void operator()(const FailedReply& reply) const {
    put(out, Kind::failed);
    out.u64(reply.id);
    out.u8(static_cast<std::uint8_t>(reply.code));
    put_text(out, reply.message);
  }
  void operator()(const Query&) const { put(out, Kind::query); }
  void operator()(const Verdict& verdict) const {
    put(out, Kind::verdict);
    put_cause(out, verdict.cause);
  }
  void operator()(const Goodbye&) const { put(out, Kind::goodbye); }
};

template <class Encoder, class Message>
Bytestring encode_with(const Message& message) {
  Writer out;
  std::visit(Encoder{out}, message);
  return {out.data().begin(), out.data().end()};
}

}  // namespace

Bytestring encode(const ClientMessage& message) { return encode_with<ClientEncoder>(message); }
Bytestring encode(const ServerMessage& message) { return encode_with<ServerEncoder>(message); }

std::optional<ClientMessage> parse_client_message(std::span<const std::byte> body) {
  Reader in(body);
  bool valid = true;
  std::optional<ClientMessage> message;
  switch (static_cast<Kind>(in.u8())) {
    case Kind::hello: {
      std::uint8_t service = in.u8();
      if (service > static_cast<std::uint8_t>(Hello::Service::control)) return std::nullopt;
      Hello hello{.service = static_cast<Hello::Service>(service)};
      hello.host = take_text(in, valid);
      hello.world_size = in.u32();
      message = std::move(hello);
      break;
    }
    case Kind::set: {
      SetRequest request{.id = in.u64()};
      request.key = in.text(key_limit);
      request.value = in.text(value_limit);
      message = std::move(request);
      break;
    }
    case Kind::get: {
      GetRequest request{.id = in.u64()};
      request.key = in.text(key_limit);
      message = std::move(request);
      break;
    }
    case Kind::add: {
      AddRequest request{.id = in.u64()};
      request.key = in.text(key_limit);
      request.delta = static_cast<std::int64_t>(in.u64());
      message = std::move(request);
      break;
    }
    case Kind::report: message = Report{take_cause(in, valid)}; break;
    case Kind::answer: message = Answer{take_status(in, valid)}; break;
    case Kind::leave: message = Leave{}; break;
    case Kind::abandon: message = Abandon{}; break;
    default: return std::nullopt;
  }
  if (!valid || !in.finished()) return std::nullopt;
  return message;
}

std::optional<ServerMessage> parse_server_message(std::span<const std::byte> body) {
  Reader in(body);
  bool valid = true;
  std::optional<ServerMessage> message;
  switch (static_cast<Kind>(in.u8())) {
    case Kind::welcome: message = Welcome{}; break;
    case Kind::refused: {
      Refused refused{.code = take_code(in, valid)};
      refused.message = take_text(in, valid);
      message = std::move(refused);
      break;
    }
    case Kind::done: message = DoneReply{in.u64()}; break;
    case Kind::value: {
      ValueReply reply{.id = in.u64()};
      reply.value = in.text(value_limit);
      message = std::move(reply);
      break;
    }
    case Kind::number: {
      NumberReply reply{.id = in.u64()};
      reply.number = static_cast<std::int64_t>(in.u64());
      message = reply;
      break;
    }
    case Kind::failed: {
      FailedReply reply{.id = in.u64()};
      reply.code = take_code(in, valid);
      reply.message = take_text(in, valid);
      message = std::move(reply);
      break;
    }
    case Kind::query: message = Query{}; break;
    case Kind::verdict: message = Verdict{take_cause(in, valid)}; break;
    case Kind::goodbye: message = Goodbye{}; break;
    default: return std::nullopt;
  }
  if (!valid || !in.finished()) return std::nullopt;
  return message;
}

}  // namespace trireme::rendezvous
