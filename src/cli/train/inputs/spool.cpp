// SPDX-License-Identifier: Apache-2.0
#include "cli/train/inputs/spool.hpp"

#include "trireme/base/error.hpp"
#include "trireme/data/record_io.hpp"

#include <cstdint>
#include <memory>

namespace trireme::cli {
namespace {

constexpr std::size_t most_records = 50'000;  // every one is a file

class Spool {
 public:
  explicit Spool(Scratch& scratch) : scratch_(scratch), buffer_(std::size_t{1} << 20) {}

  void begin_file() {
    files_.push_back(scratch_.new_file());
    file_ = std::make_unique<ScratchFile>(files_.back());
  }
  void add(data::ByteSource& source) {
    for (std::size_t got = buffer_.size(); got == buffer_.size();) {
      got = source.read(buffer_);
      file_->write({buffer_.data(), got});
      bytes_ += got;
    }
  }
  std::uint64_t bytes() const { return bytes_; }
  std::vector<std::filesystem::path> end() {
    file_.reset();
    return std::move(files_);
  }

 private:
  Scratch& scratch_;
  std::vector<std::uint8_t> buffer_;
  std::unique_ptr<ScratchFile> file_;
  std::vector<std::filesystem::path> files_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

std::vector<std::filesystem::path> spool_pipe(const platform::InputChannel& channel, bool apart, Scratch& scratch,
                                              const FifoWait& wait) {
  const std::string path = channel.path + "_0";
  FifoSource pipe(path, wait);
  Spool spool(scratch);
  if (!channel.record_io) {
    spool.begin_file();
    spool.add(pipe);
  } else {
    data::RecordIoReader records(pipe, path);
    for (std::size_t count = 0; records.next(); ++count) {
      if (count == most_records && apart) {
        fail(ErrorCode::invalid_argument,
             path + " has more than " + std::to_string(most_records) + " records: give larger objects");
      }
      if (count == 0 || apart) spool.begin_file();
      spool.add(records);
    }
  }
  if (spool.bytes() == 0 && channel.sharded) return {};  // other hosts may have all of it
  if (spool.bytes() == 0) fail(ErrorCode::invalid_argument, "nothing came through the pipe " + path);
  return spool.end();
}

}  // namespace trireme::cli
