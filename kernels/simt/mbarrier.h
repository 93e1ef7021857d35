// Barriers in shared memory (PTX ISA, "mbarrier"): arrivals and bytes of copies end a phase. The object
// itself is kept by the runtime; its eight bytes hold a mark, so that overwriting it shows. Threads
// read the mark as atomics do: one that does so before the barrier's making is ordered is a race.
#pragma once

#include "simt/runtime.h"

namespace simt {

// Checks that a barrier stands there, in any block of the cluster.
void find_mbarrier(const uint64_t* bar, const char* what, Site site);
inline void look_at_mbarrier(const uint64_t* bar, const char* what, Site site) {
  find_mbarrier(bar, what, site);
  static_cast<void>(__atomic_load_n(bar, __ATOMIC_RELAXED));
}

// Gives the mark to write there.
uint64_t init_mbarrier(uint64_t* bar, uint32_t arrivals, Site site);
void show_mbarriers(Site site);
void arrive_mbarrier(uint64_t* bar, uint32_t bytes, bool own, Site site);
void wait_mbarrier(uint64_t* bar, uint32_t parity, Site site);

}  // namespace simt

inline void mbarrier_init(uint64_t* bar, uint32_t arrivals, simt::Site site = simt::Site::here()) {
  *bar = simt::init_mbarrier(bar, arrivals, site);
}
inline void mbarrier_fence_init(simt::Site site = simt::Site::here()) { simt::show_mbarriers(site); }

inline void mbarrier_arrive(uint64_t* bar, simt::Site site = simt::Site::here()) {
  simt::look_at_mbarrier(bar, "mbarrier_arrive", site);
  simt::arrive_mbarrier(bar, 0, true, site);
}
inline void mbarrier_arrive_expect(uint64_t* bar, uint32_t bytes, simt::Site site = simt::Site::here()) {
  simt::look_at_mbarrier(bar, "mbarrier_arrive_expect", site);
  simt::arrive_mbarrier(bar, bytes, true, site);
}
inline void mbarrier_wait(uint64_t* bar, uint32_t parity, simt::Site site = simt::Site::here()) {
  simt::look_at_mbarrier(bar, "mbarrier_wait", site);
  simt::wait_mbarrier(bar, parity, site);
}
