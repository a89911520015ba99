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
constexpr std::size_t slow = 32;  // products that take longer than it takes to fetch what they are written to
constexpr std::size_t tile_bytes = 16 * 2 * line;  // the rows of a tile, rounded up, of two registers
static_assert(vectors_bytes + factors_bytes + tile_bytes <= gemm_workspace_bytes);

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
    own_tile_ = reinterpret_cast<T*>(space + vectors_bytes + factors_bytes);
    tiles_ = quotient_up(factors_.extent, high);
    panels_ = quotient_up(vectors_.extent, wide);
  }

  /// Writes, or adds to C unless k = 0, the products of `depth` of k from `k`.
  void multiply(std::size_t k, std::size_t depth) noexcept {
    k_ = k;
    depth_ = depth;
    // Rows of a copied tile are an odd number of cache lines apart: they share the sets of the first-level cache.
    row_ = factors_.by_rows ? (quotient_up(depth * sizeof(T), line) | 1) * line / sizeof(T) : pitch;
    tile_space_ = factors_.by_rows ? high * row_ : depth * pitch;
    const std::size_t group_most = factors_bytes / sizeof(T) / tile_space_;
    const std::size_t block_most = vectors_bytes / sizeof(T) / (wide * depth);

    // By rows they are read in place, unless rows that are whole pages apart contend for the same sets of the cache.
    const bool in_place = factors_.by_rows && factors_.stride * sizeof(T) % page != 0;
    // Factors that fit are copied once and stay, while panel by panel passes by; otherwise many panels at a time.
    const bool stay = tiles_ <= group_most || (in_place && factors_.extent * depth * sizeof(T) <= staying_bytes);
    const std::size_t block = stay ? 1 : least(block_most, panels_);
    copied_ = factors_.by_rows ? !in_place : (stay ? panels_ : block) >= 4;
    // In place, a tile meets all panels of a block while it is near.
    const std::size_t group = stay || (!copied_ && block == 1) ? tiles_ : copied_ ? group_most : 1;

    for (std::size_t first = 0; first < panels_; first += block) {
      const std::size_t last = least(first + block, panels_);
      for (std::size_t p = first; p < last; ++p) {
        if (!read_directly(p)) copy_vectors(p, space_of_panel(p - first));
      }
      for (std::size_t t = 0; t < tiles_; t += group) {
        const std::size_t end = least(t + group, tiles_);
        if (copied_ && (first == 0 || !stay)) copy_factors(t, end);
        for (std::size_t p = first; p < last; ++p) {
          for (std::size_t i = t; i < end; ++i) {
            const ReadAhead<T> ahead = block == 1   ? of_next_panel(p + 1, i)
                                       : group == 1 ? of_next_tile(i + 1, p - first, last - first)
                                                    : ReadAhead<T>{};
            write(i, copied_ ? copied_factors_ + (i - t) * tile_space_ : nullptr, p, space_of_panel(p - first), ahead);
          }
        }
      }
    }
  }

 private:
  static constexpr std::size_t lanes = Lanes<T>::lanes, high = Lanes<T>::high;
  static constexpr std::size_t wide = 2 * lanes;
  static constexpr std::size_t pitch = quotient_up(high, lanes) * lanes;

  /// The first row of tile t: tiles are as equal as can be.
  std::size_t begin(std::size_t t) const { return factors_.extent / tiles_ * t + least(t, factors_.extent % tiles_); }
  std::size_t columns(std::size_t p) const { return least(wide, vectors_.extent - p * wide); }
  std::size_t registers(std::size_t p) const { return columns(p) > lanes ? 2 : 1; }
  T* space_of_panel(std::size_t place) const { return copied_vectors_ + place * wide * depth_; }

  /// Registers are loaded from where they lie by the first tile, which leaves a copy for the others.
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

  /// Tile t of panel p, given where their copies are.
  void write(std::size_t t, const T* factors, std::size_t p, T* panel, const ReadAhead<T>& ahead) const noexcept {
    const std::size_t at = begin(t), rows = begin(t + 1) - at, width = columns(p);
    const bool direct = t == 0 && read_directly(p);
    TileCall<T> call{};
    call.factors = copied_ ? factors : factors_.at(at, k_);
    call.factor_stride = copied_ ? row_ : factors_.stride;
    call.panel = direct ? vectors_.at(p * wide, k_) : panel;
    call.panel_stride = direct ? vectors_.stride : registers(p) * lanes;
    call.copy = direct && tiles_ > 1 ? panel : nullptr;
    call.depth = depth_;
    call.c = product_.turned ? product_.c + p * wide * product_.c_stride + at
                             : product_.c + at * product_.c_stride + p * wide;
    call.c_stride = product_.c_stride;
    call.add = k_ != 0;
    call.read_ahead = ahead;
    if (depth_ >= slow) {
      call.write_ahead = {call.c, call.c_stride, (product_.turned ? rows : width) - 1, product_.turned ? width : rows};
    }
    const TileFunction<T> multiply_tile = tile_function<T>(rows, registers(p), factors_.by_rows);
    if (!product_.turned && width == registers(p) * lanes) return multiply_tile(call);
    through_own_tile(multiply_tile, call, rows, width);
  }

  /// Where C is narrower than the registers or lies the other way.
  void through_own_tile(TileFunction<T> multiply_tile, TileCall<T> call, std::size_t rows,
                        std::size_t width) const noexcept {
    T* c = call.c;
    call.c = own_tile_;
    call.c_stride = wide;
    if (product_.turned) {
      if (call.add) turn(own_tile_, wide, c, product_.c_stride, width, rows, width);
      multiply_tile(call);
      return turn(c, product_.c_stride, own_tile_, wide, rows, width, 16);
    }
    for (std::size_t i = 0; call.add && i < rows; ++i) {
      for (std::size_t j = 0; j < width; ++j) own_tile_[i * wide + j] = c[i * product_.c_stride + j];
    }
    multiply_tile(call);
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < width; ++j) c[i * product_.c_stride + j] = own_tile_[i * wide + j];
    }
  }

  Arrangement<T> product_;
  Side<T> factors_, vectors_;
  T* copied_vectors_;
  T* copied_factors_;
  T* own_tile_;
  std::size_t tiles_, panels_;
  std::size_t k_ = 0, depth_ = 0;
  std::size_t row_ = 0, tile_space_ = 0;  // of copied factors: from row to row, from tile to tile
  bool copied_ = false;
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
