// SPDX-License-Identifier: Apache-2.0
#include "trireme/checkpoint/export.hpp"

#include "checkpoint/safetensors.hpp"
#include "support/failures.hpp"
#include "support/temporary_folder.hpp"
#include "trireme/checkpoint/local_files.hpp"
#include "trireme/models/weights_hash.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>

namespace {

using namespace trireme;
using Catch::Matchers::Contains;
using testing::error_of;
using testing::TemporaryFolder;

/// A tensor with made-up bits.
struct Tensor {
  Tensor(std::string given_name, DType dtype, std::vector<std::int64_t> given_shape, unsigned salt) {
    std::size_t count = 1;
    for (const std::int64_t extent : given_shape) count *= static_cast<std::size_t>(extent);
    bytes.resize(count * size_of(dtype));
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>((i * 37 + salt) % 251);
    parameter = {std::move(given_name), std::move(given_shape), TensorView(bytes.data(), count, dtype), {}};
  }
  std::vector<std::byte> bytes;
  Parameter parameter;
};

struct Model {
  explicit Model(unsigned salt)
      : weight("layer0.weight", DType::bf16, {3, 5}, salt),
        bias("layer0.bias", DType::bf16, {3}, salt + 1),
        scalar("scale", DType::bf16, {}, salt + 2),
        mean("norm.running_mean", DType::f32, {7}, salt + 3),
        parameters{weight.parameter, bias.parameter, scalar.parameter},
        buffers{mean.parameter} {}
  checkpoint::ModelExport with(std::string config) const {
    return {.parameters = parameters, .buffers = buffers, .config = std::move(config)};
  }
  Tensor weight, bias, scalar, mean;
  std::vector<Parameter> parameters, buffers;
};

std::string text_of(const checkpoint::FileSystem& files, const std::string& path) {
  const auto bytes = checkpoint::read_file(files, path, 1 << 20);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Whether the folder holds an export of this model and no other file.
void check_holds(const checkpoint::FileSystem& files, const std::string& folder, const Model& model,
                 const std::string& config) {
  CHECK(files.list(folder) == std::vector<std::string>{"config.json", "model.safetensors"});
  CHECK(text_of(files, folder + "/config.json") == config);
  const auto bytes = checkpoint::read_file(files, folder + "/model.safetensors", 1 << 20);
  const auto header = checkpoint::parse_safetensors(bytes, bytes.size(), "model.safetensors");
  CHECK(header.metadata == checkpoint::Metadata{{"format", "pt"}});
  REQUIRE(header.tensors.size() == 4);
  for (const Tensor* each : {&model.weight, &model.bias, &model.scalar, &model.mean}) {
    const auto found = std::find_if(header.tensors.begin(), header.tensors.end(),
                                    [&](const auto& tensor) { return tensor.name == each->parameter.name; });
    REQUIRE(found != header.tensors.end());
    CHECK(found->dtype == each->parameter.value.dtype);
    CHECK(found->shape == each->parameter.shape);
    CHECK((header.header_bytes + found->begin) % size_of(found->dtype) == 0);
    REQUIRE(found->size_bytes() == each->bytes.size());
    CHECK(std::memcmp(bytes.data() + header.header_bytes + found->begin, each->bytes.data(), each->bytes.size()) == 0);
  }
}

/// Local files whose operations fail from the n-th change of names on, as if the writer had died there; or that have no
/// renames, and no second names.
class Failing final : public checkpoint::FileSystem {
 public:
  Failing(int changes, bool renames, bool links) : left_(changes), renames_(renames), links_(links) {}
  void make_folder(const std::string& path) override { files_->make_folder(path); }
  std::vector<std::string> list(const std::string& folder) const override { return files_->list(folder); }
  std::optional<std::uint64_t> size(const std::string& path) const override { return files_->size(path); }
  std::unique_ptr<checkpoint::OutputFile> create(const std::string& path) override {
    change();
    return files_->create(path);
  }
  std::unique_ptr<checkpoint::InputFile> open(const std::string& path) const override { return files_->open(path); }
  std::optional<bool> link(const std::string& from, const std::string& to) override {
    change();
    if (!links_) return std::nullopt;
    return files_->link(from, to);
  }
  void replace(const std::string& from, const std::string& to) override {
    if (!renames_) return FileSystem::replace(from, to);
    change();
    files_->replace(from, to);
  }
  void sync_folder(const std::string& folder) override { files_->sync_folder(folder); }
  bool remove(const std::string& path) override {
    change();
    return files_->remove(path);
  }
  bool remove_folder(const std::string& path) override { return files_->remove_folder(path); }

 private:
  void change() {
    if (left_-- <= 0) fail(ErrorCode::system, "died");
  }
  std::unique_ptr<checkpoint::FileSystem> files_ = checkpoint::local_files();
  int left_;
  bool renames_, links_;
};

TEST_CASE("An export holds every tensor whole under its name, and the config as given") {
  const TemporaryFolder folder;
  const auto files = checkpoint::local_files();
  const std::string path = folder.path() + "/a/model";
  const Model model(1);
  const std::uint64_t bytes = checkpoint::export_model(*files, path, model.with("{\"one\": 1}"));
  CHECK(files->size(path + "/model.safetensors") == bytes);
  check_holds(*files, path, model, "{\"one\": 1}");
}

TEST_CASE("An export of one type holds the parameters in order: their bytes have the hash of the weights") {
  const TemporaryFolder folder;
  const auto files = checkpoint::local_files();
  const Model model(3);
  checkpoint::export_model(*files, folder.path(), {.parameters = model.parameters, .config = "{}"});
  auto bytes = checkpoint::read_file(*files, folder.path() + "/model.safetensors", 1 << 20);
  const auto header = checkpoint::parse_safetensors(bytes, bytes.size(), "model.safetensors");
  const std::size_t count = bytes.size() - header.header_bytes;
  const std::vector<Parameter> one{{"all",
                                    {static_cast<std::int64_t>(count)},
                                    TensorView(bytes.data() + header.header_bytes, count, DType::u8),
                                    {}}};
  CHECK(models::weights_hash(one) == models::weights_hash(model.parameters));
}

TEST_CASE("An export takes the place of an earlier one") {
  const TemporaryFolder folder;
  const auto files = checkpoint::local_files();
  checkpoint::export_model(*files, folder.path(), Model(1).with("first, and longer"));
  const Model second(2);
  checkpoint::export_model(*files, folder.path(), second.with("second"));
  check_holds(*files, folder.path(), second, "second");
}

TEST_CASE(
    "Whenever an export breaks off, config.json is there with its own model or not at all, and the next one succeeds") {
  const bool renames = GENERATE(true, false);
  const bool links = GENERATE(true, false);
  const auto files = checkpoint::local_files();
  const Model first(1), second(2);
  bool complete = false;
  int broken = 0;
  for (int changes = 0; !complete; ++changes) {
    const TemporaryFolder folder;
    checkpoint::export_model(*files, folder.path(), first.with("first"));
    Failing failing(changes, renames, links);
    try {
      checkpoint::export_model(failing, folder.path(), second.with("second"));
      complete = true;
    } catch (const Exception&) {
      ++broken;
    }
    for (const std::string& name : files->list(folder.path())) {
      const bool known = name == "config.json" || name == "model.safetensors" || name == "config.json.writing" ||
                         name == "model.safetensors.writing";
      CHECK(known);
    }
    if (files->size(folder.path() + "/config.json")) {
      const std::string config = text_of(*files, folder.path() + "/config.json");
      for (const auto& [model, own] : {std::pair(&first, "first"), std::pair(&second, "second")}) {
        if (config != own) continue;
        const auto bytes = checkpoint::read_file(*files, folder.path() + "/model.safetensors", 1 << 20);
        const auto header = checkpoint::parse_safetensors(bytes, bytes.size(), "model.safetensors");
        const auto& last = header.tensors.front();  // of 4 bytes: the running mean
        CHECK(std::memcmp(bytes.data() + header.header_bytes + last.begin, model->mean.bytes.data(),
                          last.size_bytes()) == 0);
      }
      CHECK((config == "first" || config == "second" || config.empty()));
    }
    checkpoint::export_model(*files, folder.path(), second.with("second"));
    check_holds(*files, folder.path(), second, "second");
  }
  CHECK(broken >= 6);
}

TEST_CASE("A folder that cannot be written is refused, and one that can is left as it was") {
  const TemporaryFolder folder;
  const auto files = checkpoint::local_files();
  const Model model(1);
  checkpoint::export_model(*files, folder.path(), model.with("first"));
  checkpoint::check_export_folder(*files, folder.path());
  check_holds(*files, folder.path(), model, "first");
  const std::string blocked = folder.path() + "/config.json/below";
  const auto failure = error_of([&] { checkpoint::check_export_folder(*files, blocked); });
  CHECK(failure.code == ErrorCode::invalid_argument);
  CHECK_THAT(failure.message, Contains("cannot write in " + blocked + ": cannot make the folder " + blocked + ": "));
}

TEST_CASE("Tensors that a file cannot hold are refused by name, and nothing is written") {
  const TemporaryFolder folder;
  const auto files = checkpoint::local_files();
  const Tensor good("weight", DType::f32, {2, 3}, 1);
  const auto refusal = [&](const std::function<void(Parameter&)>& spoil) {
    Parameter other = good.parameter;
    other.name = "other";
    spoil(other);
    const std::vector<Parameter> list{good.parameter, other};
    const auto failure =
        error_of([&] { checkpoint::export_model(*files, folder.path(), {.parameters = list, .config = "{}"}); });
    CHECK(files->list(folder.path()).empty());
    return failure.message;
  };
  CHECK_THAT(refusal([](Parameter& p) { p.name = "weight"; }), Contains("'weight' is there twice"));
  CHECK_THAT(refusal([](Parameter& p) { p.name.clear(); }), Contains("has no name"));
  CHECK_THAT(refusal([](Parameter& p) { p.name = "__metadata__"; }), Contains("__metadata__"));
  CHECK_THAT(refusal([](Parameter& p) { p.shape = {2, 2}; }), Contains("'other' has 6 values, and a shape of 4"));
  CHECK_THAT(refusal([](Parameter& p) { p.shape = {-2, -3}; }), Contains("impossible shape"));
  CHECK_THAT(refusal([](Parameter& p) { p.value.device = {DeviceKind::cuda, 0}; }), Contains("not in host memory"));
}

}  // namespace
