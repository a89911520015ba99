// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/store_contents.hpp"

#include "trireme/base/error.hpp"

namespace trireme::rendezvous {

void check_key(const std::string& key) {
  if (key.empty()) fail(ErrorCode::invalid_argument, "a store key is empty");
  if (key.size() > key_limit) {
    fail(ErrorCode::invalid_argument, "a store key has " + std::to_string(key.size()) + " bytes, at most " +
                                          std::to_string(key_limit) + " are allowed: '" + key.substr(0, 40) + "…'");
  }
}

void check_value(const std::string& key, const std::string& value) {
  if (value.size() > value_limit) {
    fail(ErrorCode::invalid_argument, "the value of store key '" + key + "' has " + std::to_string(value.size()) +
                                          " bytes, at most " + std::to_string(value_limit) + " are allowed");
  }
}

void StoreContents::set(const std::string& key, const std::string& value) {
  check_key(key);
  check_value(key, value);
  if (counters_.count(key) != 0)
    fail(ErrorCode::invalid_argument, "store key '" + key + "' is a counter: it cannot be set");
  auto [entry, is_new] = values_.try_emplace(key, value);
  if (!is_new && entry->second != value) {
    fail(ErrorCode::invalid_argument, "store key '" + key + "' has another value already: a key is set once");
  }
}

const std::string* StoreContents::find(const std::string& key) const {
  check_key(key);
  auto entry = values_.find(key);
  if (entry != values_.end()) return &entry->second;
  if (counters_.count(key) != 0)
    fail(ErrorCode::invalid_argument, "store key '" + key + "' is a counter: read it by add 0");
  return nullptr;
}

std::int64_t StoreContents::add(const std::string& key, std::int64_t delta) {
  check_key(key);
  if (values_.count(key) != 0)
    fail(ErrorCode::invalid_argument, "store key '" + key + "' holds a value: it is no counter");
  std::int64_t& counter = counters_[key];
  std::int64_t sum = 0;
  if (__builtin_add_overflow(counter, delta, &sum)) {
    fail(ErrorCode::invalid_argument, "store counter '" + key + "' would overflow");
  }
  counter = sum;
  return sum;
}

}  // namespace trireme::rendezvous
