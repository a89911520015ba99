// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/text_task.hpp"

#include "cli/train/content_hash.hpp"
#include "cli/train/seeds.hpp"
#include "cli/train/tasks/held_out.hpp"
#include "cli/train/tasks/language_model.hpp"
#include "cli/train/tasks/model_config.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/token_file.hpp"
#include "trireme/models/gpt.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace trireme::cli {
namespace {

constexpr std::size_t most_tokens = std::size_t{1} << 16;  // the model's tokens are 16 bits
constexpr std::size_t prompt_tokens = 16;                  // of the text itself, unless another prompt is given
constexpr double temperature = 0.8;

data::TokenOptions token_options(const TrainOptions& options, std::size_t vocabulary, double held_out) {
  return {.type = options.data.dataset.kind == DatasetKind::text ? data::TokenType::byte : options.data.token_type,
          .vocabulary = vocabulary,
          .context = options.gpt.context,
          .stride = options.gpt.stride,
          .held_out = held_out};
}

data::TokenFile open(const TrainOptions& options, const DatasetSpec& dataset, std::size_t vocabulary, double held_out) {
  return {files_of(dataset), token_options(options, vocabulary, held_out)};
}

/// One more than the largest token.
std::size_t vocabulary_of(const data::TokenFile& file) {
  std::vector<std::uint32_t> tokens(std::size_t{1} << 16);
  std::uint32_t largest = 1;
  for (std::uint64_t at = 0; at < file.tokens(); at += tokens.size()) {
    const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(tokens.size(), file.tokens() - at));
    file.read(at, std::span(tokens).first(count));
    largest = std::max(largest, *std::max_element(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count)));
  }
  return std::size_t{largest} + 1;
}

struct Text {
  data::TokenFile file;
  std::optional<data::TokenFile> test;
  std::size_t vocabulary = 256;
  std::string name;
};

models::GptOptions model_options(const TrainOptions& options, const Text& text) {
  return {.vocabulary = text.vocabulary,
          .context = options.gpt.context,
          .layers = options.gpt.layers,
          .heads = options.gpt.heads,
          .channels = options.gpt.channels,
          .seed = model_seed(options.seed),
          .recompute = options.gpt.recompute,
          .dropout = options.dropout};
}

std::unique_ptr<LanguageModel> make_language_model(const TrainOptions& options, const Text& text,
                                                   const TaskPlace& place) {
  const models::GptOptions model = model_options(options, text);
  if (place.mesh != nullptr) return make_meshed_gpt(model, *options.mesh, place);
  return make_whole_gpt(model, options.precision == Precision::f32 ? place.zero_stage : 0);
}

class TextTask final : public Task {
 public:
  TextTask(const TrainOptions& options, const Text& text, const TaskPlace& place)
      : options_(options),
        text_(text),
        model_(make_language_model(options, text, place)),
        window_(options.gpt.context + 1) {}

  const std::vector<Parameter>& parameters() const override { return model_->parameters(); }
  std::vector<std::vector<std::string>> units() const override { return model_->units(); }
  void set_initial(std::size_t parameter, std::size_t first, TensorView part) override {
    model_->set_initial(parameter, first, part);
  }
  void use_access(ParameterAccess& access) override { model_->use_access(access); }
  ModelShares* shares() override { return model_->shares(); }
  std::vector<std::string> without_decay() const override { return gpt_without_decay(); }
  void use_gradients(std::span<const Parameter> parameters) override { model_->use_gradients(parameters); }
  std::string model() const override {
    const models::GptOptions& shape = model_->options();
    return "gpt of " + std::to_string(shape.layers) + " layers, " + std::to_string(shape.channels) + " channels, " +
           std::to_string(shape.heads) + " heads, context " + std::to_string(shape.context) + ", vocabulary " +
           std::to_string(shape.vocabulary);
  }
  std::string dataset() const override { return text_.name; }
  std::string config() const override { return text_config(options_, model_->options()); }
  std::size_t samples() const override { return static_cast<std::size_t>(text_.file.training_windows()); }
  Measure measure() const override { return Measure::perplexity; }
  void feed(data::DistributedSampler&, int, layout::LeafBlock) override {}

  void load(std::span<const std::uint32_t> samples) override {
    tokens_.clear();
    for (const std::uint32_t sample : samples) {
      text_.file.training_window(sample, window_);
      tokens_.insert(tokens_.end(), window_.begin(), window_.end());
    }
  }

  double pass(const PassPlace& place, PassListener& listener) override {
    return model_->forward_backward(tokens_, tokens_.size() / window_.size(), place, listener);
  }

  bool parts_are_one() const override { return !text_.test || text_.file.held_out_windows() == 0; }
  std::size_t size(Part part) const override {
    if (is_of_test(part)) return static_cast<std::size_t>(text_.test->training_windows());
    return static_cast<std::size_t>(text_.file.held_out_windows());
  }
  std::size_t block() const override { return models::Gpt<float>::evaluation_rows; }

  void evaluate(Part part, layout::Interval share, EvaluationSums& sums) override {
    for (std::size_t begin = share.begin; begin < share.end; begin += block()) {
      const std::size_t end = std::min(begin + block(), share.end);
      tokens_.clear();
      for (std::size_t w = begin; w < end; ++w) {
        is_of_test(part) ? text_.test->training_window(w, window_) : text_.file.held_out_window(w, window_);
        tokens_.insert(tokens_.end(), window_.begin(), window_.end());
      }
      const models::TokenEvaluation found = model_->evaluate(tokens_, end - begin);
      sums.targets += found.tokens;
      sums.block_losses.push_back(found.loss_sum);
    }
  }

  void evaluate_nothing(std::size_t passes) override { model_->evaluate_nothing(passes); }

  /// What follows a prompt, or the first tokens of the part held out.
  std::optional<std::string> sample() override {
    if (options_.gpt.sample_tokens == 0) return std::nullopt;
    std::vector<std::uint16_t> tokens = prompt();
    const auto written = model_->generate(
        tokens, {.tokens = options_.gpt.sample_tokens, .temperature = temperature, .seed = options_.seed});
    if (written.empty()) return "sample: none: there is no memory for the whole model here";
    const std::size_t begin = tokens.size();
    tokens.insert(tokens.end(), written.begin(), written.end());
    std::string text;
    if (options_.data.dataset.kind == DatasetKind::text) {
      text = printable(std::string(tokens.begin(), tokens.end()));
    } else {
      for (const std::uint16_t token : tokens) text += (text.empty() ? "" : " ") + std::to_string(token);
    }
    return "sample: " + std::to_string(written.size()) + " tokens behind a prompt of " + std::to_string(begin) + "\n" +
           text;
  }

 private:
  /// Windows to look at are the test set's: where there is one, and unless a part is held out for validation.
  bool is_of_test(Part part) const { return text_.test && (part == Part::test || text_.file.held_out_windows() == 0); }

  std::vector<std::uint16_t> prompt() const {
    if (options_.data.dataset.kind == DatasetKind::text && !options_.gpt.prompt.empty()) {
      const auto bytes = std::span(options_.gpt.prompt);
      std::vector<std::uint16_t> tokens;
      for (const char each : bytes) tokens.push_back(static_cast<unsigned char>(each));
      return tokens;
    }
    const bool held_out = text_.file.held_out_windows() != 0;
    std::vector<std::uint32_t> first(std::min(prompt_tokens, options_.gpt.context));
    text_.file.read(held_out ? text_.file.training_tokens() : 0, first);
    return {first.begin(), first.end()};
  }

  const TrainOptions& options_;
  const Text& text_;
  std::unique_ptr<LanguageModel> model_;
  std::vector<std::uint32_t> window_;
  std::vector<std::uint16_t> tokens_;
};

Text opened(const TrainOptions& options) {
  const DataOptions& data = options.data;
  const bool is_text = data.dataset.kind == DatasetKind::text;
  const double held_out = wanted_held_out(data, std::numeric_limits<std::size_t>::max());
  std::size_t vocabulary = is_text ? 256 : data.vocabulary;
  if (vocabulary == 0) {
    vocabulary = vocabulary_of(open(options, data.dataset, most_tokens, held_out));
    if (data.test) {
      vocabulary = std::max(vocabulary, vocabulary_of(open(options, *data.test, most_tokens, 0.0)));
    }
  }
  Text text{.file = open(options, data.dataset, vocabulary, held_out),
            .test = std::nullopt,
            .vocabulary = vocabulary,
            .name = data.dataset.path};
  if (data.test) text.test.emplace(open(options, *data.test, vocabulary, 0.0));
  // Every token is looked at once now rather than found wrong at step 10000; a byte cannot be.
  if (!is_text && data.vocabulary != 0) {
    text.file.verify();
    if (text.test) text.test->verify();
  }
  if (text.file.training_windows() > std::numeric_limits<std::uint32_t>::max()) {
    fail(ErrorCode::invalid_argument, data.dataset.path + ": more than 2^32 - 1 windows; raise --stride or --context");
  }
  return text;
}

/// Adds some tokens of either end.
void add_ends(ContentHash& hash, const data::TokenFile& file) {
  std::vector<std::uint32_t> tokens(static_cast<std::size_t>(std::min<std::uint64_t>(file.tokens(), 65536)));
  for (const std::uint64_t first : {std::uint64_t{0}, file.tokens() - tokens.size()}) {
    file.read(first, tokens);
    hash.add(std::as_bytes(std::span<const std::uint32_t>(tokens)));
  }
}

class TextData final : public TrainingData {
 public:
  explicit TextData(const TrainOptions& options) : options_(options), text_(opened(options)) {}
  std::size_t samples() const override { return static_cast<std::size_t>(text_.file.training_windows()); }
  std::string content() const override {
    ContentHash hash;
    add_ends(hash, text_.file);
    if (text_.test) add_ends(hash, *text_.test);
    return std::to_string(text_.file.tokens()) + " tokens below " + std::to_string(text_.vocabulary) + ", " +
           std::to_string(text_.test ? text_.test->tokens() : 0) + " of a test set, " + hash.text();
  }
  std::vector<Parameter> shapes() const override {
    models::GptOptions options = model_options(options_, text_);
    options.memory_elsewhere = true;
    return models::Gpt<float>(options).parameters();
  }
  std::unique_ptr<Task> make_task(const TaskPlace& place) const override {
    return std::make_unique<TextTask>(options_, text_, place);
  }

 private:
  const TrainOptions& options_;
  Text text_;
};

/// Bytes of the UTF-8 character that begins here, if it is whole and no control character; else 0.
std::size_t character_at(const std::string& bytes, std::size_t at) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char first = byte(at);
  if (first == '\n' || first == '\t' || (first >= 0x20 && first < 0x7f)) return 1;
  const std::size_t length = first >= 0xc2 && first < 0xe0   ? 2
                             : first >= 0xe0 && first < 0xf0 ? 3
                             : first >= 0xf0 && first < 0xf5 ? 4
                                                             : 0;
  if (length == 0 || at + length > bytes.size()) return 0;
  for (std::size_t i = at + 1; i < at + length; ++i) {
    if ((byte(i) & 0xc0u) != 0x80u) return 0;
  }
  return length;
}

}  // namespace

std::string printable(const std::string& bytes) {
  std::string text;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t length = character_at(bytes, at);
    length == 0 ? text += '?' : text.append(bytes, at, length);
    at += std::max<std::size_t>(length, 1);
  }
  return text;
}

std::unique_ptr<TrainingData> load_text(const TrainOptions& options) { return std::make_unique<TextData>(options); }

}  // namespace trireme::cli
