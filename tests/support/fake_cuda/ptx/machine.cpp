// SPDX-License-Identifier: Apache-2.0
#include "support/fake_cuda/ptx/machine.hpp"

#include "device/kernel.hpp"

#include <algorithm>
#include <cstring>
#include <ctime>
#include <sstream>
#include <utility>

namespace trireme::testing::ptx {
namespace {

// As a thread finds what nobody has set: no number that a sum would hide.
constexpr int unset = 0xff;
constexpr std::size_t alignment = 64;

std::size_t rounded(std::size_t bytes) { return (bytes + alignment - 1) / alignment * alignment; }

std::uint64_t nanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000000000u + static_cast<std::uint64_t>(now.tv_nsec);
}

std::byte* aligned(std::byte* memory) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  return memory + (alignment - address % alignment) % alignment;
}

// Kept from kernel to kernel: megabytes, which the system would clear each time.
std::uint64_t* registers_of_this_thread(std::size_t count) {
  thread_local std::vector<std::uint64_t> registers;
  if (registers.size() < count) registers.resize(count);
  return registers.data();
}

}  // namespace

Machine::Machine(const Kernel& kernel, std::vector<std::byte> params, unsigned threads, unsigned blocks,
                 std::vector<Range> ranges, Watch watch)
    : kernel_(kernel),
      params_(std::move(params)),
      threads_(threads),
      blocks_(blocks),
      ranges_(std::move(ranges)),
      registers_(registers_of_this_thread(kernel.registers * threads)),
      local_(rounded(kernel.local_bytes) * threads + alignment),
      shared_(kernel.shared_bytes),
      touched_(kernel.shared_bytes),
      states_(threads),
      watch_(watch),
      times_(watch.traffic == nullptr ? 0 : threads * kernel.code.size()) {}

void Machine::run_block(unsigned block, std::uint64_t seed) {
  block_ = block;
  ++meeting_;
  std::memset(shared_.data(), unset, shared_.size());
  std::memset(local_.data(), unset, local_.size());
  // So that a value nobody set shows; where there are megabytes of registers, clearing them would take longer than running.
  if (const std::size_t bytes = kernel_.registers * threads_ * sizeof *registers_; bytes < (std::size_t{1} << 19))
    std::memset(registers_, unset, bytes);
  std::byte* const local = aligned(local_.data());
  for (unsigned i = 0; i < threads_; ++i)
    states_[i] = {registers_ + i * kernel_.registers, local + i * rounded(kernel_.local_bytes), this, i, 0, false};
  for (;;) {
    const auto order = device::detail::ThreadOrder::of(threads_, seed * (2 * std::uint64_t{meeting_} + 1) + meeting_);
    for (unsigned k = 0; k < threads_; ++k) run_to_meeting(states_[order(k)]);
    const auto ended = std::count_if(states_.begin(), states_.end(), [](const Thread& each) { return each.ended; });
    if (ended == threads_) return add_up_traffic();
    const Thread& first = states_.front();
    for (const Thread& each : states_) {
      if (!each.ended && each.at == first.at && ended == 0) continue;
      fault(Fault::Kind::barrier, each, kernel_.code[first.at == 0 ? 0 : first.at - 1],
            "some threads of the block meet here and others have ended or meet elsewhere");
    }
    ++meeting_;
  }
}

void Machine::run_to_meeting(Thread& thread) {
  const Instruction* const code = kernel_.code.data();
  const std::uint64_t* const registers = thread.registers;
  for (;;) {
    const Instruction& next = code[thread.at++];
    if (next.guard >= 0 && ((registers[next.guard] & 1) != 0) == next.unless) continue;
    switch (next.flow) {
      case Instruction::Flow::next: next.run(thread, next); break;
      case Instruction::Flow::branch: thread.at = next.target; break;
      case Instruction::Flow::barrier: return;
      case Instruction::Flow::end: thread.ended = true; return;
    }
  }
}

std::uint64_t Machine::named(const Thread& thread, const Operand& operand) const {
  const auto address = [&](const std::byte* begin) { return reinterpret_cast<std::uintptr_t>(begin) + operand.value; };
  if (operand.kind == Operand::Kind::shared) return shared_window + operand.value;
  if (operand.kind == Operand::Kind::local) return address(thread.local);
  if (operand.kind == Operand::Kind::param) return address(params_.data());
  switch (static_cast<Special>(operand.index)) {
    case Special::tid: return thread.index;
    case Special::ntid: return threads_;
    case Special::ctaid: return block_;
    case Special::nctaid: return blocks_;
    case Special::globaltimer: return nanoseconds();
  }
  return 0;
}

std::byte* Machine::reach(const Thread& thread, const Instruction& instruction, std::uint64_t address,
                          std::size_t bytes, bool writes) {
  if (address % bytes != 0) {
    std::ostringstream text;
    text << "an access of " << bytes << " bytes at " << std::hex << address << " is misaligned";
    fault(Fault::Kind::misaligned, thread, instruction, text.str());
  }
  const auto from = [&](const std::byte* begin) { return address - reinterpret_cast<std::uintptr_t>(begin); };
  const std::uint64_t in_shared = address - shared_window, in_local = from(thread.local);
  switch (instruction.space) {
    case Space::param:
      return inside(thread, instruction, from(params_.data()), bytes, params_.data(), params_.size(), "parameters");
    case Space::local:
      return inside(thread, instruction, in_local, bytes, thread.local, kernel_.local_bytes, "local memory");
    case Space::shared:
      inside(thread, instruction, in_shared, bytes, shared_.data(), shared_.size(), "shared memory");
      touch(thread, instruction, in_shared, bytes, writes);
      return shared_.data() + in_shared;
    case Space::generic:
      // Nothing converts addresses of shared and local memory to generic ones as yet.
    case Space::global: break;
  }
  const auto holds = [&](const Range& range) {
    return address >= range.begin && address <= range.end && range.end - address >= bytes;
  };
  if (latest_range_ >= ranges_.size() || !holds(ranges_[latest_range_])) {
    const auto behind = std::upper_bound(ranges_.begin(), ranges_.end(), address,
                                         [](std::uint64_t left, const Range& right) { return left < right.begin; });
    if (behind == ranges_.begin() || !holds(*std::prev(behind))) {
      std::ostringstream text;
      text << (writes ? "a write of " : "a read of ") << bytes << " bytes at " << std::hex << address
           << " lies in no memory that the device reaches" << std::dec;
      if (behind != ranges_.begin())
        text << "; the nearest allocation before it ended "
             << static_cast<std::int64_t>(address - std::prev(behind)->end) << " bytes before";
      fault(Fault::Kind::illegal_address, thread, instruction, text.str());
    }
    latest_range_ = static_cast<std::size_t>(behind - ranges_.begin()) - 1;
  }
  if (watch_.races && !kernel_.waits) touch_global(thread, instruction, address, bytes, writes);
  if (watch_.traffic != nullptr) count(thread, instruction, address, bytes, writes);
  return reinterpret_cast<std::byte*>(address + static_cast<std::uint64_t>(ranges_[latest_range_].shift));
}

std::byte* Machine::inside(const Thread& thread, const Instruction& instruction, std::uint64_t offset,
                           std::size_t bytes, std::byte* begin, std::size_t size, const char* space) {
  if (offset > size || size - offset < bytes) {
    fault(Fault::Kind::illegal_address, thread, instruction,
          "an access of " + std::to_string(bytes) + " bytes at byte " +
              std::to_string(static_cast<std::int64_t>(offset)) + " of " + std::to_string(size) + " of " + space);
  }
  return begin + offset;
}

void Machine::touch(const Thread& thread, const Instruction& instruction, std::size_t offset, std::size_t bytes,
                    bool writes) {
  const auto me = static_cast<std::uint16_t>(thread.index);
  for (std::size_t i = offset; i < offset + bytes; ++i) {
    Touched& byte = touched_[i];
    const bool written = byte.written == meeting_ && byte.writer != me;
    const bool read = writes && byte.read == meeting_ && byte.reader != me;
    if (written || read) {
      const std::uint16_t other = written ? byte.writer : byte.reader;
      fault(Fault::Kind::race, thread, instruction,
            std::string(writes ? "writes" : "reads") + " byte " + std::to_string(i) + " of shared memory, which " +
                (other == many ? "several threads" : "thread " + std::to_string(other)) +
                (written ? " wrote" : " read") + ", without a meeting between");
    }
    if (writes) {
      byte.written = meeting_;
      byte.writer = me;
    } else {
      byte.reader = byte.read == meeting_ && byte.reader != me ? many : me;
      byte.read = meeting_;
    }
  }
}

// Blocks never meet, so their threads share what nobody writes alone.
void Machine::touch_global(const Thread& thread, const Instruction& instruction, std::uint64_t address,
                           std::size_t bytes, bool writes) {
  const std::uint32_t me = block_ * threads_ + thread.index + 1;
  const auto conflicts = [&](std::uint32_t other, std::uint32_t meeting) {
    return other != 0 && other != me && (meeting == meeting_ || (other - 1) / threads_ != block_);
  };
  for (std::uint64_t at = address; at < address + bytes; ++at) {
    TouchedByBlocks& byte = touched_globally_[at];
    const bool written = conflicts(byte.writer, byte.written), read = writes && conflicts(byte.reader, byte.read);
    if (written || read) {
      const std::uint32_t other = (written ? byte.writer : byte.reader) - 1;
      fault(Fault::Kind::race, thread, instruction,
            std::string(writes ? "writes" : "reads") + " a byte of global memory, which thread " +
                std::to_string(other % threads_) + " of block " + std::to_string(other / threads_) +
                (written ? " wrote" : " read") + ", without a meeting between");
    }
    if (writes) {
      byte.written = meeting_;
      byte.writer = me;
    } else if (byte.reader == 0 || byte.reader == me || !conflicts(byte.reader, byte.read)) {
      byte.read = meeting_;
      byte.reader = me;
    }
  }
}

void Machine::count(const Thread& thread, const Instruction& instruction, std::uint64_t address, std::size_t bytes,
                    bool writes) {
  constexpr unsigned warp = 32;
  const auto which = static_cast<std::size_t>(&instruction - kernel_.code.data());
  const std::uint64_t time = times_[thread.index * kernel_.code.size() + which]++;
  auto& sectors = sectors_[(thread.index / warp * kernel_.code.size() + which) << 32 | time];
  for (std::uint64_t each = address / Traffic::sector; each <= (address + bytes - 1) / Traffic::sector; ++each) {
    sectors.push_back(each);
    if (seen_.insert(2 * each + (writes ? 1 : 0)).second) watch_.traffic->least += Traffic::sector;
  }
  watch_.traffic->requested += bytes;
}

void Machine::add_up_traffic() {
  for (auto& [access, sectors] : sectors_) {
    std::sort(sectors.begin(), sectors.end());
    watch_.traffic->moved +=
        Traffic::sector * static_cast<std::uint64_t>(std::unique(sectors.begin(), sectors.end()) - sectors.begin());
    ++watch_.traffic->accesses;
  }
  sectors_.clear();
  std::fill(times_.begin(), times_.end(), 0);
}

void Machine::fault(Fault::Kind kind, const Thread& thread, const Instruction& instruction,
                    const std::string& text) const {
  throw Fault(kind, "kernel " + kernel_.name + ", block " + std::to_string(block_) + ", thread " +
                        std::to_string(thread.index) + ", line " + std::to_string(instruction.line) +
                        " of its PTX: " + text);
}

}  // namespace trireme::testing::ptx
