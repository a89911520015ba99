// SPDX-License-Identifier: Apache-2.0
#include "cli/run/job_identity.hpp"

#include "trireme/base/error.hpp"

namespace trireme::cli {

std::optional<net::JobKey> given_job_key(const platform::Environment& environment) {
  const char* variable = "";
  try {
    if (auto path = environment.find(variable = "TRIREME_JOB_KEY_FILE")) return net::JobKey::from_file(*path);
    if (auto text = environment.find(variable = "TRIREME_JOB_KEY")) return net::JobKey::from_text(*text);
  } catch (const Exception& exception) {
    fail(exception.error().code, std::string(variable) + ": " + exception.error().message);
  }
  return std::nullopt;
}

net::JobKey derived_job_key(const std::string& id, const net::Address& rendezvous) {
  return net::JobKey::derived(id + "/" + rendezvous.to_string());
}

net::JobKey job_key(const platform::Environment& environment, const RunOptions& options, const std::string& id,
                    const Log& log) {
  if (const auto given = given_job_key(environment)) return *given;
  if (!options.spans_hosts()) return net::JobKey::random();
  if (options.node_rank == 0) {
    log(LogLevel::warning,
        "no job key: TRIREME_JOB_KEY_FILE and TRIREME_JOB_KEY are unset; the key derived from the job's id keeps jobs apart "
        "but does not keep attackers out");
  }
  return derived_job_key(id, options.rendezvous);
}

std::string job_id(const platform::Environment& environment, const RunOptions& options, const std::string& known) {
  if (auto id = environment.find("TRIREME_JOB_ID")) return *id;
  if (options.spans_hosts()) return known.empty() ? options.rendezvous.to_string() : known;
  return net::JobKey::random().to_text().substr(0, 16);  // no secret: only random digits
}

}  // namespace trireme::cli
