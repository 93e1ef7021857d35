// The fragments of ldmatrix, stmatrix and of mma.sync.m16n8k16 (PTX ISA, "Warp-level matrix instructions").
//
// With g = lane / 4 and t = lane % 4, in pairs of neighbouring columns (a pair is one register):
//   A 16x16   a[0]: row g,   columns 2t, 2t+1      a[1]: row g+8, columns 2t, 2t+1
//             a[2]: row g,   columns 2t+8, 2t+9    a[3]: row g+8, columns 2t+8, 2t+9
//   B 16x8    b[0]: rows 2t, 2t+1 of column g      b[1]: rows 2t+8, 2t+9 of column g
//   C 16x8    c[0], c[1]: row g, columns 2t, 2t+1  c[2], c[3]: row g+8, columns 2t, 2t+1
//   ldmatrix, stmatrix  row g, columns 2t and 2t+1; transposed: column g, rows 2t and 2t+1

#include "simt/half.h"
#include "simt/matrix_unit.h"

namespace simt {

void find_elements(Warp& warp) {
  const Request& shape = warp.lanes[0]->request;
  auto count = static_cast<unsigned>(shape.value);
  for (unsigned l = 0; l < 8 * count; l++) {
    const Request& r = warp.lanes[l]->request;
    const char* row = r.op == WarpOp::Ldmatrix ? "ldmatrix: a row" : "stmatrix: a row";
    check_aligned(r.a, 16, row, r.site);
    check_shared(r.a, 16, row, r.site);
  }
  for (unsigned l = 0; l < WARP; l++) {
    auto** elements = static_cast<const unsigned char**>(warp.lanes[l]->request.out);
    unsigned g = l / 4, t = l % 4;
    for (unsigned m = 0; m < count; m++) {
      for (unsigned e = 0; e < 2; e++) {
        unsigned row = shape.argument ? 2 * t + e : g, column = shape.argument ? g : 2 * t + e;
        elements[2 * m + e] = static_cast<const unsigned char*>(warp.lanes[8 * m + row]->request.a) + 2 * column;
      }
    }
  }
}

void multiply_matrices(Warp& warp) {
  float a[16][16], b[16][8];
  for (unsigned l = 0; l < WARP; l++) {
    const Request& r = warp.lanes[l]->request;
    auto* ra = static_cast<const uint32_t*>(r.a);
    auto* rb = static_cast<const uint32_t*>(r.b);
    auto value = [&](uint32_t pair, unsigned e) {
      auto bits = static_cast<uint16_t>(pair >> 16 * e);
      return r.argument ? bfloat_to_float(bits) : half_to_float(bits);
    };
    unsigned g = l / 4, t = l % 4;
    for (unsigned i = 0; i < 4; i++) {
      for (unsigned e = 0; e < 2; e++) {
        a[g + 8 * (i % 2)][2 * t + e + 8 * (i / 2)] = value(ra[i], e);
        if (i < 2) b[2 * t + e + 8 * i][g] = value(rb[i], e);
      }
    }
  }
  for (unsigned l = 0; l < WARP; l++) {
    auto* d = static_cast<float*>(warp.lanes[l]->request.out);
    for (unsigned i = 0; i < 4; i++) {
      unsigned row = l / 4 + 8 * (i / 2), column = l % 4 * 2 + i % 2;
      float sum = d[i];
      for (unsigned k = 0; k < 16; k++) sum += a[row][k] * b[k][column];
      d[i] = sum;
    }
  }
}

}  // namespace simt
