// SPDX-License-Identifier: Apache-2.0
// How fast does a device update the parameters of GPT-2 124M, as a share of what it copies? Every case is first compared, bit for
// bit, with the host's update of the same tensors; then it is timed, and the copy between two arrays of the device is timed in
// the same run. Bytes are counted: each array once for each time it is read or written.
//
//   device_update_bench               on the first GPU; without one it says so and ends with 0
//   device_update_bench --emulated    a dry run on emulated devices, small, whose times mean nothing
#include "kernels/update/update.hpp"
#include "kernels/update/update_device.hpp"
#include "trireme/device/cuda.hpp"
#include "trireme/device/emulated.hpp"
#include "trireme/device/owned.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

using namespace trireme;
using kernels::UpdateSpan;

namespace {

using Runtime = std::shared_ptr<device::Runtime>;

/// Elements of each parameter of GPT-2 124M, whose head is its embedding; `shrink` divides each.
std::vector<std::size_t> gpt2_counts(std::size_t shrink) {
  constexpr std::size_t width = 768;
  std::vector<std::size_t> counts{50257 * width, 1024 * width};
  for (int layer = 0; layer < 12; ++layer) {
    for (const std::size_t count : {width, width, 3 * width * width, 3 * width, width * width, width, width, width,
                                    4 * width * width, 4 * width, 4 * width * width, width})
      counts.push_back(count);
  }
  counts.insert(counts.end(), {width, width});
  for (std::size_t& count : counts) count = std::max<std::size_t>(1, count / shrink);
  return counts;
}

struct Case {
  const char* name;
  DType gradient = DType::f32;
  bool has_copy = false;
  std::size_t states = 0;
  std::size_t bytes_per_element = 0;  ///< read and written
  std::function<void(const UpdateSpan&)> on_host;
  std::function<void(std::span<const UpdateSpan>, device::Queue)> on_device;
};

template <class Rule>
Case case_of(const char* name, const Rule& rule, std::size_t states, DType gradient, bool has_copy) {
  return {name,
          gradient,
          has_copy,
          states,
          8 + 8 * states + size_of(gradient) + (has_copy ? 2u : 0u),
          [rule](const UpdateSpan& span) { kernels::update(span, rule); },
          [rule](std::span<const UpdateSpan> spans, device::Queue queue) { kernels::update(spans, rule, queue); }};
}

/// One block of memory on each side: all parameters, all gradients, all states, all copies.
class Model {
 public:
  Model(const Runtime& runtime, const std::vector<std::size_t>& counts, const Case& which)
      : counts_(counts), which_(which) {
    for (const std::size_t count : counts) elements_ += (count + 63) / 64 * 64;
    bytes_ = elements_ * (4 * (1 + which.states) + size_of(which.gradient) + (which.has_copy ? 2 : 0));
    host_.resize(bytes_ / 4 + 1);
    auto* words = reinterpret_cast<std::uint32_t*>(host_.data());
    for (std::size_t i = 0; i < host_.size(); ++i) {
      // Of either type: finite, and positive where a root is taken of it.
      const auto half = static_cast<std::uint32_t>(0x3c00u + i % 641u);
      words[i] = half << 16 | half;
    }
    memory_ = device::Buffer(runtime, 0, host_.size() * 4);
  }
  void upload(device::Runtime& runtime, Stream stream) {
    runtime.copy(memory_.data(), host_.data(), host_.size() * 4, stream);
    runtime.synchronize(stream);
  }
  std::vector<UpdateSpan> spans(bool on_device) {
    std::byte* const base = on_device ? memory_.data() : reinterpret_cast<std::byte*>(host_.data());
    std::vector<UpdateSpan> spans;
    std::size_t begin = 0;
    for (const std::size_t count : counts_) {
      UpdateSpan span{.count = count, .gradient_scale = 0.5, .keep = 0.999};
      span.parameter = base + begin * 4;
      for (std::size_t k = 0; k < which_.states; ++k) span.state[k] = base + elements_ * 4 * (1 + k) + begin * 4;
      std::byte* const narrow = base + elements_ * 4 * (1 + which_.states);
      span.gradient = narrow + begin * size_of(which_.gradient);
      span.gradient_dtype = which_.gradient;
      if (which_.has_copy) span.copy = narrow + elements_ * size_of(which_.gradient) + begin * 2;
      spans.push_back(span);
      begin += (count + 63) / 64 * 64;
    }
    return spans;
  }
  bool equal(device::Runtime& runtime, Stream stream) {
    std::vector<std::uint32_t> got(host_.size());
    runtime.copy(got.data(), memory_.data(), got.size() * 4, stream);
    runtime.synchronize(stream);
    return std::memcmp(got.data(), host_.data(), bytes_) == 0;
  }
  std::size_t count() const {
    std::size_t sum = 0;
    for (const std::size_t each : counts_) sum += each;
    return sum;
  }

 private:
  std::vector<std::size_t> counts_;
  const Case& which_;
  std::size_t elements_ = 0;
  std::size_t bytes_ = 0;
  std::vector<std::uint32_t> host_;
  device::Buffer memory_;
};

/// Seconds of one call, the median of `rounds`, each of `calls` calls in a row.
template <class Call>
double seconds_of(const device::OwnedStream& stream, int rounds, int calls, const Call& call) {
  call();
  stream.synchronize();
  std::vector<double> times;
  for (int round = 0; round < rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    for (int k = 0; k < calls; ++k) call();
    stream.synchronize();
    times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / calls);
  }
  std::nth_element(times.begin(), times.begin() + rounds / 2, times.end());
  return times[static_cast<std::size_t>(rounds / 2)];
}

/// Bytes per second, read and written, of copies within the device.
double copy_rate(const Runtime& runtime, const device::OwnedStream& stream, std::size_t bytes, int rounds, int calls) {
  const device::Buffer from(runtime, 0, bytes), to(runtime, 0, bytes);
  runtime->fill(from.data(), std::byte{1}, bytes, stream.get());
  return 2.0 * static_cast<double>(bytes) /
         seconds_of(stream, rounds, calls, [&] { runtime->copy(to.data(), from.data(), bytes, stream.get()); });
}

Case lamb_case(const Runtime& runtime, std::size_t blocks, std::size_t tensors, std::vector<device::Buffer>& room) {
  const kernels::LambRule rule{.weight_decay = 0.01, .step = 10, .step_size = 0.0};
  room.emplace_back(runtime, 0, 2 * blocks * sizeof(double));
  room.emplace_back(runtime, 0, tensors * sizeof(double));
  auto* const sums = reinterpret_cast<double*>(room[room.size() - 2].data());
  auto* const factors = reinterpret_cast<double*>(room.back().data());
  Case made = case_of("lamb/f32", rule, 2, DType::f32, false);
  made.bytes_per_element = (4 + 4 + 16) + (8 + 8);  // p, g, m, v read, m, v written; then p twice, m, v read
  made.on_host = [rule](const UpdateSpan& span) {
    std::vector<double> own(2 * ((span.count + 4095) / 4096));
    kernels::measure(span, rule, own.data());
    kernels::update(span, rule);  // a step size of 0: the moments are compared, the norms in the unit tests
  };
  made.on_device = [rule, sums, factors](std::span<const UpdateSpan> spans, device::Queue queue) {
    kernels::measure(spans, rule, sums, queue);
    kernels::trust(spans, {.learning_rate = 0.0}, sums, factors, queue);
    kernels::update(spans, rule, factors, queue);
  };
  return made;
}

}  // namespace

int main(int argc, char** argv) {
  const bool emulated = argc > 1 && std::string_view(argv[1]) == "--emulated";
  if (!emulated && !device::why_no_cuda().empty()) {
    std::printf("skipped: %s\n", device::why_no_cuda().c_str());
    return 0;
  }
  const Runtime runtime = emulated ? device::emulated_runtime() : device::cuda_runtime();
  const int rounds = emulated ? 1 : 15, calls = emulated ? 1 : 20;
  const auto counts = gpt2_counts(emulated ? 1000 : 1);
  std::size_t blocks = 0;
  for (const std::size_t count : counts) blocks += (count + 4095) / 4096;
  std::vector<const device::KernelEntry*> entries;
  kernels::update_kernels(entries);
  kernels::trust_kernels(entries);
  runtime->load(entries);

  const device::OwnedStream stream(runtime, 0);
  const double copied = copy_rate(runtime, stream, emulated ? 1 << 16 : std::size_t{1} << 30, rounds, calls);
  std::printf("%s, %zu tensors; copy within the device: %.0f GB/s\n", runtime->properties(0).name.c_str(),
              counts.size(), copied * 1e-9);
  std::printf("%-28s %10s %10s %8s\n", "case", "us", "GB/s", "of copy");

  std::vector<device::Buffer> room;
  const kernels::AdamRule adam{.learning_rate = 1e-3, .step = 10};
  const kernels::SgdRule momentum{.learning_rate = 0.1, .momentum = 0.9};
  const Case cases[] = {case_of("adamw/f32", adam, 2, DType::f32, false),
                        case_of("adamw/bf16+master", adam, 2, DType::bf16, true),
                        case_of("sgd momentum/f32", momentum, 1, DType::f32, false),
                        case_of("sgd/f32", kernels::SgdRule{.learning_rate = 0.1}, 0, DType::f32, false),
                        lamb_case(runtime, blocks, counts.size(), room)};
  int wrong = 0;
  for (const Case& each : cases) {
    Model model(runtime, counts, each);
    model.upload(*runtime, stream.get());
    const auto here = model.spans(false), there = model.spans(true);
    for (const UpdateSpan& span : here) each.on_host(span);
    each.on_device(there, stream.queue());
    if (!model.equal(*runtime, stream.get())) {
      std::printf("%-28s differs from the host: not timed\n", each.name);
      ++wrong;
      continue;
    }
    const double seconds = seconds_of(stream, rounds, calls, [&] { each.on_device(there, stream.queue()); });
    const double rate = static_cast<double>(model.count() * each.bytes_per_element) / seconds;
    std::printf("%-28s %10.1f %10.0f %7.1f%%\n", each.name, seconds * 1e6, rate * 1e-9, 100.0 * rate / copied);
  }
  return wrong == 0 ? 0 : 1;
}
