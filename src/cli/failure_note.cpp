// SPDX-License-Identifier: Apache-2.0
#include "cli/failure_note.hpp"

#include "cli/write_all.hpp"
#include "platform/sagemaker_files.hpp"
#include "trireme/base/error.hpp"
#include "trireme/platform/secret_variable.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace trireme::cli {
namespace {

constexpr std::size_t file_limit = 1024, message_limit = 4096;
constexpr std::size_t shortest_secret = 4;

bool speaks_of_a_secret(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::toupper(c); });
  for (const char* word : {"TOKEN", "KEY", "SECRET", "PASSWORD", "CREDENTIAL"}) {
    if (name.find(word) != std::string::npos) return true;
  }
  return false;
}

/// One paragraph of printable ASCII: what is no character of it becomes '?', white space and control characters one space.
std::string plain(std::string_view text) {
  std::string result;
  bool in_character = false;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) {
      if (byte >= 0xc0 || !in_character) result += '?';  // one for all bytes of a UTF-8 character
      in_character = true;
      continue;
    }
    in_character = false;
    if (byte > ' ' && byte < 0x7f) {
      result += c;
    } else if (!result.empty() && result.back() != ' ') {
      result += ' ';
    }
  }
  while (!result.empty() && result.back() == ' ') result.pop_back();
  return result;
}

void complain(const std::string& path) {
  std::fprintf(stderr, "trireme: cannot write the cause of the failure to '%s': %s\n", path.c_str(),
               std::strerror(errno));
}

void write_file(const std::string& path, const std::string& text) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) return;
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  const std::string temporary = path + "." + std::to_string(::getpid());
  const int descriptor = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (descriptor < 0) return complain(path);
  const bool is_whole = write_all(descriptor, text);
  if (::close(descriptor) != 0 || !is_whole) {
    complain(path);
    ::unlink(temporary.c_str());
    return;
  }
  // Of several processes that fail at once the first counts.
  if (::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) return;
  const bool is_unknown = errno == EINVAL || errno == ENOSYS;  // to the file system
  if (is_unknown && ::rename(temporary.c_str(), path.c_str()) == 0) return;
  if (errno != EEXIST) complain(path);
  ::unlink(temporary.c_str());
}

/// It may be mounted by itself, so it is written in place.
void write_message(const std::string& path, const std::string& text) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) {
    if (errno != ENOENT) complain(path);
    return;
  }
  struct stat status {};
  const bool is_empty = ::fstat(descriptor, &status) == 0 && status.st_size == 0;
  if (is_empty && !write_all(descriptor, text)) complain(path);
  ::close(descriptor);
}

}  // namespace

Redactor::Redactor(const platform::Environment& environment) {
  for (const auto& [name, value] : environment.variables()) {
    if (!speaks_of_a_secret(name)) continue;
    for (const std::string& form : {value, plain(value)}) {
      if (form.size() >= shortest_secret) secrets_.push_back(form);
    }
  }
  std::sort(secrets_.begin(), secrets_.end(),
            [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
}

std::string Redactor::operator()(std::string text) const {
  for (const std::string& secret : secrets_) {
    for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at)) {
      text.replace(at, secret.size(), "[secret]");
      at += std::strlen("[secret]");
    }
  }
  return text;
}

void scrub_secret_variables(const platform::Environment& environment) {
  for (const auto& [name, value] : environment.variables()) {
    if (speaks_of_a_secret(name)) platform::scrub_variable(name.c_str());
  }
}

std::string failure_text(std::string_view cause, const Redactor& redact, std::size_t limit) {
  std::string text = redact(plain(redact(std::string(cause))));
  if (text.size() > limit) {
    text.resize(limit < 3 ? limit : limit - 3);
    text += std::string_view("...").substr(0, limit - text.size());
  }
  return text;
}

FailurePlaces failure_places(const platform::ClusterSpec& spec) {
  return {spec.failure_file, spec.termination_message};
}

FailurePlaces usual_failure_places(const platform::Environment& environment) {
  const std::string root = environment.find("TRIREME_ROOT").value_or("");
  const std::string output = platform::SagemakerTree(platform::scene_of(environment, {})) / "output";
  FailurePlaces places;
  std::error_code ignored;
  if (std::filesystem::is_directory(output, ignored)) places.file = output + "/failure";
  if (environment.has("KUBERNETES_SERVICE_HOST")) places.termination_message = root + "/dev/termination-log";
  return places;
}

void leave_failure_note(const FailurePlaces& places, std::string_view cause, const platform::Environment& environment) {
  const Redactor redact(environment);
  if (places.file) write_file(*places.file, failure_text(cause, redact, file_limit));
  if (places.termination_message)
    write_message(*places.termination_message, failure_text(cause, redact, message_limit));
}

std::optional<platform::ClusterSpec> cluster_here(const platform::Environment& environment) {
  try {
    return platform::detect(environment);
  } catch (const Exception&) {
    return std::nullopt;
  }
}

}  // namespace trireme::cli
