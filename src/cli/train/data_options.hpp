// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/arguments.hpp"
#include "trireme/data/token_file.hpp"
#include "trireme/platform/cluster_spec.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::cli {

/// What samples are of; it decides which models can learn from them.
enum class DatasetKind : unsigned char { images, text, tokens, csv, libsvm, synthetic };

/// What --dataset or --test-dataset names.
struct DatasetSpec {
  DatasetKind kind = DatasetKind::images;
  std::string path{};  ///< of images the name of the set, of synthetic samples what they are of
  /// An input channel that is no folder all ranks can read: its files are known once the world has brought them here.
  std::string channel{};
  std::vector<std::filesystem::path> files{};  ///< what is read in place of `path`, in this order; empty: `path`
  friend bool operator==(const DatasetSpec&, const DatasetSpec&) = default;
};

/// "csv:FILE" and its twins, or "fashion-mnist".
/// Errors: invalid_argument naming the flag.
DatasetSpec parse_dataset(std::string_view flag, std::string_view text);

/// Rows of numbers.
struct TableOptions {
  std::string label{};  ///< of CSV: a column's name or its place from 0; empty: the last
  char separator = ',';
  bool standardise = true;
  std::size_t samples = 10000;  ///< of synthetic ones, as what follows
  std::size_t features = 20;
  std::size_t classes = 3;
  double noise = 0.1;
};

/// Where samples come from.
struct DataOptions {
  DatasetSpec dataset{};
  std::optional<DatasetSpec> test{};
  std::optional<double> held_out{};  ///< share of `dataset` that is not trained on; unset: as the kind says
  TableOptions table{};
  data::TokenType token_type = data::TokenType::u16;
  std::size_t vocabulary = 0;                                ///< of token files; 0: what occurs
  std::map<std::string, platform::InputChannel> channels{};  ///< those that are to be brought here, by name

  bool needs_world() const { return !channels.empty(); }
};

/// The flags of DataOptions, but for --dataset itself, whose default depends on the model.
class DataFlags {
 public:
  /// Describes them; must live until `flags` have been parsed.
  explicit DataFlags(Arguments& flags);
  /// Errors: invalid_argument naming the flag that does not fit, or that belongs to another data set.
  DataOptions checked(const Arguments& flags, DatasetSpec dataset) const;

 private:
  std::string test_, label_, separator_ = ",", token_type_ = "u16";
  double held_out_ = 0.1, noise_ = 0.1;
  bool no_standardise_ = false;
  std::uint64_t vocabulary_ = 0, samples_ = 10000, features_ = 20, classes_ = 3;
};

}  // namespace trireme::cli
