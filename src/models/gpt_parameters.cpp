// SPDX-License-Identifier: Apache-2.0
#include "models/gpt_parameters.hpp"

#include "models/dropout.hpp"
#include "trireme/base/error.hpp"

#include <cmath>
#include <limits>
#include <utility>

namespace trireme::models {
namespace {

constexpr double deviation = 0.02;
constexpr std::size_t max_units = std::size_t{1} << 24;

void check_size(const char* what, std::size_t size) {
  if (size == 0 || size > max_units) {
    fail(ErrorCode::invalid_argument, "a Gpt of " + std::to_string(size) + " " + what + " is not possible");
  }
}

}  // namespace

void check(const GptOptions& options) {
  if (options.vocabulary < 2 || options.vocabulary > 65536) {
    fail(ErrorCode::invalid_argument,
         "a vocabulary has 2 to 65536 tokens, not " + std::to_string(options.vocabulary) + ": tokens are 16 bits");
  }
  check_size("positions of context", options.context);
  check_size("layers", options.layers);
  check_size("channels", options.channels);
  check_size("heads", options.heads);
  if (options.channels % options.heads != 0) {
    fail(ErrorCode::invalid_argument, std::to_string(options.channels) + " channels cannot be shared by " +
                                          std::to_string(options.heads) + " heads");
  }
  check_dropout(options.dropout);
}

std::vector<GptParameter> parameters_of(const GptOptions& options) {
  const std::size_t width = options.channels;
  const double bound = deviation * std::sqrt(3.0);
  // Two branches per block add to the residual: their variance is to stay that of one.
  const double branch_bound = bound / std::sqrt(2.0 * static_cast<double>(options.layers));
  std::vector<GptParameter> list;
  list.reserve(GptIndex::count(options.layers));
  const auto matrix = [&](std::string name, std::size_t rows, std::size_t columns, double start) {
    list.push_back({std::move(name),
                    {static_cast<std::int64_t>(rows), static_cast<std::int64_t>(columns)},
                    rows * columns,
                    {.bound = start}});
  };
  const auto vector = [&](std::string name, std::size_t count, double start) {
    list.push_back({std::move(name), {static_cast<std::int64_t>(count)}, count, {.centre = start}});
  };
  const auto norm = [&](const std::string& name) {
    vector(name + ".weight", width, 1.0);
    vector(name + ".bias", width, 0.0);
  };
  const auto dense = [&](const std::string& name, std::size_t outputs, std::size_t inputs, double start) {
    matrix(name + ".weight", outputs, inputs, start);
    vector(name + ".bias", outputs, 0.0);
  };
  matrix("token_embedding.weight", options.vocabulary, width, bound);
  matrix("position_embedding.weight", options.context, width, bound);
  for (std::size_t l = 0; l < options.layers; ++l) {
    const std::string block = "block" + std::to_string(l);
    norm(block + ".norm1");
    dense(block + ".attention.qkv", 3 * width, width, bound);
    dense(block + ".attention.projection", width, width, branch_bound);
    norm(block + ".norm2");
    dense(block + ".mlp.expand", 4 * width, width, bound);
    dense(block + ".mlp.contract", width, 4 * width, branch_bound);
  }
  norm("final_norm");
  return list;
}

}  // namespace trireme::models
