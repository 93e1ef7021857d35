// Operations of a warp. Strict where CUDA leaves them undefined: a lane must be in its own mask, every
// lane of the mask must be alive and bring the same operation and mask, and a shuffle may read only
// lanes of the mask. __syncwarp alone orders memory; shuffles and votes do not.
#pragma once

#include <cstring>

#include "simt/runtime.h"

namespace simt {

template <class T>
inline T shuffle(WarpOp op, unsigned mask, T value, int argument, int width, Site site) {
  static_assert(sizeof(T) <= 8, "shuffles carry at most 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = warp_operation({op, mask, bits, argument, width, nullptr, nullptr, nullptr, site});
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

inline unsigned vote(WarpOp op, unsigned mask, int predicate, Site site) {
  uint64_t value = predicate != 0;
  return static_cast<unsigned>(warp_operation({op, mask, value, 0, 0, nullptr, nullptr, nullptr, site}));
}

}  // namespace simt

inline void __syncwarp(unsigned mask = 0xffffffffu, simt::Site site = simt::Site::here()) {
  simt::warp_operation({simt::WarpOp::Sync, mask, 0, 0, 0, nullptr, nullptr, nullptr, site});
}

template <class T>
inline T __shfl_sync(unsigned mask, T value, int lane, int width = 32, simt::Site site = simt::Site::here()) {
  return simt::shuffle(simt::WarpOp::Shuffle, mask, value, lane, width, site);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32,
                        simt::Site site = simt::Site::here()) {
  return simt::shuffle(simt::WarpOp::ShuffleUp, mask, value, static_cast<int>(delta), width, site);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32,
                          simt::Site site = simt::Site::here()) {
  return simt::shuffle(simt::WarpOp::ShuffleDown, mask, value, static_cast<int>(delta), width, site);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, simt::Site site = simt::Site::here()) {
  return simt::shuffle(simt::WarpOp::ShuffleXor, mask, value, lanes, width, site);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, simt::Site site = simt::Site::here()) {
  return simt::vote(simt::WarpOp::Ballot, mask, predicate, site);
}
inline int __any_sync(unsigned mask, int predicate, simt::Site site = simt::Site::here()) {
  return static_cast<int>(simt::vote(simt::WarpOp::Any, mask, predicate, site));
}
inline int __all_sync(unsigned mask, int predicate, simt::Site site = simt::Site::here()) {
  return static_cast<int>(simt::vote(simt::WarpOp::All, mask, predicate, site));
}
