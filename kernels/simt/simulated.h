// The simulated card as a kernel sees it: CUDA's language and the primitives of `common/device.h`,
// for g++. One fibre is one CUDA thread; blocks (or clusters) run one after the other. README.md says
// how.
#pragma once

#include "simt/types.h"
#include "simt/runtime.h"

#include "simt/half.h"
#include "simt/half_math.h"
#include "simt/intrinsics.h"
#include "simt/barrier.h"
#include "simt/warp.h"
#include "simt/atomics.h"
#include "simt/copies.h"
#include "simt/matrix.h"
#include "simt/mbarrier.h"
#include "simt/tensor.h"
#include "simt/wgmma.h"
#include "simt/cluster.h"
#include "simt/registers.h"
