// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/load.hpp"

#include "checkpoint/hash.hpp"
#include "checkpoint/read_plan.hpp"
#include "checkpoint/together.hpp"
#include "trireme/base/error.hpp"
#include "trireme/checkpoint/folder.hpp"

#include <algorithm>
#include <cstring>
#include <exception>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace trireme::checkpoint {
namespace {

constexpr std::size_t most_window = std::size_t{4} << 20;     // bytes a rank reads at once
constexpr std::size_t most_windows = std::size_t{128} << 20;  // of all ranks together
constexpr std::size_t trailer = 64;                           // behind a window: whether it is good

/// No more than a rank's share of `all` bytes.
std::size_t window_bytes(const Manifest& manifest, int ranks, std::size_t all) {
  const auto share = all / static_cast<std::size_t>(ranks) + manifest.chunk_bytes;
  const std::size_t window = std::min({most_window, most_windows / static_cast<std::size_t>(ranks), share});
  return std::max<std::size_t>(window / manifest.chunk_bytes, 1) * manifest.chunk_bytes;
}

void check_pieces(const Manifest& manifest, const Read& read, std::span<const std::byte> bytes) {
  for (const Piece& piece : read.pieces)
    check_chunks(manifest, *piece.tensor, *piece.slice, piece.chunk,
                 bytes.subspan(piece.offset - read.offset, piece.bytes));
}

void place(const Read& read, std::span<const std::byte> bytes) {
  for (const Piece& piece : read.pieces)
    if (piece.wanted != 0)
      std::memcpy(piece.to, bytes.data() + (piece.offset - read.offset) + piece.skip, piece.wanted);
}

/// One read of each rank at a time, given to all.
class SharedReading {
 public:
  SharedReading(Communicator& communicator, PartSource& source, const Manifest& manifest, std::size_t window)
      : communicator_(communicator),
        source_(source),
        manifest_(manifest),
        block_(window + trailer),
        memory_(communicator.memory().allocate(Bytes{block_ * static_cast<std::size_t>(communicator.size())})) {}

  void run(const std::vector<Read>& reads, const std::vector<std::vector<std::size_t>>& shares) {
    std::size_t rounds = 0;
    for (const auto& share : shares) rounds = std::max(rounds, share.size());
    bool good = true;
    for (std::size_t round = 0; good && round < rounds; ++round) {
      const auto own = static_cast<std::size_t>(communicator_.rank());
      const bool has_one = round < shares[own].size();
      fetch(has_one ? &reads[shares[own][round]] : nullptr, block(own));
      exchange(own);
      for (std::size_t rank = 0; rank < shares.size(); ++rank) {
        const auto bytes = block(rank);
        good = good && bytes[block_ - trailer] == std::byte{0};
        if (good && round < shares[rank].size()) place(reads[shares[rank][round]], bytes);
      }
    }
    throw_together(communicator_, error_, "checkpoint load");
  }

 private:
  std::span<std::byte> block(std::size_t rank) const { return memory_.bytes().subspan(rank * block_, block_); }

  void fetch(const Read* read, std::span<std::byte> to) {
    to[block_ - trailer] = std::byte{0};
    if (read == nullptr) return;
    try {
      source_.read(read->part, read->offset, to.first(read->bytes));
      check_pieces(manifest_, *read, to.first(read->bytes));
    } catch (const Exception& failure) {
      error_ = failure.error();
      to[block_ - trailer] = std::byte{1};
    }
  }

  void exchange(std::size_t own) {
    if (communicator_.size() == 1) return;
    const auto all = memory_.bytes().first(block_ * static_cast<std::size_t>(communicator_.size()));
    communicator_.all_gather(ConstTensorView(block(own).data(), block_, DType::u8),
                             TensorView(all.data(), all.size(), DType::u8), {.label = "checkpoint load"});
  }

  Communicator& communicator_;
  PartSource& source_;
  const Manifest& manifest_;
  std::size_t block_;
  ArenaBuffer memory_;
  std::optional<Error> error_;
};

/// What this rank alone wants.
void read_own(PartSource& source, const Manifest& manifest, std::span<const StateReader::Target> targets,
              std::size_t window) {
  std::vector<std::byte> bytes;
  for (const Read& read : plan_reads(manifest, targets, window, false)) {
    bytes.resize(read.bytes);
    source.read(read.part, read.offset, bytes);
    check_pieces(manifest, read, bytes);
    place(read, bytes);
  }
}

void check_json(const FileSystem& files, const std::string& folder, const Manifest& manifest) {
  const auto json = read_file(files, folder + "/" + manifest.json_file, manifest.json_bytes);
  if (json.size() != manifest.json_bytes || hash_of(json) != manifest.json_xxh3)
    fail(ErrorCode::corrupt, manifest.json_file + " is damaged: it is not what was saved");
}

}  // namespace

void read_targets(Communicator& communicator, PartSource& source, const Manifest& manifest,
                  std::span<const StateReader::Target> targets, std::span<const std::vector<int>> holders) {
  std::vector<StateReader::Target> shared, own;
  // Of memory, a rank may want what only others hold: everybody's share is then given to all, who keep what they want.
  for (const StateReader::Target& each : targets) (each.first && holders.empty() ? own : shared).push_back(each);
  // Of tensors of which ranks want other parts, all read the whole: the window must be the same on all.
  std::map<std::string_view, std::size_t> bytes;
  for (const TensorRecord& each : manifest.tensors) bytes.emplace(each.name, each.count() * size_of(each.dtype));
  std::size_t all = 0;
  for (const StateReader::Target& each : shared) {
    if (const auto found = bytes.find(each.name); found != bytes.end()) all += found->second;
  }
  const std::size_t window = window_bytes(manifest, communicator.size(), all);
  const std::vector<Read> reads = plan_reads(manifest, shared, window, true);
  std::size_t longest = 0;  // no more memory, and nothing more to send, than the longest of them
  for (const Read& each : reads) longest = std::max(longest, each.bytes);
  longest = (longest + trailer - 1) / trailer * trailer;
  SharedReading(communicator, source, manifest, longest).run(reads, share_reads(reads, communicator.size(), holders));
  do_together(communicator, "checkpoint load", [&] { read_own(source, manifest, own, window); });
}

StateReader reader_of(const Manifest& manifest) {
  std::vector<SavedTensor> tensors;
  for (const TensorRecord& each : manifest.tensors)
    tensors.push_back({each.name, each.dtype, each.shape, each.count()});
  return {std::move(tensors), manifest.values};
}

void load(Communicator& communicator, const FileSystem& files, const std::string& folder, const Manifest& manifest,
          const TrainingState& state) {
  StateReader reader = reader_of(manifest);
  FilePartSource source(files, folder, manifest);
  do_together(communicator, "checkpoint load", [&] {
    const auto rank = static_cast<std::size_t>(communicator.rank());
    const auto ranks = static_cast<std::size_t>(communicator.size());
    for (std::size_t part = rank; part < manifest.parts.size(); part += ranks)
      check_header(source, manifest, static_cast<std::uint32_t>(part));
    if (manifest.parts.size() % ranks == rank) check_json(files, folder, manifest);
    state.restore(reader);
  });
  read_targets(communicator, source, manifest, reader.targets());
  do_together(communicator, "checkpoint load", [&] {
    reader.deliver();
    state.restored();
  });
}

}  // namespace trireme::checkpoint
