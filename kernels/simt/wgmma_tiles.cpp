// The arithmetic of wgmma: products of tiles in f32, for the compiler to vectorise. No two steps are
// fused, so that every processor rounds alike.

#include "simt/half.h"
#include "simt/wgmma_unit.h"

#pragma GCC optimize("O3", "no-tree-loop-distribute-patterns", "fp-contract=off")

namespace simt {

namespace {

// Exact, for all values; NaN stays NaN.
inline float widen(uint16_t h) {
  uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  float magnitude = from_bits(static_cast<uint32_t>(h & 0x7fff) << 13) * 0x1p112f;
  uint32_t bits = to_bits(magnitude);
  bits |= magnitude >= 65536.0f ? 0x7f800000u : 0u;
  return from_bits(bits | sign);
}

#if defined(__x86_64__)
#define FOR_ITS_PROCESSOR __attribute__((target_clones("avx2", "default")))
#else
#define FOR_ITS_PROCESSOR
#endif

FOR_ITS_PROCESSOR void widen_all(float* to, const uint16_t* from, unsigned n, bool bfloat) {
  if (bfloat) {
    for (unsigned i = 0; i < n; i++) to[i] = from_bits(static_cast<uint32_t>(from[i]) << 16);
  } else {
    for (unsigned i = 0; i < n; i++) to[i] = widen(from[i]);
  }
}

// Eight columns at a time stay in registers over the whole depth.
FOR_ITS_PROCESSOR void add_product(float* acc, const float* a, const float* b, unsigned n) {
  for (unsigned row = 0; row < MATRIX_ROWS; row += 4) {
    for (unsigned column = 0; column < n; column += 8) {
      float sum[4][8];
      for (unsigned r = 0; r < 4; r++) {
        for (unsigned c = 0; c < 8; c++) sum[r][c] = acc[(row + r) * n + column + c];
      }
      for (unsigned k = 0; k < MATRIX_DEPTH; k++) {
        const float* line = b + k * n + column;
        for (unsigned r = 0; r < 4; r++) {
          float factor = a[(row + r) * MATRIX_DEPTH + k];
          for (unsigned c = 0; c < 8; c++) sum[r][c] += factor * line[c];
        }
      }
      for (unsigned r = 0; r < 4; r++) {
        for (unsigned c = 0; c < 8; c++) acc[(row + r) * n + column + c] = sum[r][c];
      }
    }
  }
}

}  // namespace

void multiply_tiles(float* acc, const uint16_t* a, const uint16_t* b, unsigned n, bool bfloat) {
  static float left[MATRIX_ROWS * MATRIX_DEPTH], rows[256 * MATRIX_DEPTH], right[MATRIX_DEPTH * 256];
  widen_all(left, a, MATRIX_ROWS * MATRIX_DEPTH, bfloat);
  widen_all(rows, b, n * MATRIX_DEPTH, bfloat);
  for (unsigned i = 0; i < n; i++) {
    for (unsigned k = 0; k < MATRIX_DEPTH; k++) right[k * n + i] = rows[i * MATRIX_DEPTH + k];
  }
  add_product(acc, left, right, n);
}

}  // namespace simt
