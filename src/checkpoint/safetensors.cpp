// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/safetensors.hpp"

#include "checkpoint/foreign_text.hpp"
#include "trireme/base/error.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

namespace trireme::checkpoint {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t length_bytes = 8;
constexpr std::size_t alignment = 64;

struct Name {
  DType dtype;
  std::string_view text;
};
constexpr std::array<Name, dtype_count> names{{{DType::f64, "F64"},
                                               {DType::f32, "F32"},
                                               {DType::f16, "F16"},
                                               {DType::bf16, "BF16"},
                                               {DType::f8e4m3, "F8_E4M3"},
                                               {DType::f8e5m2, "F8_E5M2"},
                                               {DType::i64, "I64"},
                                               {DType::i32, "I32"},
                                               {DType::i8, "I8"},
                                               {DType::u64, "U64"},
                                               {DType::u32, "U32"},
                                               {DType::u8, "U8"},
                                               {DType::boolean, "BOOL"}}};

[[noreturn]] void refuse_header(const std::string& where, const std::string& what) {
  fail(ErrorCode::corrupt, where + " is no good safetensors file: " + what);
}

std::string_view text_of(DType dtype) {
  return std::find_if(names.begin(), names.end(), [&](const Name& each) { return each.dtype == dtype; })->text;
}

/// A header may be nested no deeper than the format is, lest brackets fill the stack, and has every name once. A pass of its
/// own: the parser's callbacks take time in the square of the number of tensors.
class HeaderGuard final : public nlohmann::json_sax<Json> {
 public:
  explicit HeaderGuard(const std::string& where) : where_(where) {}

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override {
    descend();
    seen_[depth_ - 1].clear();
    return true;
  }
  bool key(string_t& name) override {
    if (!seen_[depth_ - 1].insert(name).second)
      refuse_header(where_, (depth_ == 1 ? "tensor " : "") + shown(name) + " is there twice");
    return true;
  }
  bool end_object() override { return ascend(); }
  bool start_array(std::size_t) override {
    descend();
    return true;
  }
  bool end_array() override { return ascend(); }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  void descend() {
    if (depth_ == seen_.size()) refuse_header(where_, "its header is nested too deeply");
    ++depth_;
  }
  bool ascend() {
    --depth_;
    return true;
  }

  const std::string& where_;
  std::size_t depth_ = 0;
  std::array<std::set<std::string>, 3> seen_;  // by depth
};

std::uint64_t whole(const Json& json, const std::string& where, const std::string& what) {
  if (!json.is_number_unsigned()) refuse_header(where, what + " is no whole number");
  return json.get<std::uint64_t>();
}

SafeTensor tensor_of(const std::string& name, const Json& json, const std::string& where) {
  const std::string what = "tensor " + shown(name);
  if (!json.is_object() || !json.contains("dtype") || !json.contains("shape") || !json.contains("data_offsets"))
    refuse_header(where, what + " lacks dtype, shape or data_offsets");
  SafeTensor tensor{.name = name, .dtype = DType::f32, .shape{}, .begin = 0, .end = 0};
  const Json& dtype = json["dtype"];
  const auto known = std::find_if(names.begin(), names.end(), [&](const Name& each) { return dtype == each.text; });
  if (known == names.end() && !dtype.is_string()) refuse_header(where, what + " has a dtype that is no text");
  if (known == names.end())
    fail(ErrorCode::unsupported, where + ": " + what + " has the dtype " + shown(dtype.get_ref<const std::string&>()) +
                                     ", which this program does not know");
  tensor.dtype = known->dtype;
  std::uint64_t bytes = size_of(tensor.dtype);
  if (!json["shape"].is_array()) refuse_header(where, what + " has no shape");
  for (const Json& extent : json["shape"]) {
    const std::uint64_t value = whole(extent, where, what + ": an extent");
    if (value > std::uint64_t{1} << 62 || __builtin_mul_overflow(bytes, value, &bytes))
      refuse_header(where, what + " has a shape beyond all memory");
    tensor.shape.push_back(static_cast<std::int64_t>(value));
  }
  const Json& offsets = json["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2) refuse_header(where, what + " has no data_offsets");
  tensor.begin = whole(offsets[0], where, what + ": an offset");
  tensor.end = whole(offsets[1], where, what + ": an offset");
  if (tensor.end < tensor.begin || tensor.size_bytes() != bytes)
    refuse_header(where, what + " does not have the bytes of its shape");
  return tensor;
}

void check_cover(std::vector<SafeTensor>& tensors, std::uint64_t data_bytes, const std::string& where) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const SafeTensor& a, const SafeTensor& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  std::uint64_t end = 0;
  for (const SafeTensor& each : tensors) {
    if (each.begin != end)
      refuse_header(where, "tensor " + shown(each.name) + " overlaps another, or there is a gap before it");
    end = each.end;
  }
  if (end != data_bytes)
    refuse_header(where,
                  "its tensors end at byte " + std::to_string(end) + " of " + std::to_string(data_bytes) + " of data");
}

}  // namespace

std::vector<std::byte> safetensors_header(std::span<const SafeTensor> tensors, const Metadata& metadata) {
  std::string text = "{";
  if (!metadata.empty())
    text += "\"__metadata__\":" + Json(metadata).dump(-1, ' ', false, Json::error_handler_t::replace);
  std::set<std::string_view> seen{"__metadata__"};
  for (const SafeTensor& each : tensors) {
    if (!is_utf8(each.name) || !seen.insert(each.name).second)
      fail(ErrorCode::invalid_argument, "a tensor of a safetensors file cannot be named " + shown(each.name) +
                                            ": the name is not UTF-8, is taken, or means something else");
    if (text.size() > 1) text += ',';
    text += Json(each.name).dump() + ":{\"dtype\":\"" + std::string(text_of(each.dtype)) +
            "\",\"shape\":" + Json(each.shape).dump() + ",\"data_offsets\":[" + std::to_string(each.begin) + "," +
            std::to_string(each.end) + "]}";
  }
  text += '}';
  text.resize((length_bytes + text.size() + alignment - 1) / alignment * alignment - length_bytes, ' ');
  const std::uint64_t length = text.size();
  if (length > most_header_bytes - length_bytes)
    fail(ErrorCode::invalid_argument, "a safetensors header of " + std::to_string(length) + " bytes: it has a limit");
  std::vector<std::byte> bytes(length_bytes + text.size());
  std::memcpy(bytes.data(), &length, sizeof length);
  std::memcpy(bytes.data() + length_bytes, text.data(), text.size());
  return bytes;
}

std::uint64_t safetensors_header_bytes(std::span<const std::byte> begin, std::uint64_t file_bytes,
                                       const std::string& where) {
  if (begin.size() < length_bytes || file_bytes < length_bytes)
    refuse_header(where, "it is shorter than the length of a header");
  std::uint64_t length = 0;
  std::memcpy(&length, begin.data(), sizeof length);
  if (length > most_header_bytes - length_bytes || length > file_bytes - length_bytes)
    refuse_header(where, "a header of " + std::to_string(length) + " bytes in a file of " + std::to_string(file_bytes));
  return length_bytes + length;
}

SafeTensors parse_safetensors(std::span<const std::byte> begin, std::uint64_t file_bytes, const std::string& where) {
  SafeTensors file{.header_bytes = safetensors_header_bytes(begin, file_bytes, where), .tensors{}, .metadata{}};
  if (begin.size() < file.header_bytes) refuse_header(where, "its header is cut off");
  const auto* text = reinterpret_cast<const char*>(begin.data());
  Json json;
  try {
    HeaderGuard guard(where);
    Json::sax_parse(text + length_bytes, text + file.header_bytes, &guard);
    json = Json::parse(text + length_bytes, text + file.header_bytes);
  } catch (const Json::exception& error) {
    refuse_header(where, "its header is no JSON: " + shown(error.what()));
  }
  if (!json.is_object()) refuse_header(where, "its header is no JSON object");
  for (const auto& [name, value] : json.items()) {
    if (name != "__metadata__") {
      file.tensors.push_back(tensor_of(name, value, where));
      continue;
    }
    if (!value.is_object()) refuse_header(where, "__metadata__ is no object");
    for (const auto& [key, entry] : value.items()) {
      if (!entry.is_string()) refuse_header(where, "__metadata__ holds more than texts");
      file.metadata[key] = entry.get<std::string>();
    }
  }
  check_cover(file.tensors, file_bytes - file.header_bytes, where);
  return file;
}

}  // namespace trireme::checkpoint
