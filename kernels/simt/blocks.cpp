// A block's memory and threads, made and given up. Shared memory is full of NaN, so that reading what
// nobody wrote shows; guards tell what ran over it.

#include <sys/mman.h>

#include <cstdlib>

#include "simt/async.h"
#include "simt/card.h"
#include "simt/sanitizer.h"
#include "simt/wgmma_unit.h"

namespace simt {

namespace {

// Around the dynamic shared memory, and its alignment. A page, so that a block's memory can be closed.
constexpr size_t GUARD = 4096;

// Written out, so that no sanitizer looks at it.
void set_bytes(unsigned char* p, size_t n, unsigned char value) {
  for (size_t i = 0; i < n; i++) static_cast<volatile unsigned char*>(p)[i] = value;
}

unsigned char guard_byte(size_t i) { return i % 2 ? 0xff : 0xa5; }

size_t whole_bytes(size_t bytes) { return (bytes + 3 * GUARD - 1) / GUARD * GUARD; }

void make_shared(Block& block, size_t bytes) {
  block.shared_raw = static_cast<unsigned char*>(std::aligned_alloc(GUARD, whole_bytes(bytes)));
  block.shared = block.shared_raw + GUARD;
  block.shared_bytes = bytes;
  for (size_t i = 0; i < GUARD; i++) {
    block.shared_raw[i] = guard_byte(i);
    block.shared[bytes + i] = guard_byte(i);
  }
  set_bytes(block.shared, bytes, 0xff);
  poison(block.shared_raw, GUARD);
  poison(block.shared + bytes, GUARD);
  block.known = nullptr;
  if (is_hopper(*card.kernel)) {
    block.known = static_cast<unsigned char*>(std::aligned_alloc(GUARD, whole_bytes(bytes)));
    make_known(block);
  }
  auto fixed = static_cast<size_t>(card.kernel->shared_end - card.kernel->shared_begin);
  if (card.kernel->shared_begin != nullptr) set_bytes(card.kernel->shared_begin, fixed, 0xff);
}

void drop_shared(Block& block) {
  if (card.blocks.size() > 1) mprotect(block.shared_raw, whole_bytes(block.shared_bytes), PROT_READ | PROT_WRITE);
  for (size_t i = 0; i < GUARD; i++) {
    bool below = block.shared_raw[i] != guard_byte(i);
    if (below || block.shared[block.shared_bytes + i] != guard_byte(i)) {
      note_fault(nobody_of(block), "wrote outside the %zu bytes of dynamic shared memory, %s", block.shared_bytes,
                 below ? "below them" : "above them");
    }
  }
  unpoison(block.shared_raw, GUARD);
  unpoison(block.shared + block.shared_bytes, GUARD);
  std::free(block.shared_raw);
  std::free(block.known);
  block.shared_raw = block.shared = block.known = nullptr;
}

}  // namespace

void make_block(Block& block, uint3 index, unsigned rank, size_t shared) {
  block.index = index;
  block.rank = rank;
  block.ended = 0;
  block.fibers = &card.fibers[rank * card.threads];
  block.warps.assign((card.threads + WARP - 1) / WARP, Warp{});
  for (Barrier& b : block.barriers) b = Barrier{};
  block.orders = static_cast<BlockOrders*>(std::calloc(1, sizeof(BlockOrders)));
  make_shared(block, shared);
  for (unsigned i = 0; is_hopper(*card.kernel) && i < card.threads / WARPGROUP; i++) {
    block.warpgroups.push_back(new Warpgroup());
    block.warpgroups.back()->registers.held = first_registers();
  }
  block.free_registers = 0;
  for (unsigned i = 0; i < card.threads; i++) {
    Fiber& f = block.fibers[i];
    f.state = Fiber::Ready;
    f.linear = i;
    f.lane = i % WARP;
    const Dim& size = card.block;
    f.thread = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
    f.block = &block;
    f.warp = &block.warps[i / WARP];
    f.warp->live |= 1u << f.lane;
    f.warp->lanes[f.lane] = &f;
    f.barrier = nullptr;
    f.what = "";
    f.site = {"", 0};
    f.copies.clear();
    f.groups.clear();
    f.open_copies = 0;
    f.matrices = f.matrices_waited = 0;
    f.matrix_groups.clear();
    f.matrix_fence = f.in_cluster_barrier = false;
  }
}

void close_block(Block& block) {
  if (card.blocks.size() > 1) mprotect(block.shared_raw, whole_bytes(block.shared_bytes), PROT_NONE);
}

void drop_block(Block& block) {
  drop_shared(block);
  for (Warpgroup* group : block.warpgroups) delete group;
  block.warpgroups.clear();
  std::free(block.orders);
}

Block* block_of(const void* p) {
  for (Block& block : card.blocks) {
    if (block.is_shared(p, 1)) return &block;
  }
  return nullptr;
}

}  // namespace simt
