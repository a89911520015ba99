// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/safetensors.hpp"

#include "support/failures.hpp"
#include "support/stride.hpp"

#include <catch2/catch.hpp>

#include <cstring>
#include <string>
#include <vector>

namespace {

using namespace trireme;
using namespace trireme::checkpoint;
using testing::error_of;
using testing::has;

std::vector<std::byte> with_length(std::uint64_t length, const std::string& json) {
  std::vector<std::byte> bytes(8 + json.size());
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, json.data(), json.size());
  return bytes;
}

SafeTensors parsed(const std::string& json, std::uint64_t data_bytes) {
  const auto begin = with_length(json.size(), json);
  return parse_safetensors(begin, begin.size() + data_bytes, "file-a");
}

/// What is said of a header with so many bytes of data behind it.
std::string said_of(const std::string& json, std::uint64_t data_bytes) {
  const Error error = error_of([&] { parsed(json, data_bytes); });
  CHECK(error.code == ErrorCode::corrupt);
  CHECK(has(error.message, "file-a"));
  CHECK(error.message.size() < 600);
  return error.message;
}

std::string tensor(const std::string& shape, const std::string& offsets, const std::string& dtype = "\"U8\"") {
  return R"({"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

TEST_CASE("A safetensors header is read back as it was written, with all dtypes") {
  std::vector<SafeTensor> tensors;
  std::uint64_t begin = 0;
  for (int d = 0; d < dtype_count; ++d) {
    const auto dtype = static_cast<DType>(d);
    for (const std::vector<std::int64_t>& shape : {std::vector<std::int64_t>{3, 2}, {}, {0, 7}, {1, 1, 1, 1, 1}}) {
      std::uint64_t bytes = size_of(dtype);
      for (const std::int64_t extent : shape) bytes *= static_cast<std::uint64_t>(extent);
      tensors.push_back({"t " + std::to_string(tensors.size() + 100), dtype, shape, begin, begin + bytes});
      begin += bytes;
    }
  }
  tensors[0].name = "quotes \" and \\ and \n and é and \x01";
  const Metadata metadata{{"format", "pt"}, {"a \"", "b\n"}, {"", ""}};
  const auto header = safetensors_header(tensors, metadata);
  CHECK(header.size() % 64 == 0);
  CHECK(safetensors_header_bytes(header, header.size() + begin, "file-a") == header.size());

  const SafeTensors file = parse_safetensors(header, header.size() + begin, "file-a");
  CHECK(file.header_bytes == header.size());
  CHECK(file.metadata == metadata);
  REQUIRE(file.tensors.size() == tensors.size());
  for (const SafeTensor& read : file.tensors) {
    const auto written =
        std::find_if(tensors.begin(), tensors.end(), [&](const SafeTensor& each) { return each.name == read.name; });
    REQUIRE(written != tensors.end());
    CHECK(read.dtype == written->dtype);
    CHECK(read.shape == written->shape);
    CHECK(read.begin == written->begin);
    CHECK(read.end == written->end);
  }
  CHECK(parse_safetensors(safetensors_header({}, {}), 64, "file-a").tensors.empty());
}

TEST_CASE("Names that a header cannot carry are refused when it is written") {
  for (const std::string name : {"__metadata__", "a\xff", "twice"}) {
    const std::vector<SafeTensor> tensors{{"twice", DType::u8, {0}, 0, 0}, {name, DType::u8, {0}, 0, 0}};
    CHECK(error_of([&] { safetensors_header(tensors, {}); }).code == ErrorCode::invalid_argument);
  }
}

TEST_CASE("A length that the file does not have is refused before anything is made of it") {
  const auto said = [](std::uint64_t length, const std::string& json, std::uint64_t file_bytes) {
    const auto begin = with_length(length, json);
    const Error error = error_of([&] { parse_safetensors(begin, file_bytes, "file-a"); });
    CHECK(error.code == ErrorCode::corrupt);
    return error.message;
  };
  CHECK(has(said(~std::uint64_t{0}, "{}", ~std::uint64_t{0}), "18446744073709551615 bytes"));
  CHECK(has(said(std::uint64_t{1} << 63, "{}", 10), "in a file of 10"));
  CHECK(has(said(3, "{}", 10), "in a file of 10"));
  CHECK(has(said(100'000'001, "{}", 200'000'000), "100000001 bytes"));
  CHECK(has(said(100'000'000, "{}", 200'000'000), "cut off"));
  CHECK(has(error_of([] { parse_safetensors(std::vector<std::byte>(7), 7, "file-a"); }).message, "shorter"));
  CHECK(has(error_of([] { parse_safetensors({}, 0, "file-a"); }).message, "shorter"));
  CHECK(has(said(0, "", 8), "no JSON"));
}

TEST_CASE("What is no header of tensors is refused") {
  for (const char* json : {"", "{", "[]", "1", "null", "\"x\"", "{}x", "{\"a\":}", "{'a':1}", "{\"a\":1,}", "// x\n{}"})
    said_of(json, 0);
  for (const char* value : {"1", "null", "[]", "{}", "\"x\""}) said_of(R"({"a":)" + std::string(value) + "}", 0);
  CHECK(has(said_of(R"({"a":{"dtype":"U8","shape":[0]}})", 0), "'a' lacks"));
  CHECK(has(said_of("{\"a\":" + tensor("3", "[0,3]") + "}", 3), "'a' has no shape"));
  CHECK(has(said_of("{\"a\":" + tensor("[3]", "3") + "}", 3), "no data_offsets"));
  CHECK(has(said_of("{\"a\":" + tensor("[3]", "[0]") + "}", 3), "no data_offsets"));
  CHECK(has(said_of("{\"a\":" + tensor("[3]", "[0,3,3]") + "}", 3), "no data_offsets"));
  CHECK(has(said_of("{\"a\":" + tensor("[3]", "[0,3]", "8") + "}", 3), "dtype"));
  CHECK(has(said_of(R"({"__metadata__":[]})", 0), "__metadata__"));
  CHECK(has(said_of(R"({"__metadata__":{"a":1}})", 0), "more than texts"));
  CHECK(has(said_of("{\"a\xff\":" + tensor("[3]", "[0,3]") + "}", 3), "no JSON"));
  CHECK(has(said_of("{\"\\ud800\":" + tensor("[3]", "[0,3]") + "}", 3), "no JSON"));
}

TEST_CASE("A dtype that is not ours is not supported, which is no damage") {
  const Error error = error_of([] { parsed("{\"a\":" + tensor("[2]", "[0,4]", "\"I16\"") + "}", 4); });
  CHECK(error.code == ErrorCode::unsupported);
  CHECK(has(error.message, "file-a: tensor 'a' has the dtype 'I16'"));
}

TEST_CASE("Names stand once, at every depth, and brackets are nested no deeper than tensors need") {
  const std::string a = tensor("[1]", "[0,1]"), b = tensor("[1]", "[1,2]");
  CHECK(has(said_of("{\"a\":" + a + ",\"a\":" + b + "}", 2), "tensor 'a' is there twice"));
  CHECK(has(said_of("{\"a\":" + a + ",\"\\u0061\":" + b + "}", 2), "tensor 'a' is there twice"));
  CHECK(has(said_of(R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1),
            "'dtype' is there twice"));
  CHECK(has(said_of(R"({"__metadata__":{"x":"1","x":"2"}})", 0), "'x' is there twice"));
  CHECK(parsed("{\"a\":" + a + ",\"b\":" + b + "}", 2).tensors.size() == 2);  // which have the same keys

  CHECK(has(said_of("{\"a\":" + std::string(1'000'000, '[') + std::string(1'000'000, ']') + "}", 0), "too deeply"));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  CHECK(has(said_of(objects, 0), "too deeply"));
}

TEST_CASE("Headers of very many tensors, or of very many brackets, take time in proportion to them", "[sequential]") {
  std::vector<SafeTensor> many;
  for (std::uint64_t i = 0; i < 100'000 / testing::stride; ++i)
    many.push_back({"t" + std::to_string(i), DType::u8, {1}, i, i + 1});
  const auto header = safetensors_header(many, {});
  CHECK(parse_safetensors(header, header.size() + many.size(), "file-a").tensors.size() == many.size());
  std::string objects = "{\"a\":[{}";
  for (std::size_t i = 0; i < 300'000 / testing::stride; ++i) objects += ",{}";
  CHECK(has(said_of(objects + "]}", 0), "lacks dtype"));
}

TEST_CASE("Extents and offsets are whole numbers that fit") {
  for (const char* extent : {"-1", "1.0", "1e0", "\"1\"", "null", "[1]", "true", "18446744073709551616"})
    said_of("{\"a\":" + tensor("[" + std::string(extent) + "]", "[0,1]") + "}", 1);
  for (const char* offsets :
       {"[-1,0]", "[0.0,1]", "[0,1.0]", "[0,\"1\"]", "[0,18446744073709551617]", "[1,0]", "[2,1]"})
    said_of("{\"a\":" + tensor("[1]", offsets) + "}", 1);
  for (const char* shape : {"[9223372036854775808]", "[4611686018427387905]", "[4294967296,4294967296]",
                            "[4294967296,4294967296,0]", "[2305843009213693952,8]"})
    CHECK(has(said_of("{\"a\":" + tensor(shape, "[0,0]", "\"F64\"") + "}", 0), "beyond all memory"));
  CHECK(has(said_of("{\"a\":" + tensor("[2]", "[0,3]") + "}", 3), "the bytes of its shape"));
  CHECK(has(said_of("{\"a\":" + tensor("[2]", "[0,2]", "\"F32\"") + "}", 2), "the bytes of its shape"));
  // 2^64 + 1 elements of one byte would be one byte.
  CHECK(has(said_of("{\"a\":" + tensor("[274177,67280421310721]", "[0,1]") + "}", 1), "beyond all memory"));
}

TEST_CASE("Tensors cover the file: no gap, no overlap, nothing behind the last") {
  const auto two = [](const char* first, const char* second) {
    return "{\"a\":" + tensor("[4]", first) + ",\"b\":" + tensor("[4]", second) + "}";
  };
  CHECK(parsed(two("[0,4]", "[4,8]"), 8).tensors[0].name == "a");
  CHECK(parsed(two("[4,8]", "[0,4]"), 8).tensors[0].name == "b");  // in the order of their bytes
  CHECK(has(said_of(two("[0,4]", "[5,9]"), 9), "'b' overlaps another, or there is a gap before it"));
  CHECK(has(said_of(two("[0,4]", "[3,7]"), 7), "'b'"));
  CHECK(has(said_of(two("[0,4]", "[0,4]"), 4), "'b'"));
  CHECK(has(said_of(two("[1,5]", "[5,9]"), 9), "'a'"));
  CHECK(has(said_of(two("[0,4]", "[4,8]"), 7), "end at byte 8 of 7"));
  CHECK(has(said_of(two("[0,4]", "[4,8]"), 9), "end at byte 8 of 9"));
  CHECK(has(said_of("{}", 1), "end at byte 0 of 1"));
  const std::string empties = "{\"a\":" + tensor("[0]", "[4,4]") + ",\"b\":" + tensor("[4]", "[0,4]") +
                              ",\"c\":" + tensor("[0,9]", "[0,0]") + "}";
  CHECK(parsed(empties, 4).tensors.size() == 3);
}

}  // namespace
