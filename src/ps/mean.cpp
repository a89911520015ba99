// SPDX-License-Identifier: Apache-2.0
#include "ps/mean.hpp"

#include "kernels/reduce/reduce.hpp"
#include "parallel/fold_elements.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

namespace trireme::ps {
namespace {

bool is_identity(const std::optional<Contribution>& each) {
  return !each || (each->push.weight == 0.0 && !each->payload);
}

/// The tree over those that are not the identity: x + -0 is x, so the others need not be added.
struct Program {
  std::vector<std::int16_t> postfix;
  std::vector<std::size_t> ranks;  ///< by source
};

Program program_of(const Contributions& contributions, const layout::ReductionTree& tree) {
  Program program;
  std::vector<bool> stack;
  for (const std::int16_t token : tree.postfix()) {
    if (token != layout::ReductionTree::combine) {
      const bool counts = !is_identity(contributions[static_cast<std::size_t>(token)]);
      if (counts) {
        program.postfix.push_back(static_cast<std::int16_t>(program.ranks.size()));
        program.ranks.push_back(static_cast<std::size_t>(token));
      }
      stack.push_back(counts);
      continue;
    }
    const bool right = stack.back();
    stack.pop_back();
    if (right && stack.back()) program.postfix.push_back(token);
    stack.back() = stack.back() || right;
  }
  return program;
}

}  // namespace

double total_weight(const Contributions& contributions, const layout::ReductionTree& tree) {
  std::vector<double> stack;
  for (const std::int16_t token : tree.postfix()) {
    if (token != layout::ReductionTree::combine) {
      const auto& each = contributions[static_cast<std::size_t>(token)];
      stack.push_back(each ? each->push.weight : 0.0);
      continue;
    }
    const double right = stack.back();
    stack.pop_back();
    stack.back() += right;
  }
  return stack.back();
}

std::uint32_t used_by(const Contributions& contributions) {
  return static_cast<std::uint32_t>(std::count_if(contributions.begin(), contributions.end(), [](const auto& each) {
    return each && each->push.used && each->push.weight != 0.0;
  }));
}

TouchedRows touched_rows(const Contributions& contributions, const KeyShape& shape) {
  TouchedRows touched{.all = false};
  std::vector<std::uint32_t> both;
  for (const auto& each : contributions) {
    if (!each || !each->payload) continue;
    if (!each->push.sparse) return {};
    both.clear();
    std::set_union(touched.rows.begin(), touched.rows.end(), each->push.rows.begin(), each->push.rows.end(),
                   std::back_inserter(both));
    touched.rows.swap(both);
  }
  if (2 * touched.rows.size() > shape.rows) return {};
  return touched;
}

void lay_out(std::span<const std::byte> packed, std::span<const std::uint32_t> rows, const KeyShape& shape,
             const TouchedRows& among, bool identity, std::byte* memory) {
  const std::size_t row_bytes = shape.row_bytes();
  const std::size_t all = among.all ? shape.rows : among.rows.size();
  if (identity) {
    parallel::fill_identity(memory, shape.dtype, all * shape.columns);
  } else {
    std::fill_n(memory, all * row_bytes, std::byte{0});
  }
  for (std::size_t i = 0, at = 0; i < rows.size(); ++i) {
    if (among.all) {
      at = rows[i] - shape.first_row;
    } else {
      while (among.rows[at] != rows[i]) ++at;
    }
    std::memcpy(memory + at * row_bytes, packed.data() + i * row_bytes, row_bytes);
  }
}

void mean_of(const Contributions& contributions, const layout::ReductionTree& tree, const KeyShape& shape,
             const TouchedRows& touched, double divisor, std::byte* destination) {
  const Program program = program_of(contributions, tree);
  const std::size_t count = (touched.all ? shape.rows : touched.rows.size()) * shape.columns;
  if (count == 0) return;
  std::vector<std::vector<std::byte>> laid_out;
  std::vector<std::byte> zeros;
  std::vector<kernels::ReduceSource> sources;
  laid_out.reserve(program.ranks.size());
  for (const std::size_t rank : program.ranks) {
    const Contribution& each = *contributions[rank];
    const void* data = nullptr;
    if (!each.payload) {
      zeros.resize(count * size_of(shape.dtype));  // all of them +0
      data = nullptr;
    } else if (!each.push.sparse) {
      data = each.payload->data();
    } else {
      laid_out.emplace_back(count * size_of(shape.dtype));
      lay_out(*each.payload, each.push.rows, shape, touched, each.push.weight == 0.0, laid_out.back().data());
      data = laid_out.back().data();
    }
    sources.push_back({data, shape.dtype});
  }
  for (kernels::ReduceSource& source : sources) {
    if (source.data == nullptr) source.data = zeros.data();
  }
  if (sources.empty()) {
    parallel::fill_identity(destination, shape.dtype, count);
    return;
  }
  if (sources.size() == 1 && divisor == 1.0 && sources[0].data == destination) return;  // it is there
  kernels::reduce({.kind = ReduceKind::sum,
                   .accumulator = shape.dtype,
                   .destination = destination,
                   .output = shape.dtype,
                   .count = count,
                   .sources = sources,
                   .program = program.postfix,
                   .divisor = divisor});
}

}  // namespace trireme::ps
