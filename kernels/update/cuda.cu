// SPDX-License-Identifier: Apache-2.0
#include "kernels/update/device_batch.hpp"
#include "kernels/update/update_device.hpp"

// The rules themselves are those of the host.
#define TRIREME_KERNELS_ISA on_device
#define TRIREME_RULE TRIREME_DEVICE
#include "kernels/update/rules.hpp"

namespace trireme::kernels {
namespace {

using namespace on_device;

/// Not a rule of training: takes the gradient for the parameter.
struct AdoptConstants {};
template <class T>
struct Adopt {
  explicit Adopt(const AdoptConstants&) {}
  TRIREME_DEVICE T operator()(T, T g, T&, T&, T&) const { return g; }
};

template <class Rule>
inline constexpr bool adopts = false;
template <class T>
inline constexpr bool adopts<Adopt<T>> = true;
/// LAMB's second pass reads its state only, and its factor is the step size.
template <class Rule>
inline constexpr bool is_lamb = false;
template <class T>
inline constexpr bool is_lamb<Lamb<T>> = true;

/// Moves up to four elements of one tensor.
template <int states, class T, class Rule>
TRIREME_DEVICE void move(const BatchTensor& tensor, const Scalars<T>& scalars, const Rule& rule, const Four& at) {
  using Format = typename FormatOf<T>::Format;
  T p[4] = {}, g[4], s[3][4] = {};
  if constexpr (!adopts<Rule>) read<Format>(tensor.parameter, at, p);
  if constexpr (states > 0) read<Format>(tensor.state[0], at, s[0]);
  if constexpr (states > 1) read<Format>(tensor.state[1], at, s[1]);
  if constexpr (states > 2) read<Format>(tensor.state[2], at, s[2]);
  read_gradient(tensor, at, g);  // the last: it is widened, and so waited for, before anything else could be asked for
  for (int k = 0; k < 4; ++k) {
    if constexpr (adopts<Rule>) {
      p[k] = g[k];
    } else {
      const T step = rule(p[k], scalars.gradient(g[k], p[k]), s[0][k], s[1][k], s[2][k]);
      p[k] = p[k] * scalars.keep - step;
    }
  }
  if constexpr (!is_lamb<Rule>) {
    if constexpr (states > 0) write<Format>(tensor.state[0], at, s[0]);
    if constexpr (states > 1) write<Format>(tensor.state[1], at, s[1]);
    if constexpr (states > 2) write<Format>(tensor.state[2], at, s[2]);
  }
  write<Format>(tensor.parameter, at, p);
  write_copy(tensor, at, p);
}

template <class T, class Rule>
TRIREME_DEVICE Scalars<T> scalars_of(const BatchTensor& tensor, const StepScale* scale, const double* factors,
                                     Rule& rule) {
  if constexpr (is_lamb<Rule>) {
    if (factors != nullptr) rule.step_size = static_cast<T>(factors[tensor.place]);
    return Scalars<T>(tensor, scale, 1.0);
  } else {
    return Scalars<T>(tensor, scale, factors != nullptr ? factors[tensor.place] : 1.0);
  }
}

/// One tensor, one thread per element.
template <class T, int states, class Rule>
struct PlainBody {
  static constexpr const char* name = "trireme_update_plain";
  static constexpr unsigned threads = 256;
  static constexpr unsigned phases = 1;
  static constexpr unsigned resident = sizeof(T) == 8 ? 3 : 0;  // more, and sm_100 keeps values in memory
  struct Shared {};

  Rule rule;
  const StepScale* scale;
  const double* factors;
  BatchTensor tensor;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared&) const {
    if (scale != nullptr && scale->skip != 0) return;
    Rule own = rule;
    const Scalars<T> scalars = scalars_of<T>(tensor, scale, factors, own);
    const std::size_t step = std::size_t{place.blocks} * threads;
    for (std::size_t i = std::size_t{place.block} * threads + place.thread; i < tensor.count; i += step)
      move<states>(tensor, scalars, own, Four{i, tensor.count, tensor.count, false});
  }
};

/// Blocks take chunks of tensors, in whatever tensor they lie.
template <class T, int states, class Rule>
struct FastBody {
  static constexpr const char* name = "trireme_update";
  static constexpr unsigned threads = 256;
  static constexpr unsigned phases = 1;
  static constexpr unsigned group = 4 * threads;
  struct Shared {};

  Rule rule;
  Batch batch;

  template <unsigned phase>
  TRIREME_DEVICE void run(device::Place place, Shared&) const {
    if (batch.scale != nullptr && batch.scale->skip != 0) return;
    for (std::uint32_t which = place.block; which < batch.chunks; which += place.blocks) {
      const BatchTensor& tensor = tensor_of(batch, which);
      Rule own = rule;
      const Scalars<T> scalars = scalars_of<T>(tensor, batch.scale, batch.factors, own);
      const std::size_t begin = std::size_t{which - tensor.first_chunk} * chunk;
      const std::size_t end = tensor.count - begin < chunk ? tensor.count : begin + chunk;
      for (std::size_t i = begin; i < end; i += group) {
        const bool whole = tensor.aligned && end - i >= group;
        const std::size_t first = whole ? i + 4 * std::size_t{place.thread} : i + place.thread;
        move<states>(tensor, scalars, own, Four{first, threads, end, whole});
      }
    }
  }
};

/// What choose() calls with the rule.
struct OnQueue {
  std::span<const UpdateSpan> spans;
  device::Queue queue;
  const StepScale* scale;
  const double* factors;
  UpdateRung rung;

  template <class T, int states, class Rule>
  void give(const Rule& rule) const {
    FastBody<T, states, Rule> body{rule, {}};
    body.batch.scale = scale;
    body.batch.factors = factors;
    for_batches(spans, dtype_of<T>, false, body.batch, [&](const Batch& batch) {
      if (rung == UpdateRung::fast) return device::launch(queue, body, device::blocks_for(batch.chunks, 1, 1));
      for (std::uint32_t k = 0; k < batch.count; ++k) {
        using Plain = PlainBody<T, states, Rule>;
        device::launch(queue, Plain{rule, scale, factors, batch.tensors[k]},
                       device::blocks_for(batch.tensors[k].count, Plain::threads, 1));
      }
    });
  }
  template <int states, template <class> class Rule, class Constants>
  void of(const Constants& constants) const {
    give<float, states>(Rule<float>(constants));
    give<double, states>(Rule<double>(constants));
  }
};

/// What choose() calls to list kernels.
struct Listed {
  std::vector<const device::KernelEntry*>& kernels;
  template <int states, template <class> class Rule, class Constants>
  void of(const Constants&) const {
    kernels.push_back(&device::entry_of<FastBody<float, states, Rule<float>>>());
    kernels.push_back(&device::entry_of<FastBody<double, states, Rule<double>>>());
    kernels.push_back(&device::entry_of<PlainBody<float, states, Rule<float>>>());
    kernels.push_back(&device::entry_of<PlainBody<double, states, Rule<double>>>());
  }
};

template <class Rule>
void run(std::span<const UpdateSpan> spans, const Rule& rule, const double* factors, device::Queue queue,
         const StepScale* scale, UpdateRung rung) {
  check_dtypes(spans);
  choose(constants_of(rule), OnQueue{spans, queue, scale, factors, rung});
}

}  // namespace

#define TRIREME_KERNELS_UPDATE_ON_DEVICE(Rule)                                                                  \
  void update(std::span<const UpdateSpan> spans, const Rule& rule, device::Queue queue, const StepScale* scale, \
              UpdateRung rung) {                                                                                \
    run(spans, rule, nullptr, queue, scale, rung);                                                              \
  }
TRIREME_KERNELS_UPDATE_ON_DEVICE(SgdRule)
TRIREME_KERNELS_UPDATE_ON_DEVICE(AdamRule)
TRIREME_KERNELS_UPDATE_ON_DEVICE(NadamRule)
TRIREME_KERNELS_UPDATE_ON_DEVICE(RmspropRule)
TRIREME_KERNELS_UPDATE_ON_DEVICE(AdagradRule)
TRIREME_KERNELS_UPDATE_ON_DEVICE(AdadeltaRule)
TRIREME_KERNELS_UPDATE_ON_DEVICE(LionRule)
TRIREME_KERNELS_UPDATE_ON_DEVICE(LambRule)
#undef TRIREME_KERNELS_UPDATE_ON_DEVICE

void update(std::span<const UpdateSpan> spans, const LambRule& rule, const double* factors, device::Queue queue,
            const StepScale* scale) {
  run(spans, rule, factors, queue, scale, UpdateRung::fast);
}

void update(std::span<const UpdateSpan> spans, const SgdRule& rule, const double* factors, device::Queue queue,
            const StepScale* scale) {
  run(spans, rule, factors, queue, scale, UpdateRung::fast);
}

void adopt(std::span<const UpdateSpan> spans, device::Queue queue, UpdateRung rung) {
  check_dtypes(spans);
  OnQueue{spans, queue, nullptr, nullptr, rung}.of<0, Adopt>(AdoptConstants{});
}

void update_kernels(std::vector<const device::KernelEntry*>& kernels) {
  const Listed listed{kernels};
  for (const bool first : {false, true}) {
    choose(constants_of(SgdRule{.momentum = 1.0, .nesterov = false, .first_step = first}), listed);
    choose(constants_of(SgdRule{.momentum = 1.0, .nesterov = true, .first_step = first}), listed);
    choose(constants_of(AdagradRule{.first_step = first}), listed);
  }
  for (const bool centered : {false, true}) {
    choose(constants_of(RmspropRule{.momentum = 0.0, .centered = centered}), listed);
    choose(constants_of(RmspropRule{.momentum = 1.0, .centered = centered}), listed);
  }
  choose(constants_of(SgdRule{}), listed);
  choose(constants_of(AdamRule{}), listed);
  choose(constants_of(NadamRule{}), listed);
  choose(constants_of(AdadeltaRule{}), listed);
  choose(constants_of(LionRule{}), listed);
  choose(constants_of(LambRule{}), listed);
  listed.of<0, Adopt>(AdoptConstants{});
}

}  // namespace trireme::kernels
