// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/array_memory.hpp"
#include "trireme/base/parameter.hpp"
#include "trireme/device/owned.hpp"
#include "trireme/device/runtime.hpp"
#include "trireme/optim/device_step_scale.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace trireme {

namespace optim {
class OnDevice;
}

/// How each update weighs in.
enum class AverageKind : unsigned char {
  exponential,  ///< a = d*a + (1-d)*p, an exponential moving average
  equal         ///< the mean of all: a = n/(n+1)*a + 1/(n+1)*p. Izmailov et al. 2018 (arXiv 1803.05407), SWA
};

/// Settings of WeightAverage.
struct WeightAverageOptions {
  AverageKind kind = AverageKind::exponential;
  double decay = 0.999;  ///< d, of exponential: below 1
  bool warmup = false;   ///< d is at most (1+n)/(10+n) at update n: early values are forgotten sooner
};

/// Averages of a model's parameters over training, which often evaluate better than the last values. Kept by parameter name,
/// in f64 for f64 parameters, otherwise in f32; alike on all ranks, since the parameters are.
/// Where ranks own parts of parameters, `value` is this rank's part (empty where it owns nothing): its average is the part's, with
/// the bits of the whole's.
/// Averages of parameters in device memory are kept there and move with the same bits, one launch for all.
/// Order:   elements are independent; a = a*(1-w) + w*p, each operation rounded: the same bits on every processor.
/// Threads: one at a time.
class WeightAverage {
 public:
  /// Errors: invalid_argument naming the setting.
  explicit WeightAverage(const WeightAverageOptions& options = {});

  /// Where work on parameters in device memory goes, as Optimizer::use_device() says.
  void use_device(std::shared_ptr<device::Runtime> runtime, Stream stream);

  /// Takes the values as they are: after a step. The first ones are the average. Of parts, firsts[i] says where the value of
  /// parameters[i] begins in the whole; none given: 0 of all.
  /// Errors: invalid_argument, and nothing is changed, when names, counts, parts or dtypes are not those of the first update, or
  ///         for memory of a device without use_device().
  void update(std::span<const Parameter> parameters, std::span<const std::size_t> firsts = {});
  /// The same, after a step of which only the device knows whether it has been (Optimizer::apply with that scale): where it was
  /// left out nothing is averaged and nothing counted, as on the host, which does not ask for an average then. Asks the device,
  /// behind what its stream was given, and waits for the answer.
  /// Shape: `scale` is written before, in the order of the stream of use_device().
  /// Errors: as update(); invalid_argument without use_device(), or for a scale that is null.
  /// Returns: whether the step has been.
  bool update(std::span<const Parameter> parameters, DeviceStepScale scale);
  /// Puts the averages in the parameters' places, rounded, and keeps their values; take_back() brings these back. Between
  /// the two no update().
  /// Errors: as update(); invalid_argument before the first one, or when put() or take_back() come twice in a row.
  void put(std::span<const Parameter> parameters);
  void take_back(std::span<const Parameter> parameters);

  std::uint64_t updates() const { return updates_; }
  /// Whose averages there are.
  std::vector<std::string> names() const;
  /// The average of one parameter, for checkpoints; data null if there is none of that name. In device memory where the
  /// parameter lies there, to be read in the order of its stream.
  ConstTensorView average(std::string_view parameter) const;
  /// Which part of the parameter that is: `count` elements has the whole.
  struct Place {
    std::size_t first = 0;
    std::size_t count = 0;
  };
  Place place(std::string_view parameter) const;
  /// Takes averages on the host, or on the device after use_device(). `places`: of each, which part it is; none given: they are
  /// whole.
  /// Errors: invalid_argument for other dtypes than f32 and f64.
  void restore(std::uint64_t updates, std::span<const std::pair<std::string, ConstTensorView>> averages,
               std::span<const Place> places = {});

 private:
  struct Kept {
    DType dtype = DType::f32;  ///< of the average
    std::size_t count = 0;     ///< of the part
    Place place{};
    Device device{};        ///< where it lies
    ArrayMemory storage;    // on the host
    device::Buffer memory;  // on a device
    // Of the parameter, while the average is in its place: the same two.
    std::vector<std::byte> values;
    device::Buffer value_memory;

    void* data();
    const void* data() const;
  };
  void check(std::span<const Parameter> parameters, std::span<const std::size_t> firsts) const;
  void give_room(Kept& kept, Device device) const;
  void move_to(Kept& kept, Device device) const;

  WeightAverageOptions options_;
  std::map<std::string, Kept, std::less<>> kept_;
  std::uint64_t updates_ = 0;
  bool is_put_ = false;
  std::shared_ptr<optim::OnDevice> on_device_;  // of use_device(); goes first, and waits for what it was given
};

}  // namespace trireme
