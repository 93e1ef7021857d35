// What a TensorMap holds here, and how one is made (CUDA driver API, "Tensor Map Object Management").
#pragma once

#include <cstdint>
#include <string>

namespace simt {

// A tensor as the host describes it; dimensions innermost first. As `RawTensor` in driver_simt.
struct TensorShape {
  uint64_t address;
  uint64_t dims[5];
  uint64_t strides[4];  // bytes, of the dimensions from 1 on
  uint32_t rank, element;
  uint32_t swizzle;  // the span in bytes, 0 for none
  uint32_t im2col;   // whether the fields below hold, not `box`
  uint32_t box[5];
  int32_t lower[2], upper[2];
  uint32_t channels, pixels, steps[2];
};

// The 128 bytes of a TensorMap.
struct Encoded {
  uint64_t magic, address, buffer;
  uint32_t last[5];  // the sizes, less one
  uint32_t strides16[4];    // in units of 16 bytes, of which there may be 2^36
  uint8_t strides_high[4];
  uint16_t box[5];
  uint8_t rank, element, swizzle, im2col;
  int16_t lower[2], upper[2];
  uint16_t channels, pixels;
  uint8_t steps[2];
  uint8_t unused[28];
  uint64_t sum;

  int64_t size(int i) const { return int64_t(last[i]) + 1; }
  int64_t stride(int i) const { return (int64_t(strides_high[i]) << 32 | strides16[i]) * 16; }
  // Bytes of a line in shared memory, and how many lines a copy has.
  unsigned line_bytes() const { return (im2col ? channels : box[0]) * element; }
  unsigned lines() const {
    if (im2col) return pixels;
    unsigned n = 1;
    for (int i = 1; i < rank; i++) n *= box[i];
    return n;
  }
  unsigned bytes() const { return line_bytes() * lines(); }
  // After how many bytes the swizzle's pattern repeats; the alignment of a destination.
  unsigned repeat() const { return swizzle ? swizzle * 8u : 128u; }
};
static_assert(sizeof(Encoded) == 128, "as CUtensorMap");

// Where a byte of the box lies in shared memory: 16-byte pieces are exchanged within lines of the span
// by the number of the 128-byte line they are in.
inline size_t swizzled(size_t offset, unsigned span) {
  return span < 32 ? offset : offset ^ ((offset >> 7 & (span / 16 - 1)) << 4);
}

// Encodes; gives what cuTensorMapEncode* would refuse, or nothing.
std::string encode(const TensorShape& shape, Encoded* map);
// Whether the map is one that was encoded, of a buffer that is still there.
bool is_good(const Encoded& map);

}  // namespace simt
