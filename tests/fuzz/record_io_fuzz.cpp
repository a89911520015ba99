// SPDX-License-Identifier: Apache-2.0
// RecordIoReader against hostile bytes: records whose bytes are those of the stream, or one trireme::Exception.
#include "fuzz_target.hpp"
#include "trireme/base/error.hpp"
#include "trireme/data/record_io.hpp"

#include <array>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  trireme::data::MemorySource source({data, size});
  trireme::data::RecordIoReader records(source, "fuzz input");
  std::size_t bytes = 0, count = 0;
  std::array<std::uint8_t, 7> piece{};
  try {
    while (records.next()) {
      ++count;
      for (std::size_t got = piece.size(); got == piece.size();) {
        got = records.read(piece);
        bytes += got;
      }
    }
    promise(count * 8 <= size, "every record has a header");
  } catch (const trireme::Exception& exception) {
    promise(exception.error().code == trireme::ErrorCode::corrupt, "damage is what is wrong with it");
    promise(exception.error().message.find("fuzz input") != std::string::npos, "an error names its stream");
  }
  promise(bytes <= size, "no byte comes from nowhere");
  return 0;
}
