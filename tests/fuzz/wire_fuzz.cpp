// SPDX-License-Identifier: Apache-2.0
// Reader against hostile bytes. The first byte of an input is the number of fields n (0 to 31), the next n bytes choose
// each field's kind, the rest is what is read.
#include "fuzz_target.hpp"
#include "trireme/net/wire.hpp"

#include <algorithm>

using trireme::net::Reader;
using trireme::net::Writer;

namespace {

/// Reads one field, and writes what was read; a text's limit and a span's length are small numbers taken from `choice`.
void copy_field(std::uint8_t choice, Reader& reader, Writer& writer) {
  std::size_t number = choice >> 3;
  switch (choice & 7) {
    case 0: writer.u8(reader.u8()); return;
    case 1: writer.u16(reader.u16()); return;
    case 2: writer.u32(reader.u32()); return;
    case 3: writer.u64(reader.u64()); return;
    case 4: writer.i32(reader.i32()); return;
    case 5: writer.bytes(reader.bytes(number)); return;
    case 6: writer.text(reader.text()); return;
    default: {
      std::string text = reader.text(number);
      promise(text.size() <= number, "a text keeps to its limit");
      writer.text(text);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto input = std::as_bytes(std::span(data, size));
  Reader script(input);
  auto choices = script.bytes(script.u8() & 31u);
  if (!script.ok()) return 0;
  auto bytes = input.subspan(1 + choices.size());
  Reader reader(bytes);
  Writer writer;
  for (std::byte choice : choices) {
    copy_field(std::to_integer<std::uint8_t>(choice), reader, writer);
    if (!reader.ok()) break;
  }
  if (reader.ok()) {
    auto written = writer.data();
    promise(written.size() <= bytes.size(), "no more is read than there is");
    promise(std::equal(written.begin(), written.end(), bytes.begin()),
            "what was read is written back as the same bytes");
    promise(reader.finished() == (written.size() == bytes.size()), "finished means that nothing is left over");
  } else {
    promise(reader.u64() == 0 && reader.text().empty() && reader.bytes(1).empty(), "a bad reader gives nothing");
    promise(!reader.ok() && !reader.finished(), "a bad reader stays bad");
  }
  return 0;
}
