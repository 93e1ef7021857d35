// Barriers of a block. Strict where CUDA leaves a barrier undefined: every thread of the block must
// reach the same __syncthreads, in the same line, and threads that have ended do not count.
#pragma once

#include "simt/runtime.h"

inline void __syncthreads(simt::Site site = simt::Site::here()) { simt::syncthreads("__syncthreads", 0, site); }
inline int __syncthreads_count(int predicate, simt::Site site = simt::Site::here()) {
  return static_cast<int>(simt::syncthreads("__syncthreads_count", predicate != 0, site));
}
inline int __syncthreads_or(int predicate, simt::Site site = simt::Site::here()) {
  return simt::syncthreads("__syncthreads_or", predicate != 0, site) != 0;
}
inline int __syncthreads_and(int predicate, simt::Site site = simt::Site::here()) {
  return simt::syncthreads("__syncthreads_and", predicate == 0, site) == 0;
}

inline void barrier_sync(int id, int threads, simt::Site site = simt::Site::here()) {
  simt::named_barrier(id, threads, true, site);
}
inline void barrier_arrive(int id, int threads, simt::Site site = simt::Site::here()) {
  simt::named_barrier(id, threads, false, site);
}

// Nothing is reordered here; a fence orders for the race detector alone.
inline void __threadfence() { simt::fence(); }
inline void __threadfence_block() { simt::fence(); }
