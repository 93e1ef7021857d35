// The barrier of a cluster, for the runtime.
#pragma once

#include "simt/card.h"

namespace simt {

void make_cluster_barrier();
void drop_cluster_barrier();
// The running thread ends: the others do not wait for it.
void leave_cluster_barrier();

}  // namespace simt
