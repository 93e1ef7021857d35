// Runs a grid: its blocks one after the other, the threads of a block in the schedule's order, each
// until it waits or ends. Nothing is interrupted: what a schedule changes is who comes first.

#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "simt/card.h"
#include "simt/sanitizer.h"

namespace simt {

namespace {

constexpr size_t SHARED_GUARD = 1024;  // around the dynamic shared memory, and its alignment
constexpr uint64_t MOST_SHUFFLED = 1 << 16;

// xorshift64*
uint32_t random_below(uint32_t bound) {
  uint64_t& x = card.random;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  return static_cast<uint32_t>(((x * 2685821657736338717u) >> 32) * bound >> 32);
}

void shuffle(std::vector<unsigned>& v) {
  for (size_t i = v.size(); i > 1; i--) std::swap(v[i - 1], v[random_below(static_cast<uint32_t>(i))]);
}

// Written out, so that no sanitizer looks at it.
void set_bytes(unsigned char* p, size_t n, unsigned char value) {
  for (size_t i = 0; i < n; i++) static_cast<volatile unsigned char*>(p)[i] = value;
}

unsigned char guard_byte(size_t i) { return i % 2 ? 0xff : 0xa5; }

void entry() {
  first_step();
  card.kernel->call(card.arguments);
  if (!card.running->copies.empty()) {
    fail({"", 0}, "the thread ends with %zu asynchronous copies not waited for", card.running->copies.size());
  }
  card.ended++;
  card.running->warp->live &= ~(1u << card.running->lane);
  leave();
}

// Shared memory full of NaN, so that reading what nobody wrote shows; guards tell what ran over it.
void make_shared(size_t bytes) {
  size_t whole = (bytes + 2 * SHARED_GUARD + SHARED_GUARD - 1) / SHARED_GUARD * SHARED_GUARD;
  card.shared_raw = static_cast<unsigned char*>(std::aligned_alloc(SHARED_GUARD, whole));
  card.shared = card.shared_raw + SHARED_GUARD;
  card.shared_bytes = bytes;
  for (size_t i = 0; i < SHARED_GUARD; i++) {
    set_bytes(card.shared_raw + i, 1, guard_byte(i));
    set_bytes(card.shared + bytes + i, 1, guard_byte(i));
  }
  set_bytes(card.shared, bytes, 0xff);
  poison(card.shared_raw, SHARED_GUARD);
  poison(card.shared + bytes, SHARED_GUARD);
  auto fixed = static_cast<size_t>(card.kernel->shared_end - card.kernel->shared_begin);
  if (card.kernel->shared_begin != nullptr) set_bytes(card.kernel->shared_begin, fixed, 0xff);
}

void drop_shared() {
  for (size_t i = 0; i < SHARED_GUARD; i++) {
    bool below = card.shared_raw[i] != guard_byte(i);
    if (below || card.shared[card.shared_bytes + i] != guard_byte(i)) {
      note_fault(card.main, "wrote outside the %zu bytes of dynamic shared memory, %s", card.shared_bytes,
                 below ? "below them" : "above them");
    }
  }
  unpoison(card.shared_raw, SHARED_GUARD);
  unpoison(card.shared + card.shared_bytes, SHARED_GUARD);
  std::free(card.shared_raw);
  card.shared_raw = card.shared = nullptr;
}

void make_threads(Dim block) {
  make_stacks(card.threads);
  unsigned warps = (card.threads + WARP - 1) / WARP;
  card.warps.assign(warps, Warp{});
  for (unsigned i = 0; i < card.threads; i++) {
    Fiber& f = card.fibers[i];
    f.state = Fiber::Ready;
    f.linear = i;
    f.lane = i % WARP;
    f.thread = {i % block.x, i / block.x % block.y, i / (block.x * block.y)};
    f.warp = &card.warps[i / WARP];
    f.warp->live |= 1u << f.lane;
    f.warp->lanes[f.lane] = &f;
    f.barrier = nullptr;
    f.what = "";
    f.site = {"", 0};
    f.copies.clear();
    f.groups.clear();
    f.open_copies = 0;
    start_fiber(f, entry);
  }
}

// What a waiting thread waits for, and with whom.
std::string wait_of(const Fiber& f) {
  std::string text = f.what;
  if (f.barrier == nullptr) {
    char mask[32];
    std::snprintf(mask, sizeof mask, " of mask 0x%08x", f.request.mask);
    text += mask;
  } else if (f.barrier != &card.barriers[0]) {
    auto id = f.barrier - card.barriers;
    text += " " + std::to_string(id) + " (" + std::to_string(f.barrier->arrived) + " of " +
            std::to_string(f.barrier->needed) + " threads)";
  }
  return text + " at " + f.site.file + ":" + std::to_string(f.site.line);
}

void note_deadlock() {
  std::string text;
  for (unsigned i = 0; i < card.threads;) {
    if (card.fibers[i].state != Fiber::Waiting) {
      i++;
      continue;
    }
    std::string what = wait_of(card.fibers[i]);
    unsigned last = i;
    while (last + 1 < card.threads && card.fibers[last + 1].state == Fiber::Waiting &&
           wait_of(card.fibers[last + 1]) == what) {
      last++;
    }
    text += (text.empty() ? "" : "; ") + std::string(last > i ? "threads " : "thread ") + std::to_string(i);
    if (last > i) text += " to " + std::to_string(last);
    text += " in " + what;
    i = last + 1;
  }
  note_fault(card.main, "deadlock: %s; %u of %u threads have ended", text.c_str(), card.ended, card.threads);
}

// One pass over the block's threads; false if none of them could run.
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

void run_block(Dim block, size_t shared) {
  make_shared(shared);
  current.dynamic_shared = card.shared;
  block_orders = static_cast<BlockOrders*>(std::calloc(1, sizeof(BlockOrders)));
  reset_barriers();
  make_threads(block);
  card.ended = 0;
  card.running = &card.main;
  while (run_threads()) {
  }
  if (!card.faulted && card.ended < card.threads) note_deadlock();
  end_fibers();
  drop_shared();
  std::free(block_orders);
}

}  // namespace

void run_grid(Dim grid, Dim block, size_t shared) {
  card.threads = static_cast<unsigned>(block.count());
  card.random = (card.schedule.seed + 1) * 0x9e3779b97f4a7c15u | 1;
  card.joined = card.kernel->shared_begin != card.kernel->shared_end;
  if (card.fibers.empty()) card.fibers.resize(MOST_THREADS);
  current.block_size = dim3(block.x, block.y, block.z);
  current.grid_size = dim3(grid.x, grid.y, grid.z);
  current.late_copies = card.schedule.late_copies != 0;
  bool reverse = card.schedule.order == Order::Reverse;
  card.turns.resize(card.threads);
  std::iota(card.turns.begin(), card.turns.end(), 0u);
  if (reverse) std::reverse(card.turns.begin(), card.turns.end());

  uint64_t blocks = grid.count();
  std::vector<unsigned> order;
  if (card.schedule.order == Order::Random && blocks <= MOST_SHUFFLED) {
    order.resize(blocks);
    std::iota(order.begin(), order.end(), 0u);
    shuffle(order);
  }
#if defined(SIMT_TSAN)
  card.main.tsan = __tsan_get_current_fiber();
#endif
  release(&orders.started);
  for (uint64_t i = 0; i < blocks && !card.faulted; i++) {
    uint64_t b = !order.empty() ? order[i] : reverse ? blocks - 1 - i : i;
    current.block = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                     static_cast<unsigned>(b / grid.x / grid.y)};
    run_block(block, shared);
  }
  acquire(&orders.finished);
}

}  // namespace simt
