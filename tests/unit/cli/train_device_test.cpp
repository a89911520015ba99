// SPDX-License-Identifier: Apache-2.0
// `--device`: what is refused before training, and the model that trains there.
#include "cli/train/device.hpp"
#include "cli/train/model.hpp"
#include "support/device_under_test.hpp"
#include "support/failures.hpp"
#include "trireme/data/aligned_buffer.hpp"

#include <catch2/catch.hpp>

#include <vector>

using namespace trireme;
using namespace trireme::cli;
using testing::error_of;

TEST_CASE("training on a device is refused in one line that says what is missing") {
  CHECK_NOTHROW(check_device({}, {}));
  TrainOptions asked;
  asked.device = ComputeDevice::cuda;
  const Error refused = error_of([&] { check_device(asked, {}); });
  CHECK(refused.code == ErrorCode::unsupported);
  CHECK_THAT(refused.message, Catch::Matchers::StartsWith("--device cuda: "));
  CHECK(refused.message.find('\n') == std::string::npos);
  // A device that nobody would train on is no reason to be silent.
  const platform::Environment environment({{"TRIREME_DEVICE", "cuda"}});
  CHECK_THAT(error_of([&] { check_device({}, environment); }).message, Catch::Contains("TRIREME_DEVICE is 'cuda'"));
  TrainOptions host;
  host.device_given = true;
  CHECK_NOTHROW(check_device(host, environment));
}

TEST_CASE("the classifier of a device is the host's, elsewhere") {
  TrainOptions options;
  options.device = ComputeDevice::cuda;
  options.hidden = {6};
  data::LabelledImages images;
  images.rows = 3;
  images.columns = 4;
  images.classes = 5;
  const auto host = make_model(options, images, 4);
  for (const auto& runtime : testing::runtimes_under_test()) {
    const device::OwnedStream stream(runtime, 0);
    const auto model = make_device_classifier(options, images, 4, {runtime, stream.get()});
    CHECK(model->description() == host->description());
    data::AlignedBuffer<float> features(48);
    for (std::size_t i = 0; i < 48; ++i) features.data()[i] = static_cast<float>(i % 7) - 3.0f;
    const std::vector<std::uint8_t> labels{0, 4, 2, 1};
    CHECK(model->forward_backward(features.span(), labels) ==
          Approx(host->forward_backward(features.span(), labels)).epsilon(1e-5));
    for (std::size_t p = 0; p < host->parameters().size(); ++p) {
      CHECK(model->parameters()[p].name == host->parameters()[p].name);
      CHECK(model->parameters()[p].value.device == Device{DeviceKind::cuda, 0});
    }
    options.model = "cnn";
    CHECK(error_of([&] {
            make_device_classifier(options, images, 4, {runtime, stream.get()});
          }).message == "--device cuda trains mlp in this version, not cnn");
    options.model = "mlp";
  }
}
