// Arithmetic of __half and __nv_bfloat16, alone and by pairs, rounded once as the card's: a value is
// worked out in double, with what double cannot hold folded into its last bit, and then rounded.
#pragma once

#include <math.h>

#include "simt/half.h"

namespace simt {

inline uint64_t double_bits(double d) {
  uint64_t bits;
  std::memcpy(&bits, &d, 8);
  return bits;
}

// a + b, to odd: where the sum is not exact, its last bit is set, so that rounding it again is right.
inline double add_to_odd(double a, double b) {
  double sum = a + b, other = sum - a, rest = (a - (sum - other)) + (b - other);
  uint64_t bits = double_bits(sum);
  if (!isfinite(sum) || rest == 0.0 || (bits & 1)) return sum;
  // Towards what was lost.
  bits += (rest > 0.0) == (sum > 0.0) ? 1 : uint64_t(-1);
  double odd;
  std::memcpy(&odd, &bits, 8);
  return odd;
}

inline float narrow_to_odd(double d) {
  auto f = static_cast<float>(d);
  auto back = static_cast<double>(f);
  uint32_t bits = to_bits(f);
  if (isinf(f) && !isinf(d)) return from_bits((bits & 0x80000000u) | 0x7f7fffff);  // rounds to infinity later
  if (back == d || f != f || (bits & 1)) return f;
  bool away = fabs(back) > fabs(d);
  return from_bits(away ? bits - 1 : bits + 1);
}

inline double wide(__half h) { return half_to_float(h.bits); }
inline double wide(__nv_bfloat16 b) { return bfloat_to_float(b.bits); }
inline void round_into(__half& h, double d) { h.bits = float_to_half(narrow_to_odd(d)); }
inline void round_into(__nv_bfloat16& b, double d) { b.bits = float_to_bfloat(narrow_to_odd(d)); }

// a b + c; products are exact.
template <class T>
inline T fused(T a, T b, T c) {
  T r;
  round_into(r, add_to_odd(wide(a) * wide(b), wide(c)));
  return r;
}
template <class T>
inline T added(T a, T b) {
  T r;
  round_into(r, add_to_odd(wide(a), wide(b)));
  return r;
}
template <class T>
inline T multiplied(T a, T b) {
  T r;
  round_into(r, wide(a) * wide(b));
  return r;
}
template <class T>
inline T negative(T a) {
  return {static_cast<uint16_t>(a.bits ^ 0x8000)};
}
template <class T>
inline T absolute(T a) {
  return {static_cast<uint16_t>(a.bits & 0x7fff)};
}
// The larger; a number rather than NaN, and +0 rather than -0.
template <class T>
inline T larger(T a, T b) {
  double x = wide(a), y = wide(b);
  if (x != x && y != y) return {0x7fff};
  if (x != x || (y == y && y > x)) return b;
  return x == y && (a.bits & 0x8000) ? b : a;
}
template <class T>
inline T smaller(T a, T b) {
  double x = wide(a), y = wide(b);
  if (x != x && y != y) return {0x7fff};
  if (x != x || (y == y && y < x)) return b;
  return x == y && !(a.bits & 0x8000) ? b : a;
}

}  // namespace simt

// `T` and its pair `T2`.
#define SIMT_ARITHMETIC(T, T2)                                                                             \
  inline T __hadd(T a, T b) { return simt::added(a, b); }                                                  \
  inline T __hsub(T a, T b) { return simt::added(a, simt::negative(b)); }                                  \
  inline T __hmul(T a, T b) { return simt::multiplied(a, b); }                                             \
  inline T __hfma(T a, T b, T c) { return simt::fused(a, b, c); }                                          \
  inline T __hmax(T a, T b) { return simt::larger(a, b); }                                                 \
  inline T __hmin(T a, T b) { return simt::smaller(a, b); }                                                \
  inline T __hneg(T a) { return simt::negative(a); }                                                       \
  inline T __habs(T a) { return simt::absolute(a); }                                                       \
  inline bool __heq(T a, T b) { return simt::wide(a) == simt::wide(b); }                                   \
  inline bool __hlt(T a, T b) { return simt::wide(a) < simt::wide(b); }                                    \
  inline bool __hle(T a, T b) { return simt::wide(a) <= simt::wide(b); }                                   \
  inline bool __hgt(T a, T b) { return simt::wide(a) > simt::wide(b); }                                    \
  inline bool __hge(T a, T b) { return simt::wide(a) >= simt::wide(b); }                                   \
  inline bool __hisnan(T a) { return simt::wide(a) != simt::wide(a); }                                     \
  inline T2 __hadd2(T2 a, T2 b) { return {__hadd(a.x, b.x), __hadd(a.y, b.y)}; }                           \
  inline T2 __hsub2(T2 a, T2 b) { return {__hsub(a.x, b.x), __hsub(a.y, b.y)}; }                           \
  inline T2 __hmul2(T2 a, T2 b) { return {__hmul(a.x, b.x), __hmul(a.y, b.y)}; }                           \
  inline T2 __hfma2(T2 a, T2 b, T2 c) { return {__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)}; }           \
  inline T2 __hmax2(T2 a, T2 b) { return {__hmax(a.x, b.x), __hmax(a.y, b.y)}; }                           \
  inline T2 __hmin2(T2 a, T2 b) { return {__hmin(a.x, b.x), __hmin(a.y, b.y)}; }                           \
  inline T2 __hneg2(T2 a) { return {__hneg(a.x), __hneg(a.y)}; }                                           \
  inline T2 __habs2(T2 a) { return {__habs(a.x), __habs(a.y)}; }
SIMT_ARITHMETIC(__half, __half2)
SIMT_ARITHMETIC(__nv_bfloat16, __nv_bfloat162)
#undef SIMT_ARITHMETIC

inline __half2 __half2half2(__half h) { return {h, h}; }
inline __half2 __float2half2_rn(float f) { return __half2half2(__float2half_rn(f)); }
inline __half2 __float22half2_rn(float2 f) { return __floats2half2_rn(f.x, f.y); }
inline __half2 __lows2half2(__half2 a, __half2 b) { return {a.x, b.x}; }
inline __half2 __highs2half2(__half2 a, __half2 b) { return {a.y, b.y}; }
inline __half2 __lowhigh2highlow(__half2 a) { return {a.y, a.x}; }

inline __nv_bfloat162 __halves2bfloat162(__nv_bfloat16 x, __nv_bfloat16 y) { return {x, y}; }
inline __nv_bfloat162 __bfloat162bfloat162(__nv_bfloat16 b) { return {b, b}; }
inline __nv_bfloat162 __float2bfloat162_rn(float f) { return __bfloat162bfloat162(__float2bfloat16_rn(f)); }
inline __nv_bfloat162 __float22bfloat162_rn(float2 f) { return __floats2bfloat162_rn(f.x, f.y); }
inline float2 __bfloat1622float2(__nv_bfloat162 b) { return {__bfloat162float(b.x), __bfloat162float(b.y)}; }
inline __nv_bfloat16 __low2bfloat16(__nv_bfloat162 b) { return b.x; }
inline __nv_bfloat16 __high2bfloat16(__nv_bfloat162 b) { return b.y; }
inline float __low2float(__nv_bfloat162 b) { return __bfloat162float(b.x); }
inline float __high2float(__nv_bfloat162 b) { return __bfloat162float(b.y); }
