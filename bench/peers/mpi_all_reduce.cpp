// SPDX-License-Identifier: Apache-2.0
// MPI_Allreduce, measured as `trireme perf all_reduce` measures ours. Compiled once per MPI that is installed; started by
// `trireme perf all_reduce --compare mpi|mpich`, or by hand: mpirun -np 2 mpi_all_reduce_openmpi f32 cold 3 262144:200:8
#include "bench/peers/peer.hpp"

#include <mpi.h>

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

namespace {

using trireme::DType;

void check(int code, const char* call) {
  if (code != MPI_SUCCESS) throw std::runtime_error(std::string(call) + " failed");
}

MPI_Datatype type_of(DType dtype) {
  switch (dtype) {
    case DType::f32: return MPI_FLOAT;
    case DType::f64: return MPI_DOUBLE;
    case DType::i32: return MPI_INT32_T;
    case DType::i64: return MPI_INT64_T;
    default: throw std::runtime_error("--dtype: give f64, f32, i64 or i32");
  }
}

class Mpi : public trireme::peers::Library {
 public:
  Mpi() {
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void barrier() override { check(MPI_Barrier(MPI_COMM_WORLD), "MPI_Barrier"); }

  void all_reduce(const void* input, void* output, std::size_t count, DType dtype) override {
    const void* const from = input == output ? MPI_IN_PLACE : input;
    check(MPI_Allreduce(from, output, static_cast<int>(count), type_of(dtype), MPI_SUM, MPI_COMM_WORLD),
          "MPI_Allreduce");
  }

  std::vector<double> all_gather(std::span<const double> mine) override {
    std::vector<double> all(mine.size() * static_cast<std::size_t>(size_));
    const int count = static_cast<int>(mine.size());
    check(MPI_Allgather(mine.data(), count, MPI_DOUBLE, all.data(), count, MPI_DOUBLE, MPI_COMM_WORLD),
          "MPI_Allgather");
    return all;
  }

 private:
  int rank_ = 0, size_ = 1;
};

}  // namespace

int main(int argc, char** argv) {
  check(MPI_Init(&argc, &argv), "MPI_Init");
  try {
    const auto orders = trireme::peers::parse_orders({argv + 1, argv + argc});
    Mpi mpi;
    trireme::peers::measure(mpi, orders);
    MPI_Finalize();
    return 0;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "mpi_all_reduce: %s\n", problem.what());
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  return 2;
}
