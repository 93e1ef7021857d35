// ldmatrix and mma.sync, with the fragments of the PTX ISA (see matrix.cpp).
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

}  // namespace simt

template <int COUNT>
inline void ldmatrix(uint32_t (&r)[COUNT], const void* row, simt::Site site = simt::Site::here()) {
  simt::ldmatrix(r, row, false, site);
}
template <int COUNT>
inline void ldmatrix_trans(uint32_t (&r)[COUNT], const void* row, simt::Site site = simt::Site::here()) {
  simt::ldmatrix(r, row, true, site);
}

inline void mma_f16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                    simt::Site site = simt::Site::here()) {
  simt::warp_operation({simt::WarpOp::Mma, 0xffffffffu, 0, false, 0, a, b, d, site});
}
inline void mma_bf16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
                     simt::Site site = simt::Site::here()) {
  simt::warp_operation({simt::WarpOp::Mma, 0xffffffffu, 0, true, 0, a, b, d, site});
}
