// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace trireme::cli {

/// Bytes on their way to the launcher's stdout or stderr. Never blocks: a reader that has stopped reading (a pager)
/// must not keep the launcher from seeing signals and dead ranks.
class Sink {
 public:
  explicit Sink(int descriptor) : descriptor_(descriptor) {}

  int descriptor() const { return descriptor_; }
  /// Queues `text`; without effect once nothing can be written any more.
  void append(std::string_view text);
  /// Writes what can be written now.
  void flush();
  bool pending() const { return written_ < queue_.size(); }
  /// Nobody reads any more (EPIPE).
  bool reader_gone() const { return reader_gone_; }
  /// So much waits that ranks should not be read further.
  bool congested() const { return queue_.size() - written_ > congestion; }

 private:
  static constexpr std::size_t congestion = 1 << 20;
  int descriptor_;
  bool closed_ = false;
  bool reader_gone_ = false;
  std::string queue_;
  std::size_t written_ = 0;
};

}  // namespace trireme::cli
