// SPDX-License-Identifier: Apache-2.0
#include "rendezvous/store_contents.hpp"
#include "trireme/base/error.hpp"
#include "trireme/rendezvous/store.hpp"

#include <condition_variable>
#include <mutex>

namespace trireme::rendezvous {

struct InProcessStore::Contents {
  std::mutex mutex;
  std::condition_variable changed;
  StoreContents contents;
};

InProcessStore::InProcessStore() : contents_(std::make_shared<Contents>()) {}

std::unique_ptr<Store> InProcessStore::handle() const {
  class Handle final : public Store {
   public:
    explicit Handle(std::shared_ptr<Contents> shared) : shared_(std::move(shared)) {}

    void set(const std::string& key, const std::string& value) override {
      std::lock_guard lock(shared_->mutex);
      shared_->contents.set(key, value);
      shared_->changed.notify_all();
    }

    std::string get(const std::string& key, Deadline deadline) override {
      std::unique_lock lock(shared_->mutex);
      for (;;) {
        if (const std::string* value = shared_->contents.find(key)) return *value;
        if (deadline.passed()) fail(ErrorCode::timeout, "nobody has set store key '" + key + "' by the deadline");
        shared_->changed.wait_for(lock, std::chrono::milliseconds(deadline.milliseconds_left(60'000)));
      }
    }

    std::int64_t add(const std::string& key, std::int64_t delta) override {
      std::lock_guard lock(shared_->mutex);
      return shared_->contents.add(key, delta);
    }

   private:
    std::shared_ptr<Contents> shared_;
  };
  return std::make_unique<Handle>(contents_);
}

}  // namespace trireme::rendezvous
