// SPDX-License-Identifier: Apache-2.0
#include "trireme/base/error.hpp"
#include "trireme/data/byte_source.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <limits>
#include <new>
#include <vector>

namespace trireme::data {
namespace {

/// `inner` with some bytes that were already read from it put back in front.
class RewoundSource final : public ByteSource {
 public:
  RewoundSource(std::span<const std::uint8_t> front, ByteSource& inner) : inner_(inner), left_(front.size()) {
    std::copy(front.begin(), front.end(), front_.end() - static_cast<std::ptrdiff_t>(front.size()));
  }

  std::size_t read(std::span<std::uint8_t> out) override {
    const std::size_t replayed = std::min(out.size(), left_);
    std::copy_n(front_.end() - static_cast<std::ptrdiff_t>(left_), replayed, out.begin());
    left_ -= replayed;
    return replayed + inner_.read(out.subspan(replayed));
  }

 private:
  ByteSource& inner_;
  std::array<std::uint8_t, 2> front_{};
  std::size_t left_;
};

class GzipSource final : public ByteSource {
 public:
  GzipSource(RewoundSource inner, std::string name) : inner_(inner), name_(std::move(name)), input_(64 * 1024) {
    constexpr int gzip_only = 15 + 16;  // window bits, and the offset by which zlib takes gzip headers and no others
    if (inflateInit2(&stream_, gzip_only) != Z_OK) throw std::bad_alloc();
  }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;
  ~GzipSource() override { inflateEnd(&stream_); }

  std::size_t read(std::span<std::uint8_t> out) override {
    std::size_t done = 0;
    while (done < out.size() && !finished_) done += inflate_into(out.subspan(done));
    return done;
  }

 private:
  std::size_t inflate_into(std::span<std::uint8_t> out) {
    if (stream_.avail_in == 0) {
      const std::size_t got = inner_.read(input_);
      if (got == 0) {
        if (!between_members_) fail(ErrorCode::corrupt, name_ + ": the gzip data ends early (truncated file?)");
        finished_ = true;
        return 0;
      }
      stream_.next_in = input_.data();
      stream_.avail_in = static_cast<uInt>(got);
    }
    between_members_ = false;
    const std::size_t room = std::min<std::size_t>(out.size(), std::numeric_limits<uInt>::max());
    stream_.next_out = out.data();
    stream_.avail_out = static_cast<uInt>(room);
    const int status = inflate(&stream_, Z_NO_FLUSH);
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status == Z_STREAM_END) {
      inflateReset(&stream_);
      between_members_ = true;
    } else if (status != Z_OK) {
      fail(ErrorCode::corrupt, name_ + ": damaged gzip data (" +
                                   (stream_.msg != nullptr ? stream_.msg : "no progress") + "): copy the file again");
    }
    return room - stream_.avail_out;
  }

  RewoundSource inner_;
  std::string name_;
  std::vector<std::uint8_t> input_;
  z_stream stream_{};
  bool between_members_ = false;
  bool finished_ = false;
};

}  // namespace

std::unique_ptr<ByteSource> gunzip_if_compressed(ByteSource& inner, std::string name) {
  std::array<std::uint8_t, 2> magic{};
  const std::size_t got = inner.read(magic);
  RewoundSource rewound(std::span<const std::uint8_t>(magic).first(got), inner);
  if (got == 2 && magic[0] == 0x1f && magic[1] == 0x8b) {
    return std::make_unique<GzipSource>(rewound, std::move(name));
  }
  return std::make_unique<RewoundSource>(rewound);
}

}  // namespace trireme::data
