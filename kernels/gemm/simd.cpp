// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm/simd.hpp"

#include "kernels/gemm/arrangement.hpp"
#include "kernels/gemm/tile.hpp"
#include "kernels/gemm/turn.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

constexpr std::size_t line = 64, page = 4096;

// Copied vectors pass through the second-level cache, where a group of copied factors stays, or all of them in place.
constexpr std::size_t vectors_bytes = std::size_t{1536} << 10;
constexpr std::size_t factors_bytes = std::size_t{256} << 10;
constexpr std::size_t staying_bytes = std::size_t{512} << 10;
constexpr std::size_t warm_bytes = std::size_t{128} << 10;  // what is less is near without being asked for
constexpr std::size_t slow = 32;     // products that take longer than it takes to fetch what they are written to
constexpr std::size_t together = 4;  // tiles whose rows fill whole registers, and so whole lines of a C that is turned
constexpr std::size_t tiles_bytes = together * 16 * 2 * line;  // their rows, rounded up, of two registers
static_assert(vectors_bytes + factors_bytes + tiles_bytes <= gemm_workspace_bytes);

// Tiles that pay for a copy of their panel, of which each row costs the time of two products.
constexpr std::size_t many = 8;
// Rows that share the sets of a second-level cache of 2048 sets of 8 lines fill it when their number times the greatest
// power of two that divides their distance is more.
constexpr std::size_t second_level_bytes = std::size_t{2048} * 8 * line;

/// A product cut into tiles of factors by panels of vectors (two registers wide). What is copied before it is read,
/// and in which order tiles are visited, depends on the shape; no element's chain of additions does.
template <class T>
class Blocks {
 public:
  Blocks(const Arrangement<T>& product, void* workspace)
      : product_(product), factors_(product.factors), vectors_(product.vectors) {
    char* space = static_cast<char*>(workspace);
    copied_vectors_ = reinterpret_cast<T*>(space);
    copied_factors_ = reinterpret_cast<T*>(space + vectors_bytes);
    own_tiles_ = reinterpret_cast<T*>(space + vectors_bytes + factors_bytes);
    tiles_ = quotient_up(factors_.extent, high);
    panels_ = quotient_up(vectors_.extent, wide);
    // Tiles are as equal as can be, unless `together` of them have to fill whole registers.
    height_ = product_.turned ? high : factors_.extent / tiles_;
    higher_ = product_.turned ? 0 : factors_.extent % tiles_;
  }

  /// Writes, or adds to C unless k = 0, the products of `depth` of k from `k`.
  void multiply(std::size_t k, std::size_t depth) noexcept {
    k_ = k;
    depth_ = depth;
    // Rows of a copied tile are an odd number of cache lines apart: they share the sets of the first-level cache.
    row_ = factors_.by_rows ? (quotient_up(depth * sizeof(T), line) | 1) * line / sizeof(T) : pitch;
    tile_space_ = factors_.by_rows
                      ? high * row_
                      : (quotient_up(depth * pitch * sizeof(T), line) | 1) * line / sizeof(T);  // so do tiles
    const std::size_t group_most = factors_bytes / sizeof(T) / tile_space_;
    const std::size_t block_most = vectors_bytes / sizeof(T) / (wide * depth);

    // By rows they are read in place, unless rows that are whole pages apart contend for the same sets of the cache.
    const bool in_place = factors_.by_rows && factors_.stride * sizeof(T) % page != 0;
    // Factors that fit are copied once and stay, while panel by panel passes by; otherwise many panels at a time.
    const bool stay = tiles_ <= group_most || (in_place && factors_.extent * depth * sizeof(T) <= staying_bytes);
    block_ = stay ? 1 : least(block_most, panels_);
    const bool near = factors_.extent * depth * sizeof(T) <= warm_bytes;
    copied_ = factors_.by_rows ? !in_place : !near && (stay ? panels_ : block_) >= 4;
    // In place, a tile meets all panels of a block while it is near; so do those of which C is turned together.
    group_ = stay || (!copied_ && block_ == 1) ? tiles_ : copied_ ? group_most : product_.turned ? together : 1;
    const std::size_t distance = vectors_.stride * sizeof(T);
    copying_ = tiles_ >= many || (distance & (~distance + 1)) * depth > second_level_bytes;

    for (std::size_t first = 0; first < panels_; first += block_) {
      const std::size_t last = least(first + block_, panels_);
      for (std::size_t p = first; p < last; ++p) {
        if (!read_directly(p)) copy_vectors(p, space_of_panel(p - first));
      }
      for (std::size_t t = 0; t < tiles_; t += group_) {
        const std::size_t end = least(t + group_, tiles_);
        if (copied_ && (first == 0 || !stay)) copy_factors(t, end);
        for (std::size_t p = first; p < last; ++p) {
          // C is not written directly where it is narrower than the registers or lies the other way.
          const bool directly = !product_.turned && columns(p) == registers(p) * lanes;
          directly ? write<true>(t, end, p, first) : write<false>(t, end, p, first);
        }
      }
    }
  }

 private:
  static constexpr std::size_t lanes = Lanes<T>::lanes, high = Lanes<T>::high;
  static constexpr std::size_t wide = 2 * lanes;
  static constexpr std::size_t pitch = quotient_up(high, lanes) * lanes;

  /// The first row of tile t.
  std::size_t begin(std::size_t t) const { return least(height_ * t + least(t, higher_), factors_.extent); }
  std::size_t columns(std::size_t p) const { return least(wide, vectors_.extent - p * wide); }
  std::size_t registers(std::size_t p) const { return columns(p) > lanes ? 2 : 1; }
  T* space_of_panel(std::size_t place) const { return copied_vectors_ + place * wide * depth_; }

  /// Registers are loaded from where they lie, by the first of many tiles, which leaves a copy for the others, or by all.
  bool read_directly(std::size_t p) const { return !vectors_.by_rows && columns(p) == wide; }

  /// Panel p as rows of whole registers; what the matrix does not have is zero.
  void copy_vectors(std::size_t p, T* to) const noexcept {
    const std::size_t count = columns(p), width = registers(p) * lanes;
    const T* from = vectors_.at(p * wide, k_);
    for (std::size_t k = 0; count < width && k < depth_; ++k) {
      for (std::size_t j = count; j < width; ++j) to[k * width + j] = 0;
    }
    if (vectors_.by_rows) return turn(to, width, from, vectors_.stride, count, depth_, count);
    for (std::size_t k = 0; k < depth_; ++k) {
      for (std::size_t j = 0; j < count; ++j) to[k * width + j] = from[k * vectors_.stride + j];
    }
  }

  void copy_factors(std::size_t first, std::size_t last) const noexcept {
    if (factors_.by_rows) {
      for (std::size_t t = first; t < last; ++t) {
        T* to = copied_factors_ + (t - first) * tile_space_;
        for (std::size_t i = begin(t); i < begin(t + 1); ++i, to += row_) {
          __builtin_memcpy(to, factors_.at(i, k_), depth_ * sizeof(T));
        }
      }
      return;
    }
    // Row after row through all tiles: each may lie on a page of its own.
    for (std::size_t k = 0; k < depth_; ++k) {
      const T* from = factors_.at(0, k_ + k);
      T* to = copied_factors_ + k * pitch;
      for (std::size_t t = first; t < last; ++t, to += tile_space_) {
        const std::size_t at = begin(t), rows = begin(t + 1) - at;
        if (at + pitch <= factors_.extent) {
          for (std::size_t i = 0; i < pitch; i += lanes) Lanes<T>::store(to + i, Lanes<T>::load(from + at + i));
        } else {
          for (std::size_t i = 0; i < rows; ++i) to[i] = from[at + i];
        }
      }
    }
  }

  /// Of a panel that comes when all tiles have met the one before, what to ask for during tile t of that one.
  ReadAhead<T> of_next_panel(std::size_t p, std::size_t t) const {
    if (p >= panels_ || vectors_.extent * depth_ * sizeof(T) < warm_bytes) return {};
    const std::size_t rows = vectors_.by_rows ? columns(p) : depth_, width = vectors_.by_rows ? depth_ : columns(p);
    return ReadAhead<T>::share(vectors_.at(p * wide, k_), vectors_.stride, rows, width, t, tiles_, depth_);
  }

  /// Of a tile in place that comes when the one before has met `panels` panels, what to ask for during one of them.
  ReadAhead<T> of_next_tile(std::size_t t, std::size_t panel, std::size_t panels) const {
    if (copied_ || t >= tiles_ || factors_.extent * depth_ * sizeof(T) < warm_bytes) return {};
    const std::size_t count = begin(t + 1) - begin(t);
    const std::size_t rows = factors_.by_rows ? count : depth_, width = factors_.by_rows ? depth_ : count;
    return ReadAhead<T>::share(factors_.at(begin(t), k_), factors_.stride, rows, width, panel, panels, depth_);
  }

  /// What to ask for during tile t of panel p, of the block that begins with panel `first`.
  ReadAhead<T> of_what_comes(std::size_t t, std::size_t p, std::size_t first) const {
    if (block_ == 1) return of_next_panel(p + 1, t);
    if (group_ > together) return {};
    return of_next_tile(t + group_, p - first, least(block_, panels_ - first));
  }

  /// Where tile t of panel p lies in C.
  T* place(std::size_t t, std::size_t p) const {
    return product_.turned ? product_.c + p * wide * product_.c_stride + begin(t)
                           : product_.c + begin(t) * product_.c_stride + p * wide;
  }

  /// Tiles t to `end` of panel p, of the block that begins with panel `first`.
  template <bool directly>
  void write(std::size_t t, std::size_t end, std::size_t p, std::size_t first) const noexcept {
    const std::size_t width = columns(p);
    const bool direct = read_directly(p);
    const TileFunction<T> higher = tile_function<T>(height_ + (higher_ != 0), registers(p), factors_.by_rows);
    const TileFunction<T> usual = tile_function<T>(height_, registers(p), factors_.by_rows);
    T* const copy = space_of_panel(p - first);
    TileCall<T> call{};
    call.factors = copied_ ? copied_factors_ : factors_.at(begin(t), k_);
    call.factor_stride = copied_ ? row_ : factors_.stride;
    call.depth = depth_;
    call.c_stride = directly ? product_.c_stride : wide;
    call.add = k_ != 0;
    std::size_t own_first = 0, own_end = t;  // tiles that have places among the own ones
    T* c = place(t, p);
    call.c = c;
    for (std::size_t at = begin(t); t < end; ++t) {
      const std::size_t rows = t < higher_ ? height_ + 1 : least(height_, factors_.extent - at);
      at += rows;
      const bool in_place = direct && (t == 0 || !copying_);
      call.panel = in_place ? vectors_.at(p * wide, k_) : copy;
      call.panel_stride = in_place ? vectors_.stride : registers(p) * lanes;
      call.copy = in_place && copying_ && tiles_ > 1 ? copy : nullptr;
      call.read_ahead = of_what_comes(t, p, first);
      if (depth_ >= slow) {
        call.write_ahead = {c, product_.c_stride, (product_.turned ? rows : width) - 1, product_.turned ? width : rows};
      }
      if (!directly && t == own_end) {
        own_first = t;
        own_end = least(t + together, end);
        if (call.add) fetch_own_tiles(own_first, own_end, p);
        call.c = own_tiles_;
      }
      const TileFunction<T> multiply_tile = rows == height_ ? usual
                                            : t < higher_   ? higher
                                                            : tile_function<T>(rows, registers(p), factors_.by_rows);
      multiply_tile(call);
      call.c += rows * call.c_stride;
      if (!directly && t + 1 == own_end) leave_own_tiles(own_first, own_end, p);
      call.factors += copied_ ? tile_space_ : factors_.by_rows ? rows * factors_.stride : rows;
      c += product_.turned ? rows : rows * product_.c_stride;
    }
  }

  /// Own tiles are `wide` apart from row to row, whatever C is.
  void fetch_own_tiles(std::size_t first, std::size_t end, std::size_t p) const noexcept {
    const std::size_t rows = begin(end) - begin(first), width = columns(p);
    const T* c = place(first, p);
    if (product_.turned) return turn(own_tiles_, wide, c, product_.c_stride, width, rows, width);
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < width; ++j) own_tiles_[i * wide + j] = c[i * product_.c_stride + j];
    }
  }

  void leave_own_tiles(std::size_t first, std::size_t end, std::size_t p) const noexcept {
    const std::size_t rows = begin(end) - begin(first), width = columns(p);
    T* c = place(first, p);
    if (product_.turned) return turn(c, product_.c_stride, own_tiles_, wide, rows, width, together * 16);
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < width; ++j) c[i * product_.c_stride + j] = own_tiles_[i * wide + j];
    }
  }

  Arrangement<T> product_;
  Side<T> factors_, vectors_;
  T* copied_vectors_;
  T* copied_factors_;
  T* own_tiles_;
  std::size_t tiles_, panels_;
  std::size_t height_, higher_;  // rows of a tile, and how many of the first have one more
  std::size_t k_ = 0, depth_ = 0;
  std::size_t row_ = 0, tile_space_ = 0;  // of copied factors: from row to row, from tile to tile
  std::size_t block_ = 1, group_ = 1;     // panels that stay while tiles pass, and tiles that meet a panel in turn
  bool copied_ = false;                   // factors
  bool copying_ = false;                  // vectors, where they are read in place first
};

template <class T>
void multiply(const GemmCall& call, void* workspace) noexcept {
  if (call.m == 0 || call.n == 0) return;
  if (call.k == 0) {
    for (std::size_t i = 0; i < call.m; ++i) {
      for (std::size_t j = 0; j < call.n; ++j) static_cast<T*>(call.c)[i * call.c_stride + j] = 0;
    }
    return;
  }
  Blocks<T> blocks(arrange<T>(call), workspace);
  for (std::size_t k = 0; k < call.k; k += gemm_block) blocks.multiply(k, least(gemm_block, call.k - k));
}

}  // namespace

void gemm(const GemmCall& call, void* workspace) noexcept {
  call.dtype == DType::f64 ? multiply<double>(call, workspace) : multiply<float>(call, workspace);
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
