// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace trireme::rendezvous {

inline constexpr std::size_t key_limit = 1u << 10;
inline constexpr std::size_t value_limit = 1u << 20;

/// Errors: invalid_argument when the key is empty or too long (the value too long), naming the key.
void check_key(const std::string& key);
void check_value(const std::string& key, const std::string& value);

/// What a store holds, without locks or waiting: one meaning for the in-process store and the server.
class StoreContents {
 public:
  /// Errors: invalid_argument when `key` has another value, is a counter, or a limit is passed.
  void set(const std::string& key, const std::string& value);
  /// The value, or null while there is none. Errors: invalid_argument when `key` is a counter.
  const std::string* find(const std::string& key) const;
  /// Errors: invalid_argument when `key` is a value, or the counter would overflow.
  std::int64_t add(const std::string& key, std::int64_t delta);

 private:
  std::map<std::string, std::string> values_;
  std::map<std::string, std::int64_t> counters_;
};

}  // namespace trireme::rendezvous
