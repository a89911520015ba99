// SPDX-License-Identifier: Apache-2.0
#include "support/failures.hpp"
#include "support/require.hpp"
#include "support/stride.hpp"
#include "support/temporary_folder.hpp"
#include "support/volatile_files.hpp"
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/memory_tier.hpp"
#include "trireme/checkpoint/saver.hpp"
#include "trireme/checkpoint/training_parts.hpp"
#include "trireme/layout/flat_shards.hpp"
#include "trireme/optim/adafactor.hpp"
#include "trireme/optim/adamw.hpp"
#include "trireme/optim/lamb.hpp"
#include "trireme/world/run_ranks.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace trireme;
using testing::has;
using testing::require;
using testing::TemporaryFolder;
using testing::VolatileFiles;

/// How ranks own parameters: all of them whole, in parts, or whole ones among the ranks.
enum class Ownership { whole, parts, tensors };

std::unique_ptr<Optimizer> make_rule(const std::string& name) {
  if (name == "lamb") return std::make_unique<Lamb>(LambOptions{.learning_rate = 0.02, .weight_decay = 0.1});
  if (name == "adafactor") return std::make_unique<Adafactor>(AdafactorOptions{.learning_rate = 0.05});
  return std::make_unique<AdamW>(AdamWOptions{.learning_rate = 0.02});
}

/// A small model as one rank has it, with an optimizer and averages of what it owns. Values and gradients are multiples of 1/256,
/// so that they are the same in every type.
class PartedTraining {
 public:
  struct Tensor {
    std::string name;
    std::vector<std::int64_t> shape;
    DType dtype;
    std::size_t count;
    layout::Interval own;
    std::vector<double> value, gradient;  // of what is owned; in 8-byte units
  };

  PartedTraining(World& world, const std::string& rule, Ownership ownership, int owners,
                 const std::string& offload = {}, std::int64_t rows = 130)
      : world_(world),
        ownership_(ownership),
        owners_(owners),
        group_(world.communicator().split(world.rank() / owners, world.rank()).value()),
        optimizer_(make_rule(rule)),
        average_({.decay = 0.75}) {
    if (!offload.empty()) optimizer_->offload({.folder = offload, .buffer = {64 << 10}});
    add("weight", {rows, 100}, DType::f32);
    add("half", {2 * 4096}, DType::bf16);
    add("wide", {3, 4099}, DType::f64);
    add("bias", {7}, DType::f32);
  }

  void train(std::uint64_t from, std::uint64_t until) {
    struct Exchange final : Optimizer::SumsExchange {
      explicit Exchange(Communicator& ranks) : communicator(ranks) {}
      void sum(std::span<double> block_sums) override { communicator.all_reduce(block_sums); }
      Communicator& communicator;
    };
    for (std::uint64_t step = from; step < until; ++step) {
      std::vector<Optimizer::TensorUpdate> updates;
      std::vector<std::size_t> firsts;
      for (Tensor& each : tensors_) {
        fill(each, each.gradient, 1000 + step);
        updates.push_back({each.name, view(each, each.value), view(each, each.gradient), each.shape, each.own.begin});
        firsts.push_back(each.own.begin);
      }
      Exchange exchange(group_);
      optimizer_->apply(updates, 1.0, 10.0, ownership_ == Ownership::whole ? nullptr : &exchange);
      average_.update(parameters(), firsts);
    }
  }

  std::vector<Parameter> parameters() {
    std::vector<Parameter> list;
    for (Tensor& each : tensors_) list.push_back({each.name, each.shape, view(each, each.value), {}});
    return list;
  }
  checkpoint::OwnedElements owned() const {
    return [this](std::string_view name) {
      return std::find_if(tensors_.begin(), tensors_.end(), [&](const Tensor& each) { return each.name == name; })->own;
    };
  }

  /// Calls body(state) with all of it as a state.
  template <class Body>
  void with_state(const Body& body) {
    if (ownership_ == Ownership::whole) {
      checkpoint::ParameterState values(parameters());
      checkpoint::OptimizerState optimizer(*optimizer_);
      checkpoint::WeightAverageState average(average_);
      return body(checkpoint::TrainingState{{"model", values}, {"optimizer", optimizer}, {"average", average}});
    }
    const auto saves = world_.rank() < owners_ ? checkpoint::SavesOwned::yes : checkpoint::SavesOwned::no;
    checkpoint::ParameterState values(parameters(), owned(), saves);
    checkpoint::OptimizerState optimizer(*optimizer_, owned(), saves);
    checkpoint::WeightAverageState average(average_, owned(), saves);
    body(checkpoint::TrainingState{{"model", values}, {"optimizer", optimizer}, {"average", average}});
  }

  /// What is wrong with it as a part of `whole`; empty: nothing.
  std::string difference(PartedTraining& whole) {
    for (std::size_t t = 0; t < tensors_.size(); ++t) {
      Tensor &part = tensors_[t], &all = whole.tensors_[t];
      if (!equal(view(all, all.value), view(part, part.value), part.own)) return part.name + ": other values";
      if (!equal(whole.average_.average(part.name), average_.average(part.name), part.own))
        return part.name + ": another average";
      const auto ours = optimizer_->saved(part.name), theirs = whole.optimizer_->saved(part.name);
      if (ours.steps != theirs.steps) return part.name + ": other steps";
      for (std::size_t i = 0; i < ours.tensors.size(); ++i) {
        if (!equal(theirs.tensors[i].second, ours.tensors[i].second, part.own))
          return part.name + "/" + ours.tensors[i].first + ": other bits";
      }
    }
    return average_.updates() == whole.average_.updates() ? "" : "other updates";
  }

  std::vector<Tensor>& tensors() { return tensors_; }
  Optimizer& optimizer() { return *optimizer_; }
  WeightAverage& average() { return average_; }

 private:
  void add(std::string name, std::vector<std::int64_t> shape, DType dtype) {
    std::size_t count = 1;
    for (const std::int64_t side : shape) count *= static_cast<std::size_t>(side);
    layout::Interval own{0, count};
    const int place = world_.rank() % owners_;
    if (ownership_ == Ownership::parts) own = layout::FlatShards(count, owners_).shard(place);
    if (ownership_ == Ownership::tensors && static_cast<int>(tensors_.size() + 1) % owners_ != place) own = {0, 0};
    Tensor tensor{std::move(name), std::move(shape), dtype, count, own, {}, {}};
    fill(tensor, tensor.value, tensors_.size());
    tensors_.push_back(std::move(tensor));
  }
  static void fill(Tensor& tensor, std::vector<double>& to, std::uint64_t salt) {
    to.assign((tensor.own.size() * size_of(tensor.dtype) + 7) / 8, 0.0);
    auto* const bytes = reinterpret_cast<std::byte*>(to.data());
    for (std::size_t i = 0; i < tensor.own.size(); ++i) {
      const std::uint64_t mixed = (salt * 0x9e3779b97f4a7c15u + tensor.own.begin + i) * 0xbf58476d1ce4e5b9u;
      const double wide = static_cast<double>((mixed >> 40) & 0xff) / 256 - 0.5;
      const auto narrow = static_cast<float>(wide);
      std::uint32_t bits = 0;
      std::memcpy(&bits, &narrow, 4);
      const auto brain = static_cast<std::uint16_t>(bits >> 16);
      switch (tensor.dtype) {
        case DType::f64: std::memcpy(bytes + i * 8, &wide, 8); break;
        case DType::f32: std::memcpy(bytes + i * 4, &narrow, 4); break;
        default: std::memcpy(bytes + i * 2, &brain, 2);
      }
    }
  }
  static TensorView view(Tensor& tensor, std::vector<double>& memory) {
    return {memory.data(), tensor.own.size(), tensor.dtype};
  }
  /// Whether `part` is elements `own` of `all`; where the state is not element-wise, all of it, if any is there.
  static bool equal(const ConstTensorView& all, const ConstTensorView& part, layout::Interval own) {
    const bool is_whole = part.count == all.count;
    const std::size_t from = is_whole ? 0 : own.begin * size_of(all.dtype);
    if (!is_whole && part.count != own.size()) return false;
    return part.count == 0 ||
           std::memcmp(static_cast<const std::byte*>(all.data) + from, part.data, part.size_bytes()) == 0;
  }

  World& world_;
  Ownership ownership_;
  int owners_;
  Communicator group_;  // of ranks that own parts of the same
  std::vector<Tensor> tensors_;
  std::unique_ptr<Optimizer> optimizer_;
  WeightAverage average_;
};

struct Degree {
  Ownership ownership;
  int ranks;
  int owners;  ///< fewer than ranks: groups that each have all
};

void save(VolatileFiles& files, const std::string& rule, Degree degree, const std::string& offload = {}) {
  testing::run_ranks(degree.ranks, [&](World& world) {
    auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = VolatileFiles::root});
    checkpoint::Saver saver(folder);
    PartedTraining training(world, rule, degree.ownership, degree.owners, offload);
    training.train(0, 2);
    training.with_state([&](const checkpoint::TrainingState& state) {
      saver.save(2, state);
      training.train(2, 3);  // it goes on
      const auto report = saver.finish();
      require(report && report->is_complete, "it is saved: " + (report ? report->problem : ""));
    });
  });
}

/// Restores on other owners, trains on, and compares with who never stopped.
void restore(VolatileFiles& files, const std::string& rule, Degree degree, const std::string& offload = {}) {
  testing::run_ranks(degree.ranks, [&](World& world) {
    auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = VolatileFiles::root});
    PartedTraining training(world, rule, degree.ownership, degree.owners, offload);
    training.with_state([&](const checkpoint::TrainingState& state) {
      const auto manifest = folder.resume(state);
      require(manifest && manifest->step == 2, "it is resumed");
    });
    PartedTraining whole(world, rule, Ownership::whole, 1);
    whole.train(0, 2);
    require(training.difference(whole) == "", "restored: " + training.difference(whole));
    whole.train(2, 4);
    training.train(2, 4);
    require(training.difference(whole) == "", "trained on: " + training.difference(whole));
  });
}

}  // namespace

TEST_CASE("A checkpoint of parts is restored onto any other owners, and whole, and the other way round") {
  for (const std::string rule : {"adamw", "lamb", "adafactor"}) {
    const Ownership cut = rule == "adafactor" ? Ownership::tensors : Ownership::parts;
    std::vector<Degree> degrees{{Ownership::whole, 2, 1}, {cut, 3, 3}};
    if (!testing::is_thin || rule == "adamw") degrees.push_back({cut, 8, 8});
    if (rule == "lamb") degrees.insert(degrees.end(), {{cut, 1, 1}, {cut, 2, 2}});
    for (const Degree& from : degrees) {
      VolatileFiles files;
      save(files, rule, from);
      for (const Degree& to : degrees) {
        INFO(rule << ": " << from.owners << " owners to " << to.owners);
        const auto copy = files.clone();
        restore(*copy, rule, to);
      }
    }
  }
}

TEST_CASE("Groups of ranks that each own all save it once, and each takes its part back") {
  VolatileFiles files;
  save(files, "lamb", {Ownership::parts, 4, 2});
  restore(*files.clone(), "lamb", {Ownership::parts, 6, 3});
  restore(*files.clone(), "lamb", {Ownership::whole, 1, 1});
}

TEST_CASE("Offloaded state is saved from its file and restored into it, parts included") {
  const TemporaryFolder folder;
  for (const std::string rule : {"adamw", "lamb"}) {
    VolatileFiles files;
    save(files, rule, {Ownership::parts, 3, 3}, folder.path());
    restore(*files.clone(), rule, {Ownership::parts, 2, 2}, folder.path());
    restore(*files.clone(), rule, {Ownership::whole, 2, 1}, folder.path());
    restore(*files.clone(), rule, {Ownership::parts, 8, 8});
  }
}

TEST_CASE("Parts come back from the memory of ranks, each its own, however unequal they are") {
  for (const Ownership ownership : {Ownership::parts, Ownership::tensors}) {
    VolatileFiles files;
    testing::run_ranks(3, [&](World& world) {
      auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = VolatileFiles::root});
      checkpoint::MemoryTier tier;
      checkpoint::Saver saver(folder, {.memory_tier = &tier});
      // Several chunks, of which one rank owns most.
      PartedTraining training(world, "adamw", ownership, 3, {}, 4000), again(world, "adamw", ownership, 3, {}, 4000);
      training.train(0, 2);
      training.with_state([&](const checkpoint::TrainingState& state) {
        saver.save(2, state);
        const auto report = saver.finish();
        require(report && report->is_complete, "it is saved");
      });
      again.with_state([&](const checkpoint::TrainingState& state) {
        require(tier.resume(world.communicator(), state).has_value(), "memory has it");
      });
      PartedTraining whole(world, "adamw", Ownership::whole, 1, {}, 4000);
      whole.train(0, 2);
      require(again.difference(whole) == "", again.difference(whole));
    });
  }
}

TEST_CASE("The manifest of parts is that of whole tensors: format, names, values of rank 0") {
  const auto manifest_of = [](Degree degree) {
    VolatileFiles files;
    save(files, "lamb", degree);
    checkpoint::Manifest manifest;
    testing::run_ranks(1, [&](World& world) {
      auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = VolatileFiles::root});
      PartedTraining training(world, "lamb", Ownership::whole, 1);
      training.with_state([&](const checkpoint::TrainingState& state) { manifest = folder.resume(state).value(); });
    });
    return manifest;
  };
  const auto whole = manifest_of({Ownership::whole, 2, 1}), parts = manifest_of({Ownership::parts, 8, 8});
  CHECK(whole.values == parts.values);  // of 'bias' the first rank owns all, of others not; of none it owns nothing
  REQUIRE(whole.tensors.size() == parts.tensors.size());
  for (std::size_t t = 0; t < whole.tensors.size(); ++t) {
    CHECK(whole.tensors[t].name == parts.tensors[t].name);
    CHECK(whole.tensors[t].dtype == parts.tensors[t].dtype);
    CHECK(whole.tensors[t].shape == parts.tensors[t].shape);
  }
}

TEST_CASE("Parts that are not what a rank owns are refused by name, and so are parts without owners") {
  VolatileFiles files;
  testing::run_ranks(2, [&](World& world) {
    auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = VolatileFiles::root});
    checkpoint::Saver saver(folder);
    PartedTraining training(world, "adamw", Ownership::parts, 2);
    training.train(0, 1);
    const auto refused = [&](checkpoint::Stateful& part, const std::string& what, const std::string& more) {
      checkpoint::TrainingState state{{"part", part}};
      const auto error = testing::error_of([&] { saver.save(1, state); });
      require(error.code == ErrorCode::invalid_argument, what);
      require(has(error.message, what) && has(error.message, more), error.message);
    };
    const auto others = [](std::string_view) { return layout::Interval{4096, 8192}; };
    checkpoint::OptimizerState plain(training.optimizer()), moved(training.optimizer(), others);
    checkpoint::WeightAverageState plain_average(training.average()), moved_average(training.average(), others);
    checkpoint::ParameterState moved_values(training.parameters(), others);
    refused(plain, "state of a part of 'half', 4096 of 8192", "what this rank owns");
    refused(plain_average, "average of a part of 'half', 4096 of 8192", "what this rank owns");
    refused(moved, "'bias' has elements [0, ", "owns [4096, 8192)");
    refused(moved_average, "'bias' has elements [0, ", "owns [4096, 8192)");
    refused(moved_values, "'weight' has elements", "owns [4096, 8192)");
  });
}

TEST_CASE("What every rank owns alike is saved once, beside values and state in parts") {
  VolatileFiles files;
  const auto run = [&](int ranks, bool goes_on) {
    testing::run_ranks(ranks, [&](World& world) {
      const layout::Interval own =
          layout::piece({0, 40}, static_cast<std::size_t>(ranks), static_cast<std::size_t>(world.rank()));
      std::vector<float> table(6, goes_on ? 0.0f : 2.0f), part(own.size());
      for (std::size_t i = 0; i < part.size(); ++i) part[i] = goes_on ? 0.0f : static_cast<float>(own.begin + i);
      const std::vector<Parameter> parameters = {{"table", {6}, std::span(table), {}},
                                                 {"weight", {40}, std::span(part), {}}};
      checkpoint::ParameterState values(
          parameters, layout::Ownership{.owned =
                                            [&](std::string_view name) {
                                              return name == "table" ? layout::Interval{0, 6} : own;
                                            },
                                        .alike = [](std::string_view name) { return name == "table"; }});
      const checkpoint::TrainingState state{{"model", values}};
      auto folder = checkpoint::Folder::open(world.communicator(), files, {.path = "/job"});
      const auto from = folder.resume(state);
      require(from.has_value() == goes_on, "there is a checkpoint to go on from");
      if (goes_on) {
        require(table == std::vector<float>(6, 2.0f), "the table is back");
        for (std::size_t i = 0; i < part.size(); ++i)
          require(part[i] == static_cast<float>(own.begin + i), "the part is back");
        return;
      }
      checkpoint::Saver saver(folder, {}, from);
      saver.save(1, state);
      const auto report = saver.finish();
      require(report && report->is_complete, report ? report->problem : "nothing was saved");
    });
  };
  run(3, false);
  run(2, true);
}
