// SPDX-License-Identifier: Apache-2.0
// What do the stages of ZeRO keep on a rank and send, next to ZeRO's formulas? Every row trains twice: over common memory, where
// a counting operator new and the arenas say what each rank holds, and over TCP, where the transport counts payload. Before a
// row is written the final weights are compared with those of stage 0, and on all ranks.
#include "bench/zero/options.hpp"
#include "bench/zero/zero_run.hpp"
#include "trireme/base/dtype.hpp"
#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <numeric>
#include <string>

namespace trireme::bench {
namespace {

/// Widths of values and gradients, and of Adam's two moments with the master of a bf16 value.
parallel::ZeroWidths widths_of(DType dtype) {
  return dtype == DType::f32 ? parallel::ZeroWidths{4, 4, 8} : parallel::ZeroWidths{2, 4, 12};
}

/// Of one dtype, number of ranks and stage, in bytes per parameter but where a name says otherwise.
struct Row {
  DType dtype;
  int ranks;
  int stage;
  double kept_formula = 0, kept = 0, kept_most = 0, transient = 0, wire_formula = 0, wire = 0, turn = 0;
  std::string hash{};

  double kept_percent() const { return 100 * (kept / kept_formula - 1); }
  double wire_percent() const { return wire_formula == 0 ? 0 : 100 * (wire / wire_formula - 1); }
};

class ZeroBench {
 public:
  explicit ZeroBench(const ZeroOptions& options) : options_(options) {}

  /// Whether every row was near enough to its formula.
  bool run() {
    std::printf(
        "# bytes per parameter; kept: mean over ranks, most: of the rank that keeps most, transient: at most\n");
    std::printf("%-5s %5s %5s %12s %9s %7s %9s %9s %12s %9s %7s  %s\n", "type", "ranks", "stage", "kept_formula",
                "kept", "%", "most", "transient", "wire_formula", "wire", "%", "weights");
    for (const DType dtype : {DType::f32, DType::bf16}) {
      for (const int ranks : options_.ranks) {
        for (int stage = 0; stage < 4; ++stage) measure({.dtype = dtype, .ranks = ranks, .stage = stage});
      }
    }
    if (!options_.json.empty()) write_json();
    return good_;
  }

 private:
  void measure(Row row) {
    ZeroCase how{.size = {.layers = options_.layers,
                          .channels = options_.channels,
                          .vocabulary = options_.vocabulary,
                          .dtype = row.dtype},
                 .ranks = row.ranks,
                 .stage = row.stage,
                 .leaves = 0};
    const ZeroRun held = run_zero(how);
    how.transport = "tcp";
    const ZeroRun sent = run_zero(how);
    row.hash = held.hash;
    verify(row, held);
    verify(row, sent);
    const auto psi = static_cast<double>(held.parameters);
    parameters_ = held.parameters;
    for (const RankMemory& rank : held.ranks) {
      row.kept += rank.counted() / psi / row.ranks;
      row.kept_most = std::max(row.kept_most, rank.counted() / psi);
      row.transient = std::max(row.transient, static_cast<double>(rank.transient()) / psi);
    }
    row.kept_formula = parallel::zero_bytes_per_parameter(row.stage, row.ranks, widths_of(row.dtype));
    row.wire = std::accumulate(sent.sent.begin(), sent.sent.end(), 0.0) / psi / row.ranks;
    row.wire_formula = parallel::zero_wire_bytes_per_parameter(row.stage, row.ranks, widths_of(row.dtype));
    row.turn = sent.turn_bytes / psi;
    good_ = good_ && std::abs(row.kept_percent()) < 0.5 && std::abs(row.wire_percent()) < 1;
    report(row);
  }

  /// Bits first. Without --logical-shards every number of ranks has leaves, and so bits, of its own.
  void verify(const Row& row, const ZeroRun& run) {
    if (row.stage == 0) hash_ = row.hash;
    const std::string where = std::to_string(row.ranks) + " ranks, stage " + std::to_string(row.stage);
    if (run.hash != hash_)
      fail(ErrorCode::corrupt, where + ": weights " + run.hash + " are not those of stage 0, " + hash_);
    if (!run.same_everywhere) fail(ErrorCode::corrupt, where + ": the ranks' weights differ");
  }

  void report(const Row& row) {
    std::printf("%-5s %5d %5d %12.3f %9.3f %7.2f %9.3f %9.3f %12.3f %9.3f %7.2f  %s\n",
                std::string(name_of(row.dtype)).c_str(), row.ranks, row.stage, row.kept_formula, row.kept,
                row.kept_percent(), row.kept_most, row.transient, row.wire_formula, row.wire, row.wire_percent(),
                row.hash.c_str());
    std::fflush(stdout);
    rows_.push_back({{"dtype", std::string(name_of(row.dtype))},
                     {"ranks", row.ranks},
                     {"stage", row.stage},
                     {"kept_formula", row.kept_formula},
                     {"kept", row.kept},
                     {"kept_most", row.kept_most},
                     {"transient", row.transient},
                     {"wire_formula", row.wire_formula},
                     {"wire", row.wire},
                     {"turn", row.turn},
                     {"weights_hash", row.hash}});
  }

  void write_json() const {
    const nlohmann::json whole{{"environment",
                                {{"parameters", parameters_},
                                 {"layers", options_.layers},
                                 {"channels", options_.channels},
                                 {"vocabulary", options_.vocabulary},
                                 {"optimizer", "adam"},
                                 {"ranks_are", "threads"}}},
                               {"rows", rows_}};
    std::ofstream file(options_.json);
    if (!(file << whole.dump(1) << "\n").flush()) fail(ErrorCode::system, "writing " + options_.json);
  }

  const ZeroOptions& options_;
  nlohmann::json rows_ = nlohmann::json::array();
  std::size_t parameters_ = 0;
  std::string hash_;
  bool good_ = true;
};

}  // namespace
}  // namespace trireme::bench

int main(int argc, char** argv) try {
  const auto options = trireme::bench::parse_zero_options(argc, argv);
  if (!options) return 0;
  const bool good = trireme::bench::ZeroBench(*options).run();
  return options->check && !good ? 3 : 0;
} catch (const trireme::Exception& exception) {
  std::fprintf(stderr, "zero_bench: %s\n", exception.error().message.c_str());
  return exception.error().code == trireme::ErrorCode::invalid_argument ? 2 : 1;
} catch (const std::exception& exception) {
  std::fprintf(stderr, "zero_bench: %s\n", exception.what());
  return 1;
}
