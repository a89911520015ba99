// SPDX-License-Identifier: Apache-2.0
// IdxFile against hostile bytes, plain or gzip: an array whose size is what its header says, or one trireme::Exception.
#include "fuzz_target.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/idx.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr trireme::Bytes limit{1 << 20};
  try {
    trireme::data::MemorySource source({data, size});
    const auto file = trireme::data::IdxFile::parse(source, "fuzz input", limit);
    std::size_t product = 1;
    for (std::size_t extent : file.dimensions()) product *= extent;
    promise(!file.dimensions().empty() && file.dimensions().size() <= 4, "the rank is 1 to 4");
    promise(product == file.elements().size(), "there are as many elements as the header announces");
    promise(product <= limit.value, "the limit holds");
  } catch (const trireme::Exception& exception) {
    promise(exception.error().message.find("fuzz input") != std::string::npos, "an error names its file");
  }
  return 0;
}
