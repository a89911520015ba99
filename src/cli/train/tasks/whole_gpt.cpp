// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/language_model.hpp"
#include "trireme/data/aligned_buffer.hpp"

namespace trireme::cli {
namespace {

models::GptOptions with_memory(models::GptOptions options, int zero_stage) {
  options.memory_elsewhere = zero_stage >= 2;
  return options;
}

class WholeGpt final : public LanguageModel {
 public:
  WholeGpt(const models::GptOptions& options, int zero_stage)
      : zero_stage_(zero_stage), model_(with_memory(options, zero_stage)), parameters_(model_.parameters()) {
    if (zero_stage_ == 2) keep_values();
  }

  const models::GptOptions& options() const override { return model_.options(); }
  const std::vector<Parameter>& parameters() const override {
    return zero_stage_ >= 2 ? parameters_ : model_.parameters();
  }
  void use_gradients(std::span<const Parameter> parameters) override { model_.use_gradients(parameters); }
  std::vector<std::vector<std::string>> units() const override { return model_.units(); }
  void set_initial(std::size_t parameter, std::size_t first, TensorView part) override {
    model_.set_initial(parameter, first, part);
  }
  void use_access(ParameterAccess& access) override {
    if (zero_stage_ >= 2) model_.use_access(access);
  }
  void evaluate_nothing(std::size_t passes) override {
    if (zero_stage_ == 3 && passes != 0) model_.evaluate({}, 0, {}, passes);
  }

  double forward_backward(std::span<const std::uint16_t> tokens, std::size_t rows, const PassPlace& place,
                          PassListener& listener) override {
    model_.set_place({.step = place.step, .first_row = place.first_row});
    return model_.forward_backward(
        tokens, rows, [&](std::size_t parameter) { listener.ready(parameter); }, [&] { listener.forward_done(); });
  }
  models::TokenEvaluation evaluate(std::span<const std::uint16_t> tokens, std::size_t rows) override {
    return model_.evaluate(tokens, rows);
  }
  std::vector<std::uint16_t> generate(std::span<const std::uint16_t> prompt, const Continuation& how) override {
    return model_.generate(prompt, how.tokens, how.temperature, how.seed);
  }

 private:
  /// Stage 2: they are whole, and the model has no memory for them.
  void keep_values() {
    constexpr std::size_t unit = data::AlignedBuffer<float>::alignment / sizeof(float);
    const auto padded = [](std::size_t count) { return (count + unit - 1) / unit * unit; };
    std::size_t total = 0;
    for (const Parameter& each : parameters_) total += padded(each.value.count);
    values_ = data::AlignedBuffer<float>(total);
    std::span<float> rest = values_.span();
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      TensorView& value = parameters_[p].value;
      value = rest.first(value.count);
      model_.set_initial(p, 0, value);
      rest = rest.subspan(padded(value.count));
    }
  }

  int zero_stage_;  ///< as far as the model takes part in it
  models::Gpt<float> model_;
  data::AlignedBuffer<float> values_;  ///< of stage 2
  std::vector<Parameter> parameters_;  ///< from stage 2 on
};

}  // namespace

std::unique_ptr<LanguageModel> make_whole_gpt(const models::GptOptions& options, int zero_stage) {
  return std::make_unique<WholeGpt>(options, zero_stage);
}

}  // namespace trireme::cli
