// __half and __nv_bfloat16 as 16 bits with exact conversions: to nearest, ties to even, as the card's.
// Arithmetic is in half_math.h.
#pragma once

#include <cstring>

#include "simt/types.h"

struct alignas(2) __half {
  uint16_t bits;
};
struct alignas(4) __half2 {
  __half x, y;
};
struct alignas(2) __nv_bfloat16 {
  uint16_t bits;
};
struct alignas(4) __nv_bfloat162 {
  __nv_bfloat16 x, y;
};
using half = __half;
using half2 = __half2;

namespace simt {

inline float from_bits(uint32_t bits) {
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}
inline uint32_t to_bits(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  return bits;
}

inline float half_to_float(uint16_t h) {
  uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  uint32_t exponent = h >> 10 & 31, fraction = h & 1023;
  if (exponent == 31) return from_bits(sign | 0x7f800000 | fraction << 13);
  if (exponent != 0) return from_bits(sign | (exponent + 112) << 23 | fraction << 13);
  float small = static_cast<float>(fraction) * 0x1p-24f;  // zero and the subnormals, exact
  return from_bits(sign | to_bits(small));
}

inline uint16_t float_to_half(float f) {
  uint32_t bits = to_bits(f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return 0x7fff;                                        // the card's NaN
  if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);         // rounds past 65504
  if (magnitude < 0x33000001) return static_cast<uint16_t>(sign);                   // at most half of 2^-24
  uint32_t exponent = magnitude >> 23, fraction = (magnitude & 0x7fffff) | 0x800000;
  // What is left of the fraction: 10 bits and the leading one; fewer for subnormals.
  uint32_t drop = exponent >= 113 ? 13 : 126 - exponent;
  uint32_t kept = fraction >> drop, rest = fraction & ((1u << drop) - 1), tie = 1u << (drop - 1);
  if (rest > tie || (rest == tie && (kept & 1))) kept++;
  // A carry out of the fraction steps to the next exponent, as it should.
  uint32_t value = exponent >= 113 ? kept + ((exponent - 113) << 10) : kept;
  return static_cast<uint16_t>(sign | value);
}

inline float bfloat_to_float(uint16_t b) { return from_bits(static_cast<uint32_t>(b) << 16); }

inline uint16_t float_to_bfloat(float f) {
  uint32_t bits = to_bits(f);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fff;  // the card's NaN
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

}  // namespace simt

inline float __half2float(__half h) { return simt::half_to_float(h.bits); }
inline __half __float2half_rn(float f) { return {simt::float_to_half(f)}; }
inline __half __float2half(float f) { return __float2half_rn(f); }
inline __half2 __floats2half2_rn(float x, float y) { return {__float2half_rn(x), __float2half_rn(y)}; }
inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
inline float2 __half22float2(__half2 h) { return {__half2float(h.x), __half2float(h.y)}; }
inline __half __low2half(__half2 h) { return h.x; }
inline __half __high2half(__half2 h) { return h.y; }
inline float __low2float(__half2 h) { return __half2float(h.x); }
inline float __high2float(__half2 h) { return __half2float(h.y); }
inline unsigned short __half_as_ushort(__half h) { return h.bits; }
inline __half __ushort_as_half(unsigned short bits) { return {bits}; }

inline float __bfloat162float(__nv_bfloat16 b) { return simt::bfloat_to_float(b.bits); }
inline __nv_bfloat16 __float2bfloat16_rn(float f) { return {simt::float_to_bfloat(f)}; }
inline __nv_bfloat16 __float2bfloat16(float f) { return __float2bfloat16_rn(f); }
inline __nv_bfloat162 __floats2bfloat162_rn(float x, float y) {
  return {__float2bfloat16_rn(x), __float2bfloat16_rn(y)};
}
inline unsigned short __bfloat16_as_ushort(__nv_bfloat16 b) { return b.bits; }
inline __nv_bfloat16 __ushort_as_bfloat16(unsigned short bits) { return {bits}; }
