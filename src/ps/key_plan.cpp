// SPDX-License-Identifier: Apache-2.0
#include "trireme/ps/key_plan.hpp"

#include "parallel/row_sparse.hpp"
#include "trireme/base/error.hpp"
#include "trireme/layout/flat_shards.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

namespace trireme::ps {
namespace {

[[noreturn]] void refuse_plan(const std::string& what) { fail(ErrorCode::invalid_argument, what); }

std::uint64_t key_bytes(const TensorInfo& tensor, layout::Interval range) {
  return range.size() * size_of(tensor.accumulator);
}

void check_options(const std::vector<TensorInfo>& tensors, const KeyPlanOptions& options) {
  if (tensors.empty()) refuse_plan("a parameter server's keys: there are no tensors");
  if (options.servers == 0) refuse_plan("a parameter server's keys: there are no servers");
  if (options.loops == 0) refuse_plan("a parameter server's keys: servers have no event loops");
  if (options.partition_bytes.value == 0) refuse_plan("a parameter server's keys: partition_bytes must be above 0");
  if (options.replicas && options.servers < 2)
    refuse_plan("a parameter server's keys: replicas lie on another server, and there is one");
  if (!options.shares.empty() && options.shares.size() != options.servers) {
    refuse_plan("a parameter server's keys: " + std::to_string(options.shares.size()) + " shares for " +
                std::to_string(options.servers) + " servers");
  }
  for (std::size_t s = 0; s < options.shares.size(); ++s) {
    if (std::isfinite(options.shares[s]) && options.shares[s] > 0) continue;
    refuse_plan("a parameter server's keys: the share of server " + std::to_string(s) + " is " +
                std::to_string(options.shares[s]) + "; shares are above 0, and who has none is left out");
  }
}

/// Keys may begin at its multiples: at edges of reduction blocks, of a row-sparse tensor where a row begins as well.
std::size_t unit_of_cuts(const TensorInfo& tensor, std::size_t count) {
  if (!tensor.row_sparse || tensor.shape.empty() || count == 0) return layout::reduction_block;
  const std::size_t columns = count / static_cast<std::size_t>(tensor.shape.front());
  return std::lcm(layout::reduction_block, columns);
}

/// Almost equal pieces of about `bytes`.
std::vector<layout::Interval> cut(const TensorInfo& tensor, std::uint64_t bytes) {
  const std::size_t count = tensor.count(), unit = unit_of_cuts(tensor, count);
  const std::size_t units = (count + unit - 1) / unit;
  const std::uint64_t all = key_bytes(tensor, {0, count});
  const auto pieces =
      std::clamp<std::size_t>(static_cast<std::size_t>((all + bytes - 1) / bytes), 1, std::max<std::size_t>(units, 1));
  std::vector<layout::Interval> ranges;
  for (std::size_t i = 0; i < pieces; ++i) {
    const layout::Interval part = layout::piece({0, units}, pieces, i);
    ranges.push_back({std::min(part.begin * unit, count), std::min(part.end * unit, count)});
  }
  return ranges;
}

/// Deals bytes out: what comes next goes to who lacks the greatest part of his target. So at every point of the order all have
/// about the same part of theirs: whoever sends in that order keeps all servers busy, each as much as its share says. Half of an item
/// must be lacking for it to be given: whose whole target is less has nothing before all others are full.
class Deal {
 public:
  explicit Deal(std::vector<double> targets) : targets_(std::move(targets)), lacking_(targets_) {}
  std::uint32_t give(std::uint64_t bytes) {
    const double half = 0.5 * static_cast<double>(bytes);  // whose target is less than that is given it last
    std::size_t most = 0;
    for (std::size_t i = 1; i < targets_.size(); ++i) {
      if ((lacking_[i] - half) * targets_[most] > (lacking_[most] - half) * targets_[i]) most = i;
    }
    lacking_[most] -= static_cast<double>(bytes);
    return static_cast<std::uint32_t>(most);
  }

 private:
  std::vector<double> targets_, lacking_;
};

std::vector<double> targets_of(const KeyPlanOptions& options, double bytes) {
  std::vector<double> targets = options.shares;
  if (targets.empty()) targets.assign(options.servers, 1.0);
  const double sum = std::accumulate(targets.begin(), targets.end(), 0.0);
  for (double& each : targets) each *= bytes / sum;
  return targets;
}

class Fingerprint {
 public:
  Fingerprint() { XXH3_64bits_reset(&state_); }
  void add(const void* data, std::size_t bytes) { XXH3_64bits_update(&state_, data, bytes); }
  void add(std::uint64_t number) { add(&number, sizeof number); }
  void add(const std::string& text) {
    add(text.size());
    add(text.data(), text.size());
  }
  std::uint64_t value() const { return XXH3_64bits_digest(&state_); }

 private:
  XXH3_state_t state_;
};

}  // namespace

std::size_t TensorInfo::count() const {
  std::size_t product = 1;
  for (const std::int64_t extent : shape) product *= static_cast<std::size_t>(extent);
  return product;
}

KeyPlan::KeyPlan(std::vector<TensorInfo> tensors, const KeyPlanOptions& options)
    : tensors_(std::move(tensors)), options_(options) {
  check_options(tensors_, options_);
  std::uint64_t all = 0;
  for (std::uint32_t t = 0; t < tensors_.size(); ++t) {
    first_key_.push_back(static_cast<Key>(keys_.size()));
    for (const layout::Interval range : cut(tensors_[t], options_.partition_bytes.value)) {
      keys_.push_back({.tensor = t, .range = range, .priority = t});
      all += key_bytes(tensors_[t], range);
    }
  }
  first_key_.push_back(static_cast<Key>(keys_.size()));
  const bool whole = options_.scope != UpdateScope::elements;
  Deal servers(targets_of(options_, static_cast<double>(all)));
  // In the order of layers, so that neighbours, which are wanted at the same time, come from different servers.
  for (std::size_t k = 0; k < keys_.size(); ++k) {
    KeyInfo& key = keys_[k];
    const bool first = k == first_key_[key.tensor];
    const std::uint64_t bytes = whole ? key_bytes(tensors_[key.tensor], {0, tensors_[key.tensor].count()})
                                      : key_bytes(tensors_[key.tensor], key.range);
    key.server = whole && !first ? keys_[k - 1].server : servers.give(bytes);
    key.replica = options_.replicas ? (key.server + 1) % options_.servers : key.server;
  }
  std::vector<Deal> loops;
  for (std::uint32_t s = 0; s < options_.servers; ++s) {
    loops.emplace_back(std::vector<double>(
        options_.loops, static_cast<double>(bytes_of_server(s).value) / static_cast<double>(options_.loops)));
  }
  for (std::size_t k = 0; k < keys_.size(); ++k) {
    KeyInfo& key = keys_[k];
    const bool first = k == first_key_[key.tensor];
    const std::uint64_t bytes = whole ? key_bytes(tensors_[key.tensor], {0, tensors_[key.tensor].count()})
                                      : key_bytes(tensors_[key.tensor], key.range);
    key.loop = whole && !first ? keys_[k - 1].loop : loops[key.server].give(bytes);
  }
}

std::vector<TensorInfo> KeyPlan::tensors_of(std::span<const Parameter> parameters,
                                            std::span<const std::string> row_sparse) {
  const std::vector<bool> sparse = parallel::row_sparse_parameters(parameters, row_sparse);
  std::vector<TensorInfo> tensors;
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    tensors.push_back({.name = parameters[p].name,
                       .shape = parameters[p].shape,
                       .dtype = parameters[p].value.dtype,
                       .accumulator = accumulator_of(parameters[p].gradient.dtype),
                       .row_sparse = sparse[p]});
  }
  return tensors;
}

std::pair<Key, Key> KeyPlan::keys_of(std::size_t tensor) const {
  if (tensor >= tensors_.size()) {
    refuse_plan("a parameter server's keys: there is no tensor " + std::to_string(tensor) + " among " +
                std::to_string(tensors_.size()));
  }
  return {first_key_[tensor], first_key_[tensor + 1]};
}

Bytes KeyPlan::bytes_of_server(std::uint32_t server) const {
  std::uint64_t bytes = 0;
  for (const KeyInfo& key : keys_) {
    if (key.server == server) bytes += key_bytes(tensors_[key.tensor], key.range);
  }
  return Bytes{bytes};
}

std::uint64_t KeyPlan::fingerprint() const {
  Fingerprint print;
  print.add(options_.servers);
  print.add(options_.loops);
  print.add(static_cast<std::uint64_t>(options_.scope));
  print.add(tensors_.size());
  for (const TensorInfo& tensor : tensors_) {
    print.add(tensor.name);
    print.add(tensor.shape.size());
    for (const std::int64_t extent : tensor.shape) print.add(static_cast<std::uint64_t>(extent));
    print.add(static_cast<std::uint64_t>(tensor.dtype));
    print.add(static_cast<std::uint64_t>(tensor.accumulator));
    print.add(tensor.row_sparse ? 1 : 0);
  }
  print.add(keys_.size());
  for (const KeyInfo& key : keys_) {
    for (const std::uint64_t each :
         {std::uint64_t{key.tensor}, std::uint64_t{key.range.begin}, std::uint64_t{key.range.end},
          std::uint64_t{key.server}, std::uint64_t{key.loop}, std::uint64_t{key.replica}, std::uint64_t{key.priority}})
      print.add(each);
  }
  return print.value();
}

std::string KeyPlan::explain() const {
  std::uint64_t all = 0;
  for (std::uint32_t s = 0; s < options_.servers; ++s) all += bytes_of_server(s).value;
  std::string text;
  for (std::uint32_t s = 0; s < options_.servers; ++s) {
    const std::uint64_t bytes = bytes_of_server(s).value;
    std::size_t keys = 0;
    std::vector<std::uint32_t> tensors;
    for (const KeyInfo& key : keys_) {
      if (key.server != s) continue;
      ++keys;
      if (tensors.empty() || tensors.back() != key.tensor) tensors.push_back(key.tensor);
    }
    char size[64];
    std::snprintf(size, sizeof size, "%.3f MB (%.1f %%)", static_cast<double>(bytes) / 1e6,
                  all == 0 ? 0.0 : 100.0 * static_cast<double>(bytes) / static_cast<double>(all));
    text += "server " + std::to_string(s) + ": " + std::to_string(keys) + (keys == 1 ? " key" : " keys") + " of " +
            std::to_string(tensors.size()) + (tensors.size() == 1 ? " tensor, " : " tensors, ") + size;
    // Where they are when all servers are there; who holds them later is a view's to say.
    if (options_.replicas) text += ", replicas on server " + std::to_string((s + 1) % options_.servers) + " at first";
    text += "\n";
  }
  return text;
}

}  // namespace trireme::ps
