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
  for (; i + lanes <= count; i += lanes) {
    *reinterpret_cast<Type*>(to + i) = *reinterpret_cast<const Type*>(from + i);
  }
  for (; i < count; ++i) to[i] = from[i];
}

template <class T>
void copy_run(T* to, const T* from, const Run& r) {
  const std::size_t end = r.run - r.trail;
  for (std::size_t i = 0; i < r.lead; ++i) to[i] = T{0};
  copy(to + r.lead, from, end - r.lead);
  for (std::size_t i = end; i < r.run; ++i) to[i] = T{0};
}

template <class T>
void add_run(T* to, const T* from, const Run& r) {
  const std::size_t count = r.run - r.trail - r.lead;
  const T* inside = from + r.lead;
  TRIREME_KERNELS_INDEPENDENT
  for (std::size_t i = 0; i < count; ++i) to[i] = to[i] + inside[i];
}

/// Calls visit(first element in the patches, first element in the images, run) for every row of every patch, and
/// outside(first element in the patches, run) for those above and below the image.
template <class Visit, class Outside>
void for_each_run(const PatchShape& s, Visit visit, Outside outside) {
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
          if (y < edge || y - edge >= s.height) {
            outside(patch, run);
          } else {
            visit(patch, ((n * s.height + y - edge) * s.width + x) * s.channels, row);
          }
        }
      }
    }
  }
}

template <class T>
void gather(T* patches, const T* x, const PatchShape& s) {
  for_each_run(
      s, [=](std::size_t to, std::size_t from, const Run& run) { copy_run(patches + to, x + from, run); },
      [=](std::size_t to, std::size_t run) {
        for (std::size_t i = 0; i < run; ++i) patches[to + i] = T{0};
      });
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
    for_each_run(
        one, [=](std::size_t from, std::size_t to, const Run& run) { add_run(x + to, patches + from, run); },
        [](std::size_t, std::size_t) {});
  }
}

}  // namespace

void gather_patches(float* patches, const float* x, const PatchShape& shape) noexcept { gather_any(patches, x, shape); }
void gather_patches(double* patches, const double* x, const PatchShape& shape) noexcept {
  gather_any(patches, x, shape);
}
void scatter_patches(float* x, const float* patches, const PatchShape& shape) noexcept { scatter(x, patches, shape); }
void scatter_patches(double* x, const double* patches, const PatchShape& shape) noexcept { scatter(x, patches, shape); }

}  // namespace trireme::kernels::TRIREME_KERNELS_ISA
