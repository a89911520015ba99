/* SPDX-License-Identifier: Apache-2.0 */
/* What the MPI engine needs of an MPI library, as plain C: the one thing that library and module know of each other. The
 * module is compiled against an MPI's own mpi.h; everything else is not, and any MPI can stand behind the table.
 * Functions return 0 or the MPI's error code (error_text says it in words). Counts of `bytes` and elements are MPI's ints.
 * The arrays of counts must stay as they are until the request is done. */
#pragma once

#include <stdint.h>

#define TRIREME_MPI_TABLE_VERSION 2u
#define TRIREME_MPI_TABLE_SYMBOL "trireme_mpi_table"

/* Element types and operations of the native reductions. */
enum trireme_mpi_type {
  TRIREME_MPI_F64,
  TRIREME_MPI_F32,
  TRIREME_MPI_I64,
  TRIREME_MPI_I32,
  TRIREME_MPI_I8,
  TRIREME_MPI_U64,
  TRIREME_MPI_U32,
  TRIREME_MPI_U8
};
enum trireme_mpi_op { TRIREME_MPI_SUM, TRIREME_MPI_PRODUCT, TRIREME_MPI_MIN, TRIREME_MPI_MAX };

/* How MPI stands in this process. */
enum trireme_mpi_state { TRIREME_MPI_CLOSED, TRIREME_MPI_OPEN, TRIREME_MPI_FINALIZED };

typedef uint64_t trireme_mpi_comm;    /* an MPI_Comm */
typedef uint64_t trireme_mpi_request; /* an MPI_Request */

struct trireme_mpi_table {
  uint32_t version; /* TRIREME_MPI_TABLE_VERSION */
  uint32_t size;    /* sizeof(struct trireme_mpi_table) */

  /* Blocking. */
  int (*state)(enum trireme_mpi_state* state);
  int (*init)(int* serialized); /* serialized: whether several threads may call, one at a time */
  int (*query_thread)(int* serialized);
  int (*world)(int* rank, int* size);
  int (*describe_library)(char* text, int size);
  int (*bcast)(void* data, int bytes, int root); /* over all ranks */
  int (*comm_all)(trireme_mpi_comm* comm);       /* a new communicator of all ranks */
  int (*comm_of)(const int* ranks, int count, int tag,
                 trireme_mpi_comm* comm); /* of these ranks, called by these only */
  int (*comm_free)(trireme_mpi_comm comm);
  int (*finalize)(void);
  void (*error_text)(int code, char* text, int size);

  /* Begin; end with test. */
  int (*ibcast)(void* data, int bytes, int root, trireme_mpi_comm comm, trireme_mpi_request* request);
  int (*iallgather)(const void* input, int bytes, void* output, trireme_mpi_comm comm, trireme_mpi_request* request);
  int (*iallgatherv)(const void* input, int bytes, void* output, const int* counts, const int* displacements,
                     trireme_mpi_comm comm, trireme_mpi_request* request);
  int (*igatherv)(const void* input, int bytes, void* output, const int* counts, const int* displacements, int root,
                  trireme_mpi_comm comm, trireme_mpi_request* request);
  int (*iscatterv)(const void* input, const int* counts, const int* displacements, void* output, int bytes, int root,
                   trireme_mpi_comm comm, trireme_mpi_request* request);
  int (*ialltoall)(const void* input, int bytes, void* output, trireme_mpi_comm comm, trireme_mpi_request* request);
  int (*ialltoallv)(const void* input, const int* counts, const int* displacements, void* output,
                    const int* output_counts, const int* output_displacements, trireme_mpi_comm comm,
                    trireme_mpi_request* request);
  int (*iallreduce)(const void* input, void* output, int count, enum trireme_mpi_type type, enum trireme_mpi_op op,
                    trireme_mpi_comm comm, trireme_mpi_request* request);
  int (*ireduce)(const void* input, void* output, int count, enum trireme_mpi_type type, enum trireme_mpi_op op,
                 int root, trireme_mpi_comm comm, trireme_mpi_request* request);
  int (*ireduce_scatter_block)(const void* input, void* output, int count, enum trireme_mpi_type type,
                               enum trireme_mpi_op op, trireme_mpi_comm comm, trireme_mpi_request* request);
  int (*ireduce_scatter)(const void* input, void* output, const int* counts, enum trireme_mpi_type type,
                         enum trireme_mpi_op op, trireme_mpi_comm comm, trireme_mpi_request* request);
  int (*test)(trireme_mpi_request* request, int* done);
};
