// Tells who waits where when nobody can go on.

#include <cstdio>

#include "simt/card.h"
#include "simt/mbarrier_unit.h"
#include "simt/wgmma_unit.h"

namespace simt {

namespace {

// What a waiting thread waits for, and with whom.
std::string wait_of(const Fiber& f) {
  std::string text = f.what;
  char more[160] = "";
  switch (f.wait) {
    case Fiber::Wait::Warp: std::snprintf(more, sizeof more, " of mask 0x%08x", f.request.mask); break;
    case Fiber::Wait::Barrier:
      if (f.barrier != &f.block->barriers[0]) {
        std::snprintf(more, sizeof more, " %d (%u of %u threads)", static_cast<int>(f.barrier - f.block->barriers),
                      f.barrier->arrived, f.barrier->needed);
      }
      break;
    case Fiber::Wait::Mbarrier: text += " " + wait_of_mbarrier(f); break;
    case Fiber::Wait::Matrices: text += " " + wait_of_matrices(f); break;
    case Fiber::Wait::Registers: text += " " + wait_of_registers(f); break;
    case Fiber::Wait::Cluster: break;
  }
  return text + more + " at " + f.site.file + ":" + std::to_string(f.site.line);
}

// The waits of a block's threads, those of neighbours that are the same told once.
std::string waits_of(const Block& block) {
  std::string text;
  for (unsigned i = 0; i < card.threads;) {
    if (block.fibers[i].state != Fiber::Waiting) {
      i++;
      continue;
    }
    std::string what = wait_of(block.fibers[i]);
    unsigned last = i;
    while (last + 1 < card.threads && block.fibers[last + 1].state == Fiber::Waiting &&
           wait_of(block.fibers[last + 1]) == what) {
      last++;
    }
    text += (text.empty() ? "" : "; ") + std::string(last > i ? "threads " : "thread ") + std::to_string(i);
    if (last > i) text += " to " + std::to_string(last);
    text += " in " + what;
    i = last + 1;
  }
  return text;
}

}  // namespace

void note_deadlock() {
  std::string text;
  const Block* first = nullptr;
  for (const Block& block : card.blocks) {
    if (block.ended == card.threads) continue;
    if (first == nullptr) first = &block;
    if (!text.empty()) text += "; ";
    if (card.blocks.size() > 1) text += "in block " + std::to_string(block.rank) + " of the cluster: ";
    text += waits_of(block) + "; " + std::to_string(block.ended) + " of " + std::to_string(card.threads) +
            " threads have ended";
  }
  if (first != nullptr) note_fault(nobody_of(*first), "deadlock: %s", text.c_str());
}

}  // namespace simt
