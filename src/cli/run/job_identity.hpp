// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cli/run/options.hpp"
#include "trireme/base/log.hpp"
#include "trireme/net/job_key.hpp"
#include "trireme/net/socket.hpp"
#include "trireme/platform/environment.hpp"

#include <optional>
#include <string>

namespace trireme::cli {

/// The key that TRIREME_JOB_KEY_FILE or TRIREME_JOB_KEY gives, if one does. Errors: invalid_argument naming the variable.
std::optional<net::JobKey> given_job_key(const platform::Environment& environment);

/// For hosts that must find the same key and were given none.
net::JobKey derived_job_key(const std::string& id, const net::Address& rendezvous);

/// The user's key, else a new one; of a job whose processes start on several hosts, and must find the same, one derived from the
/// job's id.  Errors: invalid_argument naming the variable.
net::JobKey job_key(const platform::Environment& environment, const RunOptions& options, const std::string& id,
                    const Log& log);

/// TRIREME_JOB_ID; else `known`, or where all meet, of several hosts; else random.
std::string job_id(const platform::Environment& environment, const RunOptions& options, const std::string& known);

}  // namespace trireme::cli
