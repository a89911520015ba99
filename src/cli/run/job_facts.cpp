// SPDX-License-Identifier: Apache-2.0
#include "cli/run/job_facts.hpp"

#include "trireme/base/error.hpp"
#include "trireme/rendezvous/server.hpp"

#include <chrono>

namespace trireme::cli {
namespace {

constexpr std::chrono::seconds patience{3};

std::unique_ptr<rendezvous::Store> store_of(const Job& job) {
  return rendezvous::connect_store({.address = {reachable_host(job), job.store.port}, .key = job.key, .job_id = job.id},
                                   Deadline::after(patience));
}

}  // namespace

bool JobFacts::hold(const Job& job, JobFact fact) const {
  try {
    return is_declared(*store_of(job), fact);
  } catch (const Exception&) {
    return false;
  }
}

void JobFacts::note_lost_worker(const Job& job, int worker) const {
  try {
    note_ended_worker(*store_of(job), static_cast<std::uint32_t>(worker));
  } catch (const Exception&) {  // then nobody is there to hear it
  }
}

void JobFacts::note_lost_server(const Job& job, int server) const {
  try {
    note_gone_server(*store_of(job), static_cast<std::uint32_t>(server));
  } catch (const Exception&) {
  }
}

}  // namespace trireme::cli
