// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "optim/on_device.hpp"
#include "optim/state_file.hpp"
#include "trireme/optim/offload_options.hpp"
#include "trireme/optim/optimizer.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace trireme::optim {

/// A tensor of a step that the host updates, wherever its memory and its state are.
struct HostJob {
  SpanUpdate span;
  OptimizerRates rates;
  StateExtent* extent = nullptr;  ///< where the state is; span.state and the master then only say how much
  bool is_fresh = false;          ///< the extent holds nothing yet
  bool is_share = false;          ///< other ranks have the rest of the tensor
  std::size_t first = 0;          ///< where the span begins in its logical tensor
};

/// What an optimizer's work on the host needs: the tensors of the step, the file of offloaded state and the buffer through which it
/// goes, sums of blocks.
class HostWork {
 public:
  /// Calls work(piece, begin) for consecutive pieces of the job's span, in host memory, `begin` elements from its begin; what it
  /// changed is put back before the next. One piece: the whole span, unless its state is in a file and `is_elementwise`.
  template <class Work>
  void for_pieces(HostJob& job, OnDevice* device, bool is_elementwise, const Work& work) {
    const std::size_t count = job.span.value.count;
    const bool is_here = job.extent == nullptr && job.span.gradient.device.kind == DeviceKind::cpu;
    if (count != 0 && is_here) {
      has_moved = true;
      return work(static_cast<const SpanUpdate&>(job.span), std::size_t{0});
    }
    const std::size_t most = is_elementwise ? piece_of(job) : count;
    for (std::size_t begin = 0; begin < count; begin += most) {
      const std::size_t size = std::min(most, count - begin);
      fetch(job, device, begin, size);
      work(static_cast<const SpanUpdate&>(here_), begin);
      has_moved = true;
      put_back(job, device, begin);
    }
    job.is_fresh = false;
  }

  std::vector<Optimizer::States::value_type*> entries;  ///< of the step
  std::vector<HostJob> jobs;
  std::vector<double> block_sums, totals, share_totals;
  bool has_moved = false;  ///< something of the step under way is done
  std::string half_done;   ///< why a step is done in part only; empty: none is

  std::shared_ptr<StateFile> file;  ///< null: state is in memory
  std::size_t piece_bytes = 0;
  bool has_mappings = false;  ///< some extent is memory for somebody who looks at it
  std::size_t buffer_bytes() const { return buffer_.capacity() * sizeof(Line); }

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::size_t piece_of(const HostJob& job) const;
  void fetch(const HostJob& job, OnDevice* device, std::size_t begin, std::size_t count);
  void put_back(const HostJob& job, OnDevice* device, std::size_t begin) const;
  /// Calls visit(tensor of the piece, the byte of the extent at which it begins).
  template <class Visit>
  void for_extent(const HostJob& job, std::size_t begin, const Visit& visit) const;

  std::vector<Line> buffer_;
  SpanUpdate here_, there_;  // the piece in host memory, and where it came from
  std::vector<TensorView> state_here_, state_there_;
};

}  // namespace trireme::optim
