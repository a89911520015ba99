// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"
#include "trireme/data/aligned_buffer.hpp"
#include "trireme/data/labelled_images.hpp"
#include "trireme/layout/interval.hpp"

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <vector>

namespace trireme::data {

/// x -> (x - mean) / deviation, applied to pixels already scaled to [0, 1].
struct Normalisation {
  double mean = 0.0;
  double deviation = 1.0;
};

struct BatchLoaderOptions {
  /// Batches that may be requested ahead. 0: one, gathered inside next(), never by a thread.
  std::size_t depth = 2;
  /// 0: next() gathers in the caller; 1: a background thread gathers ahead. Unset: 1 only where the host has more
  /// cores than `busy_threads`, because on a full host the thread takes more time from the training loop than the
  /// gathering does.
  std::optional<int> threads = std::nullopt;
  /// Threads of this host that already compute: the ranks on it, as a rule.
  unsigned busy_threads = 1;
  DType dtype = DType::f32;  ///< of the features: f32, or f64
  std::optional<Normalisation> normalisation = std::nullopt;
};

/// Samples ready for a model. Valid until the loader's next next().
struct Batch {
  TensorView features;                   ///< rows x columns, row-major, 64-byte aligned
  std::span<const std::uint8_t> labels;  ///< rows
  std::size_t rows = 0;
  std::size_t columns = 0;  ///< pixels of an image
};

/// Gathers samples into dense batches ahead of their use: feature = pixel / 255, then the normalisation, computed once
/// per pixel value. Requests are answered in order, one next() each.
/// Cost:    max(depth, 1) + 1 batch buffers; no heap once every buffer has held the largest batch.
/// Threads: one caller; with `threads` 1 a second thread gathers (all signals blocked in it). The destructor abandons
///          what is outstanding; it waits for one batch at most.
class BatchLoader {
 public:
  /// `images` must outlive the loader and stay unchanged.
  /// Errors: invalid_argument for inconsistent images, threads other than 0 or 1, a deviation that is not positive;
  ///         unsupported for another dtype; system when no thread can be started.
  BatchLoader(const LabelledImages& images, const BatchLoaderOptions& options = {});
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;
  ~BatchLoader();

  /// Asks for the batch of these samples, in this order; empty is legal. The indices are copied.
  /// Errors: invalid_argument when capacity() requests are outstanding.
  void request(std::span<const std::uint32_t> samples);
  /// Asks for consecutive samples, as evaluation wants them.
  void request(layout::Interval samples);

  /// The oldest batch asked for, waiting for it if need be. A failed request throws here, once; the ones after it are
  /// not affected.
  /// Errors: invalid_argument when nothing is outstanding or a sample index was outside the data set.
  Batch next();

  std::size_t capacity() const { return slots_.size() - 1; }
  std::size_t outstanding() const { return static_cast<std::size_t>(requested_ - taken_); }
  bool has_thread() const { return worker_.joinable(); }

 private:
  struct Slot {
    std::vector<std::uint32_t> samples;
    AlignedBuffer<std::byte> features;
    AlignedBuffer<std::uint8_t> labels;
    std::exception_ptr error;
  };

  Slot& open_slot();
  void publish();
  void gather(Slot& slot) const noexcept;
  void start_thread();
  void gather_ahead() noexcept;

  const LabelledImages& images_;
  const DType dtype_;
  std::array<float, 256> table_f32_{};
  std::array<double, 256> table_f64_{};
  std::vector<Slot> slots_;  // request number k lives in slot k mod size; one more than capacity, for the batch in use
  std::uint64_t requested_ = 0;  // written by the caller only, under the mutex
  std::uint64_t taken_ = 0;      // the caller's own
  std::uint64_t gathered_ = 0;   // under the mutex
  bool stop_ = false;            // under the mutex
  std::mutex mutex_;
  std::condition_variable wake_worker_;
  std::condition_variable wake_caller_;
  std::thread worker_;
};

}  // namespace trireme::data
