// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/tensor_view.hpp"
#include "trireme/checkpoint/value.hpp"
#include "trireme/device/owned.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trireme::checkpoint {

/// One logical tensor of a state, and what this rank has of it. The memory stays the owner's.
struct StateTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  ConstTensorView data;              ///< all of it, the same on every rank; or this rank's own elements
  std::optional<std::size_t> first;  ///< set: data is elements [first, first + data.count), which no other rank gives
};

/// Where the tensors that lie in device memory are copied: behind what the stream holds.
struct DeviceAccess {
  std::shared_ptr<device::Runtime> runtime{};  ///< null: tensors lie in host memory
  Stream stream{};
};

/// What a save asks of every part of the state: names, values, and where the tensors lie.
class StateWriter {
 public:
  /// A tensor that every rank has whole. Each rank writes a part of it.
  void tensor(std::string_view name, std::span<const std::int64_t> shape, ConstTensorView data);
  /// A tensor of which every rank has its own range: the ranges of all ranks cover it once.
  void shard(std::string_view name, std::span<const std::int64_t> shape, std::size_t first, ConstTensorView data);
  /// The same on every rank: rank 0's counts.
  void value(std::string_view name, Value value);

  const std::vector<StateTensor>& tensors() const { return tensors_; }
  const Values& values() const { return values_; }
  const DeviceAccess& devices() const { return devices_; }

 private:
  friend class TrainingState;
  std::string full(std::string_view name) const { return section_ + "/" + std::string(name); }
  std::string section_;
  DeviceAccess devices_;
  std::vector<StateTensor> tensors_;
  Values values_;
};

/// A tensor of a checkpoint, without its bytes.
struct SavedTensor {
  std::string name;  ///< within the section
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::size_t count = 0;
};

/// What a load offers every part of the state: what there is, and to be told where to put it.
class StateReader {
 public:
  struct Target {
    std::string name;  ///< in the checkpoint, section included
    TensorView to;
    std::optional<std::size_t> first;  ///< set: elements from here on
  };

  StateReader(std::vector<SavedTensor> tensors, Values values);

  bool has_section() const;
  /// The tensors of this section, in the order of their saving.
  std::vector<SavedTensor> tensors() const;
  const SavedTensor* find(std::string_view name) const;
  /// Of all tensors of the checkpoint together.
  std::size_t elements() const { return elements_; }
  /// The value of that name.  Errors: corrupt when there is none, or one of another kind; invalid_argument when the checkpoint
  /// has nothing of this section.
  std::uint64_t whole(std::string_view name) const;
  double real(std::string_view name) const;
  std::string text(std::string_view name) const;
  std::optional<Value> find_value(std::string_view name) const;
  /// The names, without the ending, of this section's values that end so.
  std::vector<std::string> value_names(std::string_view ending) const;

  /// The tensor's elements belong there: all of them, or those from `first` on. They are there when restored() is called.
  /// Errors: invalid_argument naming the tensor when there is none, or dtype or count differ.
  void into(std::string_view name, TensorView to);
  void into(std::string_view name, std::size_t first, TensorView to);

  const std::vector<Target>& targets() const { return targets_; }
  /// The targets are filled: those that stand for device memory are copied there. Waits for it.
  void deliver();

 private:
  friend class TrainingState;
  std::string full(std::string_view name) const { return section_ + "/" + std::string(name); }
  const SavedTensor& wanted(std::string_view name, const TensorView& to) const;
  const Value& wanted_value(std::string_view name) const;

  std::string section_;
  std::vector<SavedTensor> all_tensors_;
  std::size_t elements_ = 0;
  std::map<std::string, std::size_t, std::less<>> places_;  // in all_tensors_, by full name
  Values all_values_;
  std::vector<Target> targets_;
  /// Host memory that stands for device memory until deliver().
  struct Stand {
    device::PinnedBuffer memory;
    TensorView device;
  };
  TensorView standing_for(const TensorView& to);
  DeviceAccess devices_;
  std::vector<Stand> stands_;
};

/// Something that a checkpoint keeps: parameters, an optimizer, a sampler, a loop's own counters.
class Stateful {
 public:
  virtual ~Stateful() = default;
  /// What there is now, in an order that is the same on every rank.
  virtual void save(StateWriter& writer) const = 0;
  /// Takes the values and says where the tensors go, making room for them. Called again when a file turns out to be damaged
  /// and an older checkpoint takes its place.
  virtual void restore(StateReader& reader) = 0;
  /// The tensors are where they belong.
  virtual void restored() {}
};

/// All that a checkpoint keeps, each thing under a name of its own: the tensor `weight` of section `model` is
/// `model/weight`.
class TrainingState {
 public:
  TrainingState() = default;
  /// TrainingState state{{"model", model}, {"optimizer", optimizer}};  Errors: those of add().
  TrainingState(std::initializer_list<std::pair<std::string, Stateful&>> parts) {
    for (const auto& [section, part] : parts) add(section, part);
  }
  /// `part` must outlive this.  Errors: invalid_argument when the name is empty, has a slash or is taken.
  void add(std::string section, Stateful& part);
  /// From here on tensors may lie in memory of the runtime's devices.
  void use_devices(DeviceAccess devices) { devices_ = std::move(devices); }

  StateWriter save() const;
  void restore(StateReader& reader) const;
  void restored() const;

 private:
  std::vector<std::pair<std::string, Stateful*>> parts_;
  DeviceAccess devices_;
};

}  // namespace trireme::checkpoint
