// The barriers of shared memory, for the runtime.
#pragma once

#include "simt/card.h"

namespace simt {

struct Mbarrier {
  uint64_t* at;
  Block* block;
  Fiber* maker;
  uint64_t mark;
  unsigned count, pending;  // arrivals of a phase, and those of the present one still to come
  int64_t bytes;            // expected and not yet come
  uint64_t phase;           // how many are done
  bool shown;               // to the copy engine and the cluster
  Site site;
  char orders[2];  // for the race detector: the phases by turns
};

// The barrier at the address if its memory still holds its mark; fails in the name of `fiber` and gives
// null otherwise.
Mbarrier* mbarrier_at(const uint64_t* bar, const Fiber& fiber, const char* what, Site site);
// Bytes of a copy have landed; the engine is told of as the one who arrives.
void complete_bytes(Mbarrier& m, size_t bytes, void*& engine, const Fiber& fiber, Site site);
std::string wait_of_mbarrier(const Fiber& fiber);
void drop_mbarriers();

}  // namespace simt
