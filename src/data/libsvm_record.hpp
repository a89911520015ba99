// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data/record_buffer.hpp"
#include "trireme/data/rows.hpp"

#include <cstddef>
#include <string>

namespace trireme::data {

/// Whether a line holds a sample: more than blanks and a comment.
bool is_libsvm_row(const Record& record) noexcept;

/// Appends a line that holds a sample as a row and raises out.features to its largest index. A pure function of it.
/// Shape:  `most` > 0: the largest index that is allowed.
/// Errors: those of LibsvmReader; `out` may then hold a part of the row.
void append_libsvm_row(const Record& record, const std::string& name, std::size_t most, SparseTable& out);

}  // namespace trireme::data
