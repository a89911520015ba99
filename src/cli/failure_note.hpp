// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/platform/cluster_spec.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::cli {

/// Takes the values of variables whose names speak of a secret out of texts.
class Redactor {
 public:
  /// Names that contain TOKEN, KEY, SECRET, PASSWORD or CREDENTIAL, whatever their case. Values below four characters hide nothing.
  explicit Redactor(const platform::Environment& environment);
  std::string operator()(std::string text) const;

 private:
  std::vector<std::string> secrets_;  ///< longest first: one may be part of another
};

/// Takes those variables out of this process's own environment, where others could read them; `environment` is what it was. For
/// processes that only start others: libraries of ranks may want theirs.
/// Threads: while there is one.
void scrub_secret_variables(const platform::Environment& environment);

/// `cause` as platforms show it: one paragraph of printable ASCII, without secrets, at most `limit` characters.
std::string failure_text(std::string_view cause, const Redactor& redact, std::size_t limit);

/// Where a platform reads why a job failed.
struct FailurePlaces {
  std::optional<std::string> file;                 ///< made here, whole or not at all
  std::optional<std::string> termination_message;  ///< written into only where it is there already
};
FailurePlaces failure_places(const platform::ClusterSpec& spec);
/// The same where the description of the cluster is broken: what the environment and the tree look like.
FailurePlaces usual_failure_places(const platform::Environment& environment);

/// Writes why the job failed: at most 1024 characters into the file, 4096 into the message. What is there already is an earlier
/// cause and stays. A note that cannot be written is no failure of its own: one line on stderr says so.
void leave_failure_note(const FailurePlaces& places, std::string_view cause, const platform::Environment& environment);

/// Where this process finds itself, and nothing where the description of the cluster is broken.
std::optional<platform::ClusterSpec> cluster_here(const platform::Environment& environment);

}  // namespace trireme::cli
