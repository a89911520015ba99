// SPDX-License-Identifier: Apache-2.0
#include "cli/train/tasks/table_task.hpp"

#include "cli/train/content_hash.hpp"
#include "cli/train/seeds.hpp"
#include "cli/train/tasks/class_labels.hpp"
#include "cli/train/tasks/held_out.hpp"
#include "cli/train/tasks/known_features.hpp"
#include "cli/train/tasks/model_config.hpp"
#include "cli/train/tasks/row_source.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/evaluation_share.hpp"
#include "trireme/data/feature_moments.hpp"
#include "trireme/data/standardisation.hpp"
#include "trireme/models/tabular.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include <unistd.h>

namespace trireme::cli {
namespace {

constexpr std::size_t read_rows = data::FeatureMoments::block_rows;

/// Elements of the first weight from which on only touched rows of its gradient travel: below, saying which costs more than
/// it saves. The bits are the same.
constexpr std::size_t least_row_sparse = std::size_t{1} << 20;

template <class Table>
struct Rows {
  std::unique_ptr<RowSource<Table>> source;
  std::unique_ptr<RowSource<Table>> test;  // null: none
  RowSplit split;
  std::vector<std::uint32_t> test_rows;
  std::string name;
  std::size_t features() const { return source->features(); }
};

template <class Table>
inline constexpr bool is_sparse = std::is_same_v<Table, data::SparseTable>;

/// What the values of every feature are brought to, from the rows that are trained on.
template <class Table>
using Scaling = std::conditional_t<is_sparse<Table>, data::SparseScaling, data::Standardisation>;

/// Calls use(table) for this rank's share of rows[…] of `source`, in pieces.
template <class Table, class Use>
void read_share(const RowSource<Table>& source, std::span<const std::uint32_t> rows, const Communicator& communicator,
                Use&& use) {
  const auto share = data::evaluation_share(rows.size(), communicator.rank(), communicator.size(), read_rows);
  Table piece;
  for (std::size_t begin = share.begin; begin < share.end; begin += read_rows) {
    source.read(rows.subspan(begin, std::min(read_rows, share.end - begin)), piece);
    use(piece);
  }
}

/// Every rank looks at its share of the rows; the numbers of all are put together in one order.
data::Standardisation scaling_of(const Rows<data::DenseTable>& rows, Communicator& communicator) {
  const auto share =
      data::evaluation_share(rows.split.training.size(), communicator.rank(), communicator.size(), read_rows);
  data::FeatureMoments own(rows.features(), share.begin);
  read_share(*rows.source, rows.split.training, communicator,
             [&](const data::DenseTable& piece) { own.add(piece.view()); });
  std::vector<data::FeatureMoments> shares;
  for (const std::vector<double>& packed : gather_numbers(communicator, own.packed(), "feature moments")) {
    shares.push_back(data::FeatureMoments::unpacked(packed));
  }
  return data::Standardisation::fit(data::FeatureMoments::combine(shares));
}

/// No mean is taken away, so that 0 stays 0, and the largest is found in time and memory of what is stored.
data::SparseScaling scaling_of(const Rows<data::SparseTable>& rows, Communicator& communicator) {
  std::vector<float> largest(rows.features());
  read_share(*rows.source, rows.split.training, communicator, [&](const data::SparseTable& piece) {
    for (std::size_t k = 0; k < piece.indices.size(); ++k) {
      float& each = largest[piece.indices[k]];
      each = std::max(each, std::fabs(piece.values[k]));
    }
  });
  communicator.all_reduce(std::span<float>(largest), maximum, {.label = "largest features"});
  return data::SparseScaling::by_largest(largest);
}

/// The labels of the training set, held-out rows included; those of the test set must be among them.
template <class Table>
ClassLabels labels_of(const Rows<Table>& rows, Communicator& communicator) {
  LabelCollector training, test;
  const auto collect = [&](const Table& piece) { training.add(piece.labels); };
  read_share(*rows.source, rows.split.training, communicator, collect);
  read_share(*rows.source, rows.split.held_out, communicator, collect);
  ClassLabels labels = ClassLabels::agreed(communicator, training);
  if (rows.test) {
    read_share(*rows.test, rows.test_rows, communicator, [&](const Table& piece) { test.add(piece.labels); });
    labels.check_covers(communicator, test);
  }
  return labels;
}

template <class T>
std::span<const std::byte> bytes_of(const data::AlignedVector<T>& values) {
  return std::as_bytes(std::span<const T>(values));
}

/// Adds some rows of either end.
template <class Table>
void add_ends(ContentHash& hash, const RowSource<Table>& source) {
  const auto rows = static_cast<std::uint32_t>(source.size());
  std::vector<std::uint32_t> numbers(std::min<std::uint32_t>(rows, 256));
  Table piece;
  for (const std::uint32_t first : {std::uint32_t{0}, rows - static_cast<std::uint32_t>(numbers.size())}) {
    std::iota(numbers.begin(), numbers.end(), first);
    source.read(numbers, piece);
    hash.add(bytes_of(piece.values));
    hash.add(bytes_of(piece.labels));
    if constexpr (is_sparse<Table>) {
      hash.add(bytes_of(piece.indices));
      hash.add(bytes_of(piece.offsets));
    }
  }
}

/// The first weight with its gradient and one state must fit this machine: a single index of a sparse file can ask for more.
void check_fits(std::size_t features, std::size_t units, const std::string& path) {
  const double bytes = 3.0 * sizeof(float) * static_cast<double>(features) * static_cast<double>(units);
  const double memory = static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  if (bytes <= memory) return;
  fail(ErrorCode::invalid_argument,
       path + " has " + std::to_string(features) + " features: with their gradients and state " +
           std::to_string(units) + " weights of each take " +
           std::to_string(static_cast<long long>(bytes / (1 << 30))) + " GiB, more than this machine has");
}

template <class Table>
class TableTask final : public Task {
 public:
  TableTask(const TrainOptions& options, const Rows<Table>& rows, const TaskPlace& place)
      : options_(options),
        rows_(rows),
        loss_(options.loss == LossKind::squared ? models::TabularLoss::squared : models::TabularLoss::cross_entropy) {
    const bool is_deep = options.model == "mlp" && !options.hidden.empty();
    check_fits(rows.features(), is_deep ? options.hidden.front() : 1, options.data.dataset.path);
    if (options.data.table.standardise) {
      scaling_ = scaling_of(rows, place.communicator);
    }
    if (loss_ == models::TabularLoss::cross_entropy) labels_ = labels_of(rows, place.communicator);
    if (labels_ && !is_deep) check_fits(rows.features(), labels_->size(), options.data.dataset.path);
    model_.emplace(
        models::TabularOptions{.features = rows.features(),
                               .hidden = options.model == "mlp" ? options.hidden : std::vector<std::size_t>{},
                               .outputs = labels_ ? labels_->size() : 1,
                               .loss = loss_,
                               .sparse = is_sparse<Table>,
                               .seed = model_seed(options.seed),
                               .rows = place.pass_rows,
                               .dropout = options.dropout});
    is_row_sparse_ = is_sparse<Table> && model_->parameters().front().value.count >= least_row_sparse;
    if (is_row_sparse_) model_->assume_row_sparse(true);
  }

  const std::vector<Parameter>& parameters() const override { return model_->parameters(); }
  std::vector<std::string> row_sparse() const override {
    if (!is_row_sparse_) return {};
    return {model_->parameters().front().name};
  }
  void use_gradients(std::span<const Parameter> parameters) override { model_->use_gradients(parameters); }
  void use_access(ParameterAccess& access) override { model_->use_access(access); }
  std::string model() const override { return model_->description(); }
  std::string dataset() const override { return rows_.name; }
  std::string config() const override {
    TableConfig table{.model = model_->options(), .names = rows_.source->names()};
    if constexpr (is_sparse<Table>) {
      if (scaling_) table.factor = scaling_->factor;
    } else if (scaling_) {
      table.mean = scaling_->mean;
      table.inverse_deviation = scaling_->inverse_deviation;
    }
    if (labels_) table.labels = labels_->labels();
    return table_config(options_, table);
  }
  std::size_t samples() const override { return rows_.split.training.size(); }
  Measure measure() const override {
    return loss_ == models::TabularLoss::squared ? Measure::error : Measure::accuracy;
  }
  void feed(data::DistributedSampler&, int, layout::LeafBlock) override {}

  void load(std::span<const std::uint32_t> samples) override {
    numbers_.clear();
    for (const std::uint32_t sample : samples) numbers_.push_back(rows_.split.training[sample]);
    read(*rows_.source);
  }

  double pass(const PassPlace& place, PassListener& listener) override {
    model_->set_place({.step = place.step, .first_row = place.first_row});
    const auto ready = [&](std::size_t parameter) {
      if (parameter == 0 && is_row_sparse_) return listener.ready_rows(0, model_->touched_rows());
      listener.ready(parameter);
    };
    return model_->forward_backward(batch_.view(), ready, [&] { listener.forward_done(); });
  }

  bool parts_are_one() const override { return !rows_.test || rows_.split.held_out.empty(); }
  std::size_t size(Part part) const override { return rows_of(part).size(); }
  std::size_t block() const override { return models::Tabular<float>::evaluation_rows; }

  void evaluate(Part part, layout::Interval share, EvaluationSums& sums) override {
    const auto rows = rows_of(part);
    for (std::size_t begin = share.begin; begin < share.end; begin += block()) {
      const auto numbers = rows.subspan(begin, std::min(block(), share.end - begin));
      numbers_.assign(numbers.begin(), numbers.end());
      read(is_of_test(part) ? *rows_.test : *rows_.source);
      const models::TabularEvaluation found = model_->evaluate(batch_.view());
      sums.targets += found.samples;
      sums.correct += found.correct;
      sums.block_losses.push_back(found.loss_sum);
    }
  }

 private:
  bool is_of_test(Part part) const { return rows_.test && (part == Part::test || rows_.split.held_out.empty()); }
  std::span<const std::uint32_t> rows_of(Part part) const {
    return is_of_test(part) ? rows_.test_rows : rows_.split.held_out;
  }

  /// Rows `numbers_` as the model takes them.
  void read(const RowSource<Table>& source) {
    source.read(numbers_, batch_);
    drop_features_from(batch_, rows_.features());
    if (scaling_) scaling_->apply(batch_);
    if (labels_) labels_->replace(batch_.labels);
  }

  const TrainOptions& options_;
  const Rows<Table>& rows_;
  models::TabularLoss loss_;
  std::optional<Scaling<Table>> scaling_;
  std::optional<ClassLabels> labels_;
  std::optional<models::Tabular<float>> model_;
  bool is_row_sparse_ = false;
  std::vector<std::uint32_t> numbers_;
  Table batch_;
};

template <class Table>
class TableData final : public TrainingData {
 public:
  TableData(const TrainOptions& options, std::unique_ptr<RowSource<Table>> source,
            std::unique_ptr<RowSource<Table>> test)
      : options_(options) {
    if (source->size() > std::numeric_limits<std::uint32_t>::max()) {
      fail(ErrorCode::invalid_argument, options.data.dataset.path + " has more than 2^32 - 1 rows");
    }
    rows_.split = split_rows(source->size(), wanted_held_out(options.data, source->size()));
    if (test) {
      rows_.test_rows.resize(test->size());
      std::iota(rows_.test_rows.begin(), rows_.test_rows.end(), std::uint32_t{0});
    }
    rows_.source = std::move(source);
    rows_.test = std::move(test);
    const DatasetSpec& dataset = options.data.dataset;
    rows_.name = (dataset.kind == DatasetKind::synthetic ? "synthetic:" : "") + dataset.path;
  }
  std::size_t samples() const override { return rows_.split.training.size(); }
  std::string content() const override {
    ContentHash hash;
    add_ends(hash, *rows_.source);
    if (rows_.test) add_ends(hash, *rows_.test);
    return std::to_string(rows_.source->size()) + " rows of " + std::to_string(rows_.features()) + " features, " +
           std::to_string(rows_.test_rows.size()) + " of a test set, " + hash.text();
  }
  std::unique_ptr<Task> make_task(const TaskPlace& place) const override {
    return std::make_unique<TableTask<Table>>(options_, rows_, place);
  }

 private:
  const TrainOptions& options_;
  Rows<Table> rows_;
};

template <class Table>
std::unique_ptr<TrainingData> table_data(const TrainOptions& options, std::unique_ptr<RowSource<Table>> source,
                                         std::unique_ptr<RowSource<Table>> test) {
  // A sparse set names the features it has; a dense row is complete.
  if (!is_sparse<Table> && test && source->features() != test->features()) {
    fail(ErrorCode::invalid_argument, options.data.test->path + " has " + std::to_string(test->features()) +
                                          " features, " + options.data.dataset.path + " has " +
                                          std::to_string(source->features()));
  }
  for (std::size_t k = 0; test && k < std::min(source->names().size(), test->names().size()); ++k) {
    if (source->names()[k] == test->names()[k]) continue;
    fail(ErrorCode::invalid_argument, "feature " + std::to_string(k) + " is '" + test->names()[k] + "' in " +
                                          options.data.test->path + ", '" + source->names()[k] + "' in " +
                                          options.data.dataset.path + ": columns must stand in one order");
  }
  return std::make_unique<TableData<Table>>(options, std::move(source), std::move(test));
}

}  // namespace

std::unique_ptr<TrainingData> load_table(const TrainOptions& options) {
  const DataOptions& data = options.data;
  if (data.dataset.kind == DatasetKind::libsvm) {
    return table_data(options, open_sparse(data.dataset), data.test ? open_sparse(*data.test) : nullptr);
  }
  return table_data(options, open_dense(data.dataset, data.table),
                    data.test ? open_dense(*data.test, data.table) : nullptr);
}

}  // namespace trireme::cli
