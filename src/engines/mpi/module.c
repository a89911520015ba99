// SPDX-License-Identifier: Apache-2.0
// The loadable module: module_table.h over the MPI it is compiled with. MPI 3.0 is all it takes.
#include "engines/mpi/module_table.h"

#include <mpi.h>

#include <string.h>

// A handle is an int or a pointer, as the MPI likes it.
_Static_assert(sizeof(MPI_Comm) <= sizeof(trireme_mpi_comm), "MPI_Comm does not fit");
_Static_assert(sizeof(MPI_Request) <= sizeof(trireme_mpi_request), "MPI_Request does not fit");

static MPI_Comm comm_from(trireme_mpi_comm handle) {
  MPI_Comm comm;
  memcpy(&comm, &handle, sizeof comm);
  return comm;
}

static void comm_to(trireme_mpi_comm* handle, MPI_Comm comm) {
  *handle = 0;
  memcpy(handle, &comm, sizeof comm);
}

static int request_to(trireme_mpi_request* handle, MPI_Request request, int code) {
  *handle = 0;
  memcpy(handle, &request, sizeof request);
  return code;
}

static MPI_Datatype type_of(enum trireme_mpi_type type) {
  switch (type) {
    case TRIREME_MPI_F64: return MPI_DOUBLE;
    case TRIREME_MPI_F32: return MPI_FLOAT;
    case TRIREME_MPI_I64: return MPI_INT64_T;
    case TRIREME_MPI_I32: return MPI_INT32_T;
    case TRIREME_MPI_I8: return MPI_INT8_T;
    case TRIREME_MPI_U64: return MPI_UINT64_T;
    case TRIREME_MPI_U32: return MPI_UINT32_T;
    case TRIREME_MPI_U8: return MPI_UINT8_T;
  }
  return MPI_DATATYPE_NULL;
}

static MPI_Op op_of(enum trireme_mpi_op op) {
  switch (op) {
    case TRIREME_MPI_SUM: return MPI_SUM;
    case TRIREME_MPI_PRODUCT: return MPI_PROD;
    case TRIREME_MPI_MIN: return MPI_MIN;
    case TRIREME_MPI_MAX: return MPI_MAX;
  }
  return MPI_OP_NULL;
}

static int state(enum trireme_mpi_state* result) {
  int initialized = 0, finalized = 0;
  int code = MPI_Finalized(&finalized);
  if (code == MPI_SUCCESS) code = MPI_Initialized(&initialized);
  *result = finalized ? TRIREME_MPI_FINALIZED : initialized ? TRIREME_MPI_OPEN : TRIREME_MPI_CLOSED;
  return code;
}

static int init(int* serialized) {
  int provided = MPI_THREAD_SINGLE;
  int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided);
  *serialized = provided >= MPI_THREAD_SERIALIZED;
  if (code == MPI_SUCCESS) code = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  return code;
}

static int query_thread(int* serialized) {
  int provided = MPI_THREAD_SINGLE;
  int code = MPI_Query_thread(&provided);
  *serialized = provided >= MPI_THREAD_SERIALIZED;
  return code;
}

static int world(int* rank, int* size) {
  int code = MPI_Comm_rank(MPI_COMM_WORLD, rank);
  return code == MPI_SUCCESS ? MPI_Comm_size(MPI_COMM_WORLD, size) : code;
}

static int describe_library(char* text, int size) {
  char version[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  int code = MPI_Get_library_version(version, &length);
  if (code != MPI_SUCCESS) length = 0;
  if (length > size - 1) length = size - 1;
  memcpy(text, version, (size_t)length);
  text[length] = '\0';
  return code;
}

static int bcast(void* data, int bytes, int root) { return MPI_Bcast(data, bytes, MPI_BYTE, root, MPI_COMM_WORLD); }

static int ready(MPI_Comm made, int code, trireme_mpi_comm* comm) {
  if (code == MPI_SUCCESS) code = MPI_Comm_set_errhandler(made, MPI_ERRORS_RETURN);
  comm_to(comm, made);
  return code;
}

static int comm_all(trireme_mpi_comm* comm) {
  MPI_Comm made = MPI_COMM_NULL;
  int code = MPI_Comm_dup(MPI_COMM_WORLD, &made);
  return ready(made, code, comm);
}

static int comm_of(const int* ranks, int count, int tag, trireme_mpi_comm* comm) {
  MPI_Group all = MPI_GROUP_NULL, some = MPI_GROUP_NULL;
  MPI_Comm made = MPI_COMM_NULL;
  int code = MPI_Comm_group(MPI_COMM_WORLD, &all);
  if (code != MPI_SUCCESS) return code;
  code = MPI_Group_incl(all, count, ranks, &some);
  if (code == MPI_SUCCESS) {
    code = MPI_Comm_create_group(MPI_COMM_WORLD, some, tag, &made);
    MPI_Group_free(&some);
  }
  MPI_Group_free(&all);
  return ready(made, code, comm);
}

static int comm_free(trireme_mpi_comm handle) {
  MPI_Comm comm = comm_from(handle);
  return MPI_Comm_free(&comm);
}

static int finalize(void) { return MPI_Finalize(); }

static void error_text(int code, char* text, int size) {
  char words[MPI_MAX_ERROR_STRING];
  int length = 0;
  if (MPI_Error_string(code, words, &length) != MPI_SUCCESS) length = 0;
  if (length > size - 1) length = size - 1;
  memcpy(text, words, (size_t)length);
  text[length] = '\0';
}

static int ibcast(void* data, int bytes, int root, trireme_mpi_comm comm, trireme_mpi_request* handle) {
  MPI_Request request = MPI_REQUEST_NULL;
  int code = MPI_Ibcast(data, bytes, MPI_BYTE, root, comm_from(comm), &request);
  return request_to(handle, request, code);
}

static int iallgather(const void* input, int bytes, void* output, trireme_mpi_comm comm, trireme_mpi_request* handle) {
  MPI_Request request = MPI_REQUEST_NULL;
  int code = MPI_Iallgather(input, bytes, MPI_BYTE, output, bytes, MPI_BYTE, comm_from(comm), &request);
  return request_to(handle, request, code);
}

static int iallgatherv(const void* input, int bytes, void* output, const int* counts, const int* displacements,
                       trireme_mpi_comm comm, trireme_mpi_request* handle) {
  MPI_Request request = MPI_REQUEST_NULL;
  int code =
      MPI_Iallgatherv(input, bytes, MPI_BYTE, output, counts, displacements, MPI_BYTE, comm_from(comm), &request);
  return request_to(handle, request, code);
}

static int igatherv(const void* input, int bytes, void* output, const int* counts, const int* displacements, int root,
                    trireme_mpi_comm comm, trireme_mpi_request* handle) {
  MPI_Request request = MPI_REQUEST_NULL;
  int code =
      MPI_Igatherv(input, bytes, MPI_BYTE, output, counts, displacements, MPI_BYTE, root, comm_from(comm), &request);
  return request_to(handle, request, code);
}

static int iscatterv(const void* input, const int* counts, const int* displacements, void* output, int bytes, int root,
                     trireme_mpi_comm comm, trireme_mpi_request* handle) {
  MPI_Request request = MPI_REQUEST_NULL;
  int code =
      MPI_Iscatterv(input, counts, displacements, MPI_BYTE, output, bytes, MPI_BYTE, root, comm_from(comm), &request);
  return request_to(handle, request, code);
}

static int ialltoall(const void* input, int bytes, void* output, trireme_mpi_comm comm, trireme_mpi_request* handle) {
  MPI_Request request = MPI_REQUEST_NULL;
  int code = MPI_Ialltoall(input, bytes, MPI_BYTE, output, bytes, MPI_BYTE, comm_from(comm), &request);
  return request_to(handle, request, code);
}

static int ialltoallv(const void* input, const int* counts, const int* displacements, void* output,
                      const int* output_counts, const int* output_displacements, trireme_mpi_comm comm,
                      trireme_mpi_request* handle) {
  MPI_Request request = MPI_REQUEST_NULL;
  int code = MPI_Ialltoallv(input, counts, displacements, MPI_BYTE, output, output_counts, output_displacements,
                            MPI_BYTE, comm_from(comm), &request);
  return request_to(handle, request, code);
}

static int iallreduce(const void* input, void* output, int count, enum trireme_mpi_type type, enum trireme_mpi_op op,
                      trireme_mpi_comm comm, trireme_mpi_request* handle) {
  MPI_Request request = MPI_REQUEST_NULL;
  int code = MPI_Iallreduce(input, output, count, type_of(type), op_of(op), comm_from(comm), &request);
  return request_to(handle, request, code);
}

static int ireduce(const void* input, void* output, int count, enum trireme_mpi_type type, enum trireme_mpi_op op,
                   int root, trireme_mpi_comm comm, trireme_mpi_request* handle) {
  MPI_Request request = MPI_REQUEST_NULL;
  int code = MPI_Ireduce(input, output, count, type_of(type), op_of(op), root, comm_from(comm), &request);
  return request_to(handle, request, code);
}

static int ireduce_scatter_block(const void* input, void* output, int count, enum trireme_mpi_type type,
                                 enum trireme_mpi_op op, trireme_mpi_comm comm, trireme_mpi_request* handle) {
  MPI_Request request = MPI_REQUEST_NULL;
  int code = MPI_Ireduce_scatter_block(input, output, count, type_of(type), op_of(op), comm_from(comm), &request);
  return request_to(handle, request, code);
}

static int ireduce_scatter(const void* input, void* output, const int* counts, enum trireme_mpi_type type,
                           enum trireme_mpi_op op, trireme_mpi_comm comm, trireme_mpi_request* handle) {
  MPI_Request request = MPI_REQUEST_NULL;
  int code = MPI_Ireduce_scatter(input, output, counts, type_of(type), op_of(op), comm_from(comm), &request);
  return request_to(handle, request, code);
}

static int test(trireme_mpi_request* handle, int* done) {
  MPI_Request request;
  memcpy(&request, handle, sizeof request);
  int code = MPI_Test(&request, done, MPI_STATUS_IGNORE);
  return request_to(handle, request, code);
}

static const struct trireme_mpi_table table = {
    .version = TRIREME_MPI_TABLE_VERSION,
    .size = sizeof(struct trireme_mpi_table),
    .state = state,
    .init = init,
    .query_thread = query_thread,
    .world = world,
    .describe_library = describe_library,
    .bcast = bcast,
    .comm_all = comm_all,
    .comm_of = comm_of,
    .comm_free = comm_free,
    .finalize = finalize,
    .error_text = error_text,
    .ibcast = ibcast,
    .iallgather = iallgather,
    .iallgatherv = iallgatherv,
    .igatherv = igatherv,
    .iscatterv = iscatterv,
    .ialltoall = ialltoall,
    .ialltoallv = ialltoallv,
    .iallreduce = iallreduce,
    .ireduce = ireduce,
    .ireduce_scatter_block = ireduce_scatter_block,
    .ireduce_scatter = ireduce_scatter,
    .test = test,
};

__attribute__((visibility("default"))) const struct trireme_mpi_table* trireme_mpi_table(void);
const struct trireme_mpi_table* trireme_mpi_table(void) { return &table; }
