// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/arguments.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace trireme::cli {

/// Of a gpt, by name: weight decay leaves them alone.
inline std::vector<std::string> gpt_without_decay() { return {"*.bias", "*norm*"}; }

/// The language model, and what it writes at the end.
struct GptChoice {
  std::size_t layers = 4;
  std::size_t heads = 4;
  std::size_t channels = 192;
  std::size_t context = 128;
  std::size_t stride = 0;  ///< from one window to the next; 0: context
  bool recompute = false;
  std::size_t sample_tokens = 200;
  std::string prompt{};  ///< empty: the first tokens of the part held out
};

/// The flags of GptChoice.
class GptFlags {
 public:
  /// Describes them; must live until `flags` have been parsed.
  explicit GptFlags(Arguments& flags);
  /// Errors: invalid_argument naming the flag that does not fit, or belongs to --model gpt, which `model` is not, or to text.
  GptChoice checked(const Arguments& flags, const std::string& model, bool is_text) const;

 private:
  std::uint64_t layers_ = 4, heads_ = 4, channels_ = 192, context_ = 128, stride_ = 0, sample_tokens_ = 200;
  bool recompute_ = false;
  std::string prompt_;
};

}  // namespace trireme::cli
