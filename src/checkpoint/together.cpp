// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/together.hpp"

#include <cstddef>
#include <exception>
#include <span>
#include <string>
#include <vector>

namespace trireme::checkpoint {

void throw_together(Communicator& communicator, const std::optional<Error>& mine, const char* label) {
  // The common case costs one small operation.
  std::int32_t any = mine ? 1 : 0;
  communicator.all_reduce(std::span(&any, 1), maximum, {.label = label});
  if (any == 0) return;
  std::vector<std::byte> object;
  if (mine) {
    object.push_back(static_cast<std::byte>(mine->code));
    const auto text = std::as_bytes(std::span(mine->message));
    object.insert(object.end(), text.begin(), text.end());
  }
  const auto all = communicator.all_gather_bytes(object, {.label = label});
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank].empty()) continue;
    std::string message(reinterpret_cast<const char*>(all[rank].data()) + 1, all[rank].size() - 1);
    if (all.size() > 1) message = "rank " + std::to_string(rank) + ": " + message;
    fail(static_cast<ErrorCode>(all[rank].front()), message);
  }
}

void do_together(Communicator& communicator, const char* label, const std::function<void()>& work) {
  std::optional<Error> mine;
  try {
    work();
  } catch (const Exception& failure) {
    mine = failure.error();
  } catch (const std::exception& failure) {
    mine = Error{.code = ErrorCode::system, .message = failure.what()};
  }
  throw_together(communicator, mine, label);
}

}  // namespace trireme::checkpoint
