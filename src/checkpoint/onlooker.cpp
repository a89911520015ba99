// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/onlooker.hpp"

#include "checkpoint/agreement.hpp"
#include "checkpoint/journal.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace trireme::checkpoint {

std::optional<Manifest> Onlooker::newest() {
  const Journal journal(files_, path_);
  std::vector<std::string> names = files_.list(journal.folder());
  if (is_settled_ && names == seen_) return newest_;
  Journal::Contents contents = journal.read();
  std::vector<Manifest> manifests;
  for (Journal::Item& item : contents.items) {
    if (auto* manifest = std::get_if<Manifest>(&item.entry)) manifests.push_back(std::move(*manifest));
  }
  std::stable_sort(manifests.begin(), manifests.end(),
                   [](const Manifest& a, const Manifest& b) { return id_of(b) < id_of(a); });
  newest_.reset();
  is_settled_ = contents.damaged.empty();
  seen_ = std::move(names);
  for (Manifest& each : manifests) {
    if (missing_file(files_, path_, each).empty()) {
      newest_ = std::move(each);
      break;
    }
    is_settled_ = false;
  }
  return newest_;
}

bool Onlooker::is_there(const Manifest& manifest) const {
  const Journal::Contents contents = Journal(files_, path_).read();
  const bool stands = std::any_of(contents.items.begin(), contents.items.end(), [&](const Journal::Item& item) {
    const auto* each = std::get_if<Manifest>(&item.entry);
    return each != nullptr && id_of(*each) == id_of(manifest);
  });
  return stands && missing_file(files_, path_, manifest).empty();
}

}  // namespace trireme::checkpoint
