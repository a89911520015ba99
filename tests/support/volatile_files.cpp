// SPDX-License-Identifier: Apache-2.0
#include "support/volatile_files.hpp"

#include "trireme/base/error.hpp"

#include <algorithm>
#include <cerrno>
#include <random>
#include <set>
#include <utility>

namespace trireme::testing {
namespace {

std::string folder_above(const std::string& path) { return path.substr(0, path.rfind('/')); }
bool is_child(const std::string& path, const std::string& folder) {
  return path.size() > folder.size() + 1 && path.starts_with(folder + "/") &&
         path.find('/', folder.size() + 1) == std::string::npos;
}

}  // namespace

class VolatileOutput final : public checkpoint::OutputFile {
 public:
  VolatileOutput(VolatileFiles& files, std::string path, std::shared_ptr<VolatileFiles::File> file)
      : files_(files), path_(std::move(path)), file_(std::move(file)) {}
  ~VolatileOutput() override {
    if (files_.kind_ != VolatileFiles::Kind::object_store) return;
    const std::lock_guard lock(files_.mutex_);
    if (!is_there_ && !files_.is_dead_) files_.publish(path_, file_);
  }
  void write(std::span<const std::byte> bytes) override {
    files_.change("write", path_);
    files_.append(path_, *file_, bytes);
  }
  void sync() override {
    files_.change("sync", path_);
    const std::lock_guard lock(files_.mutex_);
    file_->synced = file_->bytes.size();
    if (files_.kind_ != VolatileFiles::Kind::object_store) return;
    files_.publish(path_, file_);
    is_there_ = true;
  }

 private:
  VolatileFiles& files_;
  std::string path_;
  std::shared_ptr<VolatileFiles::File> file_;
  bool is_there_ = false;
};

class VolatileInput final : public checkpoint::InputFile {
 public:
  VolatileInput(const VolatileFiles& files, std::string path, std::shared_ptr<VolatileFiles::File> file)
      : files_(files), path_(std::move(path)), file_(std::move(file)) {}
  std::uint64_t size() const override {
    const std::lock_guard lock(files_.mutex_);
    return file_->bytes.size();
  }
  void read(std::uint64_t offset, std::span<std::byte> bytes) const override {
    files_.call();
    const std::lock_guard lock(files_.mutex_);
    if (offset > file_->bytes.size() || bytes.size() > file_->bytes.size() - offset)
      fail(ErrorCode::corrupt, path_ + " ends at byte " + std::to_string(file_->bytes.size()) + ": it was cut off");
    std::copy_n(file_->bytes.begin() + static_cast<std::ptrdiff_t>(offset), bytes.size(), bytes.begin());
    files_.reads_.push_back({path_, offset, bytes.size()});
  }

 private:
  const VolatileFiles& files_;
  std::string path_;
  std::shared_ptr<VolatileFiles::File> file_;
};

VolatileFiles::VolatileFiles(Kind kind) : kind_(kind) {
  seen_[root] = nullptr;
  durable_[root] = nullptr;
}

std::unique_ptr<VolatileFiles> VolatileFiles::clone() const {
  const std::lock_guard lock(mutex_);
  auto copy = std::make_unique<VolatileFiles>(kind_);
  std::map<std::shared_ptr<File>, std::shared_ptr<File>> files;
  const auto copied = [&](const Names& names) {
    Names result;
    for (const auto& [path, file] : names) {
      auto& other = files[file];
      if (file != nullptr && other == nullptr) other = std::make_shared<File>(*file);
      result[path] = other;
    }
    return result;
  };
  copy->seen_ = copied(seen_);
  copy->durable_ = copied(durable_);
  return copy;
}

std::unique_ptr<VolatileFiles> VolatileFiles::after_crash(Crash crash, std::uint64_t seed) const {
  auto found = clone();
  std::mt19937_64 random(seed);
  const auto keeps = [&](bool if_torn_too) {
    return crash == Crash::loses_none || (crash == Crash::tears && if_torn_too && random() % 2 == 0);
  };
  Names names = found->durable_;
  std::set<std::string> paths;
  for (const Names* each : {&found->seen_, &found->durable_}) {
    for (const auto& [path, file] : *each) paths.insert(path);
  }
  for (const std::string& path : paths) {
    const auto seen = found->seen_.find(path);
    const auto durable = found->durable_.find(path);
    const bool differs = (seen == found->seen_.end()) != (durable == found->durable_.end()) ||
                         (seen != found->seen_.end() && seen->second != durable->second);
    if (!differs || !keeps(true)) continue;
    if (seen == found->seen_.end())
      names.erase(path);
    else
      names[path] = seen->second;
  }
  // What lies in a folder that is not there is not there.
  for (auto each = names.begin(); each != names.end();) {
    const bool is_there = each->first == root || names.contains(folder_above(each->first));
    each = is_there ? std::next(each) : names.erase(each);
  }
  std::set<File*> done;
  for (const auto& [path, file] : names) {
    if (file == nullptr || !done.insert(file.get()).second || crash == Crash::loses_none) continue;
    const std::size_t size = file->bytes.size(), more = size - file->synced;
    const std::size_t kept = file->synced + (crash == Crash::tears && more != 0 ? random() % (more + 1) : 0);
    file->bytes.resize(kept);
    if (crash == Crash::tears && random() % 2 == 0) file->bytes.resize(size);  // zeros
  }
  for (const auto& [path, file] : names) {
    if (file != nullptr) file->synced = file->bytes.size();
  }
  found->seen_ = names;
  found->durable_ = std::move(names);
  return found;
}

std::uint64_t VolatileFiles::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}
std::uint64_t VolatileFiles::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}
void VolatileFiles::die_at_change(std::uint64_t k) {
  const std::lock_guard lock(mutex_);
  death_ = changes_ + k;
}
bool VolatileFiles::is_dead() const {
  const std::lock_guard lock(mutex_);
  return is_dead_;
}
void VolatileFiles::fail_when(std::function<bool(const std::string&, const std::string&)> fails) {
  const std::lock_guard lock(mutex_);
  fails_ = std::move(fails);
}
void VolatileFiles::at_call(std::uint64_t k, std::function<void()> hook) {
  const std::lock_guard lock(mutex_);
  hook_at_ = calls_ + k;
  hook_ = std::move(hook);
}
void VolatileFiles::limit_space(std::optional<std::uint64_t> bytes) {
  const std::lock_guard lock(mutex_);
  space_ = bytes;
}
std::vector<VolatileFiles::Access> VolatileFiles::reads() const {
  const std::lock_guard lock(mutex_);
  return reads_;
}
std::vector<VolatileFiles::Access> VolatileFiles::writes() const {
  const std::lock_guard lock(mutex_);
  return writes_;
}
void VolatileFiles::forget_accesses() {
  const std::lock_guard lock(mutex_);
  reads_.clear();
  writes_.clear();
}

std::map<std::string, std::vector<std::byte>> VolatileFiles::contents() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, std::vector<std::byte>> all;
  for (const auto& [path, file] : seen_) {
    if (file != nullptr) all[path] = file->bytes;
  }
  return all;
}

void VolatileFiles::put(const std::string& path, std::vector<std::byte> bytes) {
  const std::lock_guard lock(mutex_);
  for (std::string folder = folder_above(path); !folder.empty(); folder = folder_above(folder))
    seen_[folder] = durable_[folder] = nullptr;
  const auto file = std::make_shared<File>();
  file->synced = bytes.size();
  file->bytes = std::move(bytes);
  seen_[path] = durable_[path] = file;
}

/// Begins any call.
void VolatileFiles::call() const {
  std::unique_lock lock(mutex_);
  if (is_dead_) fail(ErrorCode::system, "the machine is dead");
  if (hook_at_ != calls_++) return;
  hook_at_.reset();
  const auto hook = hook_;
  lock.unlock();
  hook();
}

/// Begins a call that changes something.
void VolatileFiles::change(const std::string& what, const std::string& path) {
  call();
  const std::lock_guard lock(mutex_);
  if (death_ == changes_) is_dead_ = true;
  if (is_dead_) fail(ErrorCode::system, "the machine is dead");
  ++changes_;
  if (fails_ && fails_(what, path)) fail_system(what + " " + path, EIO);
}

void VolatileFiles::publish(const std::string& path, const std::shared_ptr<File>& file) {
  file->synced = file->bytes.size();
  seen_[path] = durable_[path] = file;
}

void VolatileFiles::append(const std::string& path, File& file, std::span<const std::byte> bytes) {
  const std::lock_guard lock(mutex_);
  const std::size_t fits =
      space_ ? static_cast<std::size_t>(std::min<std::uint64_t>(*space_, bytes.size())) : bytes.size();
  if (space_) *space_ -= fits;
  writes_.push_back({path, file.bytes.size(), fits});
  file.bytes.insert(file.bytes.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(fits));
  if (fits < bytes.size()) fail_system("write " + path, ENOSPC);
}

void VolatileFiles::make_folder(const std::string& path) {
  if (path.empty()) return;
  {
    const std::lock_guard lock(mutex_);
    if (!is_dead_ && seen_.contains(path)) return;
  }
  make_folder(folder_above(path));
  change("make the folder", path);
  const std::lock_guard lock(mutex_);
  seen_.emplace(path, nullptr);
  if (kind_ == Kind::object_store) durable_.emplace(path, nullptr);
}

std::vector<std::string> VolatileFiles::list(const std::string& folder) const {
  call();
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (auto each = seen_.lower_bound(folder + "/"); each != seen_.end() && each->first.starts_with(folder + "/");
       ++each) {
    if (is_child(each->first, folder)) names.push_back(each->first.substr(folder.size() + 1));
  }
  return names;
}

std::optional<std::uint64_t> VolatileFiles::size(const std::string& path) const {
  call();
  const std::lock_guard lock(mutex_);
  const auto found = seen_.find(path);
  if (found == seen_.end() || found->second == nullptr) return std::nullopt;
  return found->second->bytes.size();
}

std::unique_ptr<checkpoint::OutputFile> VolatileFiles::create(const std::string& path) {
  change("create", path);
  const std::lock_guard lock(mutex_);
  if (seen_.contains(path)) fail_system("create " + path, EEXIST);
  if (!seen_.contains(folder_above(path))) fail_system("create " + path, ENOENT);
  auto file = std::make_shared<File>();
  if (kind_ == Kind::disk) seen_[path] = file;
  return std::make_unique<VolatileOutput>(*this, path, std::move(file));
}

std::unique_ptr<checkpoint::InputFile> VolatileFiles::open(const std::string& path) const {
  call();
  const std::lock_guard lock(mutex_);
  const auto found = seen_.find(path);
  if (found == seen_.end() || found->second == nullptr) fail_system("open " + path, ENOENT);
  return std::make_unique<VolatileInput>(*this, path, found->second);
}

std::optional<bool> VolatileFiles::link(const std::string& from, const std::string& to) {
  change("link", to);
  const std::lock_guard lock(mutex_);
  if (kind_ == Kind::object_store) return std::nullopt;
  const auto found = seen_.find(from);
  if (found == seen_.end()) fail_system("link " + to, ENOENT);
  return seen_.emplace(to, found->second).second;
}

void VolatileFiles::sync_folder(const std::string& folder) {
  change("sync", folder);
  const std::lock_guard lock(mutex_);
  if (!seen_.contains(folder)) fail_system("sync " + folder, ENOENT);
  for (auto each = durable_.begin(); each != durable_.end();) {
    const bool is_below = each->first.starts_with(folder + "/");
    const std::string child = each->first.substr(0, each->first.find('/', folder.size() + 1));
    each = is_below && !seen_.contains(child) ? durable_.erase(each) : std::next(each);
  }
  for (const auto& [path, file] : seen_) {
    if (is_child(path, folder)) durable_[path] = file;
  }
}

bool VolatileFiles::remove(const std::string& path) {
  change("remove", path);
  const std::lock_guard lock(mutex_);
  const auto found = seen_.find(path);
  if (found == seen_.end()) return false;
  seen_.erase(found);
  if (kind_ == Kind::object_store) durable_.erase(path);
  return true;
}

bool VolatileFiles::remove_folder(const std::string& path) {
  change("remove the folder", path);
  const std::lock_guard lock(mutex_);
  const auto found = seen_.find(path);
  if (found == seen_.end() || found->second != nullptr) return false;
  const auto next = seen_.upper_bound(path + "/");
  if (next != seen_.end() && next->first.starts_with(path + "/")) return false;
  seen_.erase(found);
  if (kind_ == Kind::object_store) durable_.erase(path);
  return true;
}

}  // namespace trireme::testing
