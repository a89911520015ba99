// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/array_memory.hpp"
#include "trireme/base/tensor_view.hpp"
#include "trireme/device/owned.hpp"
#include "trireme/device/runtime.hpp"
#include "trireme/optim/device_step_scale.hpp"
#include "trireme/optim/offload_options.hpp"
#include "trireme/optim/parameter_group.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace trireme {

namespace optim {
struct DeviceUpdates;
class HostWork;
class OnDevice;
class StateExtent;
}  // namespace optim

/// What every rule has; a rule's options begin with them.
struct OptimizerRates {
  double learning_rate = 0.0;
  double l2_penalty = 0.0;    ///< g + l2_penalty*p takes the gradient's place: scaled and averaged like it
  double weight_decay = 0.0;  ///< decoupled: p shrinks by 1 - learning_rate*weight_decay, whatever the rule makes of g
};

/// What a rule must see of a logical tensor to give the same bits whoever owns which part of it.
enum class UpdateScope : unsigned char {
  elements,  ///< any span
  sums,      ///< any span that begins at the edge of a reduction block, once measure() has seen them all
  tensor,    ///< the whole of it
};

/// A logical tensor as rules see it: a matrix of shape[0] rows; vectors and scalars are one row.
struct TensorShape {
  std::size_t rows = 1;
  std::size_t columns = 0;
  std::size_t count() const { return rows * columns; }
  bool is_matrix() const { return rows > 1 && columns > 1; }
  static TensorShape of(std::span<const std::int64_t> shape);
};

/// One update of a span of one parameter. `value` and every state that is element-wise have one dtype, f32 or f64, and
/// count; the gradient has that count, and that dtype or a narrower float.
struct SpanUpdate {
  TensorView value;
  ConstTensorView gradient;
  std::span<const TensorView> state;  ///< one per Optimizer::state_names(), in that order; zero before the first step
  std::uint64_t step = 1;             ///< how many times this parameter has been updated, this time included
  double gradient_scale = 1.0;        ///< multiplies the gradient first (clipping, loss scaling)
  double clip_value = std::numeric_limits<double>::infinity();  ///< then bounds each of its elements
  TensorView copy{};    ///< a 16-bit parameter of which `value` is the f32 master: gets the result, rounded
  TensorShape shape{};  ///< of the whole logical tensor
  std::span<const double> totals{};  ///< scope sums: what measure() found, over the whole logical tensor
};

/// An update rule: settings, declared state, declared reductions, and one formula over spans; no knowledge of ranks. So one
/// implementation serves local, sharded and server-side updates. State lives here, by parameter name, so that it can be
/// saved, moved and cut without asking the rule.
///
/// 16-bit parameters (f16, bf16) have an f32 master among their state, made from the value at the first step; the value is
/// the master rounded.
///
/// Parameters in device memory have their state there, and are updated there with the same bits: one launch for all tensors
/// of a step that have equal settings. Rules without a kernel of their own (Adafactor, Muon, rules of others) bring each tensor
/// and its state to the host and back: the same bits, at the speed of that copy, and the host waits for it.
///
/// A rank may own a part of a logical tensor, from one edge of a reduction block (4096 elements) to another or the end: it gives
/// apply() that part, has state of that part alone, and the bits are those of the whole. Ranks that own nothing of a tensor give
/// an empty part, so that its steps are counted everywhere.
/// Order:   scope elements: any split of a parameter into spans gives the same bits. Sums are of blocks of 4096 elements of
///          the logical tensor in f64, then the balanced tree over blocks: independent of who owns what.
/// Neither copied nor moved: state in device memory has one owner. saved() and restore() make a second one.
/// Threads: one at a time.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  virtual std::string_view name() const = 0;
  /// The state tensors of a parameter, as they are named in checkpoints; a master weight is apart.
  virtual const std::vector<std::string>& state_names() const = 0;
  /// Elements of one of them.
  virtual std::size_t state_count(std::size_t state, const TensorShape& shape) const;
  virtual UpdateScope scope() const { return UpdateScope::elements; }
  /// A rule may see a parameter otherwise than it is, by its name.
  virtual TensorShape shape_for(std::string_view parameter, const TensorShape& shape) const;
  /// Makes room for what update() needs beside the state; called before the first step of a tensor of that shape.
  virtual void prepare(const TensorShape& shape);
  /// How many sums a tensor has; 0 but for scope sums.
  virtual std::size_t sums() const { return 0; }
  /// The first pass of scope sums: moves the state and adds up. Shape: block_sums has sums() values for each block.
  virtual void measure(const SpanUpdate& update, const OptimizerRates& rates,
                       std::span<double> block_sums) const noexcept;
  /// The formula. Shape: as SpanUpdate says.
  virtual void update(const SpanUpdate& update, const OptimizerRates& rates) const noexcept = 0;
  /// measure() and update() of many whole tensors in device memory. False: the rule cannot, and has done nothing.
  virtual bool update_on_device(const optim::DeviceUpdates& updates) const;

  double learning_rate() const { return rates_.learning_rate; }
  /// For schedules. Errors: invalid_argument unless finite and >= 0.
  void set_learning_rate(double learning_rate);
  /// Parameters with settings of their own; a parameter belongs to the first group that has it. Before its first step, or
  /// the steps before had other settings.  Errors: invalid_argument naming the group and the setting.
  void add_group(ParameterGroup group);
  /// What holds for a parameter.
  OptimizerRates rates(std::string_view parameter) const;

  /// Where parameters in device memory are updated: `stream` must last for as long as this optimizer, and whoever writes
  /// gradients or reads values elsewhere orders it with events. Loads the kernels.
  /// Errors: invalid_argument for a stream that is none of a device, or when state lies on another device or runtime.
  void use_device(std::shared_ptr<device::Runtime> runtime, Stream stream);
  /// What use_device() was given; none: it was not called.
  std::optional<Stream> device_stream() const;

  /// One tensor of a step, or this rank's part of one: value and gradient are elements [first, first + count) of the logical
  /// tensor of that shape. Shape: value f32, f64, f16 or bf16; the gradient of that dtype, or of the state's. A part begins at a
  /// multiple of layout::reduction_block, and ends there or where the tensor does; count 0: none of it.
  struct TensorUpdate {
    std::string_view parameter;
    TensorView value;
    ConstTensorView gradient;
    std::span<const std::int64_t> shape{};  ///< empty: a vector, whole
    std::size_t first = 0;
    bool is_share =
        false;  ///< the tensor of that shape is this rank's share of a greater one (Parameter::logical_shape)
  };
  /// How ranks that own parts of tensors, or have shares of them, learn of each other's sums.
  struct SumsExchange {
    virtual ~SumsExchange() = default;
    /// In place: the sum over ranks of sums of which every rank has those of its own blocks, the others being -0.0.
    virtual void sum(std::span<double> block_sums) = 0;
    /// Whether complete() reaches the ranks that have the other shares of tensors.
    virtual bool completes_shares() const { return false; }
    /// In place: the sum over those ranks of the totals of their shares. Asked once a step, behind sum().
    virtual void complete(std::span<double> totals) { static_cast<void>(totals); }
  };
  /// Errors: unsupported naming the parameter where the rule has to see a whole tensor and is given a share of it; with sums that are
  ///         completed over shares (`completes`), where they are not enough.
  void check_share(std::string_view parameter, bool completes) const;
  /// Makes the state that apply() of the same would make first, files included, and counts nothing: for ranks that agree on there being room
  /// before the first of them updates. Returns the parameters whose state is new; until apply() it says nothing, and forget()
  /// takes it back. What is in device memory is left to apply().
  /// Errors: as apply(); nothing has changed then.
  std::vector<std::string> make_states(std::span<const TensorUpdate> updates, SumsExchange* exchange = nullptr);
  /// Counts a step of each parameter and updates it, in one pass over its memory, allocating zero state the first time.
  /// Nothing has changed and nothing is counted when it throws, but where an exchange, or a file or device that state goes by,
  /// fails in the midst of the step: then parts of it are done, and this optimizer refuses more until forget().
  /// Tensors in device memory: the work is given to the stream of use_device(), and the call returns. The first step of a
  /// tensor allocates; state that lies elsewhere than its parameter is brought to it.
  /// `exchange`: every element of each tensor is owned by one rank; all ranks give the same tensors in the same order. Rules of
  /// scope sums ask it once, for all tensors, others never; parts of tensors need it there. Tensors in device memory go by way
  /// of the host then: their sums are needed there.
  /// Errors: invalid_argument when dtype, count or part differ from the gradient's or from former steps', for a part that a rule
  ///         of scope tensor was given, or for memory of a device without use_device(); unsupported for other dtypes, and as
  ///         check_share(); system when there is no room for offloaded state.
  void apply(std::span<const TensorUpdate> updates, double gradient_scale = 1.0,
             double clip_value = std::numeric_limits<double>::infinity(), SumsExchange* exchange = nullptr);
  /// The same, of tensors in device memory, with a gradient_scale that the host does not know. Where it says skip, the step has
  /// not been: nothing is written, nothing is counted. What it said is asked for at the next apply(), states(), saved() or change
  /// of state, which waits until the device has come so far; at once where tensors go by way of the host.
  /// Shape: `scale` stays as it is until then.
  void apply(std::span<const TensorUpdate> updates, DeviceStepScale scale,
             double clip_value = std::numeric_limits<double>::infinity(), SumsExchange* exchange = nullptr);
  void apply(const std::string& parameter, TensorView value, ConstTensorView gradient, double gradient_scale = 1.0);

  /// From here on state, masters included, is in a file of that folder that has no name and goes with the process; that of former
  /// steps is moved there. apply() reads and writes it by pieces of a buffer: the same bits in bounded memory, one more read and
  /// write of the state per step (two of rules of scope sums). Rules of scope tensor read a tensor's state as a whole.
  /// Room is taken when state is made, so that a full disk is an error before a step has begun; what fails later (a broken disk)
  /// leaves it half done, see apply().
  /// Parameters in device memory then have their state in the file too, and are updated on the host: gradients and values
  /// go by way of it, the new values back.
  /// Errors: invalid_argument when state is offloaded already; system naming folder and cause; nothing has changed then.
  void offload(const OffloadOptions& options);
  /// What offloaded state takes; zeros without offload().
  OffloadUse offloaded() const;

  /// The state of one parameter, as apply() keeps it.
  struct State {
    std::uint64_t steps = 0;
    DType dtype = DType::f32;  ///< of the parameter
    std::size_t count = 0;     ///< of this rank's part
    TensorShape shape{};       ///< of the whole logical tensor
    std::size_t first = 0;     ///< where the part begins in it
    Device device{};           ///< where the tensors lie
    /// Offloaded: where they lie instead; the tensors then say how many elements there are, and saved() has them.
    std::shared_ptr<optim::StateExtent> extent{};
    std::vector<ArrayMemory> storage;    ///< on the host
    device::Buffer memory;               ///< on a device
    std::vector<TensorView> tensors;     ///< one per state name, views of either
    std::optional<TensorView> master{};  ///< of a 16-bit parameter
    bool is_blank = false;               ///< made for a step that has not been: zeros, or anything that an extent holds
    std::optional<std::size_t> group{};  ///< its place among the groups, behind them for none; unset: not asked yet
  };
  using States = std::map<std::string, State, std::less<>>;
  const States& states() const;

  /// A parameter's state as a checkpoint has it: by name ("exp_avg", "master"), complete.
  struct SavedState {
    std::uint64_t steps = 0;
    DType dtype = DType::f32;
    std::size_t count = 0;  ///< of the part
    TensorShape shape{};    ///< of the whole logical tensor
    std::size_t first = 0;  ///< where the part begins in it
    std::vector<std::pair<std::string, ConstTensorView>> tensors;
  };
  /// Views of what states() holds, for a checkpoint; valid until the next apply() or restore(). Those of a parameter in device
  /// memory are of device memory, to be read in the order of the stream of use_device(); those of offloaded state are mappings of
  /// its file.
  SavedState saved(std::string_view parameter) const;
  /// Takes a saved state, on the host or on the device, in place of what there was. After use_device() it comes to lie there;
  /// a parameter on the host gets its own back at its next step. After offload() it comes to lie in the file. A part may be another
  /// than there was.
  /// Errors: invalid_argument naming parameter and tensor when one is missing, unknown, of another dtype or count, or in device
  ///         memory without use_device().
  void restore(const std::string& parameter, const SavedState& saved);
  /// The same for who fills the tensors afterwards: makes a state of zeros, with the steps, dtype, count and shape of `saved`, and
  /// returns its tensors by name: in device memory after use_device(), to be filled by copies on its stream; after offload() in
  /// mappings of the file, which the next apply() takes back. Until they are filled, no apply().
  /// Errors: invalid_argument for a shape, part or dtype that no parameter has.
  std::vector<std::pair<std::string, TensorView>> make_room(const std::string& parameter, const SavedState& saved);
  /// As before the first step of any parameter, or of one.
  void forget();
  void forget(std::string_view parameter);

 protected:
  /// `name` is the rule's, for refusals. Errors: invalid_argument naming the setting.
  Optimizer(const char* name, const OptimizerRates& rates);

 private:
  std::size_t group_of(std::string_view parameter) const;
  OptimizerRates rates_of_group(std::size_t group) const;
  struct Form;  // dtype, shape and part of a parameter
  State make_state(const Form& form, bool on_device);
  void check_part(const std::string& where, const Form& form) const;
  State state_like(const std::string& parameter, const SavedState& saved);
  void move_state(State& state, bool to_device);
  std::vector<std::pair<std::string, TensorView>> named_tensors(const State& state) const;
  States::value_type& entry_for(const TensorUpdate& update, const SumsExchange* exchange);
  void apply_all(std::span<const TensorUpdate> updates, double gradient_scale, const void* device_scale,
                 double clip_value, SumsExchange* exchange);
  SpanUpdate counted_span(State& state, const TensorUpdate& update, double gradient_scale, double clip_value);
  void give_and_update(std::span<const TensorUpdate> updates, double gradient_scale, const void* device_scale,
                       double clip_value, SumsExchange* exchange, std::size_t& counted);
  void update_on_host(SumsExchange* exchange);
  void update_by_sums(SumsExchange* exchange);
  bool update_those_on_device(const void* device_scale);
  void refuse_half_done() const;
  void unmap() const;
  void settle() const;
  void take_back_step() const;

  OptimizerRates rates_;
  std::vector<ParameterGroup> groups_;
  mutable States states_;                       // settle() takes steps back that a device has left out
  std::shared_ptr<optim::HostWork> host_;       // working memory of apply(), and where offloaded state is
  std::shared_ptr<optim::OnDevice> on_device_;  // of use_device(); goes first, and waits for what it was given
};

}  // namespace trireme
