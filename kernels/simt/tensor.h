// Bulk tensor copies, TMA (PTX ISA, "cp.async.bulk.tensor"). They run beside the threads: a load's
// bytes land, at once or late, and then count at its mbarrier; a store reads shared memory, at once or
// late, before the wait for its group ends.
#pragma once

#include "simt/mbarrier.h"

struct alignas(128) TensorMap {
  uint64_t opaque[16];
};

namespace simt {

struct TensorRequest {
  const TensorMap* map;
  void* shared;  // the box's place
  uint64_t* bar;
  const int* at;
  int rank;
  bool im2col;
  uint16_t offset[2];  // im2col: in the window
  uint32_t blocks;     // of the cluster, by bits; 0 is the own one
  Site site;
};
void queue_load(const TensorRequest& request);
inline void load_tensor(const TensorRequest& request) {
  look_at_mbarrier(request.bar, "a tensor load", request.site);
  queue_load(request);
}
void store_tensor(const TensorRequest& request);
void commit_stores(Site site);
// Waits until at most `open` groups are; with `reading`, until they have been read.
void wait_stores(int open, bool reading, Site site);
void fence_async(Site site);
void check_map(const TensorMap& map, Site site);

}  // namespace simt

template <int RANK>
inline void tensor_load(void* to, const TensorMap& map, uint64_t* bar, const int (&at)[RANK],
                        simt::Site site = simt::Site::here()) {
  static_assert(RANK >= 2 && RANK <= 5, "tiles have 2 to 5 dimensions");
  simt::load_tensor({&map, to, bar, at, RANK, false, {0, 0}, 0, site});
}
template <int RANK>
inline void tensor_load_multicast(void* to, const TensorMap& map, uint64_t* bar, const int (&at)[RANK],
                                  uint16_t blocks, simt::Site site = simt::Site::here()) {
  static_assert(RANK >= 2 && RANK <= 5, "tiles have 2 to 5 dimensions");
  if (blocks == 0) simt::fail(site, "tensor_load_multicast to no block");
  simt::load_tensor({&map, to, bar, at, RANK, false, {0, 0}, blocks, site});
}
inline void tensor_load_im2col(void* to, const TensorMap& map, uint64_t* bar, const int (&at)[4],
                               const uint16_t (&offset)[2], simt::Site site = simt::Site::here()) {
  simt::load_tensor({&map, to, bar, at, 4, true, {offset[0], offset[1]}, 0, site});
}
inline void tensor_load_im2col_multicast(void* to, const TensorMap& map, uint64_t* bar, const int (&at)[4],
                                         const uint16_t (&offset)[2], uint16_t blocks,
                                         simt::Site site = simt::Site::here()) {
  if (blocks == 0) simt::fail(site, "tensor_load_im2col_multicast to no block");
  simt::load_tensor({&map, to, bar, at, 4, true, {offset[0], offset[1]}, blocks, site});
}
template <int RANK>
inline void tensor_store(const TensorMap& map, const void* from, const int (&at)[RANK],
                         simt::Site site = simt::Site::here()) {
  static_assert(RANK >= 2 && RANK <= 5, "tiles have 2 to 5 dimensions");
  simt::store_tensor({&map, const_cast<void*>(from), nullptr, at, RANK, false, {0, 0}, 0, site});
}
inline void tensor_prefetch(const TensorMap& map, simt::Site site = simt::Site::here()) {
  simt::check_map(map, site);
}

inline void bulk_commit(simt::Site site = simt::Site::here()) { simt::commit_stores(site); }
template <int OPEN>
inline void bulk_wait_read(simt::Site site = simt::Site::here()) {
  simt::wait_stores(OPEN, true, site);
}
template <int OPEN>
inline void bulk_wait(simt::Site site = simt::Site::here()) {
  simt::wait_stores(OPEN, false, site);
}
inline void fence_async_shared(simt::Site site = simt::Site::here()) { simt::fence_async(site); }
