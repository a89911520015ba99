// SPDX-License-Identifier: Apache-2.0
// A module without an MPI: a world of one rank, in which everything ends as the test says.
#include "engines_mpi/fake_module.hpp"

#include "engines/mpi/module_table.h"

#include <chrono>
#include <cstring>
#include <thread>

namespace {

trireme::testing::FakeMpi fake;

constexpr int failure = 77;

int begin(const void* input, void* output, std::size_t bytes, trireme_mpi_request* request) {
  ++fake.begun;
  fake.written = static_cast<std::byte*>(output);
  if (fake.behaviour == trireme::testing::Behaviour::refuses) return failure;
  if (bytes != 0 && input != output) std::memcpy(output, input, bytes);
  *request = 1;
  return 0;
}

std::size_t of(int count) { return static_cast<std::size_t>(count); }

trireme_mpi_table filled_table() {
  trireme_mpi_table made{};
  made.size = sizeof made;
  made.state = [](trireme_mpi_state* state) {
    *state = fake.finalized != 0 ? TRIREME_MPI_FINALIZED : TRIREME_MPI_CLOSED;
    return 0;
  };
  made.init = [](int* serialized) {
    *serialized = fake.serialized ? 1 : 0;
    return 0;
  };
  made.query_thread = made.init;
  made.world = [](int* rank, int* size) {
    *rank = 0;
    *size = 1;
    return 0;
  };
  made.describe_library = [](char* text, int size) {
    std::strncpy(text, "Fake MPI v1, of a test", of(size) - 1);
    return 0;
  };
  made.bcast = [](void*, int, int) { return 0; };
  made.comm_all = [](trireme_mpi_comm* comm) {
    *comm = 1;
    return 0;
  };
  made.comm_of = [](const int*, int, int, trireme_mpi_comm* comm) {
    while (fake.blocks) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    *comm = 2;
    return 0;
  };
  made.comm_free = [](trireme_mpi_comm) {
    ++fake.freed;
    return 0;
  };
  made.finalize = [] {
    ++fake.finalized;
    return 0;
  };
  made.error_text = [](int code, char* text, int size) {
    std::strncpy(text, code == failure ? "the cable is cut" : "?", of(size) - 1);
    text[size - 1] = '\0';
  };
  made.ibcast = [](void* data, int bytes, int, trireme_mpi_comm, trireme_mpi_request* request) {
    return begin(data, data, of(bytes), request);
  };
  made.iallgather = [](const void* input, int bytes, void* output, trireme_mpi_comm, trireme_mpi_request* request) {
    return begin(input, output, of(bytes), request);
  };
  made.iallgatherv = [](const void* input, int bytes, void* output, const int*, const int*, trireme_mpi_comm,
                        trireme_mpi_request* request) { return begin(input, output, of(bytes), request); };
  made.igatherv = [](const void* input, int bytes, void* output, const int*, const int*, int, trireme_mpi_comm,
                     trireme_mpi_request* request) { return begin(input, output, of(bytes), request); };
  made.iscatterv = [](const void* input, const int*, const int*, void* output, int bytes, int, trireme_mpi_comm,
                      trireme_mpi_request* request) { return begin(input, output, of(bytes), request); };
  made.ialltoall = made.iallgather;
  made.ialltoallv = [](const void* input, const int* counts, const int*, void* output, const int*, const int*,
                       trireme_mpi_comm,
                       trireme_mpi_request* request) { return begin(input, output, of(counts[0]), request); };
  made.iallreduce = [](const void* input, void* output, int count, trireme_mpi_type, trireme_mpi_op, trireme_mpi_comm,
                       trireme_mpi_request* request) {
    ++fake.native;
    return begin(input, output, of(count) * sizeof(float), request);  // the tests reduce f32
  };
  made.ireduce_scatter = [](const void* input, void* output, const int* counts, trireme_mpi_type, trireme_mpi_op,
                            trireme_mpi_comm, trireme_mpi_request* request) {
    ++fake.native;
    return begin(input, output, of(counts[0]) * sizeof(float), request);
  };
  made.test = [](trireme_mpi_request*, int* done) {
    if (fake.behaviour == trireme::testing::Behaviour::fails) return failure;
    *done = fake.behaviour == trireme::testing::Behaviour::never_ends ? 0 : 1;
    return 0;
  };
  return made;
}

/// Filled once: a thread that was left behind may still look at it.
const trireme_mpi_table* table() {
  static trireme_mpi_table made = filled_table();
  made.version = fake.version;
  return &made;
}

}  // namespace

// In C++ the table's type has taken the name that the loader looks for.
extern "C" __attribute__((visibility("default"))) const trireme_mpi_table* function_of_table() __asm__(
    "trireme_mpi_table");
const trireme_mpi_table* function_of_table() { return table(); }
extern "C" __attribute__((visibility("default"))) trireme::testing::FakeMpi* fake_mpi() { return &fake; }
