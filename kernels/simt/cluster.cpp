// The barrier of a cluster, and where its blocks' shared memory is.

#include "simt/cluster.h"

#include <cstdlib>

#include "simt/cluster_unit.h"
#include "simt/sanitizer.h"

namespace simt {

namespace {

struct ClusterBarrier {
  unsigned arrived, ended;  // threads
  uint64_t generation;
  char* orders;  // for the race detector: two by turns, fresh for each cluster
};
ClusterBarrier barrier;

void settle() {
  if (barrier.arrived + barrier.ended < card.fibers_count || barrier.arrived == 0) return;
  barrier.arrived = 0;
  barrier.generation++;
  for (unsigned i = 0; i < card.fibers_count; i++) {
    Fiber& f = card.fibers[i];
    if (f.state == Fiber::Waiting && f.wait == Fiber::Wait::Cluster) f.state = Fiber::Ready;
  }
}

}  // namespace

void make_cluster_barrier() {
  barrier = ClusterBarrier{};
  barrier.orders = static_cast<char*>(std::calloc(2, 1));
}

void drop_cluster_barrier() { std::free(barrier.orders); }

void leave_cluster_barrier() {
  if (card.running->in_cluster_barrier) fail({"", 0}, "the thread ends between cluster_arrive and cluster_wait");
  barrier.ended++;
  settle();
}

void arrive_cluster(Site site) {
  need_hopper("cluster_arrive", site);
  Fiber& me = *card.running;
  if (me.in_cluster_barrier) fail(site, "cluster_arrive twice without a cluster_wait");
  me.in_cluster_barrier = true;
  me.cluster_generation = barrier.generation;
  release(&barrier.orders[barrier.generation % 2]);
  barrier.arrived++;
  settle();
}

void wait_cluster(Site site) {
  need_hopper("cluster_wait", site);
  Fiber& me = *card.running;
  if (!me.in_cluster_barrier) fail(site, "cluster_wait without a cluster_arrive");
  while (barrier.generation == me.cluster_generation) wait(Fiber::Wait::Cluster, "cluster_wait", site);
  me.in_cluster_barrier = false;
  acquire(&barrier.orders[me.cluster_generation % 2]);
}

uint32_t rank_in_cluster() { return card.running->block->rank; }
uint32_t blocks_of_cluster() { return static_cast<uint32_t>(card.blocks.size()); }

void* map_cluster(const void* p, uint32_t rank, Site site) {
  need_hopper("cluster_map", site);
  const Block& own = *card.running->block;
  if (!own.is_shared(p, 1)) fail(site, "cluster_map of what is not in the block's dynamic shared memory");
  if (rank >= card.blocks.size()) fail(site, "cluster_map to block %u of a cluster of %zu", rank, card.blocks.size());
  return card.blocks[rank].shared + (static_cast<const unsigned char*>(p) - own.shared);
}

}  // namespace simt
