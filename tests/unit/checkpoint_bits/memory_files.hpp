// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "trireme/base/error.hpp"
#include "trireme/checkpoint/file_system.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <mutex>
#include <set>

namespace trireme::testing {

/// Files that all ranks of a test share and no disk slows down. Counts who opens one.
class MemoryFiles final : public checkpoint::FileSystem {
 public:
  std::size_t opened() const { return opened_; }

  void make_folder(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    for (std::size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1))
      folders_.insert(path.substr(0, end));
    folders_.insert(path);
  }
  std::vector<std::string> list(const std::string& folder) const override {
    const std::lock_guard lock(mutex_);
    std::set<std::string> names;
    const auto take = [&](const std::string& path) {
      if (path.starts_with(folder + "/") && path.find('/', folder.size() + 1) == std::string::npos)
        names.insert(path.substr(folder.size() + 1));
    };
    for (const std::string& each : folders_) take(each);
    for (const auto& [path, bytes] : files_) take(path);
    return {names.begin(), names.end()};
  }
  std::optional<std::uint64_t> size(const std::string& path) const override {
    const std::lock_guard lock(mutex_);
    const auto found = files_.find(path);
    if (found == files_.end()) return std::nullopt;
    return found->second->size();
  }
  std::unique_ptr<checkpoint::OutputFile> create(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    const auto [place, is_new] = files_.emplace(path, std::make_shared<Bytes>());
    if (!is_new) fail(ErrorCode::system, path + " is there already");
    return std::make_unique<Output>(place->second);
  }
  std::unique_ptr<checkpoint::InputFile> open(const std::string& path) const override {
    const std::lock_guard lock(mutex_);
    ++opened_;
    const auto found = files_.find(path);
    if (found == files_.end()) fail(ErrorCode::system, path + " is not there");
    return std::make_unique<Input>(found->second);
  }
  std::optional<bool> link(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(mutex_);
    return files_.emplace(to, files_.at(from)).second;
  }
  void sync_folder(const std::string&) override {}
  bool remove(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    return files_.erase(path) != 0;
  }
  bool remove_folder(const std::string& path) override {
    if (!list(path).empty()) return false;
    const std::lock_guard lock(mutex_);
    return folders_.erase(path) != 0;
  }

 private:
  using Bytes = std::vector<std::byte>;
  struct Output final : checkpoint::OutputFile {
    explicit Output(std::shared_ptr<Bytes> to) : bytes(std::move(to)) {}
    void write(std::span<const std::byte> more) override { bytes->insert(bytes->end(), more.begin(), more.end()); }
    void sync() override {}
    std::shared_ptr<Bytes> bytes;
  };
  struct Input final : checkpoint::InputFile {
    explicit Input(std::shared_ptr<const Bytes> from) : bytes(std::move(from)) {}
    std::uint64_t size() const override { return bytes->size(); }
    void read(std::uint64_t offset, std::span<std::byte> to) const override {
      if (offset > bytes->size() || to.size() > bytes->size() - offset)
        fail(ErrorCode::corrupt, "a file ends before its end");
      if (!to.empty()) std::memcpy(to.data(), bytes->data() + offset, to.size());
    }
    std::shared_ptr<const Bytes> bytes;
  };

  mutable std::mutex mutex_;
  mutable std::atomic<std::size_t> opened_{0};
  std::map<std::string, std::shared_ptr<Bytes>> files_;
  std::set<std::string> folders_;
};

}  // namespace trireme::testing
