// SPDX-License-Identifier: Apache-2.0
#include "cli/train/gpt_flags.hpp"

#include "trireme/base/error.hpp"

namespace trireme::cli {
namespace {

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, message); }

}  // namespace

GptFlags::GptFlags(Arguments& flags) {
  flags.option("--layers", layers_, "blocks of gpt (default 4)", {.least = 1, .most = 1024}).tunable();
  flags
      .option("--heads", heads_, "of attention in each block of gpt: a divisor of --channels (default 4)",
              {.least = 1, .most = 1024})
      .tunable();
  flags.option("--channels", channels_, "width of gpt (default 192)", {.least = 1, .most = 1 << 16}).tunable();
  flags.option("--context", context_, "tokens that gpt sees at a time (default 128)", {.least = 1, .most = 1 << 20})
      .tunable();
  flags
      .option("--stride", stride_, "tokens from one sample of gpt to the next (default 0: --context)",
              {.least = 0, .most = 1 << 20})
      .tunable();
  flags.flag("--recompute", recompute_, "gpt computes activations again in backward instead of keeping them");
  flags.option("--sample-tokens", sample_tokens_, "that gpt writes at the end (default 200; 0: none)",
               {.least = 0, .most = 1 << 20});
  flags.option("--prompt", prompt_,
               "what a gpt of text goes on from at the end (default: how the held-out part begins)");
}

GptChoice GptFlags::checked(const Arguments& flags, const std::string& model, bool is_text) const {
  for (const char* flag :
       {"--layers", "--heads", "--channels", "--context", "--stride", "--recompute", "--sample-tokens", "--prompt"}) {
    if (model != "gpt" && flags.given(flag))
      refuse(std::string(flag) + " belongs to --model gpt; " + model + " has none");
  }
  if (flags.given("--prompt") && !is_text) refuse("--prompt belongs to --dataset text:; tokens have no letters");
  if (channels_ % heads_ != 0) {
    refuse("--heads " + std::to_string(heads_) + " does not divide --channels " + std::to_string(channels_));
  }
  return {.layers = static_cast<std::size_t>(layers_),
          .heads = static_cast<std::size_t>(heads_),
          .channels = static_cast<std::size_t>(channels_),
          .context = static_cast<std::size_t>(context_),
          .stride = static_cast<std::size_t>(stride_),
          .recompute = recompute_,
          .sample_tokens = static_cast<std::size_t>(sample_tokens_),
          .prompt = prompt_};
}

}  // namespace trireme::cli
