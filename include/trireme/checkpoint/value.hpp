// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>

namespace trireme::checkpoint {

/// A number or a text that belongs to the state beside its tensors: a step, a loss scale, a flag.
using Value = std::variant<std::uint64_t, double, std::string>;
using Values = std::map<std::string, Value, std::less<>>;

/// "12", "0.5", "bf16".
std::string text_of(const Value& value);

}  // namespace trireme::checkpoint
