// Runs a grid: its blocks or clusters one after the other, the threads of those in the schedule's order,
// each until it waits or ends. Nothing is interrupted: what a schedule changes is who comes first.

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "simt/async.h"
#include "simt/card.h"
#include "simt/cluster_unit.h"
#include "simt/mbarrier_unit.h"
#include "simt/sanitizer.h"
#include "simt/tensor_unit.h"
#include "simt/wgmma_unit.h"

namespace simt {

// xorshift64*
uint32_t random_below(uint32_t bound) {
  uint64_t& x = card.random;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  return static_cast<uint32_t>(((x * 2685821657736338717u) >> 32) * bound >> 32);
}

namespace {

constexpr uint64_t MOST_SHUFFLED = 1 << 16;

void shuffle(std::vector<unsigned>& v) {
  for (size_t i = v.size(); i > 1; i--) std::swap(v[i - 1], v[random_below(static_cast<uint32_t>(i))]);
}

// The thread's end: nothing of its own may be under way.
void finish_thread() {
  Fiber& me = *card.running;
  if (!me.copies.empty()) {
    fail({"", 0}, "the thread ends with %zu asynchronous copies not waited for", me.copies.size());
  }
  check_ended_matrices(me);
  check_ended_stores(me);
  leave_cluster_barrier();
  me.warp->live &= ~(1u << me.lane);
  if (++me.block->ended == card.threads) {
    check_ended_loads(*me.block);
    close_block(*me.block);
  }
}

void entry() {
  first_step();
  card.kernel->call(card.arguments);
  finish_thread();
  leave();
}

// One pass over the threads; false if none of them could run.
bool run_threads() {
  bool random = card.schedule.order == Order::Random, could = false;
  if (random) shuffle(card.turns);
  for (unsigned i : card.turns) {
    Fiber& f = card.fibers[i];
    if (f.state != Fiber::Ready) continue;
    could = true;
    // Half of them stay behind for a pass, so that others run far ahead.
    if (random && random_below(2)) continue;
    switch_to(f);
    look_for_reports(f);
    if (card.faulted) return false;
  }
  return could;
}

// Runs the blocks of a cluster together; one block, if there are no clusters.
void run_cluster(uint3 first, size_t shared) {
  const Dim& size = card.cluster;
  for (unsigned i = 0; i < size.count(); i++) {
    uint3 index{first.x + i % size.x, first.y + i / size.x % size.y, first.z + i / (size.x * size.y)};
    make_block(card.blocks[i], index, i, shared);
  }
  make_stacks(card.fibers_count);
  for (unsigned i = 0; i < card.fibers_count; i++) start_fiber(card.fibers[i], i, entry);
  make_cluster_barrier();
  card.running = &card.main;
  // What is late lands when everybody waits.
  while (run_threads() || (!card.faulted && land_late())) {
    look_for_reports(card.main);
  }
  bool done = std::all_of(card.blocks.begin(), card.blocks.end(),
                          [](const Block& b) { return b.ended == card.threads; });
  if (!card.faulted && !done) note_deadlock();
  end_engines();
  end_fibers();
  drop_loads();
  drop_mbarriers();
  drop_cluster_barrier();
  for (Block& block : card.blocks) drop_block(block);
}

}  // namespace

void run_grid(size_t shared) {
  card.threads = static_cast<unsigned>(card.block.count());
  auto together = static_cast<unsigned>(card.cluster.count());
  card.fibers_count = card.threads * together;
  card.random = (card.schedule.seed + 1) * 0x9e3779b97f4a7c15u | 1;
  card.joined = card.kernel->shared_begin != card.kernel->shared_end;
  if (card.fibers.size() < card.fibers_count) card.fibers.resize(card.fibers_count);
  card.blocks.assign(together, Block{});
  current.block_size = dim3(card.block.x, card.block.y, card.block.z);
  current.grid_size = dim3(card.grid.x, card.grid.y, card.grid.z);
  current.late_copies = card.schedule.late_copies != 0;
  bool reverse = card.schedule.order == Order::Reverse;
  card.turns.resize(card.fibers_count);
  std::iota(card.turns.begin(), card.turns.end(), 0u);
  if (reverse) std::reverse(card.turns.begin(), card.turns.end());

  Dim clusters{card.grid.x / card.cluster.x, card.grid.y / card.cluster.y, card.grid.z / card.cluster.z};
  uint64_t count = clusters.count();
  std::vector<unsigned> order;
  if (card.schedule.order == Order::Random && count <= MOST_SHUFFLED) {
    order.resize(count);
    std::iota(order.begin(), order.end(), 0u);
    shuffle(order);
  }
#if defined(SIMT_TSAN)
  card.main.tsan = __tsan_get_current_fiber();
#endif
  release(&orders.started);
  for (uint64_t i = 0; i < count && !card.faulted; i++) {
    uint64_t c = !order.empty() ? order[i] : reverse ? count - 1 - i : i;
    run_cluster({static_cast<unsigned>(c % clusters.x) * card.cluster.x,
                 static_cast<unsigned>(c / clusters.x % clusters.y) * card.cluster.y,
                 static_cast<unsigned>(c / clusters.x / clusters.y) * card.cluster.z},
                shared);
  }
  card.blocks.clear();
  acquire(&orders.finished);
}

}  // namespace simt
