// setmaxnreg: a block starts with as many registers a thread as fit, in eights; what a warpgroup gives
// back, another may take.

#include "simt/registers.h"

#include "simt/wgmma_unit.h"

namespace simt {

namespace {

constexpr unsigned ALL_REGISTERS = 64 << 10;  // of a multiprocessor
constexpr unsigned MOST_REGISTERS = 256;      // of a thread

void wake(const Block& block, size_t group) {
  for (size_t i = group * WARPGROUP; i < (group + 1) * WARPGROUP; i++) {
    Fiber& f = block.fibers[i];
    if (f.state == Fiber::Waiting && f.wait == Fiber::Wait::Registers) f.state = Fiber::Ready;
  }
}

// Grants what whole warpgroups ask for, as far as registers are free; what one gives back, others get.
void grant(Block& block) {
  for (size_t i = 0; i < block.warpgroups.size(); i++) {
    Registers& r = block.warpgroups[i]->registers;
    if (r.arrived < WARPGROUP) continue;
    if (r.wanted > r.held && (r.wanted - r.held) * WARPGROUP > block.free_registers) continue;
    block.free_registers -= (r.wanted - r.held) * WARPGROUP;  // modulo 2^32 where it shrinks
    r.held = r.wanted;
    r.arrived = 0;
    r.changes++;
    wake(block, i);
    i = static_cast<size_t>(-1);  // from the start again
  }
}

}  // namespace

unsigned first_registers() {
  unsigned each = ALL_REGISTERS / card.threads / 8 * 8;
  return each < MOST_REGISTERS ? each : MOST_REGISTERS;
}

void change_registers(unsigned count, bool grow, Site site) {
  const char* name = grow ? "registers_grow" : "registers_shrink";
  Fiber& me = *card.running;
  Block& block = *me.block;
  Registers& r = warpgroup_of(me, name, site).registers;
  if (grow ? count < r.held : count > r.held) fail(site, "%s to %u registers from %u", name, count, r.held);
  if (r.arrived > 0 && (r.wanted != count || r.line != site.line)) {
    fail(site, "%s: other threads of the warpgroup change to %u registers, in line %d", name, r.wanted, r.line);
  }
  r.wanted = count;
  r.line = site.line;
  uint64_t change = r.changes;
  if (++r.arrived == WARPGROUP) grant(block);
  while (r.changes == change) wait(Fiber::Wait::Registers, name, site);
}

std::string wait_of_registers(const Fiber& f) {
  const Registers& r = f.block->warpgroups[f.linear / WARPGROUP]->registers;
  return "from " + std::to_string(r.held) + " to " + std::to_string(r.wanted) + " registers (" +
         std::to_string(r.arrived) + " of 128 threads ask, " + std::to_string(f.block->free_registers) +
         " registers of the block are free)";
}

}  // namespace simt
