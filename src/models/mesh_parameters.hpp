// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/parameter.hpp"
#include "trireme/data/aligned_buffer.hpp"
#include "trireme/models/gpt.hpp"
#include "trireme/models/mesh_gpt.hpp"
#include "trireme/tensor_parallel/axis.hpp"
#include "trireme/tensor_parallel/split.hpp"

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace trireme::models {

/// How a dense Gpt's parameter is shared by the tensor axis; nothing: every rank has all of it.
std::optional<tensor_parallel::Split> split_of(const GptOptions& options, std::size_t parameter);

/// What a micro-batch's gradients count for.
struct MicroTerm {
  double weight = 1.0;
  bool first = true;  ///< of the step: overwrites
  bool last = true;   ///< of the step: the gradient is final
};

/// The parameters that one rank of a mesh has, asked for by their index in the dense list: values, and gradients to which
/// micro-batches add their terms in order.
template <class T>
class MeshParameters {
 public:
  /// `present`: by dense index. `twice`: this rank has both ends of the tied embedding. `is_part`: other ranks have parts of the
  /// model.
  MeshParameters(const tensor_parallel::Axis& axis, const GptOptions& options, const std::vector<bool>& present,
                 bool twice, bool is_part);

  std::vector<Parameter>& list() { return list_; }
  const std::vector<Parameter>& list() const { return list_; }
  const std::vector<MeshPlacement>& placements() const { return placements_; }
  void use_gradients(std::span<const Parameter> parameters);
  bool has(std::size_t dense) const { return place_[dense] != nowhere; }
  std::size_t index_of(std::size_t dense) const { return place_[dense]; }
  const T* value(std::size_t dense) const { return static_cast<const T*>(list_[place_[dense]].value.data); }
  std::size_t count(std::size_t dense) const { return list_[place_[dense]].value.count; }
  T* gradient(std::size_t dense) const { return static_cast<T*>(list_[place_[dense]].gradient.data); }

  /// Who hears that gradients are final; empty: nobody.
  void announce_to(const std::function<void(std::size_t)>* ready) { ready_ = ready; }
  void announce(std::size_t dense) const {
    if (ready_ != nullptr && *ready_) (*ready_)(place_[dense]);
  }

  /// gradient = gradient + weight term, rounded twice. `make(term)` writes the term where it is told.
  template <class Make>
  void add(std::size_t dense, const MicroTerm& term, Make&& make) {
    T* const to = target(gradient(dense), term, 0);
    make(to);
    settle(gradient(dense), to, count(dense), term);
    if (term.last) announce(dense);
  }
  /// Of a layer's weight and the bias behind it.
  template <class Make>
  void add_layer(std::size_t weight, const MicroTerm& term, Make&& make) {
    const std::size_t bias = weight + 1;
    T* const dw = target(gradient(weight), term, 0);
    T* const db = target(gradient(bias), term, padded(count(weight)));
    make(dw, db);
    settle(gradient(bias), db, count(bias), term);
    if (term.last) announce(bias);
    settle(gradient(weight), dw, count(weight), term);
    if (term.last) announce(weight);
  }
  /// Of a norm's gain and bias, which stand behind each other in `sums`.
  void add_norm(std::size_t gain, const MicroTerm& term, const T* sums);
  /// Of one end of the tied embedding; announced by nobody but finish_embedding()'s caller.
  enum class End : bool { inputs, head };
  template <class Make>
  void add_embedding(End end, const MicroTerm& term, Make&& make) {
    T* const sum = end == End::head && twice_ ? head_.data() : gradient(0);
    T* const to = target(sum, term, 0);
    make(to);
    settle(sum, to, count(0), term);
  }
  /// Both ends are there: the gradient is their sum.
  void join_ends();
  /// Every gradient becomes 0, and is announced.
  void clear();

 private:
  static constexpr std::size_t nowhere = ~std::size_t{0};
  static std::size_t padded(std::size_t count) {
    constexpr std::size_t unit = data::AlignedBuffer<T>::alignment / sizeof(T);
    return (count + unit - 1) / unit * unit;
  }
  T* target(T* sum, const MicroTerm& term, std::size_t offset) const {
    return term.first && term.weight == 1.0 ? sum : terms_.data() + offset;
  }
  void settle(T* sum, const T* term_values, std::size_t count, const MicroTerm& term) const;

  std::vector<Parameter> list_;
  std::vector<MeshPlacement> placements_;
  std::vector<std::size_t> place_;  ///< by dense index
  bool twice_;
  data::AlignedBuffer<T> values_, gradients_, terms_, head_;
  const std::function<void(std::size_t)>* ready_ = nullptr;
};

extern template class MeshParameters<float>;
extern template class MeshParameters<double>;

}  // namespace trireme::models
