// SPDX-License-Identifier: Apache-2.0
#include "checkpoint.pb.h"
#include "checkpoint/check_manifest.hpp"
#include "checkpoint/entry.hpp"
#include "checkpoint/foreign_text.hpp"
#include "checkpoint/hash.hpp"
#include "support/failures.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace {

using namespace trireme;
using namespace trireme::checkpoint;
using testing::error_of;
using testing::has;
using Bytes = std::vector<std::byte>;

const Attempt known_attempt{
    .generation = 2, .id = 0x7f00aa1200bc55de, .started_ms = 1764374400000, .host = "host-a", .job = "mlp"};

/// Two parts, a tensor over both, one without elements, one of one element, values of all kinds.
Manifest known_manifest() {
  return {.attempt = known_attempt,
          .step = 400,
          .world = 2,
          .saved_ms = 1764374460000,
          .chunk_bytes = 8,
          .parent_generation = 1,
          .parent_step = 300,
          .values{{"loop/step", std::uint64_t{400}}, {"loss/scale", 65536.5}, {"optimizer/rule", std::string("adamw")}},
          .tensors{{"model/weight",
                    DType::f32,
                    {2, 3},
                    {{0, 4, 0, 128, {0x0102030405060708, 0x1112131415161718}}, {4, 2, 1, 64, {0x2122232425262728}}}},
                   {"model/empty", DType::bf16, {0, 5}, {}},
                   {"model/bias", DType::f64, {}, {{0, 1, 1, 72, {0x3132333435363738}}}}},
          .parts{{"step-00000400/g0002-7f00aa12-rank-0-of-2.safetensors", 144, 128, 0x4142434445464748},
                 {"step-00000400/g0002-7f00aa12-rank-1-of-2.safetensors", 80, 64, 0x5152535455565758}},
          .json_file = "step-00000400/g0002-7f00aa12-manifest.json",
          .json_bytes = 1234,
          .json_xxh3 = 0x6162636465666768};
}

// Journals of version 1 are on people's disks: these bytes must mean the same for ever. Whoever changes the format raises the
// version and adds bytes of the new one; these stay as they are.
constexpr std::string_view claim_of_version_1 =
    "54524952454d450a21000000000000005824ea3a536834660a1f080211de55bc0012aa007f188098a3e7ac332206686f"
    "73742d612a036d6c70";
constexpr std::string_view manifest_of_version_1 =
    "54524952454d450ac101000000000000a558976a223a13fb12be030801121f080211de55bc0012aa007f188098a3e7ac"
    "332206686f73742d612a036d6c70189003200228e0eca6e7ac333008380140ac024a0e0a096c6f6f702f737465701090"
    "034a150a0a6c6f73732f7363616c6519000000000800f0404a170a0e6f7074696d697a65722f72756c6522056164616d"
    "7752440a0c6d6f64656c2f77656967687412036633321a020203221710042080012a1008070605040302011817161514"
    "131211221208041002180120402a08282726252423222152170a0b6d6f64656c2f656d7074791204626631361a020005"
    "52230a0a6d6f64656c2f62696173120366363422101001180120482a0838373635343332315a450a34737465702d3030"
    "3030303430302f67303030322d37663030616131322d72616e6b2d302d6f662d322e7361666574656e736f7273109001"
    "1880012148474645444342415a430a34737465702d30303030303430302f67303030322d37663030616131322d72616e"
    "6b2d312d6f662d322e7361666574656e736f727310501840215857565554535251622a737465702d3030303030343030"
    "2f67303030322d37663030616131322d6d616e69666573742e6a736f6e68d209716867666564636261";

Bytes from_hex(std::string_view text) {
  Bytes bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2)
    bytes.push_back(static_cast<std::byte>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  return bytes;
}

/// A journal file around any message, with its right length and hash.
Bytes framed(std::string_view message) {
  const auto body = std::as_bytes(std::span(message));
  const std::uint64_t head[2] = {body.size(), hash_of(body)};
  Bytes bytes(8 + sizeof head);
  std::memcpy(bytes.data(), "TRIREME\n", 8);
  std::memcpy(bytes.data() + 8, head, sizeof head);
  bytes.insert(bytes.end(), body.begin(), body.end());
  return bytes;
}

/// The message of an entry, for changes that the encoder would not make.
proto::Entry message_of(const Entry& entry) {
  const Bytes bytes = encode(entry);
  proto::Entry message;
  REQUIRE(message.ParseFromArray(bytes.data() + 24, static_cast<int>(bytes.size() - 24)));
  return message;
}

Error refusal_of(const Bytes& bytes) {
  return error_of([&] { decode(bytes, "journal/00000007"); });
}

/// What decode() says of the known manifest after a change.
std::string refusal_after(const std::function<void(Manifest&)>& change) {
  Manifest manifest = known_manifest();
  change(manifest);
  const Error error = refusal_of(encode(manifest));
  CHECK(error.code == ErrorCode::corrupt);
  CHECK(has(error.message, "journal/00000007"));
  return error.message;
}

void check_is_known(const Manifest& manifest) {
  const Manifest known = known_manifest();
  CHECK(encode(manifest) == encode(known));
  CHECK(manifest.attempt == known.attempt);
  CHECK(manifest.attempt.host == "host-a");
  CHECK(manifest.attempt.job == "mlp");
  CHECK(manifest.step == 400);
  CHECK(manifest.world == 2);
  CHECK(manifest.saved_ms == 1764374460000);
  CHECK(manifest.chunk_bytes == 8);
  CHECK(manifest.parent_generation == 1);
  CHECK(manifest.parent_step == 300);
  CHECK(manifest.values == known.values);
  REQUIRE(manifest.tensors.size() == 3);
  CHECK(manifest.tensors[0].name == "model/weight");
  CHECK(manifest.tensors[0].dtype == DType::f32);
  CHECK(manifest.tensors[0].shape == std::vector<std::int64_t>{2, 3});
  REQUIRE(manifest.tensors[0].slices.size() == 2);
  CHECK(manifest.tensors[0].slices[1].first == 4);
  CHECK(manifest.tensors[0].slices[1].count == 2);
  CHECK(manifest.tensors[0].slices[1].part == 1);
  CHECK(manifest.tensors[0].slices[1].offset == 64);
  CHECK(manifest.tensors[0].slices[1].chunk_xxh3 == std::vector<std::uint64_t>{0x2122232425262728});
  CHECK(manifest.tensors[1].dtype == DType::bf16);
  CHECK(manifest.tensors[1].slices.empty());
  CHECK(manifest.tensors[2].shape.empty());
  REQUIRE(manifest.parts.size() == 2);
  CHECK(manifest.parts[1].file == "step-00000400/g0002-7f00aa12-rank-1-of-2.safetensors");
  CHECK(manifest.parts[1].bytes == 80);
  CHECK(manifest.parts[1].header_bytes == 64);
  CHECK(manifest.parts[1].header_xxh3 == 0x5152535455565758);
  CHECK(manifest.json_file == "step-00000400/g0002-7f00aa12-manifest.json");
  CHECK(manifest.json_bytes == 1234);
  CHECK(manifest.json_xxh3 == 0x6162636465666768);
}

TEST_CASE("Entries of version 1 mean for ever what they meant") {
  const Attempt claim = std::get<Attempt>(decode(from_hex(claim_of_version_1), "a claim"));
  CHECK(claim == known_attempt);
  CHECK(claim.host == "host-a");
  CHECK(claim.job == "mlp");
  check_is_known(std::get<Manifest>(decode(from_hex(manifest_of_version_1), "a manifest")));
}

TEST_CASE("An entry is read back as it was written") {
  check_is_known(std::get<Manifest>(decode(encode(known_manifest()), "a manifest")));
  Manifest manifest = known_manifest();
  manifest.tensors.clear();
  manifest.parts.clear();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  manifest.values = {
      {"zero", std::uint64_t{0}}, {"nan", nan}, {"empty", std::string()}, {"é", std::string("ü\n\0x", 5)}};
  for (int d = 0; d < dtype_count; ++d) {
    const auto dtype = static_cast<DType>(d);
    const std::uint64_t bytes = 3 * size_of(dtype);
    manifest.parts.push_back({"step/" + std::to_string(d), 8 + bytes, 8, 1});
    const auto part = static_cast<std::uint32_t>(d);
    manifest.tensors.push_back(
        {"t" + std::to_string(d), dtype, {3, 1}, {{0, 3, part, 8, std::vector<std::uint64_t>((bytes + 7) / 8)}}});
  }
  const Bytes bytes = encode(manifest);
  const auto again = std::get<Manifest>(decode(bytes, "a manifest"));
  CHECK(encode(again) == bytes);
  for (int d = 0; d < dtype_count; ++d)
    CHECK(again.tensors[static_cast<std::size_t>(d)].dtype == static_cast<DType>(d));
  CHECK(std::get<std::string>(again.values.at("é")) == std::string("ü\n\0x", 5));
}

TEST_CASE("Every change of one byte of an entry is detected, and every cut and every byte more", "[sequential]") {
  for (const Entry& entry : {Entry(known_attempt), Entry(known_manifest())}) {
    const Bytes good = encode(entry);
    for (std::size_t i = 0; i < good.size(); ++i) {
      for (int change = 1; change < 256; ++change) {
        Bytes bad = good;
        bad[i] ^= static_cast<std::byte>(change);
        if (refusal_of(bad).code != ErrorCode::corrupt) FAIL("byte " << i << " changed by " << change);
      }
      if (refusal_of(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(i))).code != ErrorCode::corrupt)
        FAIL("cut at byte " << i);
    }
    Bytes longer = good;
    longer.push_back(std::byte{0});
    CHECK(refusal_of(longer).code == ErrorCode::corrupt);
  }
}

TEST_CASE("A newer version is refused by naming both; fields that are not known are passed over") {
  proto::Entry message = message_of(known_manifest());
  message.mutable_manifest()->set_version(manifest_version + 1);
  const Error newer = refusal_of(framed(message.SerializeAsString()));
  CHECK(newer.code == ErrorCode::unsupported);
  CHECK(has(newer.message, "version 2"));
  CHECK(has(newer.message, "up to 1"));
  message.mutable_manifest()->set_version(0);
  CHECK(refusal_of(framed(message.SerializeAsString())).code == ErrorCode::corrupt);

  const std::string unknown = "\xba\x06\x03new\xc0\x06\x05";  // fields 103, a text, and 104, a number
  message.mutable_manifest()->set_version(manifest_version);
  REQUIRE(message.mutable_manifest()->MergeFromString(unknown));
  REQUIRE(message.mutable_manifest()->mutable_tensors(0)->MergeFromString(unknown));
  REQUIRE(message.mutable_manifest()->mutable_attempt()->MergeFromString(unknown));
  REQUIRE(message.MergeFromString(unknown));
  check_is_known(std::get<Manifest>(decode(framed(message.SerializeAsString()), "a manifest")));
}

TEST_CASE("What is no entry is refused, whatever its hash says", "[sequential]") {
  CHECK(refusal_of({}).code == ErrorCode::corrupt);
  CHECK(has(refusal_of(framed("")).message, "neither"));
  CHECK(has(refusal_of(framed("\x12\x7f")).message, "no entry"));
  CHECK(has(refusal_of(framed(std::string(10000, '\x12'))).message, "no entry"));
  const Bytes large(most_entry_bytes + 1);
  CHECK(refusal_of(large).code == ErrorCode::corrupt);

  Manifest manifest = known_manifest();
  manifest.values["text"] = std::string(most_entry_bytes, 'x');
  const Error error = error_of([&] { encode(manifest); });
  CHECK(error.code == ErrorCode::invalid_argument);
  CHECK(has(error.message, std::to_string(most_entry_bytes - 24)));
}

TEST_CASE("Texts are UTF-8, when they are written and when they are read") {
  const std::string bad = "a\xc3(";
  for (const std::function<void(Manifest&)>& change : std::vector<std::function<void(Manifest&)>>{
           [&](Manifest& m) { m.attempt.host = bad; }, [&](Manifest& m) { m.attempt.job = bad; },
           [&](Manifest& m) { m.tensors[0].name = bad; }, [&](Manifest& m) { m.parts[0].file = bad; },
           [&](Manifest& m) { m.json_file = bad; }, [&](Manifest& m) { m.values[bad] = 1.0; },
           [&](Manifest& m) { m.values["text"] = bad; }}) {
    Manifest manifest = known_manifest();
    change(manifest);
    CHECK(error_of([&] { encode(manifest); }).code == ErrorCode::invalid_argument);
    CHECK(error_of([&] { check_manifest(manifest, "here"); }).code == ErrorCode::corrupt);
  }
  proto::Entry message = message_of(known_manifest());
  message.mutable_manifest()->mutable_tensors(2)->set_name(bad);
  CHECK(has(refusal_of(framed(message.SerializeAsString())).message, "the name of a tensor 'a?(' is not UTF-8"));
  message = message_of(known_attempt);
  message.mutable_claim()->set_host(bad);
  CHECK(has(refusal_of(framed(message.SerializeAsString())).message, "the host 'a?('"));

  for (const char* good : {"", "a", "é", "€", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xef\xbf\xbf"})
    CHECK(is_utf8(good));
  for (const char* wrong : {"\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x80\x80", "\xe2\x82", "\xed\xa0\x80",
                            "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff"})
    CHECK_FALSE(is_utf8(wrong));
}

TEST_CASE("Slices that overlap, leave gaps, lie outside or have no hashes are refused by the tensor's name") {
  const auto weight = [](Manifest& m) -> TensorRecord& { return m.tensors[0]; };
  // Elements.
  CHECK(has(refusal_after([&](Manifest& m) { weight(m).slices[1].first = 3; }), "'model/weight'"));
  CHECK(has(refusal_after([&](Manifest& m) { weight(m).slices[1].first = 5; }), "cover every element once"));
  CHECK(has(refusal_after([&](Manifest& m) { std::swap(weight(m).slices[0], weight(m).slices[1]); }), "in order"));
  CHECK(has(refusal_after([&](Manifest& m) { weight(m).slices.pop_back(); }), "only 4 of them"));
  CHECK(has(refusal_after([&](Manifest& m) { weight(m).slices[1].count = 3; }), "'model/weight'"));
  CHECK(has(refusal_after([&](Manifest& m) { weight(m).slices[1].count = ~std::uint64_t{0} - 3; }), "'model/weight'"));
  CHECK(has(refusal_after([&](Manifest& m) { weight(m).slices.push_back({6, 0, 0, 144, {}}); }), "'model/weight'"));
  CHECK(has(refusal_after([&](Manifest& m) { m.tensors[1].slices.push_back({0, 1, 0, 144, {1}}); }), "'model/empty'"));
  // Bytes.
  CHECK(has(refusal_after([&](Manifest& m) { weight(m).slices[0].part = 2; }), "part 2 of 2"));
  CHECK(has(refusal_after([&](Manifest& m) { weight(m).slices[0].part = ~0u; }), "part 4294967295"));
  CHECK(has(refusal_after([&](Manifest& m) { weight(m).slices[0].offset = 129; }), "does not lie within"));
  CHECK(has(refusal_after([&](Manifest& m) { weight(m).slices[0].offset = 127; }), "does not lie within"));
  CHECK(has(refusal_after([&](Manifest& m) { weight(m).slices[0].offset = ~std::uint64_t{0} - 7; }), "does not lie"));
  CHECK(has(refusal_after([&](Manifest& m) { m.tensors[2].slices[0].offset = 64; }), "overlap or leave gaps"));
  CHECK(has(refusal_after([&](Manifest& m) { m.parts[1].bytes = 81; }), "nothing is said of its bytes from 80"));
  CHECK(has(refusal_after([&](Manifest& m) { m.parts[1].header_bytes = 63; }), "overlap or leave gaps at byte 63"));
  CHECK(has(refusal_after([&](Manifest& m) { m.parts[1].bytes = 79; }), "does not lie within"));
  // Hashes.
  CHECK(has(refusal_after([&](Manifest& m) { weight(m).slices[0].chunk_xxh3.push_back(1); }), "3 hashes"));
  CHECK(has(refusal_after([&](Manifest& m) { weight(m).slices[0].chunk_xxh3.pop_back(); }), "1 hashes"));
  CHECK(has(refusal_after([&](Manifest& m) { m.chunk_bytes = 0; }), "chunks of 0 bytes"));
  CHECK(has(refusal_after([&](Manifest& m) { m.chunk_bytes = (std::uint64_t{64} << 20) + 1; }), "chunks of"));
  CHECK(has(refusal_after([&](Manifest& m) { m.world = 0; }), "0 ranks"));
  CHECK(has(refusal_after([&](Manifest& m) { m.tensors[2].name = "model/weight"; }), "'model/weight' is named twice"));
}

TEST_CASE("Shapes and sizes beyond 64 bits are refused, not wrapped") {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max();
  CHECK(has(refusal_after([&](Manifest& m) { m.tensors[0].shape = {most, most}; }), "too large"));
  CHECK(has(refusal_after([&](Manifest& m) {
              m.tensors[0].shape = {std::int64_t{1} << 32, std::int64_t{1} << 32, 6};
            }),
            "too large"));
  CHECK(has(refusal_after([&](Manifest& m) { m.tensors[0].shape = {std::int64_t{1} << 62}; }),
            "too large"));  // of 4 bytes
  CHECK(has(refusal_after([&](Manifest& m) { m.tensors[0].shape = {-6}; }), "an extent of 18446744073709551610"));
  CHECK(has(refusal_after([&](Manifest& m) { m.parts[0].bytes = std::uint64_t{1} << 63; }), "too large"));
  CHECK(has(refusal_after([&](Manifest& m) {
              for (PartRecord& part : m.parts) part.bytes = (std::uint64_t{1} << 61) + 1;
            }),
            "too large"));
  CHECK(has(refusal_after([&](Manifest& m) { m.parts[0].header_bytes = 7; }), "no header"));
  CHECK(has(refusal_after([&](Manifest& m) { m.parts[0].header_bytes = 145; }), "no header"));
  // Whoever verifies a header reads it whole.
  CHECK(has(refusal_after([&](Manifest& m) { m.parts[0].header_bytes = m.parts[0].bytes = std::uint64_t{1} << 40; }),
            "a header of 1099511627776 bytes"));

  proto::Entry message = message_of(known_manifest());
  message.mutable_manifest()->mutable_tensors(0)->set_dtype("f12");
  CHECK(has(refusal_of(framed(message.SerializeAsString())).message, "'f12'"));
  message = message_of(known_manifest());
  message.mutable_manifest()->mutable_values(0)->clear_value();
  CHECK(has(refusal_of(framed(message.SerializeAsString())).message, "has no value"));
  message = message_of(known_manifest());
  message.mutable_manifest()->mutable_values(0)->set_name("loss/scale");
  CHECK(has(refusal_of(framed(message.SerializeAsString())).message, "'loss/scale' has two values"));
}

TEST_CASE("A manifest names files of its folder only, and none of the journal") {
  const std::string nul("step/a\0b", 8);
  for (const std::string& name :
       {std::string(), std::string("/etc/passwd"), std::string("../x"), std::string("step/../../x"),
        std::string("step/.."), std::string("./x"), std::string("step//x"), std::string("step/"),
        std::string("step\\x"), std::string("step/a\nb"), nul, std::string("journal/00000001"),
        std::string(513, 'x')}) {
    CAPTURE(name);
    CHECK(has(refusal_after([&](Manifest& m) { m.parts[0].file = name; }), "a part has a name that leaves the folder"));
    CHECK(has(refusal_after([&](Manifest& m) { m.json_file = name; }), "its JSON has a name that leaves the folder"));
  }
  CHECK(has(refusal_after([&](Manifest& m) { m.parts[1].file = m.parts[0].file; }), "is named twice"));
  CHECK(has(refusal_after([&](Manifest& m) { m.json_file = m.parts[0].file; }), "or a part's"));
  CHECK(is_below("step-00000001/..x"));
  CHECK(is_below(std::string(512, 'x')));
}

TEST_CASE("What is said of a bad name is one short line") {
  const std::string name = "line\nbreak \x01 \xff é " + std::string(100000, 'x');
  CHECK(shown(name).size() <= 163);
  CHECK(has(shown(name), "'line?break ? ? é xxx"));
  const std::string said = refusal_after([&](Manifest& m) {
    m.tensors[0].name = "line\nbreak" + std::string(100000, 'x');
    m.tensors[0].slices.clear();
  });
  CHECK(said.size() < 400);
  CHECK(said.find('\n') == std::string::npos);
}

TEST_CASE("A hash of pieces is that of the whole") {
  std::vector<std::byte> bytes(5000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 7);
  for (const std::size_t piece : {1, 7, 64, 4999, 5000}) {
    Hash hash;
    for (std::size_t begin = 0; begin < bytes.size(); begin += piece)
      hash.add(std::span(bytes).subspan(begin, std::min(piece, bytes.size() - begin)));
    CHECK(hash.value() == hash_of(bytes));
  }
  CHECK(Hash().value() == hash_of({}));
  CHECK(hash_of({}) == 0x2d06800538d394c2);  // the published value of nothing
  CHECK(chunk_hashes(std::span(bytes).first(9), 4) ==
        std::vector<std::uint64_t>{hash_of(std::span(bytes).first(4)), hash_of(std::span(bytes).subspan(4, 4)),
                                   hash_of(std::span(bytes).subspan(8, 1))});
}

}  // namespace
