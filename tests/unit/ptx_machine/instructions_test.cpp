// SPDX-License-Identifier: Apache-2.0
// Expected values are worked out from "PTX ISA" 9.0, chapter 9, and IEEE 754.
#include "unit/ptx_machine/text.hpp"

#include <catch2/catch.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <limits>

namespace trireme::testing::ptx {
namespace {

constexpr std::uint32_t nan32 = 0x7fc00001, quiet32 = 0x7fffffff;

std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }
std::uint64_t bits(double value) { return std::bit_cast<std::uint64_t>(value); }

/// `opcode` of up to three words of `width` bits; the first `result` bits of what it gives.
std::uint64_t result_of(const std::string& opcode, std::vector<std::uint64_t> operands, unsigned width = 32,
                        unsigned result = 0) {
  std::array<std::uint64_t, 8> memory{};
  std::string text, names;
  for (std::size_t i = 0; i < operands.size(); ++i) {
    memory[i + 1] = operands[i];
    const std::string name = (width == 64 ? "%rd" : width == 16 ? "%rs" : "%r") + std::to_string(i + 1);
    text += "ld.global.b" + std::to_string(width) + " " + name + ", [%rd0+" + std::to_string(8 * (i + 1)) + "];\n";
    names += ", " + name;
  }
  result = result == 0 ? width : result;
  const std::string to = result == 64 ? "%rd7" : result == 16 ? "%rs7" : "%r7";
  run(text + opcode + " " + to + names + ";\nst.global.b" + std::to_string(result) + " [%rd0], " + to + ";", memory);
  return memory[0];
}

bool holds(const std::string& comparison, float a, float b) {
  std::array<std::uint64_t, 2> memory{bits(a) | std::uint64_t{bits(b)} << 32, 0};
  run("ld.global.v2.f32 {%f1, %f2}, [%rd0];\n" + comparison +
          ".f32 %p1, %f1, %f2;\nselp.u32 %r1, 1, 0, %p1;\n"
          "st.global.u32 [%rd0+8], %r1;",
      memory);
  return memory[1] != 0;
}

}  // namespace

TEST_CASE("products and sums are rounded one by one, and fused ones once", "[ptx]") {
  const float a = 1.0F + 0x1p-12F, b = 1.0F + 0x1p-12F, c = -1.0F - 0x1p-11F;
  CHECK(result_of("mul.rn.f32", {bits(a), bits(b)}) == bits(1.0F + 0x1p-11F));  // the last bit, 2^-24, is lost
  CHECK(result_of("fma.rn.f32", {bits(a), bits(b), bits(c)}) == bits(0x1p-24F));
  CHECK(result_of("fma.rn.f64", {bits(1.0 + 0x1p-30), bits(1.0 + 0x1p-30), bits(-1.0 - 0x1p-29)}, 64) == bits(0x1p-60));
  CHECK(result_of("add.rn.f32", {bits(0x1p-149F), bits(0.0F)}) == 1);  // nothing is flushed
  CHECK(result_of("div.rn.f32", {bits(1.0F), bits(3.0F)}) == bits(1.0F / 3.0F));
  CHECK(result_of("sqrt.rn.f64", {bits(2.0)}, 64) == bits(std::sqrt(2.0)));
  CHECK(result_of("rcp.rn.f32", {bits(-0.0F)}) == bits(-std::numeric_limits<float>::infinity()));
}

TEST_CASE("a NaN that is computed is one of its own", "[ptx]") {
  CHECK(result_of("add.rn.f32", {nan32, bits(1.0F)}) == quiet32);
  CHECK(result_of("min.f32", {nan32, bits(1.0F)}) == bits(1.0F));
  CHECK(result_of("max.f32", {bits(1.0F), nan32}) == bits(1.0F));
  CHECK(result_of("max.f32", {nan32, nan32}) == quiet32);
  CHECK(result_of("min.f32", {bits(0.0F), bits(-0.0F)}) == bits(-0.0F));
  CHECK(result_of("max.f32", {bits(-0.0F), bits(0.0F)}) == bits(0.0F));
  CHECK(result_of("neg.f32", {nan32}) == (nan32 | 0x80000000u));
}

TEST_CASE("comparisons of floats know NaN", "[ptx]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const char* ordered : {"setp.eq", "setp.ne", "setp.lt", "setp.le", "setp.gt", "setp.ge", "setp.num"})
    CHECK_FALSE(holds(ordered, nan, 1.0F));
  for (const char* unordered : {"setp.equ", "setp.neu", "setp.ltu", "setp.leu", "setp.gtu", "setp.geu", "setp.nan"})
    CHECK(holds(unordered, 1.0F, nan));
  CHECK(holds("setp.ne", 1.0F, 2.0F));
  CHECK(holds("setp.ltu", 1.0F, 2.0F));
  CHECK_FALSE(holds("setp.geu", 1.0F, 2.0F));
  CHECK(holds("setp.eq", 0.0F, -0.0F));
}

TEST_CASE("integers wrap, shift out, extend and divide as told", "[ptx]") {
  CHECK(result_of("add.s32", {0xffffffff, 2}) == 1);
  CHECK(result_of("add.s16", {0xffff, 2}, 16) == 1);
  CHECK(result_of("mul.lo.s32", {0x10001, 0x10001}) == 0x20001);
  CHECK(result_of("mul.hi.u64", {~std::uint64_t{0}, ~std::uint64_t{0}}, 64) == 0xfffffffffffffffe);
  CHECK(result_of("mul.wide.s32", {0xffffffff, 5}, 32, 64) == static_cast<std::uint64_t>(-5));
  CHECK(result_of("mul.wide.u32", {0xffffffff, 5}, 32, 64) == 0x4fffffffb);
  CHECK(result_of("mad.lo.s32", {7, 0xffffffff, 3}) == static_cast<std::uint32_t>(-4));
  CHECK(result_of("div.u32", {7, 2}) == 3);
  CHECK(result_of("div.s32", {0x80000000, 0xffffffff}) == 0x80000000);
  CHECK(result_of("rem.s32", {0x80000000, 0xffffffff}) == 0);
  CHECK(result_of("rem.u64", {7, 4}, 64) == 3);
  CHECK(result_of("shl.b32", {1, 32}) == 0);
  CHECK(result_of("shr.u32", {0x80000000, 31}) == 1);
  CHECK(result_of("shr.s32", {0x80000000, 40}) == 0xffffffff);
  CHECK(result_of("min.s32", {0xffffffff, 1}) == 0xffffffff);
  CHECK(result_of("min.u32", {0xffffffff, 1}) == 1);
  CHECK(result_of("neg.s64", {1}, 64) == ~std::uint64_t{0});
  CHECK(result_of("cvt.s64.s16", {0x8000}, 16, 64) == 0xffffffffffff8000);
  CHECK(result_of("cvt.u64.u16", {0x8000}, 16, 64) == 0x8000);
  CHECK(result_of("cvt.u32.u64", {0x123456789}, 64, 32) == 0x23456789);
  CHECK(result_of("cvt.s16.s8", {0x80}, 16) == 0xff80);
  CHECK(result_of("cvt.rn.f32.u64", {0x1000001000000001}, 64, 32) == bits(0x1.000002p60F));  // above a tie
  CHECK(result_of("cvt.rn.f64.s64", {static_cast<std::uint64_t>(-3)}, 64) == bits(-3.0));
}

TEST_CASE("fields and bytes are taken out and put in", "[ptx]") {
  CHECK(result_of("bfe.u32", {0xabcd1234, 8, 8}) == 0x12);
  CHECK(result_of("bfe.s32", {0x0000f000, 12, 4}) == 0xffffffff);
  CHECK(result_of("bfe.s32", {0x80000000, 28, 16}) == 0xfffffff8);
  CHECK(result_of("bfe.u32", {0x80000000, 28, 16}) == 8);
  CHECK(result_of("bfe.u32", {0xffffffff, 4, 0}) == 0);
  CHECK(result_of("bfi.b32", {0xab, 0x11111111, 8, 8}) == 0x11111111u + 0x9a00u);
  CHECK(result_of("prmt.b32", {0x33221100, 0x77665544, 0x7610}) == 0x77661100);
  CHECK(result_of("prmt.b32", {0x00008000, 0, 0x9999}) == 0xffffffff);  // the sign of byte 1, four times
  CHECK(result_of("popc.b64", {0xff00ff}, 64, 32) == 16);
  CHECK(result_of("clz.b32", {1}) == 31);
  std::array<std::uint64_t, 2> memory{0x1111222233334444, 0};
  run("ld.global.u64 %rd1, [%rd0];\nmov.b64 {%r1, %r2}, %rd1;\nmov.b64 %rd2, {%r2, %r1};\nst.global.u64 [%rd0+8], %rd2;",
      memory);
  CHECK(memory[1] == 0x3333444411112222);
}

TEST_CASE("16-bit floats are rounded to nearest even, once", "[ptx]") {
  CHECK(result_of("cvt.rn.f16.f32", {bits(1.0F + 0x1p-11F)}, 32, 16) == 0x3c00);             // a tie, to even
  CHECK(result_of("cvt.rn.f16.f32", {bits(1.0F + 0x1p-11F + 0x1p-20F)}, 32, 16) == 0x3c01);  // above it
  CHECK(result_of("cvt.rn.f16.f32", {bits(65520.0F)}, 32, 16) == 0x7c00);                    // overflows
  CHECK(result_of("cvt.rn.f16.f32", {bits(0x1p-25F)}, 32, 16) == 0);                         // half of the smallest
  CHECK(result_of("cvt.rn.bf16.f32", {0x3f808000}, 32, 16) == 0x3f80);
  CHECK(result_of("cvt.rn.bf16.f32", {0x3f818000}, 32, 16) == 0x3f82);
  CHECK(result_of("cvt.rn.bf16.f32", {nan32}, 32, 16) == 0x7fff);
  CHECK(result_of("cvt.f32.f16", {0x0001}, 16, 32) == bits(0x1p-24F));
  CHECK(result_of("cvt.rn.f32.f64", {bits(1.0 + 0x1p-24)}, 64, 32) == bits(1.0F));
}

TEST_CASE("loads of narrow signed numbers have the sign in all of the register", "[ptx]") {
  std::array<std::uint64_t, 2> memory{0x80, 0};
  run("ld.global.s8 %rs1, [%rd0];\ncvt.s32.s16 %r1, %rs1;\nst.global.u32 [%rd0+8], %r1;", memory);
  CHECK(memory[1] == 0xffffff80);
  run("ld.global.u8 %rs1, [%rd0];\ncvt.s32.s16 %r1, %rs1;\nst.global.u32 [%rd0+8], %r1;", memory);
  CHECK(memory[1] == 0x80);
}

TEST_CASE("threads, blocks, guards, loops and names in braces", "[ptx]") {
  std::array<std::uint64_t, 32> memory{};
  // Thread t of block b adds b + 1 to word t of its block, t times; its number of threads to begin with.
  run("mov.u32 %r1, %ctaid.x;\nmov.u32 %r2, %ntid.x;\nmov.u32 %r3, %nctaid.x;\nmad.lo.s32 %r4, %r1, %r2, %r0;\n"
      "mul.wide.u32 %rd1, %r4, 8;\nadd.s64 %rd1, %rd0, %rd1;\nmul.lo.s32 %r5, %r2, %r3;\nmov.u32 %r6, 0;\n"
      "$loop:\nsetp.ge.u32 %p1, %r6, %r0;\n@%p1 bra $done;\nadd.s32 %r5, %r5, %r1;\nadd.s32 %r5, %r5, 1;\n"
      "add.s32 %r6, %r6, 1;\nbra.uni $loop;\n$done:\n"
      "{\n.reg .b32 %r5low, %r6;\nmov.b32 %r6, 0x64;\nadd.s32 %r5low, %r5, %r6;\nsetp.eq.s32 %p2, %r0, 3;\n"
      "@!%p2 add.s32 %r5, %r5low, 0;\n}\ncvt.u64.u32 %rd2, %r5;\nst.global.u64 [%rd1], %rd2;\n",
      memory, 8, 4);
  for (unsigned block = 0; block < 4; ++block) {
    for (unsigned thread = 0; thread < 8; ++thread)
      CHECK(memory[block * 8 + thread] == 32 + thread * (block + 1) + (thread == 3 ? 0 : 100));
  }
}

}  // namespace trireme::testing::ptx
