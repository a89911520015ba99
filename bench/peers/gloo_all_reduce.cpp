// SPDX-License-Identifier: Apache-2.0
// Gloo's all-reduce over TCP, measured as `trireme perf all_reduce` measures ours. Gloo has no launcher: `trireme run`
// starts it, and its ranks find each other in a folder. Started by `trireme perf all_reduce --compare gloo`, or by hand:
//   trireme run -n 2 -- gloo_all_reduce bcube "$(mktemp -d)" f32 cold 3 262144:200:8
#include "bench/peers/peer.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include <gloo/algorithm.h>
#include <gloo/allgather.h>
#include <gloo/allreduce.h>
#include <gloo/allreduce_halving_doubling.h>
#include <gloo/barrier.h>
#include <gloo/math.h>
#include <gloo/rendezvous/context.h>
#include <gloo/rendezvous/file_store.h>
#include <gloo/transport/tcp/device.h>

namespace {

using trireme::DType;

int number_from(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr) throw std::runtime_error(std::string(variable) + " is not set: start it with `trireme run`");
  return std::atoi(text);
}

std::shared_ptr<gloo::rendezvous::Context> connect(const std::string& folder) {
  gloo::transport::tcp::attr attributes;
  attributes.iface = "lo";
  auto device = gloo::transport::tcp::CreateDevice(attributes);
  auto context = std::make_shared<gloo::rendezvous::Context>(number_from("RANK"), number_from("WORLD_SIZE"));
  gloo::rendezvous::FileStore store(folder);
  context->connectFullMesh(store, device);
  return context;
}

class Gloo : public trireme::peers::Library {
 public:
  Gloo(std::string algorithm, const std::string& folder) : algorithm_(std::move(algorithm)), context_(connect(folder)) {
    if (algorithm_ != "ring" && algorithm_ != "bcube" && algorithm_ != "halving_doubling")
      throw std::runtime_error("the algorithm is '" + algorithm_ + "': give halving_doubling, bcube or ring");
  }

  int rank() const override { return context_->rank; }
  int size() const override { return context_->size; }

  void barrier() override {
    gloo::BarrierOptions options(context_);
    gloo::barrier(options);
  }

  void all_reduce(const void* input, void* output, std::size_t count, DType dtype) override {
    switch (dtype) {
      case DType::f32: return reduce<float>(input, output, count);
      case DType::f64: return reduce<double>(input, output, count);
      case DType::i32: return reduce<std::int32_t>(input, output, count);
      case DType::i64: return reduce<std::int64_t>(input, output, count);
      default: throw std::runtime_error("--dtype: give f64, f32, i64 or i32");
    }
  }

  std::vector<double> all_gather(std::span<const double> mine) override {
    std::vector<double> from(mine.begin(), mine.end()), all(mine.size() * static_cast<std::size_t>(size()));
    gloo::AllgatherOptions options(context_);
    options.setInput(from.data(), from.size());
    options.setOutput(all.data(), all.size());
    gloo::allgather(options);
    return all;
  }

 private:
  template <class T>
  void reduce(const void* input, void* output, std::size_t count) {
    auto* const from = static_cast<T*>(const_cast<void*>(input));
    auto* const to = static_cast<T*>(output);
    if (algorithm_ == "halving_doubling") {  // of the older interface: always in place, prepared once per buffer
      if (from != to) std::copy_n(from, count, to);
      auto& prepared = prepared_[{output, count}];
      if (!prepared) {
        prepared =
            std::make_unique<gloo::AllreduceHalvingDoubling<T>>(context_, std::vector<T*>{to}, static_cast<int>(count));
      }
      return prepared->run();
    }
    gloo::AllreduceOptions options(context_);
    options.setAlgorithm(algorithm_ == "bcube" ? gloo::AllreduceOptions::Algorithm::BCUBE
                                               : gloo::AllreduceOptions::Algorithm::RING);
    if (from != to) options.setInput(from, count);
    options.setOutput(to, count);
    options.setReduceFunction(
        [](void* sum, const void* a, const void* b, std::size_t n) { gloo::sum<T>(sum, a, b, n); });
    gloo::allreduce(options);
  }

  std::string algorithm_;
  std::shared_ptr<gloo::rendezvous::Context> context_;
  std::map<std::pair<void*, std::size_t>, std::unique_ptr<gloo::Algorithm>> prepared_;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc < 4) throw std::invalid_argument("give ALGORITHM FOLDER and what to measure");
    const auto orders = trireme::peers::parse_orders({argv + 3, argv + argc});
    Gloo gloo(argv[1], argv[2]);
    trireme::peers::measure(gloo, orders);
    gloo.barrier();
    return 0;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "gloo_all_reduce: %s\n", problem.what());
    return 2;
  }
}
