// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/store_service.hpp"

#include "trireme/base/error.hpp"

namespace trireme::rendezvous {
namespace {

/// What `act` returns, or the error it throws, as an answer.
template <class Act>
ServerMessage answer(std::uint64_t id, Act&& act) {
  try {
    return act();
  } catch (const Exception& exception) {
    return FailedReply{id, exception.error().code, exception.error().message};
  }
}

}  // namespace

std::vector<StoreService::Outgoing> StoreService::set(std::uint64_t connection, const SetRequest& request) {
  forget(connection);
  std::vector<Outgoing> outgoing;
  outgoing.push_back({connection, answer(request.id, [&] {
                        contents_.set(request.key, request.value);
                        return ServerMessage(DoneReply{request.id});
                      })});
  if (!std::holds_alternative<DoneReply>(outgoing.front().message)) return outgoing;
  for (auto waiting = waiting_.begin(); waiting != waiting_.end();) {
    if (waiting->second.key != request.key) {
      ++waiting;
      continue;
    }
    outgoing.push_back({waiting->first, ValueReply{waiting->second.id, request.value}});
    waiting = waiting_.erase(waiting);
  }
  return outgoing;
}

std::vector<StoreService::Outgoing> StoreService::get(std::uint64_t connection, const GetRequest& request) {
  forget(connection);
  bool waits = false;
  ServerMessage message = answer(request.id, [&]() -> ServerMessage {
    if (const std::string* value = contents_.find(request.key)) return ValueReply{request.id, *value};
    if (verdict_) return FailedReply{request.id, verdict_->code, verdict_->message};
    waits = true;
    return {};
  });
  if (!waits) return {{connection, std::move(message)}};
  waiting_[connection] = request;
  return {};
}

std::vector<StoreService::Outgoing> StoreService::add(std::uint64_t connection, const AddRequest& request) {
  forget(connection);
  return {{connection, answer(request.id, [&] {
             return ServerMessage(NumberReply{request.id, contents_.add(request.key, request.delta)});
           })}};
}

std::vector<StoreService::Outgoing> StoreService::fail_waiting(const Cause& verdict) {
  verdict_ = verdict;
  std::vector<Outgoing> outgoing;
  for (const auto& [connection, request] : waiting_) {
    outgoing.push_back({connection, FailedReply{request.id, verdict.code, verdict.message}});
  }
  waiting_.clear();
  return outgoing;
}

}  // namespace trireme::rendezvous
