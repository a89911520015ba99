// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/training_parts.hpp"

#include "trireme/base/error.hpp"

#include <string_view>

namespace trireme::checkpoint {
namespace {

constexpr std::string_view steps_name = "/steps";

std::vector<std::int64_t> flat(std::size_t count) { return {static_cast<std::int64_t>(count)}; }

std::string text_of(std::span<const std::int64_t> shape) {
  std::string text = "{";
  for (const std::int64_t extent : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "}";
}

/// Errors: invalid_argument: the part is not what this rank owns.
[[noreturn]] void fail_part(const std::string& what, std::string_view parameter, layout::Interval has,
                            layout::Interval owned) {
  const auto range = [](layout::Interval part) {
    return "[" + std::to_string(part.begin) + ", " + std::to_string(part.end) + ")";
  };
  fail(ErrorCode::invalid_argument, what + " '" + std::string(parameter) + "' has elements " + range(has) +
                                        ", but this rank owns " + range(owned) + " of it");
}

void check_part(const std::string& what, std::string_view parameter, layout::Interval has, layout::Interval owned) {
  if (has == owned || (has.size() == 0 && owned.size() == 0)) return;
  fail_part(what, parameter, has, owned);
}

void save_part(StateWriter& writer, std::string_view name, std::span<const std::int64_t> shape, std::size_t first,
               ConstTensorView part, SavesOwned saves) {
  if (saves == SavesOwned::no || part.count == 0) {
    first = 0;
    part.count = 0;
  }
  writer.shard(name, shape, first, part);
}

/// Elements of an optimizer's i-th state of a whole tensor; a master comes behind the rule's own.
std::size_t whole_count(const Optimizer& optimizer, std::size_t i, const TensorShape& shape) {
  return i < optimizer.state_names().size() ? optimizer.state_count(i, shape) : shape.count();
}

}  // namespace

layout::Interval ParameterState::part_of(const Parameter& parameter) const {
  const layout::Interval part = owned_(parameter.name);
  if (part.size() != parameter.value.count) fail_part("the value of", parameter.name, {0, parameter.value.count}, part);
  return part;
}

void ParameterState::save(StateWriter& writer) const {
  for (const Parameter& each : parameters_) {
    if (!owned_ || (alike_ && alike_(each.name)))
      writer.tensor(each.name, each.shape, each.value);
    else
      save_part(writer, each.name, each.shape, part_of(each).begin, each.value, saves_);
  }
}

void ParameterState::restore(StateReader& reader) {
  if (const auto saved = reader.tensors(); saved.size() != parameters_.size()) {
    fail(ErrorCode::invalid_argument, "the checkpoint has " + std::to_string(saved.size()) +
                                          " tensors of the model, which has " + std::to_string(parameters_.size()) +
                                          ": it is another model's");
  }
  for (const Parameter& each : parameters_) {
    if (owned_)
      reader.into(each.name, part_of(each).begin, each.value);
    else
      reader.into(each.name, each.value);
    if (const std::string saved = text_of(reader.find(each.name)->shape), here = text_of(each.shape); saved != here)
      fail(ErrorCode::invalid_argument,
           "'" + each.name + "' has the shape " + saved + " in the checkpoint, " + here + " here");
  }
}

void OptimizerState::save(StateWriter& writer) const {
  writer.value("name", std::string(optimizer_.name()));
  for (const auto& [parameter, state] : optimizer_.states()) {
    const Optimizer::SavedState saved = optimizer_.saved(parameter);
    writer.value(parameter + std::string(steps_name), saved.steps);
    writer.value(parameter + "/dtype", std::string(name_of(saved.dtype)));
    writer.value(parameter + "/rows", std::uint64_t{saved.shape.rows});
    writer.value(parameter + "/columns", std::uint64_t{saved.shape.columns});
    if (owned_) {
      check_part("the optimizer's state of", parameter, {saved.first, saved.first + saved.count}, owned_(parameter));
    } else if (saved.count != saved.shape.count()) {
      fail(ErrorCode::invalid_argument,
           "the optimizer has the state of a part of '" + parameter + "', " + std::to_string(saved.count) + " of " +
               std::to_string(saved.shape.count()) +
               " elements: give OptimizerState what this rank owns, DataParallel::ownership()");
    }
    for (std::size_t i = 0; i < saved.tensors.size(); ++i) {
      const auto& [name, tensor] = saved.tensors[i];
      if (!owned_ || (alike_ && alike_(parameter))) {
        writer.tensor(parameter + "/" + name, flat(tensor.count), tensor);
        continue;
      }
      save_part(writer, parameter + "/" + name, flat(whole_count(optimizer_, i, saved.shape)), saved.first, tensor,
                saves_);
    }
  }
}

void OptimizerState::restore(StateReader& reader) {
  optimizer_.forget();
  std::size_t tensors = 0;
  if (const std::string name = reader.text("name"); name != optimizer_.name()) {
    fail(ErrorCode::invalid_argument, "the checkpoint has the state of the optimizer '" + name + "'; this is '" +
                                          std::string(optimizer_.name()) + "'");
  }
  for (const std::string& parameter : reader.value_names(steps_name)) {
    Optimizer::SavedState saved{.steps = reader.whole(parameter + std::string(steps_name)), .tensors{}};
    if (const std::string dtype = reader.text(parameter + "/dtype"); !parse_dtype(dtype, saved.dtype))
      fail(ErrorCode::corrupt, "the checkpoint says that '" + parameter + "' is " + dtype + ", which is no dtype");
    saved.shape = {.rows = reader.whole(parameter + "/rows"), .columns = reader.whole(parameter + "/columns")};
    if (__builtin_mul_overflow(saved.shape.rows, saved.shape.columns, &saved.count))
      fail(ErrorCode::corrupt, "the checkpoint says that '" + parameter + "' is larger than any memory");
    // What make_room() takes is bounded by what the checkpoint really holds.
    const bool keeps_tensors = !optimizer_.state_names().empty() || size_of(saved.dtype) < size_of(DType::f32);
    if (keeps_tensors && reader.tensors().empty()) {
      fail(ErrorCode::invalid_argument, "the checkpoint has no tensors of the optimizer '" +
                                            std::string(optimizer_.name()) + "', which with these settings keeps some");
    }
    if (keeps_tensors && saved.count > reader.elements())
      fail(ErrorCode::corrupt, "the checkpoint says that '" + parameter + "' has more elements than all its tensors");
    if (owned_) {
      const layout::Interval part = owned_(parameter);
      if (part.begin > part.end || part.end > saved.count)
        fail_part("the checkpoint's", parameter, {0, saved.count}, part);
      saved.first = part.begin;
      saved.count = part.size();
    }
    const auto room = optimizer_.make_room(parameter, saved);
    tensors += room.size();
    for (std::size_t i = 0; i < room.size(); ++i) {
      const std::string name = parameter + "/" + room[i].first;
      const TensorView& to = room[i].second;
      if (!owned_) {
        reader.into(name, to);
        continue;
      }
      reader.into(name, to.count == 0 ? 0 : saved.first, to);
      const std::size_t whole = whole_count(optimizer_, i, saved.shape);
      if (const std::size_t there = reader.find(name)->count; there != whole) {
        fail(ErrorCode::invalid_argument, "tensor '" + name + "' has " + std::to_string(there) +
                                              " elements in the checkpoint, " + std::to_string(whole) + " here");
      }
    }
  }
  if (const std::size_t saved = reader.tensors().size(); saved != tensors) {
    fail(ErrorCode::invalid_argument, "the checkpoint has " + std::to_string(saved) + " tensors of the optimizer '" +
                                          std::string(optimizer_.name()) + "', which with these settings keeps " +
                                          std::to_string(tensors));
  }
}

void WeightAverageState::save(StateWriter& writer) const {
  writer.value("updates", average_.updates());
  for (const std::string& name : average_.names()) {
    const ConstTensorView tensor = average_.average(name);
    const auto [first, count] = average_.place(name);
    if (owned_) {
      check_part("the average of", name, {first, first + tensor.count}, owned_(name));
      save_part(writer, name, flat(count), first, tensor, saves_);
      continue;
    }
    if (count != tensor.count) {
      fail(ErrorCode::invalid_argument,
           "there is the average of a part of '" + name + "', " + std::to_string(tensor.count) + " of " +
               std::to_string(count) + " elements: WeightAverageState takes a function that says what this rank owns");
    }
    writer.tensor(name, flat(count), tensor);
  }
}

void WeightAverageState::restore(StateReader& reader) {
  incoming_.clear();
  incoming_updates_ = reader.whole("updates");
  for (const SavedTensor& saved : reader.tensors()) {
    const layout::Interval part = owned_ ? owned_(saved.name) : layout::Interval{0, saved.count};
    if (part.begin > part.end || part.end > saved.count)
      fail_part("the checkpoint's average of", saved.name, {0, saved.count}, part);
    Incoming incoming{saved.name, saved.dtype, part.size(), {part.size() == 0 ? 0 : part.begin, saved.count}, {}};
    incoming.storage.resize((incoming.count * size_of(saved.dtype) + sizeof(double) - 1) / sizeof(double));
    const TensorView to(incoming.storage.data(), incoming.count, saved.dtype);
    if (owned_)
      reader.into(saved.name, incoming.place.first, to);
    else
      reader.into(saved.name, to);
    incoming_.push_back(std::move(incoming));
  }
}

void WeightAverageState::restored() {
  std::vector<std::pair<std::string, ConstTensorView>> averages;
  std::vector<WeightAverage::Place> places;
  for (const Incoming& each : incoming_) {
    averages.emplace_back(each.name, ConstTensorView(each.storage.data(), each.count, each.dtype));
    places.push_back(each.place);
  }
  average_.restore(incoming_updates_, averages, places);
  incoming_.clear();
}

void LossScalerState::save(StateWriter& writer) const {
  const LossScaler::State& state = scaler_.state();
  writer.value("scale", state.scale);
  writer.value("finite_steps", state.finite_steps);
  writer.value("skipped", state.skipped);
}

void LossScalerState::restore(StateReader& reader) {
  scaler_.restore({.scale = reader.real("scale"),
                   .finite_steps = reader.whole("finite_steps"),
                   .skipped = reader.whole("skipped")});
}

void SamplerState::save(StateWriter& writer) const {
  const data::SamplerState state = sampler_.state();
  writer.value("count", state.count);
  writer.value("global_batch", state.global_batch);
  writer.value("seed", state.seed);
  writer.value("shuffle", std::uint64_t{state.shuffle});
  writer.value("epoch", state.cursor.epoch);
  writer.value("step", state.cursor.step);
}

void SamplerState::restore(StateReader& reader) {
  sampler_.restore({.count = reader.whole("count"),
                    .global_batch = reader.whole("global_batch"),
                    .seed = reader.whole("seed"),
                    .shuffle = reader.whole("shuffle") != 0,
                    .cursor = {.epoch = reader.whole("epoch"), .step = reader.whole("step")}});
}

void CounterState::save(StateWriter& writer) const {
  for (const Counter& each : counters_)
    std::visit([&](const auto* number) { writer.value(each.name, *number); }, each.number);
}

void CounterState::restore(StateReader& reader) {
  for (const Counter& each : counters_) {
    const auto take = [&]<class T>(T* number) {
      const auto found = reader.find_value(each.name);
      if (!found) fail(ErrorCode::invalid_argument, "the checkpoint does not have the number '" + each.name + "'");
      const T* const saved = std::get_if<T>(&*found);
      if (saved == nullptr)
        fail(ErrorCode::invalid_argument, "the checkpoint's '" + each.name + "' is a number of another kind");
      *number = *saved;
    };
    std::visit(take, each.number);
  }
}

}  // namespace trireme::checkpoint
