// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "transport/endpoint/unexpected_pool.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace trireme::transport {

/// Messages of one peer that nobody waits for yet, found by their operation; those of one operation in order of arrival.
/// `Entry` has key, header, payload and a pointer `next` to another Entry.
/// Cost: independent of how many other operations wait; no heap call while there are not more than there have been.
template <class Entry>
class WaitingMessages {
 public:
  static constexpr std::size_t small_payload = 256;
  static constexpr std::size_t middle_payload = 8192;

  /// False when the system has no address space left.
  bool open(std::size_t largest_payload) {
    buckets_.assign(1024, {});
    return small_.open(small_payload) && middle_.open(middle_payload) && large_.open(largest_payload);
  }
  std::size_t size() const { return size_; }

  /// Room for one more, not in the list yet; null when `limit` bytes would be exceeded or the system has no memory left.
  Entry* take(std::size_t payload, std::size_t limit) noexcept {
    auto& pool = pool_for(payload);
    if (pool.entry_bytes() > limit - std::min(limit, bytes_)) return nullptr;
    Entry* entry = pool.take();
    if (entry != nullptr) bytes_ += pool.entry_bytes();
    return entry;
  }
  void put_back(Entry* entry) noexcept {
    auto& pool = pool_for(entry->header.inline_bytes);
    bytes_ -= pool.entry_bytes();
    pool.put_back(entry);
  }

  void push_back(Entry& entry) {
    if (size_ == 2 * buckets_.size()) grow();
    append(bucket_of(entry.key.communicator, entry.key.operation), entry);
    ++size_;
  }
  /// The oldest with this key.
  template <class Key>
  Entry* find(const Key& key) const noexcept {
    Entry* each = first(key.communicator, key.operation);
    while (each != nullptr && each->key != key) each = each->next;
    return each;
  }
  /// Begins the list, linked by `next`, in which those of this operation are; others may be in it.
  Entry* first(std::uint32_t communicator, std::uint64_t operation) const noexcept {
    return buckets_.empty() ? nullptr : buckets_[index_of(communicator, operation)].first;
  }
  /// Takes `entry`, which must be there, out of the list.
  void remove(Entry& entry) noexcept {
    auto& bucket = bucket_of(entry.key.communicator, entry.key.operation);
    Entry* previous = nullptr;
    for (Entry* each = bucket.first; each != &entry; each = each->next) previous = each;
    (previous != nullptr ? previous->next : bucket.first) = entry.next;
    if (bucket.last == &entry) bucket.last = previous;
    entry.next = nullptr;
    --size_;
  }

 private:
  struct Bucket {
    Entry* first = nullptr;
    Entry* last = nullptr;
  };
  /// Operations are numbered one after the other: their low bits spread them best.
  std::size_t index_of(std::uint32_t communicator, std::uint64_t operation) const noexcept {
    return static_cast<std::size_t>(operation + std::uint64_t{communicator} * 0x9e3779b97f4a7c15u) &
           (buckets_.size() - 1);
  }
  Bucket& bucket_of(std::uint32_t communicator, std::uint64_t operation) noexcept {
    return buckets_[index_of(communicator, operation)];
  }
  static void append(Bucket& bucket, Entry& entry) noexcept {
    entry.next = nullptr;
    (bucket.last != nullptr ? bucket.last->next : bucket.first) = &entry;
    bucket.last = &entry;
  }
  void grow() {
    const auto old = std::move(buckets_);
    buckets_.assign(4 * old.size(), {});
    for (const Bucket& bucket : old) {
      for (Entry* each = bucket.first; each != nullptr;) {
        Entry* next = each->next;
        append(bucket_of(each->key.communicator, each->key.operation), *each);
        each = next;
      }
    }
  }
  UnexpectedPool<Entry>& pool_for(std::size_t payload) {
    return payload <= small_payload ? small_ : payload <= middle_payload ? middle_ : large_;
  }

  std::vector<Bucket> buckets_;  // a power of two
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;  // of the pools, behind entries that are out
  // Most messages that run ahead are small: with room for a large one each, they would touch a page each.
  UnexpectedPool<Entry> small_;
  UnexpectedPool<Entry> middle_;
  UnexpectedPool<Entry> large_;
};

}  // namespace trireme::transport
