// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace trireme::transport {

/// An eventfd by which peers of the same host wake a sleeping rank. Any thread, also of other processes, may ring.
class Doorbell {
 public:
  Doorbell();
  ~Doorbell();
  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;

  int descriptor() const { return descriptor_; }
  void ring() const noexcept { ring(descriptor_); }
  static void ring(int descriptor) noexcept;
  /// Makes the descriptor unreadable again.
  void clear() const noexcept;

 private:
  int descriptor_;
};

}  // namespace trireme::transport
