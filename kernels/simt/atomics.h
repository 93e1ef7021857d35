// Atomics, relaxed as the card's: they order nothing around them. Fibres are never interrupted, so
// the builtins serve the race detector, which must know an atomic access from a plain one.
#pragma once

#include "simt/half.h"
#include "simt/runtime.h"

namespace simt {

// Replaces *p by change(*p); gives what was there.
template <class T, class F>
inline T atomic_change(T* p, F change, Site site) {
  check_aligned(p, sizeof(T), "atomic", site);
  T old = __atomic_load_n(p, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(p, &old, change(old), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
}

}  // namespace simt

#define SIMT_ATOMICS(T)                                                                                    \
  inline T atomicAdd(T* p, T v, simt::Site site = simt::Site::here()) {                                    \
    return simt::atomic_change(                                                                            \
        p, [v](T old) { return static_cast<T>(static_cast<unsigned long long>(old) + static_cast<unsigned long long>(v)); }, site); \
  }                                                                                                        \
  inline T atomicMax(T* p, T v, simt::Site site = simt::Site::here()) {                                    \
    return simt::atomic_change(p, [v](T old) { return old < v ? v : old; }, site);                         \
  }                                                                                                        \
  inline T atomicMin(T* p, T v, simt::Site site = simt::Site::here()) {                                    \
    return simt::atomic_change(p, [v](T old) { return v < old ? v : old; }, site);                         \
  }                                                                                                        \
  inline T atomicExch(T* p, T v, simt::Site site = simt::Site::here()) {                                   \
    return simt::atomic_change(p, [v](T) { return v; }, site);                                             \
  }                                                                                                        \
  inline T atomicCAS(T* p, T expected, T v, simt::Site site = simt::Site::here()) {                        \
    return simt::atomic_change(p, [=](T old) { return old == expected ? v : old; }, site);                 \
  }
SIMT_ATOMICS(int)
SIMT_ATOMICS(unsigned)
SIMT_ATOMICS(unsigned long long)
#undef SIMT_ATOMICS

inline float atomicAdd(float* p, float v, simt::Site site = simt::Site::here()) {
  auto* bits = reinterpret_cast<uint32_t*>(p);
  uint32_t old = simt::atomic_change(
      bits, [v](uint32_t old) { return simt::to_bits(simt::from_bits(old) + v); }, site);
  return simt::from_bits(old);
}
