// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data/record_buffer.hpp"
#include "trireme/data/csv.hpp"

#include <string>

namespace trireme::data {

/// What the first record says about the columns.
/// Errors: those of CsvReader.
CsvColumns csv_columns(const Record& first, const std::string& name, const CsvOptions& options);

/// Appends a record as a row. A pure function of the record.
/// Errors: those of CsvReader; `out` may then hold a part of the row.
void append_csv_row(const Record& record, const std::string& name, const CsvColumns& columns, char separator,
                    DenseTable& out);

}  // namespace trireme::data
