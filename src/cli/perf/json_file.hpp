// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdio>
#include <memory>
#include <string>

namespace trireme::cli {

/// A file that always holds a whole text: after every write() the latest one. What cannot be rewritten (a pipe, a device)
/// gets the last text, at the end.
class JsonFile {
 public:
  /// Opened before anything is measured: a wrong path is better known now. Errors: invalid_argument.
  explicit JsonFile(std::string path);
  JsonFile(JsonFile&&) = default;
  /// Writes what is not written yet, as far as possible.
  ~JsonFile();

  /// Errors: system.
  void write(std::string text);
  /// Errors: system.
  void finish();

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  bool put() noexcept;

  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  bool rewritable_ = false;
  bool pending_ = false;
  std::string text_;
};

}  // namespace trireme::cli
