// SPDX-License-Identifier: Apache-2.0
#include "kernels/reduce/grouped_program.hpp"

#include <algorithm>
#include <cstddef>

namespace trireme::kernels {
namespace {

/// Descends from the root: the subtree of `leaves` sources whose last token is `last`.
class Grouping {
 public:
  explicit Grouping(std::span<const std::int16_t> program) : program_(program) {
    std::uint8_t leaves[GroupedProgram::most_sources] = {};
    std::size_t depth = 0;
    for (std::size_t t = 0; t < program.size(); ++t) {
      if (program[t] >= 0) {
        leaves[depth++] = 1;
      } else {
        --depth;
        leaves[depth - 1] = static_cast<std::uint8_t>(leaves[depth - 1] + leaves[depth]);
      }
      leaves_[t] = leaves[depth - 1];
    }
    visit(program.size() - 1);
  }

  std::optional<GroupedProgram> result() const { return fits_ ? std::optional(found_) : std::nullopt; }

 private:
  void visit(std::size_t last) {
    if (leaves_[last] <= GroupedProgram::group) return add_group(last);
    const std::size_t right = last - 1;
    visit(right - (2u * leaves_[right] - 1));
    visit(right);
    if (!fits_) return;
    ++found_.combines[found_.groups - 1];
    --waiting_;
  }

  void add_group(std::size_t last) {
    fits_ = fits_ && found_.groups < GroupedProgram::most_groups && waiting_ < GroupedProgram::deepest;
    if (!fits_) return;
    ++waiting_;
    found_.size[found_.groups++] = leaves_[last];
    std::uint8_t begins[GroupedProgram::group] = {};  // the source with which each value of the stack begins
    std::uint8_t depth = 0, sources = 0;
    for (std::size_t t = last + 2 - 2u * leaves_[last]; t <= last; ++t) {
      if (program_[t] >= 0) {
        begins[depth++] = sources++;
        found_.order[placed_++] = static_cast<std::uint8_t>(program_[t]);
      } else {
        --depth;
        std::uint8_t& joins = found_.joins[placed_ - 1];
        joins = static_cast<std::uint8_t>(joins | 1u << begins[depth - 1]);
      }
    }
  }

  std::span<const std::int16_t> program_;
  std::uint8_t leaves_[2 * GroupedProgram::most_sources] = {};  ///< below the value that each token leaves
  GroupedProgram found_{};
  std::size_t placed_ = 0;
  unsigned waiting_ = 0;
  bool fits_ = true;
};

}  // namespace

std::optional<GroupedProgram> grouped(std::span<const std::int16_t> program) {
  if (program.empty() || program.size() > 2 * GroupedProgram::most_sources - 1) return std::nullopt;
  return Grouping(program).result();
}

}  // namespace trireme::kernels
