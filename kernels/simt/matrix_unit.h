// ldmatrix, stmatrix and mma.sync for a warp whose lanes have all arrived.
#pragma once

#include "simt/card.h"

namespace simt {

// Tells each lane where the elements of its fragments lie.
void find_elements(Warp& warp);
// Adds the product to each lane's accumulators.
void multiply_matrices(Warp& warp);

}  // namespace simt
