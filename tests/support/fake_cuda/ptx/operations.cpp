// SPDX-License-Identifier: Apache-2.0
// What each instruction does, as "PTX ISA" 9.0, chapter 9, says. Registers are 64 bits wide here; what is narrower lies in their low
// bits. A NaN that is computed is always the same one, of f32 that of GPUs.
#include "support/fake_cuda/ptx/kernel.hpp"
#include "support/fake_cuda/ptx/machine.hpp"
#include "trireme/base/half.hpp"

#include <bit>
#include <chrono>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>
#include <type_traits>
#include <unordered_map>

namespace trireme::testing::ptx {
namespace {

template <class T>
T as(std::uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
template <class T>
std::uint64_t bits_of(T value) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

std::uint64_t raw(const Thread& t, const Instruction& i, unsigned operand) {
  return t.machine->value_of(t, i.operands[operand]);
}
template <class T>
T source(const Thread& t, const Instruction& i, unsigned operand) {
  return as<T>(raw(t, i, operand));
}
void set_raw(Thread& t, const Operand& to, std::uint64_t bits) { t.registers[to.index] = bits; }
template <class T>
void set(Thread& t, const Instruction& i, T value) {
  set_raw(t, i.operands[0], bits_of(value));
}

template <class T>
T canonical(T value) {
  if constexpr (std::is_same_v<T, float>) {
    return std::isnan(value) ? std::bit_cast<float>(0x7fffffffu) : value;
  } else if constexpr (std::is_same_v<T, double>) {
    return std::isnan(value) ? std::bit_cast<double>(0xfff8000000000000u) : value;
  } else {
    return value;
  }
}

// ---- arithmetic: d = f(a, b, c)

template <class T, auto f>
void unary(Thread& t, const Instruction& i) {
  set(t, i, static_cast<T>(f(source<T>(t, i, 1))));
}
template <class T, auto f>
void binary(Thread& t, const Instruction& i) {
  set(t, i, static_cast<T>(f(source<T>(t, i, 1), source<T>(t, i, 2))));
}
template <class T, auto f>
void ternary(Thread& t, const Instruction& i) {
  set(t, i, static_cast<T>(f(source<T>(t, i, 1), source<T>(t, i, 2), source<T>(t, i, 3))));
}

__extension__ using Signed128 = __int128;
__extension__ using Unsigned128 = unsigned __int128;
template <class T>
using Wide = std::conditional_t<
    sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, std::int32_t, std::uint32_t>,
    std::conditional_t<sizeof(T) == 4, std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>,
                       std::conditional_t<std::is_signed_v<T>, Signed128, Unsigned128>>>;

// As unsigned numbers, which wrap; of 16 bits they would be promoted to signed ones otherwise.
template <class T>
constexpr auto sum = [](T a, T b) { return static_cast<T>(std::uint64_t(a) + std::uint64_t(b)); };
template <class T>
constexpr auto difference = [](T a, T b) { return static_cast<T>(std::uint64_t(a) - std::uint64_t(b)); };
template <class T>
constexpr auto product = [](T a, T b) { return static_cast<T>(std::uint64_t(a) * std::uint64_t(b)); };
template <class T>
constexpr auto high_product = [](T a, T b) { return static_cast<T>((Wide<T>(a) * Wide<T>(b)) >> (8 * sizeof(T))); };
template <class T>
constexpr auto product_and_sum = [](T a, T b, T c) { return sum<T>(product<T>(a, b), c); };
// By 0 there is no number; GPUs give all ones.
template <class T>
constexpr auto quotient = [](T a, T b) {
  if (b == 0) return static_cast<T>(~T{0});
  if (std::is_signed_v<T> && b == static_cast<T>(-1))
    return static_cast<T>(std::uint64_t{0} - std::uint64_t(a));  // wraps
  return static_cast<T>(a / b);
};
template <class T>
constexpr auto remainder = [](T a, T b) {
  if (b == 0) return a;
  return std::is_signed_v<T> && b == static_cast<T>(-1) ? T{0} : static_cast<T>(a % b);
};
template <class T>
constexpr auto least = [](T a, T b) { return b < a ? b : a; };
template <class T>
constexpr auto greatest = [](T a, T b) { return a < b ? b : a; };
template <class T>
constexpr auto negative = [](T a) { return static_cast<T>(std::uint64_t{0} - std::uint64_t(a)); };

// The number where only one is, and -0 below +0.
template <class T>
constexpr auto least_float = [](T a, T b) {
  if (std::isnan(a) || std::isnan(b)) return canonical(std::isnan(a) ? b : a);
  return a < b || (a == b && std::signbit(a)) ? a : b;
};
template <class T>
constexpr auto greatest_float = [](T a, T b) {
  if (std::isnan(a) || std::isnan(b)) return canonical(std::isnan(a) ? b : a);
  return a > b || (a == b && !std::signbit(a)) ? a : b;
};

template <class T>
void wide_product(Thread& t, const Instruction& i) {
  set(t, i, static_cast<Wide<T>>(Wide<T>(source<T>(t, i, 1)) * Wide<T>(source<T>(t, i, 2))));
}
template <class T>
void shift_left(Thread& t, const Instruction& i) {
  const auto by = source<std::uint32_t>(t, i, 2);
  set(t, i, by >= 8 * sizeof(T) ? T{0} : static_cast<T>(std::uint64_t{source<T>(t, i, 1)} << by));
}
template <class T>
void shift_right(Thread& t, const Instruction& i) {
  const std::uint32_t by = source<std::uint32_t>(t, i, 2);
  const T a = source<T>(t, i, 1);
  set(t, i, by >= 8 * sizeof(T) ? static_cast<T>(std::is_signed_v<T> && a < 0 ? -1 : 0) : static_cast<T>(a >> by));
}
// Bits past the highest are the field's sign; unsigned ones have none.
template <class T>
void extract_field(Thread& t, const Instruction& i) {
  const T from = source<T>(t, i, 1);
  const std::uint32_t place = source<std::uint32_t>(t, i, 2) & 255, length = source<std::uint32_t>(t, i, 3) & 255;
  constexpr std::uint32_t all = 8 * sizeof(T);
  if (length == 0) return set(t, i, T{0});
  const T sign = std::is_signed_v<T> && from < 0 ? static_cast<T>(-1) : T{0};
  const T shifted = place >= all ? sign : static_cast<T>(from >> place);
  if (length >= all) return set(t, i, shifted);
  const std::uint32_t spare = all - length;
  const auto up = static_cast<std::make_unsigned_t<T>>(static_cast<std::make_unsigned_t<T>>(shifted) << spare);
  set(t, i, static_cast<T>(static_cast<T>(up) >> spare));
}
template <class T>
void count_ones(Thread& t, const Instruction& i) {
  set(t, i, static_cast<std::uint32_t>(std::popcount(source<T>(t, i, 1))));
}
template <class T>
void count_leading_zeros(Thread& t, const Instruction& i) {
  set(t, i, static_cast<std::uint32_t>(std::countl_zero(source<T>(t, i, 1))));
}
template <class T>
void insert_field(Thread& t, const Instruction& i) {
  const T from = source<T>(t, i, 1), into = source<T>(t, i, 2);
  const std::uint32_t place = source<std::uint32_t>(t, i, 3) & 255, bits = source<std::uint32_t>(t, i, 4) & 255;
  constexpr std::uint32_t all = 8 * sizeof(T);
  const std::uint32_t length = place >= all ? 0 : std::min(bits, all - place);
  const T mask =
      length == all ? static_cast<T>(~T{0}) : static_cast<T>(((T{1} << length) - 1) << std::min(place, all - 1));
  set(t, i, static_cast<T>((into & ~mask) | ((place >= all ? 0 : from << place) & mask)));
}
void permute(Thread& t, const Instruction& i) {
  const std::uint64_t bytes = source<std::uint32_t>(t, i, 1) | std::uint64_t{source<std::uint32_t>(t, i, 2)} << 32;
  const auto selector = source<std::uint32_t>(t, i, 3);
  std::uint32_t result = 0;
  for (unsigned k = 0; k < 4; ++k) {
    const std::uint32_t which = selector >> (4 * k) & 15;
    auto byte = static_cast<std::uint32_t>(bytes >> (8 * (which & 7)) & 255);
    if ((which & 8) != 0) byte = (byte & 128) != 0 ? 255 : 0;
    result |= byte << (8 * k);
  }
  set(t, i, result);
}

// ---- comparison and choice

template <class T, auto f>
void compare(Thread& t, const Instruction& i) {
  set_raw(t, i.operands[0], f(source<T>(t, i, 1), source<T>(t, i, 2)) ? 1 : 0);
}
template <class T>
void choose(Thread& t, const Instruction& i) {
  set(t, i, (raw(t, i, 3) & 1) != 0 ? source<T>(t, i, 1) : source<T>(t, i, 2));
}
template <auto f>
void logical(Thread& t, const Instruction& i) {
  set_raw(t, i.operands[0], f(raw(t, i, 1), raw(t, i, 2)) & 1);
}

// ---- moves: {a, b, …} is one register's parts, the first in its low bits

template <class T>
void move(Thread& t, const Instruction& i) {
  set(t, i, source<T>(t, i, 1));
}
template <unsigned bits>
void pack(Thread& t, const Instruction& i) {
  const unsigned part = bits / i.width;
  std::uint64_t all = 0;
  for (unsigned k = 0; k < i.width; ++k) all |= (raw(t, i, 1 + k) & (~std::uint64_t{0} >> (64 - part))) << (k * part);
  set_raw(t, i.operands[0], all);
}
template <unsigned bits>
void unpack(Thread& t, const Instruction& i) {
  const unsigned part = bits / i.width;
  const std::uint64_t all = raw(t, i, i.width);
  for (unsigned k = 0; k < i.width; ++k)
    set_raw(t, i.operands[k], all >> (k * part) & (~std::uint64_t{0} >> (64 - part)));
}

// ---- conversions

struct Half {};
struct Bfloat {};

template <class To, class From>
void convert(Thread& t, const Instruction& i) {
  if constexpr (std::is_same_v<From, Half>) {
    static_assert(std::is_same_v<To, float>);
    set(t, i, canonical(to_float(Float16{source<std::uint16_t>(t, i, 1)})));
  } else if constexpr (std::is_same_v<To, Half>) {
    const auto from = source<From>(t, i, 1);
    set(t, i, std::isnan(from) ? std::uint16_t{0x7fff} : to_float16(from).bits);
  } else if constexpr (std::is_same_v<To, Bfloat>) {
    static_assert(std::is_same_v<From, float>);
    const auto bits = source<std::uint32_t>(t, i, 1);
    const bool nan = std::isnan(std::bit_cast<float>(bits));
    set(t, i, nan ? std::uint16_t{0x7fff} : static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16));
  } else if constexpr (std::is_floating_point_v<To>) {
    set(t, i, canonical(static_cast<To>(source<From>(t, i, 1))));
  } else {
    // A narrower number in a wider register has its sign in all of it.
    const auto value = static_cast<To>(source<From>(t, i, 1));
    if constexpr (std::is_signed_v<To>) {
      set_raw(t, i.operands[0], static_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
    } else {
      set(t, i, value);
    }
  }
}

// ---- memory

template <class T>
std::uint64_t widened_bits(T value) {
  if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(value));
  } else {
    return bits_of(value);
  }
}
template <class T>
void load(Thread& t, const Instruction& i) {
  const std::byte* from = t.machine->reach(t, i, raw(t, i, i.width), sizeof(T) * i.width, false);
  for (unsigned k = 0; k < i.width; ++k) {
    T value;
    std::memcpy(&value, from + k * sizeof(T), sizeof(T));
    set_raw(t, i.operands[k], widened_bits(value));
  }
}
template <class T>
void store(Thread& t, const Instruction& i) {
  std::byte* to = t.machine->reach(t, i, raw(t, i, 0), sizeof(T) * i.width, true);
  for (unsigned k = 0; k < i.width; ++k) {
    const T value = source<T>(t, i, 1 + k);
    std::memcpy(to + k * sizeof(T), &value, sizeof(T));
  }
}
std::uint32_t* word(Thread& t, const Instruction& i, unsigned address, bool writes) {
  return reinterpret_cast<std::uint32_t*>(t.machine->reach(t, i, raw(t, i, address), 4, writes));
}
void load_acquire(Thread& t, const Instruction& i) {
  set(t, i, __atomic_load_n(word(t, i, 1, false), __ATOMIC_ACQUIRE));
}
void store_release(Thread& t, const Instruction& i) {
  __atomic_store_n(word(t, i, 0, true), source<std::uint32_t>(t, i, 1), __ATOMIC_RELEASE);
}
void atomic_add(Thread& t, const Instruction& i) {
  set(t, i, __atomic_fetch_add(word(t, i, 1, true), source<std::uint32_t>(t, i, 2), __ATOMIC_ACQ_REL));
}
// Longer than is asked for: who waits shall leave the processor to whom it waits for.
void pause(Thread&, const Instruction&) { std::this_thread::sleep_for(std::chrono::microseconds(20)); }

// ---- names

using Table = std::unordered_map<std::string, Handler>;

template <class T>
void integers(Table& table, const std::string& u) {
  table["min." + u] = binary<T, least<T>>;
  table["max." + u] = binary<T, greatest<T>>;
  table["add." + u] = binary<T, sum<T>>;
  table["sub." + u] = binary<T, difference<T>>;
  table["mul.lo." + u] = binary<T, product<T>>;
  table["mul.hi." + u] = binary<T, high_product<T>>;
  table["mad.lo." + u] = ternary<T, product_and_sum<T>>;
  table["div." + u] = binary<T, quotient<T>>;
  table["rem." + u] = binary<T, remainder<T>>;
  table["neg." + u] = unary<T, negative<T>>;
  table["shr." + u] = shift_right<T>;
  if constexpr (sizeof(T) < 8) table["mul.wide." + u] = wide_product<T>;
  table["mov." + u] = move<T>;
  table["selp." + u] = choose<T>;
}
template <class T>
void orders(Table& table, const std::string& u) {
  table["setp.eq." + u] = compare<T, [](T a, T b) { return a == b; }>;
  table["setp.ne." + u] = compare<T, [](T a, T b) { return !(a == b) && !(a != a) && !(b != b); }>;
  table["setp.lt." + u] = compare<T, [](T a, T b) { return a < b; }>;
  table["setp.le." + u] = compare<T, [](T a, T b) { return a <= b; }>;
  table["setp.gt." + u] = compare<T, [](T a, T b) { return b < a; }>;
  table["setp.ge." + u] = compare<T, [](T a, T b) { return b <= a; }>;
}
template <class T>
void bits(Table& table, const std::string& b) {
  table["and." + b] = binary<T, [](T x, T y) { return x & y; }>;
  table["or." + b] = binary<T, [](T x, T y) { return x | y; }>;
  table["xor." + b] = binary<T, [](T x, T y) { return x ^ y; }>;
  table["not." + b] = unary<T, [](T x) { return ~x; }>;
  table["shl." + b] = shift_left<T>;
  table["mov." + b] = move<T>;
  table["selp." + b] = choose<T>;
  table["setp.eq." + b] = compare<T, [](T x, T y) { return x == y; }>;
  table["setp.ne." + b] = compare<T, [](T x, T y) { return x != y; }>;
}
template <class T>
void floats(Table& table, const std::string& f) {
  table["add.rn." + f] = binary<T, [](T a, T b) { return canonical(a + b); }>;
  table["sub.rn." + f] = binary<T, [](T a, T b) { return canonical(a - b); }>;
  table["mul.rn." + f] = binary<T, [](T a, T b) { return canonical(a * b); }>;
  table["div.rn." + f] = binary<T, [](T a, T b) { return canonical(a / b); }>;
  table["fma.rn." + f] = ternary<T, [](T a, T b, T c) { return canonical(std::fma(a, b, c)); }>;
  table["sqrt.rn." + f] = unary<T, [](T a) { return canonical(std::sqrt(a)); }>;
  table["rcp.rn." + f] = unary<T, [](T a) { return canonical(T{1} / a); }>;
  table["neg." + f] = unary<T, [](T a) { return -a; }>;
  table["abs." + f] = unary<T, [](T a) { return std::fabs(a); }>;
  table["min." + f] = binary<T, least_float<T>>;
  table["max." + f] = binary<T, greatest_float<T>>;
  table["mov." + f] = move<T>;
  table["selp." + f] = choose<T>;
  orders<T>(table, f);
  // True where one is NaN, too.
  table["setp.equ." + f] = compare<T, [](T a, T b) { return a == b || std::isunordered(a, b); }>;
  table["setp.neu." + f] = compare<T, [](T a, T b) { return !(a == b); }>;
  table["setp.ltu." + f] = compare<T, [](T a, T b) { return !(b <= a); }>;
  table["setp.leu." + f] = compare<T, [](T a, T b) { return !(b < a); }>;
  table["setp.gtu." + f] = compare<T, [](T a, T b) { return !(a <= b); }>;
  table["setp.geu." + f] = compare<T, [](T a, T b) { return !(a < b); }>;
  table["setp.nan." + f] = compare<T, [](T a, T b) { return std::isunordered(a, b); }>;
  table["setp.num." + f] = compare<T, [](T a, T b) { return !std::isunordered(a, b); }>;
}
template <class To>
void conversions(Table& table, const std::string& to) {
  table["cvt." + to + ".u8"] = convert<To, std::uint8_t>;
  table["cvt." + to + ".s8"] = convert<To, std::int8_t>;
  table["cvt." + to + ".u16"] = convert<To, std::uint16_t>;
  table["cvt." + to + ".s16"] = convert<To, std::int16_t>;
  table["cvt." + to + ".u32"] = convert<To, std::uint32_t>;
  table["cvt." + to + ".s32"] = convert<To, std::int32_t>;
  table["cvt." + to + ".u64"] = convert<To, std::uint64_t>;
  table["cvt." + to + ".s64"] = convert<To, std::int64_t>;
}
template <class T>
void memory(Table& table, const std::string& type) {
  table["ld." + type] = load<T>;
  table["st." + type] = store<T>;
}

Table make_table() {
  Table table;
  integers<std::uint16_t>(table, "u16");
  integers<std::int16_t>(table, "s16");
  integers<std::uint32_t>(table, "u32");
  integers<std::int32_t>(table, "s32");
  integers<std::uint64_t>(table, "u64");
  integers<std::int64_t>(table, "s64");
  orders<std::uint16_t>(table, "u16");
  orders<std::int16_t>(table, "s16");
  orders<std::uint32_t>(table, "u32");
  orders<std::int32_t>(table, "s32");
  orders<std::uint64_t>(table, "u64");
  orders<std::int64_t>(table, "s64");
  bits<std::uint16_t>(table, "b16");
  bits<std::uint32_t>(table, "b32");
  bits<std::uint64_t>(table, "b64");
  floats<float>(table, "f32");
  floats<double>(table, "f64");
  conversions<std::uint8_t>(table, "u8");
  conversions<std::int8_t>(table, "s8");
  conversions<std::uint16_t>(table, "u16");
  conversions<std::int16_t>(table, "s16");
  conversions<std::uint32_t>(table, "u32");
  conversions<std::int32_t>(table, "s32");
  conversions<std::uint64_t>(table, "u64");
  conversions<std::int64_t>(table, "s64");
  conversions<float>(table, "rn.f32");
  conversions<double>(table, "rn.f64");
  table["cvt.f64.f32"] = convert<double, float>;
  table["cvt.rn.f32.f64"] = convert<float, double>;
  table["cvt.f32.f16"] = convert<float, Half>;
  table["cvt.rn.f16.f32"] = convert<Half, float>;
  table["cvt.rn.bf16.f32"] = convert<Bfloat, float>;
  table["bfe.u32"] = extract_field<std::uint32_t>;
  table["bfe.s32"] = extract_field<std::int32_t>;
  table["bfe.u64"] = extract_field<std::uint64_t>;
  table["bfe.s64"] = extract_field<std::int64_t>;
  table["popc.b32"] = count_ones<std::uint32_t>;
  table["popc.b64"] = count_ones<std::uint64_t>;
  table["clz.b32"] = count_leading_zeros<std::uint32_t>;
  table["clz.b64"] = count_leading_zeros<std::uint64_t>;
  table["bfi.b32"] = insert_field<std::uint32_t>;
  table["bfi.b64"] = insert_field<std::uint64_t>;
  table["prmt.b32"] = permute;
  table["pack.b32"] = pack<32>;
  table["pack.b64"] = pack<64>;
  table["unpack.b32"] = unpack<32>;
  table["unpack.b64"] = unpack<64>;
  table["and.pred"] = logical<[](std::uint64_t a, std::uint64_t b) { return a & b; }>;
  table["or.pred"] = logical<[](std::uint64_t a, std::uint64_t b) { return a | b; }>;
  table["xor.pred"] = logical<[](std::uint64_t a, std::uint64_t b) { return a ^ b; }>;
  table["not.pred"] = [](Thread& t, const Instruction& i) { set_raw(t, i.operands[0], ~raw(t, i, 1) & 1); };
  table["mov.pred"] = [](Thread& t, const Instruction& i) { set_raw(t, i.operands[0], raw(t, i, 1) & 1); };
  table["cvta.to.u64"] = move<std::uint64_t>;
  memory<std::uint8_t>(table, "u8");
  memory<std::int8_t>(table, "s8");
  memory<std::uint8_t>(table, "b8");
  memory<std::uint16_t>(table, "u16");
  memory<std::int16_t>(table, "s16");
  memory<std::uint16_t>(table, "b16");
  memory<std::uint32_t>(table, "u32");
  memory<std::int32_t>(table, "s32");
  memory<std::uint32_t>(table, "b32");
  memory<std::uint64_t>(table, "u64");
  memory<std::int64_t>(table, "s64");
  memory<std::uint64_t>(table, "b64");
  memory<float>(table, "f32");
  memory<double>(table, "f64");
  table["ld.acquire.sys.u32"] = load_acquire;
  table["st.release.sys.u32"] = store_release;
  table["atom.acq_rel.gpu.add.u32"] = atomic_add;
  table["nanosleep.u32"] = pause;
  return table;
}

}  // namespace

Handler handler_of(std::string_view opcode) {
  static const Table table = make_table();
  const auto found = table.find(std::string(opcode));
  return found == table.end() ? nullptr : found->second;
}

}  // namespace trireme::testing::ptx
