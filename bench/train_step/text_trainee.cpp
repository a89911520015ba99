// SPDX-License-Identifier: Apache-2.0
#include "bench/train_step/text_trainee.hpp"

#include "trireme/data/random.hpp"

namespace trireme::bench {
namespace {

constexpr std::size_t text_rows = 8192;
constexpr std::size_t words = 64;
constexpr std::size_t word_bytes = 8;

std::vector<std::uint16_t> text_of(std::size_t bytes) {
  std::vector<std::uint16_t> text(bytes);
  for (std::size_t i = 0; i < bytes; ++i) {
    const std::uint64_t word = data::splitmix64_at(1, i / word_bytes) % words;
    text[i] = static_cast<std::uint16_t>(data::splitmix64_at(2, word * word_bytes + i % word_bytes) & 0xff);
  }
  return text;
}

}  // namespace

TextTrainee::TextTrainee(const TrainStepOptions& options)
    : model_({.vocabulary = 256, .context = 128, .layers = 6, .heads = 6, .channels = 384, .seed = options.seed}),
      text_(text_of(text_rows * model_.options().context + 1)) {}

std::size_t TextTrainee::samples() const { return text_rows; }

void TextTrainee::gather(std::span<const std::uint32_t> samples) {
  const std::size_t context = model_.options().context;
  batch_.clear();
  for (const std::uint32_t sample : samples) {
    const auto row = std::span(text_).subspan(sample * context, context + 1);
    batch_.insert(batch_.end(), row.begin(), row.end());
  }
  rows_ = samples.size();
}

double TextTrainee::pass(const std::function<void(std::size_t parameter)>& ready) {
  return model_.forward_backward(batch_, rows_, ready);
}

}  // namespace trireme::bench
