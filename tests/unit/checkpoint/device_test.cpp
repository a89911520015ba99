// SPDX-License-Identifier: Apache-2.0
#include "support/device_under_test.hpp"
#include "support/failures.hpp"
#include "support/require.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/checkpoint/folder.hpp"
#include "trireme/checkpoint/local_files.hpp"
#include "trireme/checkpoint/memory_tier.hpp"
#include "trireme/checkpoint/saver.hpp"
#include "trireme/world/run_ranks.hpp"
#include "unit/checkpoint/toy_state.hpp"

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace trireme;
using testing::require;
using testing::ToyState;

/// A ToyState of which the tensors that all ranks have lie in device memory.
class DeviceToy final : public checkpoint::Stateful {
 public:
  DeviceToy(std::shared_ptr<device::Runtime> runtime, ToyState& toy)
      : runtime_(std::move(runtime)), toy_(toy), stream_(runtime_, 0) {
    for (const auto& each : toy_.tensors) memory_.emplace_back(runtime_, 0, each.view().size_bytes());
  }
  Stream stream() const { return stream_.get(); }
  /// From the toy; asynchronous, as the last step of training is when a checkpoint is asked for.
  void upload() {
    for (std::size_t t = 0; t < memory_.size(); ++t)
      runtime_->copy(memory_[t].data(), toy_.tensors[t].view().data, memory_[t].size_bytes(), stream());
  }
  void download() {
    for (std::size_t t = 0; t < memory_.size(); ++t)
      runtime_->copy(toy_.tensors[t].view().data, memory_[t].data(), memory_[t].size_bytes(), stream());
    stream_.synchronize();
  }

  void save(checkpoint::StateWriter& writer) const override {
    for (std::size_t t = 0; t < memory_.size(); ++t)
      writer.tensor(toy_.tensors[t].name, toy_.tensors[t].shape, view(t));
    writer.shard("pieces", std::vector<std::int64_t>{ToyState::pieces_count}, toy_.pieces.begin,
                 std::span<const double>(toy_.own));
    writer.value("number", toy_.number);
    writer.value("text", toy_.text);
  }
  void restore(checkpoint::StateReader& reader) override {
    for (std::size_t t = 0; t < memory_.size(); ++t) reader.into(toy_.tensors[t].name, view(t));
    reader.into("pieces", toy_.pieces.begin, std::span<double>(toy_.own));
    toy_.number = reader.whole("number");
    toy_.text = reader.text("text");
  }

 private:
  TensorView view(std::size_t t) const { return memory_[t].view(toy_.tensors[t].dtype, toy_.tensors[t].count); }
  std::shared_ptr<device::Runtime> runtime_;
  ToyState& toy_;
  std::vector<device::Buffer> memory_;
  device::OwnedStream stream_;  // ends before the memory it writes to
};

/// Saves step 5 and goes on at once.
void save(World& world, const std::string& path, checkpoint::Stateful& part, ToyState& toy, DeviceToy* on_device,
          const std::shared_ptr<device::Runtime>& runtime, checkpoint::MemoryTier* tier = nullptr) {
  const auto files = checkpoint::local_files();
  auto folder = checkpoint::Folder::open(world.communicator(), *files, {.path = path});
  checkpoint::Saver saver(folder, {.memory_tier = tier});
  checkpoint::TrainingState state{{"toy", part}};
  if (on_device != nullptr) state.use_devices({runtime, on_device->stream()});
  toy.fill(5);
  if (on_device != nullptr) on_device->upload();
  require(!saver.save(5, state), "nothing was under way");
  toy.fill(12345);
  if (on_device != nullptr) on_device->upload();
  const auto report = saver.finish();
  require(report && report->is_complete, "the save is complete: " + (report ? report->problem : ""));
}

void resume(World& world, const std::string& path, checkpoint::Stateful& part, DeviceToy* on_device,
            const std::shared_ptr<device::Runtime>& runtime) {
  const auto files = checkpoint::local_files();
  auto folder = checkpoint::Folder::open(world.communicator(), *files, {.path = path});
  checkpoint::TrainingState state{{"toy", part}};
  if (on_device != nullptr) state.use_devices({runtime, on_device->stream()});
  require(folder.resume(state).has_value(), "there is a checkpoint");
  if (on_device != nullptr) on_device->download();
}

}  // namespace

TEST_CASE("what lies on a device is saved as it was, and restored to a host or a device, on any number of ranks",
          "[device]") {
  for (const auto& runtime : testing::runtimes_under_test()) {
    for (const auto& [from_device, to_device] :
         {std::pair(true, false), std::pair(false, true), std::pair(true, true)}) {
      const testing::TemporaryFolder folder;
      const std::string path = folder.path() + "/checkpoints";
      testing::run_ranks(2, [&, from = from_device](World& world) {
        ToyState toy(world.rank(), world.size());
        DeviceToy on_device(runtime, toy);
        checkpoint::Stateful& part = from ? static_cast<checkpoint::Stateful&>(on_device) : toy;
        save(world, path, part, toy, from ? &on_device : nullptr, runtime);
      });
      testing::run_ranks(3, [&, to = to_device](World& world) {
        ToyState toy(world.rank(), world.size());
        DeviceToy on_device(runtime, toy);
        checkpoint::Stateful& part = to ? static_cast<checkpoint::Stateful&>(on_device) : toy;
        resume(world, path, part, to ? &on_device : nullptr, runtime);
        require(toy.holds(5), "the state is that of step 5");
      });
    }
  }
}

TEST_CASE("device memory that the state was not told how to copy is refused by name", "[device]") {
  const auto runtime = device::emulated_runtime();
  const testing::TemporaryFolder folder;
  const auto thrown = testing::run_ranks_collecting(1, [&](World& world) {
    ToyState toy(0, 1);
    DeviceToy on_device(runtime, toy);
    save(world, folder.path() + "/checkpoints", on_device, toy, nullptr, runtime);
  });
  CHECK_THROWS_WITH(std::rethrow_exception(thrown[0]),
                    Catch::Contains("tensor 'toy/weight' is in device memory") && Catch::Contains("use_devices()"));
}
