// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/transport/endpoint.hpp"

namespace trireme::transport {

/// A first-in first-out list threaded through the requests themselves: no allocation, short, searched linearly.
template <class Request>
class RequestList {
 public:
  bool empty() const { return first_ == nullptr; }
  Request* front() const { return first_; }
  void push_back(Request& request) {
    request.next = nullptr;
    if (last_ != nullptr) {
      last_->next = &request;
    } else {
      first_ = &request;
    }
    last_ = &request;
  }
  Request* pop_front() {
    Request* request = first_;
    if (request != nullptr) {
      first_ = request->next;
      if (first_ == nullptr) last_ = nullptr;
      request->next = nullptr;
    }
    return request;
  }
  Request* find(const MessageKey& key) const {
    for (Request* each = first_; each != nullptr; each = each->next) {
      if (each->key == key) return each;
    }
    return nullptr;
  }
  /// Removes `request`, which must be in the list.
  void remove(Request& request) {
    Request* previous = nullptr;
    for (Request* each = first_; each != &request; each = each->next) previous = each;
    (previous != nullptr ? previous->next : first_) = request.next;
    if (last_ == &request) last_ = previous;
    request.next = nullptr;
  }

 private:
  Request* first_ = nullptr;
  Request* last_ = nullptr;
};

}  // namespace trireme::transport
