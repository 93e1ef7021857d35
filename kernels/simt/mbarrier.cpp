// Barriers in shared memory: phases, arrivals and bytes.

#include "simt/mbarrier.h"

#include "simt/async.h"
#include "simt/mbarrier_unit.h"

namespace simt {

namespace {

constexpr unsigned MOST_ARRIVALS = (1 << 20) - 1;
constexpr int64_t MOST_BYTES = (1 << 20) - 1;

std::map<const uint64_t*, Mbarrier> barriers;
uint64_t made;

size_t offset_of(const Mbarrier& m) {
  return static_cast<size_t>(reinterpret_cast<unsigned char*>(m.at) - m.block->shared);
}

// Ends the phase if nothing more is to come.
void settle(Mbarrier& m, const Fiber& fiber, Site site) {
  if (m.pending > 0) return;
  if (m.bytes < 0) {
    constexpr const char* text = "the mbarrier at byte %zu got %lld bytes more than were expected in its phase %llu";
    auto phase = static_cast<unsigned long long>(m.phase);
    blame(fiber, site, text, offset_of(m), static_cast<long long>(-m.bytes), phase);
    return;
  }
  if (m.bytes > 0) return;
  m.phase++;
  m.pending = m.count;
  for (unsigned i = 0; i < card.fibers_count; i++) {
    Fiber& f = card.fibers[i];
    if (f.state != Fiber::Waiting || f.wait != Fiber::Wait::Mbarrier || f.mbarrier != &m) continue;
    f.state = Fiber::Ready;
  }
}

bool is_over(const Mbarrier& m, unsigned parity) { return m.phase % 2 != parity; }

}  // namespace

void find_mbarrier(const uint64_t* bar, const char* what, Site site) {
  need_hopper(what, site);
  check_aligned(bar, 8, "an mbarrier", site);
  if (barriers.find(bar) != barriers.end()) return;
  fail(site, "%s: no mbarrier was made at %p", what, static_cast<const void*>(bar));
}

Mbarrier* mbarrier_at(const uint64_t* bar, const Fiber& fiber, const char* what, Site site) {
  auto found = barriers.find(bar);
  if (found == barriers.end()) {
    blame(fiber, site, "%s: no mbarrier was made there", what);
    return nullptr;
  }
  Mbarrier& m = found->second;
  if (m.block->ended == card.threads) {
    blame(fiber, site, "%s: the mbarrier's block (%u,%u,%u) has ended", what, m.block->index.x, m.block->index.y,
          m.block->index.z);
    return nullptr;
  }
  uint64_t mark;
  __builtin_memcpy(&mark, m.at, 8);
  if (mark != m.mark) {
    constexpr const char* text = "%s: the mbarrier at byte %zu, made at %s:%d, was overwritten";
    blame(fiber, site, text, what, offset_of(m), m.site.file, m.site.line);
    return nullptr;
  }
  return &m;
}

uint64_t init_mbarrier(uint64_t* bar, uint32_t arrivals, Site site) {
  need_hopper("mbarrier_init", site);
  check_aligned(bar, 8, "an mbarrier", site);
  Block& block = *card.running->block;
  if (!block.is_shared(bar, 8)) fail(site, "mbarrier_init: not in the block's dynamic shared memory");
  if (arrivals < 1 || arrivals > MOST_ARRIVALS) {
    fail(site, "mbarrier_init of %u arrivals: needs 1 to 2^20 - 1", arrivals);
  }
  if (barriers.count(bar) != 0) fail(site, "mbarrier_init: one was made there before");
  Quiet quiet;
  Mbarrier& m = barriers[bar];
  m = {bar, &block, card.running, (++made * 0x9e3779b97f4a7c15u) | 1, arrivals, arrivals, 0, 0, false, site, {}};
  return m.mark;
}

void show_mbarriers(Site site) {
  need_hopper("mbarrier_fence_init", site);
  for (auto& [at, m] : barriers) m.shown |= m.maker == card.running;
}

void arrive_mbarrier(uint64_t* bar, uint32_t bytes, bool own, Site site) {
  Fiber& me = *card.running;
  Mbarrier& m = *mbarrier_at(bar, me, "an arrival", site);
  bool elsewhere = m.block != me.block;
  if (elsewhere && own) fail(site, "mbarrier_arrive at another block's barrier: mbarrier_arrive_cluster does that");
  if (elsewhere && !m.shown) fail(site, "the mbarrier was not shown to the cluster (mbarrier_fence_init)");
  if (bytes > MOST_BYTES || m.bytes + bytes > MOST_BYTES) fail(site, "an mbarrier expects at most 2^20 - 1 bytes");
  if (m.pending == 0) {
    constexpr const char* text =
        "one arrival too many at the mbarrier at byte %zu: all %u of its phase %llu have come, %lld bytes are open";
    auto phase = static_cast<unsigned long long>(m.phase);
    blame(me, site, text, offset_of(m), m.count, phase, static_cast<long long>(m.bytes));
  }
  release(&m.orders[m.phase % 2]);
  m.bytes += bytes;
  m.pending--;
  settle(m, me, site);
}

void complete_bytes(Mbarrier& m, size_t bytes, void*& engine, const Fiber& fiber, Site site) {
  {
    AsEngine as(engine);
    release(&m.orders[m.phase % 2]);
  }
  m.bytes -= static_cast<int64_t>(bytes);
  if (m.bytes < -MOST_BYTES) {
    blame(fiber, site, "the mbarrier at byte %zu got over 2^20 bytes that nobody expects", offset_of(m));
    return;
  }
  settle(m, fiber, site);
}

void wait_mbarrier(uint64_t* bar, uint32_t parity, Site site) {
  Fiber& me = *card.running;
  Mbarrier& m = *mbarrier_at(bar, me, "mbarrier_wait", site);
  if (m.block != me.block) fail(site, "mbarrier_wait at another block's barrier");
  if (parity > 1) fail(site, "mbarrier_wait for parity %u: it is 0 or 1", parity);
  // As a thread that looks again and again: it may miss a phase, and then waits for the one after.
  while (!is_over(m, parity)) {
    me.mbarrier = &m;
    me.parity = parity;
    wait(Fiber::Wait::Mbarrier, "mbarrier_wait", site);
  }
  acquire(&m.orders[parity]);
}

std::string wait_of_mbarrier(const Fiber& f) {
  const Mbarrier& m = *f.mbarrier;
  return "for parity " + std::to_string(f.parity) + " of the mbarrier at byte " + std::to_string(offset_of(m)) +
         " (phase " + std::to_string(m.phase) + ", " + std::to_string(m.pending) + " of " + std::to_string(m.count) +
         " arrivals and " + std::to_string(m.bytes) + " bytes to come)";
}

void drop_mbarriers() {
  Quiet quiet;
  barriers.clear();
}

}  // namespace simt
