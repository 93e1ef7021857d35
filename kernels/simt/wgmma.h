// wgmma (PTX ISA, "Asynchronous warpgroup level matrix instructions"): products of tiles in shared
// memory, by the 128 threads of a warpgroup. An operation runs when all of them have brought it, or late,
// at the wait; until the wait the accumulators hold NaN.
#pragma once

#include "simt/runtime.h"

// How 16-byte pieces of a tile's lines are interleaved in shared memory: within spans of so many bytes.
enum class Swizzle { NONE, B32, B64, B128 };

namespace simt {

struct MatrixRequest {
  float* d;
  unsigned n;
  const uint32_t* registers;  // of A, or null
  uint64_t a, b;              // descriptors
  bool bfloat, accumulate;
  Site site;
};
void multiply(const MatrixRequest& request);
void matrix_fence(Site site);
void commit_matrices(Site site);
void wait_matrices(int open, Site site);
uint64_t describe_matrix(const void* tile, unsigned swizzle, uint32_t leading, uint32_t stride, Site site);

template <int N>
inline void check_n() {
  static_assert(N >= 8 && N <= 256 && N % 8 == 0, "wgmma's N is a multiple of 8 up to 256");
}

}  // namespace simt

template <Swizzle SWIZZLE>
inline uint64_t matrix_descriptor(const void* tile, uint32_t leading_bytes, uint32_t stride_bytes,
                                  simt::Site site = simt::Site::here()) {
  return simt::describe_matrix(tile, static_cast<unsigned>(SWIZZLE), leading_bytes, stride_bytes, site);
}

inline void wgmma_fence(simt::Site site = simt::Site::here()) { simt::matrix_fence(site); }
inline void wgmma_commit(simt::Site site = simt::Site::here()) { simt::commit_matrices(site); }
template <int OPEN>
inline void wgmma_wait(simt::Site site = simt::Site::here()) {
  simt::wait_matrices(OPEN, site);
}

template <int N>
inline void wgmma_f16(float (&d)[N / 2], uint64_t a, uint64_t b, bool accumulate,
                      simt::Site site = simt::Site::here()) {
  simt::check_n<N>();
  simt::multiply({d, N, nullptr, a, b, false, accumulate, site});
}
template <int N>
inline void wgmma_bf16(float (&d)[N / 2], uint64_t a, uint64_t b, bool accumulate,
                       simt::Site site = simt::Site::here()) {
  simt::check_n<N>();
  simt::multiply({d, N, nullptr, a, b, true, accumulate, site});
}
template <int N>
inline void wgmma_f16_registers(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b, bool accumulate,
                                simt::Site site = simt::Site::here()) {
  simt::check_n<N>();
  simt::multiply({d, N, a, 0, b, false, accumulate, site});
}
template <int N>
inline void wgmma_bf16_registers(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b, bool accumulate,
                                 simt::Site site = simt::Site::here()) {
  simt::check_n<N>();
  simt::multiply({d, N, a, 0, b, true, accumulate, site});
}
