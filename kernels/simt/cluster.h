// Clusters (PTX ISA, "barrier.cluster", "mapa"): blocks that run together and reach one another's shared
// memory. A block's memory is closed when its last thread ends: reaching it then is a fault.
#pragma once

#include "simt/mbarrier.h"

namespace simt {

void arrive_cluster(Site site);
void wait_cluster(Site site);
uint32_t rank_in_cluster();
uint32_t blocks_of_cluster();
void* map_cluster(const void* p, uint32_t rank, Site site);

}  // namespace simt

inline uint32_t cluster_rank() { return simt::rank_in_cluster(); }
inline uint32_t cluster_blocks() { return simt::blocks_of_cluster(); }
inline void cluster_arrive(simt::Site site = simt::Site::here()) { simt::arrive_cluster(site); }
inline void cluster_wait(simt::Site site = simt::Site::here()) { simt::wait_cluster(site); }
inline void cluster_sync(simt::Site site = simt::Site::here()) {
  simt::arrive_cluster(site);
  simt::wait_cluster(site);
}
template <class T>
inline T* cluster_map(T* p, uint32_t rank, simt::Site site = simt::Site::here()) {
  return static_cast<T*>(simt::map_cluster(p, rank, site));
}

inline void mbarrier_arrive_cluster(uint64_t* bar, uint32_t rank, simt::Site site = simt::Site::here()) {
  auto* there = static_cast<uint64_t*>(simt::map_cluster(bar, rank, site));
  simt::look_at_mbarrier(there, "mbarrier_arrive_cluster", site);
  simt::arrive_mbarrier(there, 0, false, site);
}
