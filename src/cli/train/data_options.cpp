// SPDX-License-Identifier: Apache-2.0
#include "cli/train/data_options.hpp"

#include "trireme/base/error.hpp"

#include <array>
#include <initializer_list>

namespace trireme::cli {
namespace {

[[noreturn]] void refuse(const std::string& message) { fail(ErrorCode::invalid_argument, message); }

struct Prefix {
  std::string_view text;
  DatasetKind kind;
};
constexpr std::array prefixes{Prefix{"text:", DatasetKind::text}, Prefix{"tokens:", DatasetKind::tokens},
                              Prefix{"csv:", DatasetKind::csv}, Prefix{"libsvm:", DatasetKind::libsvm},
                              Prefix{"synthetic:", DatasetKind::synthetic}};

std::string name_of(DatasetKind kind) {
  for (const Prefix& each : prefixes) {
    if (each.kind == kind) return std::string(each.text);
  }
  return "images";
}

/// Refuses a flag that means nothing to this data set.
void require_kind(const Arguments& flags, const char* flag, DatasetKind kind,
                  std::initializer_list<DatasetKind> owners) {
  if (!flags.given(flag)) return;
  std::string list;
  for (const DatasetKind each : owners) {
    if (each == kind) return;
    list += (list.empty() ? "" : ", ") + name_of(each);
  }
  refuse(std::string(flag) + " belongs to --dataset " + list);
}

char separator_of(const std::string& text) {
  if (text == "tab" || text == "\\t") return '\t';
  if (text.size() != 1) refuse("--separator is '" + text + "': give one character, or tab");
  return text[0];
}

}  // namespace

DatasetSpec parse_dataset(std::string_view flag, std::string_view text) {
  if (text == "fashion-mnist") return {DatasetKind::images, std::string(text)};
  for (const Prefix& each : prefixes) {
    if (text.substr(0, each.text.size()) != each.text) continue;
    DatasetSpec spec{each.kind, std::string(text.substr(each.text.size()))};
    if (spec.path.empty()) refuse(std::string(flag) + ": " + std::string(each.text) + " needs a file");
    if (each.kind == DatasetKind::synthetic && spec.path != "linear" && spec.path != "logistic" &&
        spec.path != "blobs") {
      refuse(std::string(flag) + " is 'synthetic:" + spec.path +
             "'; this version has: synthetic:linear, "
             "synthetic:logistic, synthetic:blobs");
    }
    return spec;
  }
  refuse(std::string(flag) + " is '" + std::string(text) +
         "'; this version has: fashion-mnist, text:FILE, tokens:FILE, csv:FILE, libsvm:FILE, synthetic:KIND");
}

DataFlags::DataFlags(Arguments& flags) {
  flags.option("--test-dataset", test_,
               "what the result is measured on, of the same kind as --dataset (default: the part held out; of images "
               "their test set)");
  flags
      .option("--held-out", held_out_,
              "share of the samples that is not trained on but looked at by --eval-every: the end of a text or of "
              "images, rows of a table at random (default 0.1; 0 of images and with --test-dataset)",
              {.least = 0, .most = 1, .excludes_most = true})
      .without_standard();
  flags.option("--label", label_, "column of a CSV file that is learnt: its name, or place from 0 (default: the last)");
  flags.option("--separator", separator_, "between the columns of a CSV file: a character, or tab (default ,)");
  flags.flag("--no-standardise", no_standardise_,
             "take the features of a table as they are, not to mean 0 and deviation 1; of sparse ones to values of at "
             "most 1");
  flags.option("--token-type", token_type_, "of a token file: u16 (default) or u32, little-endian")
      .one_of({"u16", "u32"});
  flags.option("--vocabulary", vocabulary_, "tokens of a token file are below it (default 0: what occurs)",
               {.least = 0, .most = 1 << 16});
  flags.option("--samples", samples_, "of a synthetic table (default 10000)",
               {.least = 1, .most = std::uint64_t{0xffffffff}});
  flags.option("--features", features_, "of a synthetic table (default 20)", {.least = 1, .most = 1 << 20});
  flags.option("--classes", classes_, "of synthetic:blobs (default 3)", {.least = 2, .most = 1 << 16});
  flags.option("--noise", noise_, "of synthetic:linear and :blobs (default 0.1)", {.least = 0});
}

DataOptions DataFlags::checked(const Arguments& flags, DatasetSpec dataset) const {
  using enum DatasetKind;
  require_kind(flags, "--data-dir", dataset.kind, {images});
  require_kind(flags, "--label", dataset.kind, {csv});
  require_kind(flags, "--separator", dataset.kind, {csv});
  require_kind(flags, "--no-standardise", dataset.kind, {csv, libsvm, synthetic});
  require_kind(flags, "--token-type", dataset.kind, {tokens});
  require_kind(flags, "--vocabulary", dataset.kind, {tokens});
  for (const char* flag : {"--samples", "--features", "--classes", "--noise"})
    require_kind(flags, flag, dataset.kind, {synthetic});
  if (flags.given("--classes") && dataset.path != "blobs") refuse("--classes belongs to --dataset synthetic:blobs");
  if (flags.given("--noise") && dataset.path == "logistic")
    refuse("--noise: the labels of synthetic:logistic are noise");
  DataOptions options{.dataset = std::move(dataset)};
  if (flags.given("--test-dataset")) {
    options.test = parse_dataset("--test-dataset", test_);
    if (options.dataset.kind == images || options.dataset.kind == synthetic)
      refuse("--test-dataset belongs to --dataset text:, tokens:, csv:, libsvm:");
    if (options.test->kind != options.dataset.kind)
      refuse("--test-dataset " + test_ + " does not fit --dataset: both must be of one kind");
  }
  if (flags.given("--held-out")) {
    options.held_out = held_out_;
  }
  options.table = {.label = label_,
                   .separator = separator_of(separator_),
                   .standardise = !no_standardise_,
                   .samples = static_cast<std::size_t>(samples_),
                   .features = static_cast<std::size_t>(features_),
                   .classes = static_cast<std::size_t>(classes_),
                   .noise = noise_};
  options.token_type = token_type_ == "u32" ? data::TokenType::u32 : data::TokenType::u16;
  options.vocabulary = static_cast<std::size_t>(vocabulary_);
  if (options.vocabulary == 1) refuse("--vocabulary must be 2 or more, or 0 for what occurs");
  return options;
}

}  // namespace trireme::cli
