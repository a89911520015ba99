// SPDX-License-Identifier: Apache-2.0
#include "cli/perf/json_file.hpp"

#include "trireme/base/error.hpp"

#include <cerrno>
#include <cstring>

#include <sys/stat.h>
#include <unistd.h>

namespace trireme::cli {

JsonFile::JsonFile(std::string path) : path_(std::move(path)), file_(std::fopen(path_.c_str(), "we")) {
  if (!file_) fail(ErrorCode::invalid_argument, "--json: cannot write '" + path_ + "': " + std::strerror(errno));
  struct stat status {};
  rewritable_ = ::fstat(::fileno(file_.get()), &status) == 0 && S_ISREG(status.st_mode);
}

JsonFile::~JsonFile() {
  if (file_ && pending_) put();
}

bool JsonFile::put() noexcept {
  pending_ = false;
  if (rewritable_) std::rewind(file_.get());
  const bool written =
      std::fwrite(text_.data(), 1, text_.size(), file_.get()) == text_.size() && std::fflush(file_.get()) == 0;
  return written && (!rewritable_ || ::ftruncate(::fileno(file_.get()), static_cast<off_t>(text_.size())) == 0);
}

void JsonFile::write(std::string text) {
  text_ = std::move(text);
  pending_ = true;
  if (rewritable_) finish();
}

void JsonFile::finish() {
  if (pending_ && !put()) fail_system("--json: writing '" + path_ + "'", errno);
}

}  // namespace trireme::cli
