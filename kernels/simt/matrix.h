// ldmatrix, stmatrix and mma.sync, with the fragments of the PTX ISA (see matrix.cpp).
#pragma once

#include <cstring>

#include "simt/runtime.h"

namespace simt {

template <int COUNT>
inline void ldmatrix(uint32_t (&r)[COUNT], const void* row, bool transposed, Site site) {
  static_assert(COUNT == 1 || COUNT == 2 || COUNT == 4, "ldmatrix loads 1, 2 or 4 matrices");
  // Where the two elements of each matrix lie: the lane itself reads them, as on the card.
  const unsigned char* elements[8] = {};
  warp_operation({WarpOp::Ldmatrix, 0xffffffffu, COUNT, transposed, 0, row, nullptr, elements, site});
  for (int m = 0; m < COUNT; m++) {
    uint16_t low, high;
    std::memcpy(&low, elements[2 * m], 2);
    std::memcpy(&high, elements[2 * m + 1], 2);
    r[m] = static_cast<uint32_t>(high) << 16 | low;
  }
}

template <int COUNT>
inline void stmatrix(void* row, const uint32_t (&r)[COUNT], bool transposed, Site site) {
  static_assert(COUNT == 1 || COUNT == 2 || COUNT == 4, "stmatrix stores 1, 2 or 4 matrices");
  need_hopper("stmatrix", site);
  unsigned char* elements[8] = {};
  warp_operation({WarpOp::Stmatrix, 0xffffffffu, COUNT, transposed, 0, row, nullptr, elements, site});
  for (int m = 0; m < COUNT; m++) {
    auto low = static_cast<uint16_t>(r[m]), high = static_cast<uint16_t>(r[m] >> 16);
    std::memcpy(elements[2 * m], &low, 2);
    std::memcpy(elements[2 * m + 1], &high, 2);
  }
}

}  // namespace simt

template <int COUNT>
inline void ldmatrix(uint32_t (&r)[COUNT], const void* row, simt::Site site = simt::Site::here()) {
  simt::ldmatrix(r, row, false, site);
}
template <int COUNT>
inline void ldmatrix_trans(uint32_t (&r)[COUNT], const void* row, simt::Site site = simt::Site::here()) {
  simt::ldmatrix(r, row, true, site);
}

template <int COUNT>
inline void stmatrix(void* row, const uint32_t (&r)[COUNT], simt::Site site = simt::Site::here()) {
  simt::stmatrix(row, r, false, site);
}
template <int COUNT>
inline void stmatrix_trans(void* row, const uint32_t (&r)[COUNT], simt::Site site = simt::Site::here()) {
  simt::stmatrix(row, r, true, site);
}

inline void mma_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                    simt::Site site = simt::Site::here()) {
  simt::warp_operation({simt::WarpOp::Mma, 0xffffffffu, 0, false, 0, a, b, d, site});
}
inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                     simt::Site site = simt::Site::here()) {
  simt::warp_operation({simt::WarpOp::Mma, 0xffffffffu, 0, true, 0, a, b, d, site});
}
