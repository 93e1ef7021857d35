// Kernels with bugs on purpose in how they use Hopper's primitives, each beside its sound form, for the
// test that the simulated card catches them (tests/simt/hopper_planted.rs). No part of the product.

#include "common/device.h"

namespace {

enum class Bug {
  None,
  NoFullWait,       // the consumer does not wait for a stage
  WrongParity,      // it waits for the phase before
  ReleasedEarly,    // it gives a stage back before its wgmma have read it
  WaitOffByOne,     // the last wait leaves a group open
  FewBytes,         // the barrier expects fewer bytes than come
  ManyBytes,        // and more
  WrongSwizzle,     // of a descriptor
  NoMatrixFence,    // no wgmma_fence
  NoStoreFence,     // no fence between writing a tile and its bulk store
  StoreNotRead,     // the block ends before its store has read
  PartOfGroup,      // a warp of the warpgroup stays away
  NotShown,         // no mbarrier_fence_init
  NoInit,           // a barrier that was never made
  Overwritten,      // a tile lies over the barriers
};

constexpr int M = 64, N = 64, DEPTH = 64, STAGES = 2, LINE = 128;
constexpr int A_BYTES = M * LINE, STAGE = (M + N) * LINE, TILE_AT = STAGES * STAGE, BARRIERS_AT = TILE_AT + M * LINE;

struct Barriers {
  uint64_t *full, *empty;
};

template <Bug BUG>
__device__ __forceinline__ void produce(const TensorMap& a, const TensorMap& b, unsigned char* stages, Barriers bars,
                                        int steps) {
  for (int s = 0; s < steps; s++) {
    int stage = s % STAGES;
    mbarrier_wait(&bars.empty[stage], static_cast<uint32_t>((s / STAGES & 1) ^ 1));
    uint32_t bytes = STAGE;
    if (BUG == Bug::FewBytes) bytes -= 64 * LINE;
    if (BUG == Bug::ManyBytes) bytes += 16;
    mbarrier_arrive_expect(&bars.full[stage], bytes);
    unsigned char* to = stages + stage * STAGE;
    tensor_load<2>(to, a, &bars.full[stage], {s * DEPTH, static_cast<int>(blockIdx.y) * M});
    tensor_load<2>(to + A_BYTES, b, &bars.full[stage], {s * DEPTH, static_cast<int>(blockIdx.x) * N});
  }
}

template <Bug BUG>
__device__ __forceinline__ void consume(float (&acc)[N / 2], const unsigned char* stages, Barriers bars, int steps) {
  int before = -1;
  for (int s = 0; s < steps; s++) {
    int stage = s % STAGES;
    uint32_t parity = static_cast<uint32_t>(s / STAGES & 1);
    if (BUG == Bug::WrongParity) parity ^= 1;
    if (BUG != Bug::NoFullWait) mbarrier_wait(&bars.full[stage], parity);
    const unsigned char* at = stages + stage * STAGE;
    uint64_t a = matrix_descriptor<Swizzle::B128>(at, 16, 8 * LINE);
    uint64_t b = matrix_descriptor<Swizzle::B128>(at + A_BYTES, 16, 8 * LINE);
    if (BUG == Bug::WrongSwizzle) b = matrix_descriptor<Swizzle::B64>(at + A_BYTES, 16, 8 * LINE);
    if (BUG != Bug::NoMatrixFence) wgmma_fence();
    for (int k = 0; k < DEPTH / 16; k++) {
      auto skip = static_cast<uint64_t>(k * 2);
      if (BUG == Bug::PartOfGroup && threadIdx.x % 128 >= 96) continue;
      wgmma_f16<N>(acc, a + skip, b + skip, s > 0 || k > 0);
    }
    wgmma_commit();
    if (BUG == Bug::ReleasedEarly) {
      if (threadIdx.x % 128 == 0) mbarrier_arrive(&bars.empty[stage]);
      continue;
    }
    wgmma_wait<1>();
    if (before >= 0 && threadIdx.x % 128 == 0) mbarrier_arrive(&bars.empty[before]);
    before = stage;
  }
  if (BUG == Bug::WaitOffByOne) {
    wgmma_wait<1>();
  } else {
    wgmma_wait<0>();
  }
  if (before >= 0 && threadIdx.x % 128 == 0) mbarrier_arrive(&bars.empty[before]);
}

// Rounds the tile to half precision and stores it by the copy engine. By the consumer's warpgroup.
template <Bug BUG>
__device__ __forceinline__ void store(const TensorMap& out, unsigned char* tile, const float (&acc)[N / 2]) {
  unsigned thread = threadIdx.x % 128, warp = thread / 32, lane = thread % 32;
  unsigned line = warp * 16 + lane % 16;
  for (unsigned i = 0; i < N / 16; i++) {
    uint32_t r[4];
    for (unsigned j = 0; j < 4; j++) {
      __half2 pair = __floats2half2_rn(acc[8 * i + 2 * j], acc[8 * i + 2 * j + 1]);
      r[j] = static_cast<uint32_t>(__half_as_ushort(__high2half(pair))) << 16 | __half_as_ushort(__low2half(pair));
    }
    stmatrix(tile + line * LINE + (((2 * i + lane / 16) ^ line % 8) * 16), r);
  }
  if (BUG != Bug::NoStoreFence) fence_async_shared();
  barrier_sync(1, 128);
  if (thread != 0) return;
  tensor_store<2>(out, tile, {static_cast<int>(blockIdx.x) * N, static_cast<int>(blockIdx.y) * M});
  bulk_commit();
  if (BUG != Bug::StoreNotRead) bulk_wait_read<0>();
}

// out[m][n] = a[m][k] b[n][k] in half precision: boxes of 64 x 64, swizzled within 128 bytes; a block a
// tile, one warpgroup that produces and one that consumes.
template <Bug BUG>
__device__ __forceinline__ void product(const TensorMap& a, const TensorMap& b, const TensorMap& out, int depth) {
  DYNAMIC_SHARED(shared);
  auto* bars = reinterpret_cast<uint64_t*>(shared + (BUG == Bug::Overwritten ? TILE_AT : BARRIERS_AT));
  Barriers both{bars, bars + STAGES};
  if (threadIdx.x == 0) {
    for (int i = 0; i < STAGES; i++) {
      if (BUG != Bug::NoInit || i == 0) mbarrier_init(&both.full[i], 1);
      mbarrier_init(&both.empty[i], 1);
    }
    if (BUG != Bug::NotShown) mbarrier_fence_init();
  }
  __syncthreads();
  int steps = depth / DEPTH;
  if (threadIdx.x < 128) {
    if (threadIdx.x == 0) produce<BUG>(a, b, shared, both, steps);
  } else {
    float acc[N / 2];
    consume<BUG>(acc, shared, both, steps);
    store<BUG>(out, shared + TILE_AT, acc);
    if (BUG == Bug::Overwritten && threadIdx.x == 128) mbarrier_arrive(&both.empty[0]);
  }
}

enum class TileBug { None, NoFence, NoBarrier, ReadEarly, WrittenInFlight };

// d[128][4] = a[64][16] b[8][16] of values that the threads put into shared memory themselves, in pieces
// of 8 rows x 16 bytes, first A's, then B's.
template <TileBug BUG>
__device__ __forceinline__ void small_product(const __half* values, float* d) {
  DYNAMIC_SHARED(shared);
  auto* tile = reinterpret_cast<__half*>(shared);
  constexpr int COUNT = (64 + 8) * 16;
  for (int i = static_cast<int>(threadIdx.x); i < COUNT; i += static_cast<int>(blockDim.x)) tile[i] = values[i];
  if (BUG != TileBug::NoFence) fence_async_shared();
  if (BUG != TileBug::NoBarrier) __syncthreads();
  float acc[4] = {};
  wgmma_fence();
  wgmma_f16<8>(acc, matrix_descriptor<Swizzle::NONE>(tile, 128, 256),
               matrix_descriptor<Swizzle::NONE>(tile + 64 * 16, 128, 256), true);
  wgmma_commit();
  float* to = d + threadIdx.x * 4;
  if (BUG == TileBug::ReadEarly) {
    for (int i = 0; i < 4; i++) to[i] = acc[i];
  }
  if (BUG == TileBug::WrittenInFlight) {
    for (int i = 0; i < 4; i++) acc[i] = 0.0f;
    wgmma_f16<8>(acc, matrix_descriptor<Swizzle::NONE>(tile, 128, 256),
                 matrix_descriptor<Swizzle::NONE>(tile + 64 * 16, 128, 256), true);
    wgmma_commit();
  }
  wgmma_wait<0>();
  if (BUG == TileBug::ReadEarly) return;
  for (int i = 0; i < 4; i++) to[i] = acc[i];
}

enum class ClusterBug { None, EndsEarly, NoSync, TwoArrivals, WrongBlock };

// Every block reads what the block before it has written.
template <ClusterBug BUG>
__device__ __forceinline__ void pass_round(const float* x, float* out) {
  DYNAMIC_SHARED(shared);
  auto* own = reinterpret_cast<float*>(shared);
  uint32_t rank = cluster_rank(), blocks = cluster_blocks();
  unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  own[threadIdx.x] = x[i];
  if (BUG != ClusterBug::NoSync) cluster_sync();
  uint32_t from = BUG == ClusterBug::WrongBlock ? rank + 1 : (rank + 1) % blocks;
  out[i] = cluster_map(own, from)[threadIdx.x];
  if (BUG == ClusterBug::TwoArrivals) cluster_arrive();
  if (BUG != ClusterBug::EndsEarly) cluster_sync();
}

}  // namespace

extern "C" __global__ void planted_tma(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                                       const __grid_constant__ TensorMap out, int depth) {
  product<Bug::None>(a, b, out, depth);
}
extern "C" __global__ void planted_tma_no_full_wait(const __grid_constant__ TensorMap a,
                                                    const __grid_constant__ TensorMap b,
                                                    const __grid_constant__ TensorMap out, int depth) {
  product<Bug::NoFullWait>(a, b, out, depth);
}
extern "C" __global__ void planted_tma_wrong_parity(const __grid_constant__ TensorMap a,
                                                    const __grid_constant__ TensorMap b,
                                                    const __grid_constant__ TensorMap out, int depth) {
  product<Bug::WrongParity>(a, b, out, depth);
}
extern "C" __global__ void planted_tma_released_early(const __grid_constant__ TensorMap a,
                                                      const __grid_constant__ TensorMap b,
                                                      const __grid_constant__ TensorMap out, int depth) {
  product<Bug::ReleasedEarly>(a, b, out, depth);
}
extern "C" __global__ void planted_tma_wait_off_by_one(const __grid_constant__ TensorMap a,
                                                       const __grid_constant__ TensorMap b,
                                                       const __grid_constant__ TensorMap out, int depth) {
  product<Bug::WaitOffByOne>(a, b, out, depth);
}
extern "C" __global__ void planted_tma_few_bytes(const __grid_constant__ TensorMap a,
                                                 const __grid_constant__ TensorMap b,
                                                 const __grid_constant__ TensorMap out, int depth) {
  product<Bug::FewBytes>(a, b, out, depth);
}
extern "C" __global__ void planted_tma_many_bytes(const __grid_constant__ TensorMap a,
                                                  const __grid_constant__ TensorMap b,
                                                  const __grid_constant__ TensorMap out, int depth) {
  product<Bug::ManyBytes>(a, b, out, depth);
}
extern "C" __global__ void planted_tma_wrong_swizzle(const __grid_constant__ TensorMap a,
                                                     const __grid_constant__ TensorMap b,
                                                     const __grid_constant__ TensorMap out, int depth) {
  product<Bug::WrongSwizzle>(a, b, out, depth);
}
extern "C" __global__ void planted_tma_no_matrix_fence(const __grid_constant__ TensorMap a,
                                                       const __grid_constant__ TensorMap b,
                                                       const __grid_constant__ TensorMap out, int depth) {
  product<Bug::NoMatrixFence>(a, b, out, depth);
}
extern "C" __global__ void planted_tma_no_store_fence(const __grid_constant__ TensorMap a,
                                                      const __grid_constant__ TensorMap b,
                                                      const __grid_constant__ TensorMap out, int depth) {
  product<Bug::NoStoreFence>(a, b, out, depth);
}
extern "C" __global__ void planted_tma_store_not_read(const __grid_constant__ TensorMap a,
                                                      const __grid_constant__ TensorMap b,
                                                      const __grid_constant__ TensorMap out, int depth) {
  product<Bug::StoreNotRead>(a, b, out, depth);
}
extern "C" __global__ void planted_tma_part_of_group(const __grid_constant__ TensorMap a,
                                                     const __grid_constant__ TensorMap b,
                                                     const __grid_constant__ TensorMap out, int depth) {
  product<Bug::PartOfGroup>(a, b, out, depth);
}
extern "C" __global__ void planted_tma_not_shown(const __grid_constant__ TensorMap a,
                                                 const __grid_constant__ TensorMap b,
                                                 const __grid_constant__ TensorMap out, int depth) {
  product<Bug::NotShown>(a, b, out, depth);
}
extern "C" __global__ void planted_tma_no_init(const __grid_constant__ TensorMap a,
                                               const __grid_constant__ TensorMap b,
                                               const __grid_constant__ TensorMap out, int depth) {
  product<Bug::NoInit>(a, b, out, depth);
}
extern "C" __global__ void planted_tma_overwritten(const __grid_constant__ TensorMap a,
                                                   const __grid_constant__ TensorMap b,
                                                   const __grid_constant__ TensorMap out, int depth) {
  product<Bug::Overwritten>(a, b, out, depth);
}
extern "C" __global__ void planted_tile(const __half* values, float* d) {
  small_product<TileBug::None>(values, d);
}
extern "C" __global__ void planted_tile_no_fence(const __half* values, float* d) {
  small_product<TileBug::NoFence>(values, d);
}
extern "C" __global__ void planted_tile_no_barrier(const __half* values, float* d) {
  small_product<TileBug::NoBarrier>(values, d);
}
extern "C" __global__ void planted_tile_read_early(const __half* values, float* d) {
  small_product<TileBug::ReadEarly>(values, d);
}
extern "C" __global__ void planted_tile_written_in_flight(const __half* values, float* d) {
  small_product<TileBug::WrittenInFlight>(values, d);
}
extern "C" __global__ void planted_cluster(const float* x, float* out) {
  pass_round<ClusterBug::None>(x, out);
}
extern "C" __global__ void planted_cluster_ends_early(const float* x, float* out) {
  pass_round<ClusterBug::EndsEarly>(x, out);
}
extern "C" __global__ void planted_cluster_no_sync(const float* x, float* out) {
  pass_round<ClusterBug::NoSync>(x, out);
}
extern "C" __global__ void planted_cluster_two_arrivals(const float* x, float* out) {
  pass_round<ClusterBug::TwoArrivals>(x, out);
}
extern "C" __global__ void planted_cluster_wrong_block(const float* x, float* out) {
  pass_round<ClusterBug::WrongBlock>(x, out);
}

// More arrivals than the barrier counts, while bytes are still to come.
extern "C" __global__ void planted_mbarrier_over_arrival() {
  DYNAMIC_SHARED(shared);
  auto* bar = reinterpret_cast<uint64_t*>(shared);
  if (threadIdx.x == 0) {
    mbarrier_init(bar, 1);
    mbarrier_arrive_expect(bar, 128);
    mbarrier_arrive(bar);
  }
}
// A barrier used by threads that its making is not ordered before.
extern "C" __global__ void planted_mbarrier_no_barrier(float* out) {
  DYNAMIC_SHARED(shared);
  auto* bar = reinterpret_cast<uint64_t*>(shared);
  if (threadIdx.x == 0) mbarrier_init(bar, blockDim.x);
  mbarrier_arrive(bar);
  mbarrier_wait(bar, 0);
  out[threadIdx.x] = 1.0f;
}
// A barrier that one thread too few arrives at.
extern "C" __global__ void planted_mbarrier_too_few() {
  DYNAMIC_SHARED(shared);
  auto* bar = reinterpret_cast<uint64_t*>(shared);
  if (threadIdx.x == 0) mbarrier_init(bar, blockDim.x);
  __syncthreads();
  if (threadIdx.x > 0) mbarrier_arrive(bar);
  mbarrier_wait(bar, 0);
}
// More registers than the block has.
extern "C" __global__ void planted_registers_too_many(float* out) {
  if (threadIdx.x < 128) {
    registers_shrink<40>();
  } else {
    registers_grow<240>();
  }
  out[threadIdx.x] = 1.0f;
}
// A warp of the warpgroup does not ask.
extern "C" __global__ void planted_registers_part(float* out) {
  if (threadIdx.x >= 32) registers_shrink<40>();
  out[threadIdx.x] = 1.0f;
}
