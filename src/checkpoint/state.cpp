// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/state.hpp"

#include "trireme/base/error.hpp"

namespace trireme::checkpoint {
namespace {

std::size_t count_of(const std::string& name, std::span<const std::int64_t> shape) {
  std::size_t count = 1;
  for (const std::int64_t extent : shape) {
    if (extent < 0 || __builtin_mul_overflow(count, static_cast<std::size_t>(extent), &count))
      fail(ErrorCode::invalid_argument, "tensor '" + name + "' has a shape that no memory holds");
  }
  return count;
}

void check_place(const std::string& name, const ConstTensorView& data, const DeviceAccess& devices) {
  if (data.device.kind == DeviceKind::cpu || devices.runtime != nullptr) return;
  fail(ErrorCode::unsupported,
       "tensor '" + name +
           "' is in device memory, and the state was not told how to copy it: TrainingState::use_devices()");
}

std::string sized(std::size_t count, DType dtype) { return std::to_string(count) + " " + std::string(name_of(dtype)); }

}  // namespace

void StateWriter::tensor(std::string_view name, std::span<const std::int64_t> shape, ConstTensorView data) {
  const std::string full_name = full(name);
  check_place(full_name, data, devices_);
  if (const std::size_t count = count_of(full_name, shape); data.count != count) {
    fail(ErrorCode::invalid_argument, "tensor '" + full_name + "' has " + std::to_string(data.count) +
                                          " elements, but its shape " + std::to_string(count));
  }
  tensors_.push_back({full_name, data.dtype, {shape.begin(), shape.end()}, data, std::nullopt});
}

void StateWriter::shard(std::string_view name, std::span<const std::int64_t> shape, std::size_t first,
                        ConstTensorView data) {
  const std::string full_name = full(name);
  check_place(full_name, data, devices_);
  const std::size_t count = count_of(full_name, shape);
  if (first > count || data.count > count - first) {
    fail(ErrorCode::invalid_argument, "tensor '" + full_name + "' has " + std::to_string(count) +
                                          " elements: " + std::to_string(data.count) + " from " +
                                          std::to_string(first) + " on are none of them");
  }
  tensors_.push_back({full_name, data.dtype, {shape.begin(), shape.end()}, data, first});
}

void StateWriter::value(std::string_view name, Value value) {
  if (!values_.emplace(full(name), std::move(value)).second)
    fail(ErrorCode::invalid_argument, "the value '" + full(name) + "' is given twice");
}

StateReader::StateReader(std::vector<SavedTensor> tensors, Values values)
    : all_tensors_(std::move(tensors)), all_values_(std::move(values)) {
  for (std::size_t t = 0; t < all_tensors_.size(); ++t) {
    places_.emplace(all_tensors_[t].name, t);
    elements_ += all_tensors_[t].count;
  }
}

bool StateReader::has_section() const {
  const std::string prefix = section_ + "/";
  const auto value = all_values_.lower_bound(prefix);
  const auto tensor = places_.lower_bound(prefix);
  return (value != all_values_.end() && value->first.starts_with(prefix)) ||
         (tensor != places_.end() && tensor->first.starts_with(prefix));
}

std::vector<SavedTensor> StateReader::tensors() const {
  const std::string prefix = section_ + "/";
  std::vector<SavedTensor> own;
  for (const SavedTensor& each : all_tensors_) {
    if (!each.name.starts_with(prefix)) continue;
    own.push_back(each);
    own.back().name.erase(0, prefix.size());
  }
  return own;
}

const SavedTensor* StateReader::find(std::string_view name) const {
  const auto found = places_.find(full(name));
  return found == places_.end() ? nullptr : &all_tensors_[found->second];
}

std::optional<Value> StateReader::find_value(std::string_view name) const {
  const auto found = all_values_.find(full(name));
  if (found == all_values_.end()) return std::nullopt;
  return found->second;
}

std::vector<std::string> StateReader::value_names(std::string_view ending) const {
  const std::string prefix = section_ + "/";
  std::vector<std::string> names;
  for (auto each = all_values_.lower_bound(prefix); each != all_values_.end() && each->first.starts_with(prefix);
       ++each) {
    const std::string_view name = std::string_view(each->first).substr(prefix.size());
    if (name.ends_with(ending)) names.emplace_back(name.substr(0, name.size() - ending.size()));
  }
  return names;
}

const Value& StateReader::wanted_value(std::string_view name) const {
  const auto found = all_values_.find(full(name));
  if (found == all_values_.end() && !has_section())
    fail(ErrorCode::invalid_argument, "the checkpoint has nothing of '" + section_ + "'");
  if (found == all_values_.end())
    fail(ErrorCode::corrupt, "the checkpoint does not have the value '" + full(name) + "'");
  return found->second;
}

std::uint64_t StateReader::whole(std::string_view name) const {
  if (const auto* value = std::get_if<std::uint64_t>(&wanted_value(name))) return *value;
  fail(ErrorCode::corrupt, "the checkpoint's '" + full(name) + "' is no whole number");
}

double StateReader::real(std::string_view name) const {
  if (const auto* value = std::get_if<double>(&wanted_value(name))) return *value;
  fail(ErrorCode::corrupt, "the checkpoint's '" + full(name) + "' is no number");
}

std::string StateReader::text(std::string_view name) const {
  if (const auto* value = std::get_if<std::string>(&wanted_value(name))) return *value;
  fail(ErrorCode::corrupt, "the checkpoint's '" + full(name) + "' is no text");
}

const SavedTensor& StateReader::wanted(std::string_view name, const TensorView& to) const {
  check_place(full(name), to, devices_);
  const SavedTensor* saved = find(name);
  if (saved == nullptr)
    fail(ErrorCode::invalid_argument, "the checkpoint does not have the tensor '" + full(name) + "'");
  if (saved->dtype != to.dtype) {
    fail(ErrorCode::invalid_argument, "tensor '" + full(name) + "' is " + std::string(name_of(saved->dtype)) +
                                          " in the checkpoint, " + std::string(name_of(to.dtype)) + " here");
  }
  return *saved;
}

void StateReader::into(std::string_view name, TensorView to) {
  const SavedTensor& saved = wanted(name, to);
  if (saved.count != to.count) {
    fail(ErrorCode::invalid_argument, "tensor '" + full(name) + "' has " + sized(saved.count, saved.dtype) +
                                          " in the checkpoint, " + sized(to.count, to.dtype) + " here");
  }
  targets_.push_back({full(name), standing_for(to), std::nullopt});
}

void StateReader::into(std::string_view name, std::size_t first, TensorView to) {
  const SavedTensor& saved = wanted(name, to);
  if (first > saved.count || to.count > saved.count - first) {
    fail(ErrorCode::invalid_argument, "tensor '" + full(name) + "' has " + sized(saved.count, saved.dtype) +
                                          " in the checkpoint: " + std::to_string(to.count) + " from " +
                                          std::to_string(first) + " on are none of them");
  }
  targets_.push_back({full(name), standing_for(to), first});
}

TensorView StateReader::standing_for(const TensorView& to) {
  if (to.device.kind == DeviceKind::cpu || to.count == 0) return to;
  stands_.push_back({device::PinnedBuffer(devices_.runtime, to.size_bytes()), to});
  return {stands_.back().memory.data(), to.count, to.dtype};
}

void StateReader::deliver() {
  for (const Stand& each : stands_)
    devices_.runtime->copy(each.device.data, each.memory.data(), each.device.size_bytes(), devices_.stream);
  if (!stands_.empty()) devices_.runtime->synchronize(devices_.stream);
  stands_.clear();
}

void TrainingState::add(std::string section, Stateful& part) {
  if (section.empty() || section.find('/') != std::string::npos)
    fail(ErrorCode::invalid_argument,
         "'" + section + "' is no name of a section: it must not be empty or have a slash");
  for (const auto& [name, known] : parts_) {
    if (name == section) fail(ErrorCode::invalid_argument, "the section '" + section + "' is there already");
  }
  parts_.emplace_back(std::move(section), &part);
}

StateWriter TrainingState::save() const {
  StateWriter writer;
  writer.devices_ = devices_;
  for (const auto& [section, part] : parts_) {
    writer.section_ = section;
    part->save(writer);
  }
  return writer;
}

void TrainingState::restore(StateReader& reader) const {
  reader.targets_.clear();
  reader.stands_.clear();
  reader.devices_ = devices_;
  for (const auto& [section, part] : parts_) {
    reader.section_ = section;
    part->restore(reader);
  }
}

void TrainingState::restored() const {
  for (const auto& [section, part] : parts_) part->restored();
}

}  // namespace trireme::checkpoint
