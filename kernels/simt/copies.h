// cp.async. With early copies the bytes land when the copy is asked for; with late copies the
// destination is poisoned first and the bytes land, from what the source holds then, at the wait.
#pragma once

#include "simt/runtime.h"

namespace simt {

// In the kernel's own thread, so that a sanitizer sees both accesses.
inline void land(const Copy& copy) {
  auto* to = static_cast<volatile unsigned char*>(copy.to);
  auto* from = static_cast<const volatile unsigned char*>(copy.from);
  for (int i = 0; i < copy.bytes; i++) to[i] = i < copy.valid ? from[i] : 0;
}

}  // namespace simt

template <int BYTES>
inline void cp_async(void* to, const void* from, int valid = BYTES, simt::Site site = simt::Site::here()) {
  static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "cp.async copies 4, 8 or 16 bytes");
  simt::check_aligned(to, BYTES, "cp.async's destination", site);
  simt::check_aligned(from, BYTES, "cp.async's source", site);
  simt::check_shared(to, BYTES, "cp.async's destination", site);
  simt::check_global(from, "cp.async's source", site);
  if (valid < 0 || valid > BYTES) simt::fail(site, "cp.async of %d bytes with %d valid ones", BYTES, valid);
  simt::Copy copy{to, from, BYTES, valid};
  if (simt::current.late_copies) {
    auto* poisoned = static_cast<volatile unsigned char*>(to);
    for (int i = 0; i < BYTES; i++) poisoned[i] = 0xff;
    simt::queue_copy(copy);
  } else {
    simt::land(copy);
  }
}

inline void cp_async_commit() { simt::commit_copies(); }

template <int OPEN>
inline void cp_async_wait() {
  simt::Copy copy;
  while (simt::next_copy(OPEN, &copy)) simt::land(copy);
}
