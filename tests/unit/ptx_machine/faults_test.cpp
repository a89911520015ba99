// SPDX-License-Identifier: Apache-2.0
#include "unit/ptx_machine/text.hpp"

#include <catch2/catch.hpp>

#include <array>

namespace trireme::testing::ptx {
namespace {

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// The fault in which `statements` end over 64 words; nothing else may be thrown.
Fault fault_of(const std::string& statements, unsigned threads = 1) {
  std::array<std::uint64_t, 64> memory{};
  for (const std::uint64_t seed : {1u, 2u, 99u}) {
    try {
      run(statements, memory, threads, 1, seed);
    } catch (const Fault& fault) {
      if (seed == 99u) return fault;
      continue;
    }
    FAIL("with seed " << seed << " nothing was found");
  }
  throw std::logic_error("not reached");
}

}  // namespace

TEST_CASE("an access past the end of an allocation, before it or to the host's memory is found", "[ptx]") {
  for (const char* address : {"[%rd0+512]", "[%rd0+-8]", "[%rd0+508]"}) {
    INFO(address);
    const bool misaligned = has(address, "508");
    const Fault read = fault_of("ld.global.u64 %rd1, " + std::string(address) + ";");
    const Fault written = fault_of("st.global.u64 " + std::string(address) + ", %rd0;");
    CHECK(read.kind == (misaligned ? Fault::Kind::misaligned : Fault::Kind::illegal_address));
    CHECK(written.kind == read.kind);
    CHECK(has(read.what(), "kernel example, block 0, thread 0, line 17"));
  }
  CHECK(has(fault_of("ld.global.u64 %rd1, [%rd0+520];").what(), "ended 8 bytes before"));
  const std::uint64_t own = 0;
  const std::string address = std::to_string(reinterpret_cast<std::uintptr_t>(&own));
  CHECK(fault_of("mov.u64 %rd1, " + address + ";\nld.global.u64 %rd2, [%rd1];").kind == Fault::Kind::illegal_address);
  CHECK(fault_of("mov.u64 %rd1, -8;\nld.global.u64 %rd2, [%rd1];").kind == Fault::Kind::illegal_address);
  // A vector that begins inside and ends outside.
  CHECK(fault_of("ld.global.v2.u64 {%rd1, %rd2}, [%rd0+512];").kind == Fault::Kind::illegal_address);
}

TEST_CASE("a vector is read and written at multiples of its size alone", "[ptx]") {
  CHECK(fault_of("ld.global.v2.u32 {%r1, %r2}, [%rd0+4];").kind == Fault::Kind::misaligned);
  CHECK(fault_of("st.v4.u32 [%rd0+8], {%r0, %r0, %r0, %r0};").kind == Fault::Kind::misaligned);
  std::array<std::uint64_t, 4> memory{};
  alignas(16) std::array<std::uint64_t, 4> aligned{};
  CHECK_NOTHROW(run("st.v4.u32 [%rd0+16], {%r0, %r0, %r0, %r0};", aligned));
  CHECK_NOTHROW(run("ld.global.v2.u32 {%r1, %r2}, [%rd0+8];", memory));
}

TEST_CASE("shared and local memory and parameters have ends", "[ptx]") {
  CHECK(has(fault_of("mov.u32 %r1, shared;\nst.shared.u32 [%r1+64], %r0;").what(), "byte 64 of 64 of shared memory"));
  CHECK(has(fault_of("mov.u64 %rd1, local;\nld.local.u64 %rd2, [%rd1+16];").what(), "byte 16 of 16 of local memory"));
  CHECK(has(fault_of("ld.param.u64 %rd1, [example_param_0+8];").what(), "byte 8 of 8 of parameters"));
}

TEST_CASE("two threads at the same bytes of shared memory without a meeting between are found", "[ptx]") {
  const std::string place =
      "mov.u32 %r1, shared;\nshl.b32 %r2, %r0, 2;\nadd.s32 %r2, %r1, %r2;\n";  // a word of each thread's
  const std::string others = "xor.b32 %r3, %r0, 1;\nshl.b32 %r3, %r3, 2;\nadd.s32 %r3, %r1, %r3;\n";
  CHECK(fault_of(place + "st.shared.u32 [%r1], %r0;", 2).kind == Fault::Kind::race);
  CHECK(fault_of(place + others + "st.shared.u32 [%r2], %r0;\nld.shared.u32 %r4, [%r3];", 2).kind == Fault::Kind::race);
  // Read by all, then written by one.
  CHECK(fault_of(place + "ld.shared.u32 %r4, [%r1];\nsetp.ne.s32 %p1, %r0, 0;\n@%p1 ret;\nst.shared.u32 [%r1], %r0;", 4)
            .kind == Fault::Kind::race);
  // One byte of a wider word is enough.
  CHECK(fault_of("mov.u32 %r1, shared;\nmul.lo.s32 %r2, %r0, 3;\nadd.s32 %r2, %r1, %r2;\nsetp.eq.s32 %p1, %r0, 0;\n"
                 "@%p1 st.shared.u32 [%r1], %r0;\n@!%p1 st.shared.u8 [%r2], %r0;",
                 2)
            .kind == Fault::Kind::race);
  std::array<std::uint64_t, 8> memory{};
  for (const std::uint64_t seed : {1u, 2u, 3u, 4u}) {
    run(place + others +
            "st.shared.u32 [%r2], %r0;\nbar.sync 0;\nld.shared.u32 %r4, [%r3];\nmul.wide.u32 %rd1, %r0, 8;\n"
            "add.s64 %rd1, %rd0, %rd1;\ncvt.u64.u32 %rd2, %r4;\nst.global.u64 [%rd1], %rd2;",
        memory, 8, 1, seed);
    CHECK(memory == std::array<std::uint64_t, 8>{1, 0, 3, 2, 5, 4, 7, 6});
  }
}

TEST_CASE("so are two threads at the same bytes of global memory, and two blocks, which never meet", "[ptx]") {
  CHECK(fault_of("st.global.u32 [%rd0], %r0;", 2).kind == Fault::Kind::race);
  CHECK(fault_of("setp.eq.s32 %p1, %r0, 0;\n@%p1 st.global.u64 [%rd0], %rd0;\n@!%p1 ld.global.u8 %rs1, [%rd0+7];", 2)
            .kind == Fault::Kind::race);
  std::array<std::uint64_t, 4> memory{};
  const std::string first_writes = "setp.eq.s32 %p1, %r0, 0;\n@%p1 st.global.u32 [%rd0], %r0;\n";
  CHECK_NOTHROW(run(first_writes + "bar.sync 0;\nld.global.u32 %r1, [%rd0];", memory, 8));
  CHECK_THROWS_AS(run(first_writes + "bar.sync 0;\nld.global.u32 %r1, [%rd0];", memory, 8, 2), Fault);
  CHECK_THROWS_WITH(run(first_writes, memory, 8, 2), Catch::Contains("of block 0 wrote"));
  // All may read, and each writes its own.
  CHECK_NOTHROW(
      run("mul.wide.u32 %rd1, %r0, 4;\nadd.s64 %rd1, %rd0, %rd1;\nld.global.u32 %r1, [%rd0+16];\n"
          "st.global.u32 [%rd1], %r1;",
          memory, 4));
}

TEST_CASE("a meeting that some threads of a block never come to is found", "[ptx]") {
  CHECK(fault_of("setp.eq.s32 %p1, %r0, 1;\n@%p1 ret;\nbar.sync 0;", 4).kind == Fault::Kind::barrier);
  CHECK(
      fault_of("setp.eq.s32 %p1, %r0, 1;\n@%p1 bra $other;\nbar.sync 0;\nbra.uni $end;\n$other:\nbar.sync 0;\n$end:", 4)
          .kind == Fault::Kind::barrier);
}

TEST_CASE("what is fresh in shared and local memory is no number", "[ptx]") {
  std::array<std::uint64_t, 2> memory{};
  run("mov.u32 %r1, shared;\nld.shared.f32 %f1, [%r1];\nst.global.f32 [%rd0], %f1;\nmov.u64 %rd1, local;\n"
      "ld.local.f64 %fd1, [%rd1];\nst.global.f64 [%rd0+8], %fd1;",
      memory);
  CHECK(memory[0] == 0xffffffffu);
  CHECK(memory[1] == ~std::uint64_t{0});
}

TEST_CASE("an instruction, a name or a directive that is not known is refused with its line", "[ptx]") {
  const auto refusal = [](const std::string& statements) -> std::string {
    try {
      parse(kernel_text(statements), "example");
    } catch (const std::runtime_error& error) {
      return error.what();
    }
    return "";
  };
  CHECK(has(refusal("shfl.sync.idx.b32 %r1, %r0, 0, 31, -1;"), "line 17 of its PTX: 'shfl.sync.idx.b32'"));
  CHECK(has(refusal("add.ftz.f32 %f1, %f1, %f1;"), "'add.ftz.f32' is not known"));
  CHECK(has(refusal("div.approx.f32 %f1, %f1, %f1;"), "'div.approx.f32' is not known"));
  CHECK(has(refusal("red.global.add.f32 [%rd0], %f1;"), "'red.global.add.f32' is not known"));
  CHECK(has(refusal("add.s32 %r1, %r99, %r0;"), "'%r99' is not known"));
  CHECK(has(refusal("mov.u32 %r1, %laneid;"), "'%laneid' is not known"));
  CHECK(has(refusal("bra $nowhere;"), "no label $nowhere"));
  CHECK(has(refusal("$twice:\nadd.s32 %r1, %r0, 1;\n$twice:"), "$twice stands there twice"));
  CHECK(has(refusal("bar.sync 1;"), "a barrier other than 0"));
  CHECK(has(refusal("add.s32 %r1, %r0"), "expected ';'"));
  CHECK(has(refusal(".tex .b32 image;"), ".tex is not known"));
  CHECK_THROWS_WITH(parse(kernel_text(""), "other"), Catch::Contains("no kernel other"));
}

TEST_CASE("what a warp moves is counted by sectors of 32 bytes, once for all its threads", "[ptx]") {
  alignas(64) std::array<std::uint64_t, 64 * 16> memory{};
  // Thread t at t * `stride` bytes, 4 of them.
  const auto traffic_of = [&](unsigned stride, unsigned threads, const std::string& access) {
    Traffic traffic;
    run("mul.wide.u32 %rd1, %r0, " + std::to_string(stride) + ";\nadd.s64 %rd1, %rd0, %rd1;\n" + access, memory,
        threads, 1, 5, &traffic);
    return traffic;
  };
  const Traffic dense = traffic_of(4, 64, "ld.global.u32 %r1, [%rd1];");
  CHECK(dense.requested == 256);
  CHECK(dense.moved == 256);
  CHECK(dense.least == 256);
  CHECK(dense.accesses == 2);
  const Traffic strided = traffic_of(64, 64, "ld.global.u32 %r1, [%rd1];");
  CHECK(strided.requested == 256);
  CHECK(strided.moved == 64 * 32);
  CHECK(strided.accesses == 2);
  const Traffic halves = traffic_of(8, 32, "ld.global.u32 %r1, [%rd1];\nld.global.u32 %r1, [%rd1+4];");
  CHECK(halves.requested == 256);
  CHECK(halves.moved == 512);  // by each access anew
  CHECK(halves.least == 256);
  const Traffic both = traffic_of(4, 32, "ld.global.u32 %r1, [%rd1];\nst.global.u32 [%rd1], %r1;");
  CHECK(both.moved == 256);
  CHECK(both.least == 256);
  const Traffic odd = traffic_of(4, 8, "ld.global.u32 %r1, [%rd1+16];");  // over an edge
  CHECK(odd.moved == 64);
}

TEST_CASE("lines about sources end with the line", "[ptx]") {
  std::array<std::uint64_t, 1> memory{};
  run("mov.u32 %r1, 1;\n.loc 1 5 3\nmov.u32 %r1, 7;\n.pragma \"nounroll\";\nst.global.u32 [%rd0], %r1;", memory);
  CHECK(memory[0] == 7);
}

}  // namespace trireme::testing::ptx
