// Barriers of a block: __syncthreads, which is barrier 0, and the named ones.

#include "simt/card.h"
#include "simt/sanitizer.h"

namespace simt {

namespace {

// Arrives at a barrier, and waits for the others if `stay`; gives the sum of their values.
unsigned arrive(Barrier& b, unsigned value, bool stay) {
  Fiber& me = *card.running;
  Block& block = *me.block;
  auto id = static_cast<size_t>(&b - block.barriers);
  // Two orders by turns: a thread that runs ahead to the barrier's next round must not be taken for
  // one that came before the present round's end.
  char* order = &block.orders->barriers[id][b.generation % 2];
  release(order);
  b.sum += value;
  if (++b.arrived < b.needed) {
    if (!stay) return 0;
    me.barrier = &b;
    wait(Fiber::Wait::Barrier, b.name, b.site);
  } else {
    for (unsigned i = 0; i < card.threads; i++) {
      Fiber& f = block.fibers[i];
      if (f.state != Fiber::Waiting || f.barrier != &b) continue;
      f.state = Fiber::Ready;
      f.barrier = nullptr;
      f.result = b.sum;
    }
    me.result = b.sum;
    b.arrived = b.sum = 0;
    b.generation++;
  }
  if (stay) acquire(order);
  return static_cast<unsigned>(me.result);
}

}  // namespace

unsigned syncthreads(const char* name, unsigned value, Site site) {
  Barrier& b = card.running->block->barriers[0];
  if (b.arrived == 0) {
    b.name = name;
    b.site = site;
    b.needed = card.threads;
  } else if (b.site.line != site.line || std::string_view(b.site.file) != site.file) {
    fail(site, "%s divides the block: other threads wait in %s at %s:%d", name, b.name, b.site.file, b.site.line);
  }
  return arrive(b, value, true);
}

void named_barrier(int id, int threads, bool stay, Site site) {
  const char* name = stay ? "barrier_sync" : "barrier_arrive";
  if (id < 1 || id >= static_cast<int>(NAMED_BARRIERS)) fail(site, "%s %d: there are barriers 1 to 15", name, id);
  if (threads <= 0 || threads % static_cast<int>(WARP) != 0 || threads > static_cast<int>(card.threads)) {
    fail(site, "%s %d of %d threads: needs a multiple of 32 up to the block's %u", name, id, threads, card.threads);
  }
  Barrier& b = card.running->block->barriers[id];
  if (b.arrived == 0) {
    b.needed = static_cast<unsigned>(threads);
    b.name = "barrier_sync";
    b.site = site;
  } else if (b.needed != static_cast<unsigned>(threads)) {
    fail(site, "%s %d of %d threads, while others use it for %u (%s:%d)", name, id, threads, b.needed, b.site.file,
         b.site.line);
  }
  arrive(b, 0, stay);
}

// Orders this thread after every thread that has passed a fence, as a fence with an atomic would.
void fence() {
  acquire(&orders.fence);
  release(&orders.fence);
}

}  // namespace simt
