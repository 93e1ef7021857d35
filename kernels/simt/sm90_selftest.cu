// Kernels that show what each of Hopper's primitives does, for the tests of the simulated card
// (tests/simt) and of a real one. No part of the product.

#include "common/device.h"

namespace {

constexpr int BARRIERS = 1024;  // bytes at the start of shared memory; tiles stand behind them

__device__ __forceinline__ void make_barrier(uint64_t* bar, uint32_t arrivals) {
  if (threadIdx.x == 0) {
    mbarrier_init(bar, arrivals);
    mbarrier_fence_init();
  }
  __syncthreads();
}

// What shared memory holds after one load of `bytes` bytes.
template <int RANK>
__device__ __forceinline__ void load_box(const TensorMap& map, const int* where, unsigned char* out, int bytes) {
  DYNAMIC_SHARED(shared);
  auto* bar = reinterpret_cast<uint64_t*>(shared);
  unsigned char* tile = shared + BARRIERS;
  make_barrier(bar, 1);
  if (threadIdx.x == 0) {
    int at[RANK];
    for (int i = 0; i < RANK; i++) at[i] = where[i];
    tensor_prefetch(map);
    mbarrier_arrive_expect(bar, static_cast<uint32_t>(bytes));
    tensor_load<RANK>(tile, map, bar, at);
  }
  mbarrier_wait(bar, 0);
  for (int i = static_cast<int>(threadIdx.x); i < bytes; i += static_cast<int>(blockDim.x)) out[i] = tile[i];
}

// Stores a box of `bytes` bytes, as they lie in shared memory.
template <int RANK>
__device__ __forceinline__ void store_box(const TensorMap& map, const int* where, const unsigned char* from,
                                          int bytes) {
  DYNAMIC_SHARED(shared);
  for (int i = static_cast<int>(threadIdx.x); i < bytes; i += static_cast<int>(blockDim.x)) shared[i] = from[i];
  fence_async_shared();
  __syncthreads();
  if (threadIdx.x != 0) return;
  int at[RANK];
  for (int i = 0; i < RANK; i++) at[i] = where[i];
  tensor_store<RANK>(map, shared, at);
  bulk_commit();
  bulk_wait<0>();
}

template <int COUNT>
__device__ __forceinline__ void store_fragments(const uint32_t* fragments, uint4* out, bool transposed) {
  DYNAMIC_SHARED(shared);
  auto* rows = reinterpret_cast<uint4*>(shared);
  int lane = static_cast<int>(threadIdx.x);
  uint32_t r[COUNT];
  for (int m = 0; m < COUNT; m++) r[m] = fragments[lane * COUNT + m];
  if (transposed) {
    stmatrix_trans(rows + lane % (8 * COUNT), r);
  } else {
    stmatrix(rows + lane % (8 * COUNT), r);
  }
  __syncwarp();
  if (lane < 8 * COUNT) out[lane] = rows[lane];
}

// d[64][N] += a[64][16] b[N][16] for `steps` such pieces of depth, `step` bytes apart in shared memory,
// whose bytes are given as they shall lie there: `a_bytes` of A, then B.
template <int N, Swizzle SWIZZLE>
__device__ __forceinline__ void multiply_raw(int kind, const unsigned char* tiles, int bytes, int a_bytes,
                                             uint32_t leading, uint32_t stride, int step, int steps,
                                             const uint32_t* fragments, float* d) {
  DYNAMIC_SHARED(shared);
  for (int i = static_cast<int>(threadIdx.x); i < bytes; i += static_cast<int>(blockDim.x)) shared[i] = tiles[i];
  fence_async_shared();
  __syncthreads();
  float acc[N / 2];
  for (int i = 0; i < N / 2; i++) acc[i] = d[threadIdx.x * (N / 2) + static_cast<unsigned>(i)];
  uint64_t a = matrix_descriptor<SWIZZLE>(shared, leading, stride);
  uint64_t b = matrix_descriptor<SWIZZLE>(shared + a_bytes, leading, stride);
  wgmma_fence();
  for (int s = 0; s < steps; s++) {
    auto skip = static_cast<uint64_t>(s * step / 16);
    if (kind == 0) wgmma_f16<N>(acc, a + skip, b + skip, true);
    if (kind == 1) wgmma_bf16<N>(acc, a + skip, b + skip, true);
    if (kind == 2 || kind == 4) {
      uint32_t r[4];
      const uint32_t* own = fragments + (static_cast<int>(threadIdx.x) * steps + s) * 4;
      for (int i = 0; i < 4; i++) r[i] = own[i];
      if (kind == 2) {
        wgmma_f16_registers<N>(acc, r, b + skip, true);
      } else {
        wgmma_bf16_registers<N>(acc, r, b + skip, true);
      }
    }
    if (kind == 3) wgmma_f16<N>(acc, a + skip, b + skip, s > 0);
    // Groups of two.
    if (s % 2 == 1) wgmma_commit();
  }
  wgmma_commit();
  wgmma_wait<0>();
  for (int i = 0; i < N / 2; i++) d[threadIdx.x * (N / 2) + static_cast<unsigned>(i)] = acc[i];
}

}  // namespace

extern "C" __global__ void selftest_load_2(const __grid_constant__ TensorMap map, const int* at, unsigned char* out,
                                           int bytes) {
  load_box<2>(map, at, out, bytes);
}
extern "C" __global__ void selftest_load_3(const __grid_constant__ TensorMap map, const int* at, unsigned char* out,
                                           int bytes) {
  load_box<3>(map, at, out, bytes);
}
extern "C" __global__ void selftest_load_4(const __grid_constant__ TensorMap map, const int* at, unsigned char* out,
                                           int bytes) {
  load_box<4>(map, at, out, bytes);
}
extern "C" __global__ void selftest_load_5(const __grid_constant__ TensorMap map, const int* at, unsigned char* out,
                                           int bytes) {
  load_box<5>(map, at, out, bytes);
}

// `where`: c, w, h, n, and the offsets in w and h.
extern "C" __global__ void selftest_load_im2col(const __grid_constant__ TensorMap map, const int* where,
                                                unsigned char* out, int bytes) {
  DYNAMIC_SHARED(shared);
  auto* bar = reinterpret_cast<uint64_t*>(shared);
  unsigned char* tile = shared + BARRIERS;
  make_barrier(bar, 1);
  if (threadIdx.x == 0) {
    mbarrier_arrive_expect(bar, static_cast<uint32_t>(bytes));
    tensor_load_im2col(tile, map, bar, {where[0], where[1], where[2], where[3]},
                       {static_cast<uint16_t>(where[4]), static_cast<uint16_t>(where[5])});
  }
  mbarrier_wait(bar, 0);
  for (int i = static_cast<int>(threadIdx.x); i < bytes; i += static_cast<int>(blockDim.x)) out[i] = tile[i];
}

extern "C" __global__ void selftest_store_2(const __grid_constant__ TensorMap map, const int* at,
                                            const unsigned char* from, int bytes) {
  store_box<2>(map, at, from, bytes);
}
extern "C" __global__ void selftest_store_5(const __grid_constant__ TensorMap map, const int* at,
                                            const unsigned char* from, int bytes) {
  store_box<5>(map, at, from, bytes);
}

// `count` boxes of 8 x 64 values, one below the other, through `count` places in shared memory; the store
// of each is waited for only where its place is used again.
extern "C" __global__ void selftest_store_groups(const __grid_constant__ TensorMap map, int count, float first) {
  DYNAMIC_SHARED(shared);
  for (int i = 0; i < count; i++) {
    auto* place = reinterpret_cast<__half*>(shared + i % 2 * 1024);
    if (threadIdx.x == 0) bulk_wait_read<1>();
    __syncthreads();
    __half value = __float2half_rn(first + static_cast<float>(i));
    for (unsigned v = threadIdx.x; v < 8 * 64; v += blockDim.x) place[v] = value;
    fence_async_shared();
    __syncthreads();
    if (threadIdx.x == 0) {
      tensor_store<2>(map, place, {0, 8 * i});
      bulk_commit();
    }
  }
  if (threadIdx.x == 0) bulk_wait_read<0>();
}

// fragments[lane][count] -> out[8 * count], rows of 8 values.
extern "C" __global__ void selftest_stmatrix(int count, int transposed, const uint32_t* fragments, uint4* out) {
  if (count == 1) store_fragments<1>(fragments, out, transposed != 0);
  if (count == 2) store_fragments<2>(fragments, out, transposed != 0);
  if (count == 4) store_fragments<4>(fragments, out, transposed != 0);
}

// kind 0: f16, 1: bf16, 2: A from registers, 3: f16 that starts from zero, 4: bf16, A from registers. d[128][n / 2].
extern "C" __global__ void selftest_wgmma(int kind, int n, int span, const unsigned char* tiles, int bytes,
                                          int a_bytes, int leading, int stride, int step, int steps,
                                          const uint32_t* fragments, float* d) {
  auto lead = static_cast<uint32_t>(leading), apart = static_cast<uint32_t>(stride);
  if (n == 8) multiply_raw<8, Swizzle::B128>(kind, tiles, bytes, a_bytes, lead, apart, step, steps, fragments, d);
  if (n == 256) multiply_raw<256, Swizzle::B128>(kind, tiles, bytes, a_bytes, lead, apart, step, steps, fragments, d);
  if (n != 24) return;
  if (span == 0) multiply_raw<24, Swizzle::NONE>(kind, tiles, bytes, a_bytes, lead, apart, step, steps, fragments, d);
  if (span == 32) multiply_raw<24, Swizzle::B32>(kind, tiles, bytes, a_bytes, lead, apart, step, steps, fragments, d);
  if (span == 64) multiply_raw<24, Swizzle::B64>(kind, tiles, bytes, a_bytes, lead, apart, step, steps, fragments, d);
  if (span == 128) multiply_raw<24, Swizzle::B128>(kind, tiles, bytes, a_bytes, lead, apart, step, steps, fragments, d);
}

// Values handed on round a ring of threads' phases: thread 0 fills a place, the others read it, `rounds`
// times; out[round][thread].
extern "C" __global__ void selftest_mbarrier(int* out, int rounds) {
  DYNAMIC_SHARED(shared);
  auto* full = reinterpret_cast<uint64_t*>(shared);
  uint64_t* empty = full + 1;
  auto* value = reinterpret_cast<int*>(shared + 64);
  unsigned readers = blockDim.x - 1;
  if (threadIdx.x == 0) {
    mbarrier_init(full, 1);
    mbarrier_init(empty, readers);
  }
  __syncthreads();
  for (int r = 0; r < rounds; r++) {
    uint32_t parity = static_cast<uint32_t>(r) & 1;
    if (threadIdx.x == 0) {
      mbarrier_wait(empty, parity ^ 1);
      *value = 100 + r;
      mbarrier_arrive(full);
    } else {
      mbarrier_wait(full, parity);
      out[r * static_cast<int>(readers) + static_cast<int>(threadIdx.x) - 1] = *value;
      mbarrier_arrive(empty);
    }
  }
}

// out[block][i]: what block (rank + 1) % blocks of the cluster holds, read there; and its rank. Then each
// thread adds to a counter of the last block, which puts it at its own place of `sums`.
extern "C" __global__ void selftest_cluster(const int* values, int* out, int* sums) {
  DYNAMIC_SHARED(shared);
  auto* own = reinterpret_cast<int*>(shared);
  uint32_t rank = cluster_rank(), blocks = cluster_blocks();
  unsigned block = blockIdx.x + gridDim.x * blockIdx.y, t = threadIdx.x, n = blockDim.x;
  own[t] = values[block * n + t];
  if (t == 0) own[n] = static_cast<int>(rank), own[n + 1] = 0;
  cluster_sync();
  const int* next = cluster_map(own, (rank + 1) % blocks);
  out[block * (n + 1) + t] = next[t];
  if (t == 0) out[block * (n + 1) + n] = next[n];
  atomicAdd(cluster_map(own + n + 1, blocks - 1), own[t]);
  cluster_arrive();
  cluster_wait();
  if (rank == blocks - 1 && t == 0) sums[block] = own[n + 1];
}

// Each block loads its share of a box of 8 lines for a block, and shows it to all of the cluster: all end
// up with all lines. out[block][blocks * 1024].
extern "C" __global__ void selftest_multicast(const __grid_constant__ TensorMap map, unsigned char* out) {
  DYNAMIC_SHARED(shared);
  auto* bar = reinterpret_cast<uint64_t*>(shared);
  uint64_t* empty = bar + 1;
  unsigned char* tile = shared + BARRIERS;
  uint32_t rank = cluster_rank(), blocks = cluster_blocks(), bytes = 1024 * blocks;
  if (threadIdx.x == 0) {
    mbarrier_init(bar, 1);
    mbarrier_init(empty, blocks);
    mbarrier_fence_init();
  }
  cluster_sync();
  for (uint32_t round = 0; round < 2; round++) {
    if (threadIdx.x == 0) {
      mbarrier_wait(empty, (round & 1) ^ 1);
      mbarrier_arrive_expect(bar, bytes);
      tensor_load_multicast<2>(tile + rank * 1024, map, bar, {0, static_cast<int>(8 * (rank + round * blocks))},
                               static_cast<uint16_t>((1u << blocks) - 1));
    }
    mbarrier_wait(bar, round & 1);
    unsigned char* to = out + (blockIdx.x * 2 + round) * bytes;
    for (unsigned i = threadIdx.x; i < bytes; i += blockDim.x) to[i] = tile[i];
    __syncthreads();
    if (threadIdx.x < blocks) mbarrier_arrive_cluster(empty, threadIdx.x);
  }
  cluster_sync();
}

// Warpgroup 0 gives registers, the others take them.
extern "C" __global__ void selftest_registers(int* out) {
  if (threadIdx.x < 128) {
    registers_shrink<24>();
  } else {
    registers_grow<240>();
  }
  out[threadIdx.x] = 1;
}
