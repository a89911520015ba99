// SPDX-License-Identifier: Apache-2.0
#include "kernels/patches/simd.hpp"

#include "kernels/formats.hpp"

namespace trireme::kernels::TRIREME_KERNELS_ISA {
namespace {

/// One row of one patch: `run` elements of an image's row, of which `lead` lie left of it and `trail` right.
struct Run {
  std::size_t run;
  std::size_t lead;
  std::size_t trail;
};

/// A register of elements at any address; the compiler would call memmove for runs that are shorter than a call.
template <class T>
struct Register {
  typedef T Type __attribute__((vector_size(32), aligned(1), may_alias));
  static constexpr std::size_t lanes = 32 / sizeof(T);
};

template <class T>
void copy(T* to, const T* from, std::size_t count) {
  using Type = typename Register<T>::Type;
  constexpr std::size_t lanes = Register<T>::lanes;
  std::size_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    const Type first = *reinterpret_cast<const Type*>(from + i);
    const Type second = *reinterpret_cast<const Type*>(from + i + lanes);
    *reinterpret_cast<Type*>(to + i) = first;
    *reinterpret_cast<Type*>(to + i + lanes) = second;
  }
  if (i + lanes <= count) {
    *reinterpret_cast<Type*>(to + i) = *reinterpret_cast<const Type*>(from + i);
    i += lanes;
  }
  for (; i < count; ++i) to[i] = from[i];
}

template <class T>
void add_run(T* to, const T* from, const Run& r) {
  const std::size_t count = r.run - r.trail - r.lead;
  const T* inside = from + r.lead;
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) to[i] = to[i] + inside[i];
}

/// Calls visit(first element in the patches, first element in the images, run) for every row of every patch that lies in an
/// image.
template <class Visit>
void for_each_run(const PatchShape& s, Visit visit) {
  const std::size_t edge = s.kernel / 2;
  const std::size_t out_height = (s.height - 1) / s.stride + 1;
  const std::size_t out_width = (s.width - 1) / s.stride + 1;
  const std::size_t run = s.kernel * s.channels;
  std::size_t patch = 0;
  for (std::size_t n = 0; n < s.images; ++n) {
    for (std::size_t oy = 0; oy < out_height; ++oy) {
      for (std::size_t ox = 0; ox < out_width; ++ox) {
        const std::size_t left = ox * s.stride;  // of the window, `edge` pixels further right
        const std::size_t lead = left < edge ? edge - left : 0;
        const std::size_t beyond = left + s.kernel > s.width + edge ? left + s.kernel - s.width - edge : 0;
        const std::size_t x = left < edge ? 0 : left - edge;
        const Run row{run, lead * s.channels, beyond * s.channels};
        for (std::size_t ky = 0; ky < s.kernel; ++ky, patch += run) {
          const std::size_t y = oy * s.stride + ky;  // `edge` further down
          if (y < edge || y - edge >= s.height) continue;
          visit(patch, ((n * s.height + y - edge) * s.width + x) * s.channels, row);
        }
      }
    }
  }
}

template <class T>
void clear(T* to, std::size_t count) {
  using Type = typename Register<T>::Type;
  constexpr std::size_t lanes = Register<T>::lanes;
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes) *reinterpret_cast<Type*>(to + i) = Type{};
  for (; i < count; ++i) to[i] = T{0};
}

/// Row ky of the patches of one row of outputs; `row` is the image's row it looks at.
template <class T>
void gather_row(T* to, const T* row, const PatchShape& s) {
  const std::size_t edge = s.kernel / 2;
  const std::size_t out_width = (s.width - 1) / s.stride + 1;
  const std::size_t channels = s.channels;
  const std::size_t run = s.kernel * channels;
  const std::size_t patch = s.kernel * run;
  const std::size_t step = s.stride * channels;
  std::size_t left = 0;  // of the window, `edge` pixels further right
  std::size_t ox = 0;
  const auto at_the_edge = [&] {
    const std::size_t lead = left < edge ? edge - left : 0;
    const std::size_t end = left + s.kernel > s.width + edge ? s.width + edge - left : s.kernel;
    clear(to, lead * channels);
    copy(to + lead * channels, row + (left + lead - edge) * channels, (end - lead) * channels);
    clear(to + end * channels, (s.kernel - end) * channels);
  };
  for (; ox < out_width && left < edge; ++ox, left += s.stride, to += patch) at_the_edge();
  const T* from = row + (left < edge ? 0 : left - edge) * channels;
  for (; ox < out_width && left + s.kernel <= s.width + edge; ++ox, left += s.stride, to += patch, from += step) {
    copy(to, from, run);
  }
  for (; ox < out_width; ++ox, left += s.stride, to += patch) at_the_edge();
}

template <class T>
void gather(T* patches, const T* x, const PatchShape& s) {
  const std::size_t edge = s.kernel / 2;
  const std::size_t out_height = (s.height - 1) / s.stride + 1;
  const std::size_t out_width = (s.width - 1) / s.stride + 1;
  const std::size_t row = s.width * s.channels;
  const std::size_t run = s.kernel * s.channels;
  const std::size_t patch = s.kernel * run;
  for (std::size_t n = 0; n < s.images; ++n, x += s.height * row) {
    for (std::size_t oy = 0; oy < out_height; ++oy, patches += out_width * patch) {
      for (std::size_t ky = 0; ky < s.kernel; ++ky) {
        const std::size_t y = oy * s.stride + ky;  // `edge` further down
        T* to = patches + ky * run;
        if (y >= edge && y - edge < s.height) {
          gather_row(to, x + (y - edge) * row, s);
        } else {
          for (std::size_t ox = 0; ox < out_width; ++ox, to += patch) clear(to, run);
        }
      }
    }
  }
}

/// As gather(), for patches of 3 x 3 pixels of one channel, whose runs are too short for loops.
template <class T>
void gather_3x3_of_one_channel(T* patches, const T* x, const PatchShape& s) {
  const std::size_t width = s.width;
  const std::size_t out_height = (s.height - 1) / s.stride + 1;
  const std::size_t out_width = (width - 1) / s.stride + 1;
  for (std::size_t n = 0; n < s.images; ++n, x += s.height * width) {
    for (std::size_t oy = 0; oy < out_height; ++oy, patches += out_width * 9) {
      for (std::size_t ky = 0; ky < 3; ++ky) {
        const std::size_t y = oy * s.stride + ky;  // one further down
        T* to = patches + 3 * ky;
        if (y == 0 || y > s.height) {
          for (std::size_t ox = 0; ox < out_width; ++ox, to += 9) to[0] = to[1] = to[2] = T{0};
          continue;
        }
        const T* row = x + (y - 1) * width;
        for (std::size_t ox = 0; ox < out_width; ++ox, to += 9) {
          const std::size_t centre = ox * s.stride;
          to[0] = centre == 0 ? T{0} : row[centre - 1];
          to[1] = row[centre];
          to[2] = centre + 1 == width ? T{0} : row[centre + 1];
        }
      }
    }
  }
}

template <class T>
void gather_any(T* patches, const T* x, const PatchShape& s) {
  s.kernel == 3 && s.channels == 1 ? gather_3x3_of_one_channel(patches, x, s) : gather(patches, x, s);
}

template <class T>
void scatter(T* x, const T* patches, const PatchShape& s) {
  const std::size_t image = s.height * s.width * s.channels;
  const std::size_t image_patches = ((s.height - 1) / s.stride + 1) * ((s.width - 1) / s.stride + 1);
  PatchShape one = s;
  one.images = 1;
  for (std::size_t n = 0; n < s.images; ++n, x += image, patches += image_patches * s.kernel * s.kernel * s.channels) {
    for (std::size_t i = 0; i < image; ++i) x[i] = T{0};
    for_each_run(one, [=](std::size_t from, std::size_t to, const Run& run) { add_run(x + to, patches + from, run); });
  }
}

/// What the patches of `rows` x `columns` neighbours hold of one pixel; `from` is its element in the first of them.
template <class T>
void sum_pixel(T* x, const T* from, std::size_t rows, std::size_t columns, std::size_t row, std::size_t column,
               std::size_t channels) {
  using Type = typename Register<T>::Type;
  constexpr std::size_t lanes = Register<T>::lanes;
  std::size_t c = 0;
  for (; c + lanes <= channels; c += lanes) {
    Type sum = {};
    if (rows == 3 && columns == 3) {
#pragma GCC unroll 3
      for (std::size_t i = 0; i < 3; ++i) {
#pragma GCC unroll 3
        for (std::size_t j = 0; j < 3; ++j) {
          sum = sum + *reinterpret_cast<const Type*>(from + i * row + j * column + c);
        }
      }
    } else {
      for (std::size_t i = 0; i < rows; ++i) {
        for (std::size_t j = 0; j < columns; ++j) {
          sum = sum + *reinterpret_cast<const Type*>(from + i * row + j * column + c);
        }
      }
    }
    *reinterpret_cast<Type*>(x + c) = sum;
  }
  for (; c < channels; ++c) {
    T sum{0};
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j < columns; ++j) sum = sum + from[i * row + j * column + c];
    }
    x[c] = sum;
  }
}

/// As scatter(), for a stride of 1 and enough channels: pixel by pixel instead of patch by patch, so that no sum passes
/// through memory.
template <class T>
void scatter_by_pixel(T* x, const T* patches, const PatchShape& s) {
  const std::size_t edge = s.kernel / 2;
  const std::size_t channels = s.channels;
  const std::size_t patch = s.kernel * s.kernel * channels;
  const std::size_t column = patch - channels;                    // the same pixel, one patch further right
  const std::size_t row = s.width * patch - s.kernel * channels;  // one further down
  for (std::size_t n = 0; n < s.images; ++n, patches += s.height * s.width * patch) {
    for (std::size_t i = 0; i < s.height; ++i) {
      const std::size_t top = i < edge ? 0 : i - edge;
      const std::size_t bottom = i + edge < s.height ? i + edge + 1 : s.height;
      for (std::size_t j = 0; j < s.width; ++j, x += channels) {
        const std::size_t left = j < edge ? 0 : j - edge;
        const std::size_t right = j + edge < s.width ? j + edge + 1 : s.width;
        const std::size_t element = ((i + edge - top) * s.kernel + j + edge - left) * channels;
        sum_pixel(x, patches + (top * s.width + left) * patch + element, bottom - top, right - left, row, column,
                  channels);
      }
    }
  }
}

template <class T>
void scatter_any(T* x, const T* patches, const PatchShape& s) {
  s.stride == 1 && s.channels >= Register<T>::lanes ? scatter_by_pixel(x, patches, s) : scatter(x, patches, s);
}

}  // namespace

void gather_patches(float* patches, const float* x, const PatchShape& shape) noexcept { gather_any(patches, x, shape); }
void gather_patches(double* patches, const double* x, const PatchShape& shape) noexcept {
  gather_any(patches, x, shape);
}
void scatter_patches(float* x, const float* patches, const PatchShape& shape) noexcept {
  scatter_any(x, patches, shape);
}
void scatter_patches(double* x, const double* patches, const PatchShape& shape) noexcept {
  scatter_any(x, patches, shape);
}

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
