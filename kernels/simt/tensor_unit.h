// Bulk tensor copies under way, for the runtime.
#pragma once

#include "simt/card.h"

namespace simt {

// Lets one late load land; false if none is under way.
bool land_late();
// Loads that a fault left behind are forgotten.
void drop_loads();
// Fails if loads into the block's shared memory are under way, or a thread's stores not waited for.
void check_ended_loads(const Block& block);
void check_ended_stores(const Fiber& fiber);

}  // namespace simt
