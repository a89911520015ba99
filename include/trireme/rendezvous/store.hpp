// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/deadline.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace trireme::rendezvous {

/// Keys and values that all members of a job see: how ranks find each other. Keys of 1 byte to 1 KiB, values up to 1 MiB;
/// beyond: invalid_argument. A key is either a value or a counter; use as the other: invalid_argument.
/// Threads: one caller at a time per Store.
class Store {
 public:
  virtual ~Store() = default;
  /// Sets `key`; wakes whoever waits for it. A key is set once: errors: invalid_argument when it has another value.
  virtual void set(const std::string& key, const std::string& value) = 0;
  /// The value of `key`, waiting for it until the deadline. Errors: timeout naming the key; closed; peer_lost.
  virtual std::string get(const std::string& key, Deadline deadline) = 0;
  /// Adds `delta` to the counter `key` (0 if new) and returns the new value.
  virtual std::int64_t add(const std::string& key, std::int64_t delta) = 0;
};

/// A store shared by the threads of one process: each call makes a new handle on the same contents.
class InProcessStore {
 public:
  InProcessStore();
  std::unique_ptr<Store> handle() const;

 private:
  struct Contents;
  std::shared_ptr<Contents> contents_;
};

}  // namespace trireme::rendezvous
