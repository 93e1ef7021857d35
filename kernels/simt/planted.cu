// Kernels with bugs on purpose, each beside its sound form, for the test that the simulated card
// catches them (tests/simt/planted.rs). No part of the product, and not for a real card.

#include "common/device.h"
#include "common/reduce.h"

namespace {

enum class Bug { None, NoFirstSync, NoSecondSync, SharedOverrun, OneWaitLess, NoSyncwarp, WrongMask };

constexpr int TILE = 8;

struct Tiles {
  float left[TILE][TILE], right[TILE][TILE];
};
// No template: g++ gives no section to the variables of templates.
__device__ __forceinline__ Tiles& shared_tiles() {
  __shared__ Tiles tiles;
  return tiles;
}

// c[n][n] = a b, blocks of TILE x TILE threads; n a multiple of TILE.
template <Bug BUG>
__device__ __forceinline__ void tiled_product(const float* a, const float* b, float* c, int n) {
  auto& [left, right] = shared_tiles();
  int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  int row = static_cast<int>(blockIdx.y) * TILE + y, column = static_cast<int>(blockIdx.x) * TILE + x;
  float sum = 0.0f;
  for (int k = 0; k < n; k += TILE) {
    left[y][x] = a[row * n + k + x];
    // Past the end of the tile when the last row of threads writes it.
    int at = BUG == Bug::SharedOverrun ? y + (k > 0 ? 1 : 0) : y;
    right[at][x] = b[(k + y) * n + column];
    if constexpr (BUG != Bug::NoFirstSync) __syncthreads();
    for (int i = 0; i < TILE; i++) sum = fmaf(left[y][i], right[i][x], sum);
    if constexpr (BUG != Bug::NoSecondSync) __syncthreads();
  }
  c[row * n + column] = sum;
}

// Column sums of x[rows][4 * 64] in chunks of one row, through two buffers of asynchronous copies.
template <Bug BUG>
__device__ __forceinline__ void pipelined_sum(const float* x, float* sums, int rows) {
  DYNAMIC_SHARED(shared);
  auto* buffers = reinterpret_cast<float*>(shared);
  constexpr int COLUMNS = 4 * 64;
  int t = static_cast<int>(threadIdx.x);
  auto load = [&](int row) {
    if (row < rows) cp_async<16>(buffers + row % 2 * COLUMNS + t * 4, x + row * COLUMNS + t * 4);
    cp_async_commit();
  };
  float total[4] = {};
  load(0);
  for (int row = 0; row < rows; row++) {
    load(row + 1);
    if constexpr (BUG == Bug::OneWaitLess) {
      cp_async_wait<2>();
    } else {
      cp_async_wait<1>();
    }
    __syncthreads();
    for (int i = 0; i < 4; i++) total[i] += buffers[row % 2 * COLUMNS + i * 64 + t];
    __syncthreads();
  }
  cp_async_wait<0>();
  for (int i = 0; i < 4; i++) sums[i * 64 + t] = total[i];
}

// Each lane's value to the opposite lane, through shared memory.
template <Bug BUG>
__device__ __forceinline__ void turn_warp(const float* x, float* out) {
  DYNAMIC_SHARED(shared);
  auto* values = reinterpret_cast<float*>(shared);
  int lane = static_cast<int>(threadIdx.x);
  values[lane] = x[lane];
  if constexpr (BUG != Bug::NoSyncwarp) __syncwarp();
  out[lane] = values[31 - lane];
}

// out[r]: the sum of row r of x[rows][32], one warp a row.
template <Bug BUG>
__device__ __forceinline__ void row_sums(const float* x, float* out) {
  unsigned mask = BUG == Bug::WrongMask ? 0x0000ffffu : FULL_WARP;
  float v = x[threadIdx.x];
  for (int apart = 16; apart > 0; apart /= 2) v += __shfl_xor_sync(mask, v, apart);
  if (threadIdx.x % 32 == 0) out[threadIdx.x / 32] = v;
}

}  // namespace

extern "C" __global__ void planted_product(const float* a, const float* b, float* c, int n) {
  tiled_product<Bug::None>(a, b, c, n);
}
extern "C" __global__ void planted_product_no_first_sync(const float* a, const float* b, float* c, int n) {
  tiled_product<Bug::NoFirstSync>(a, b, c, n);
}
extern "C" __global__ void planted_product_no_second_sync(const float* a, const float* b, float* c, int n) {
  tiled_product<Bug::NoSecondSync>(a, b, c, n);
}
extern "C" __global__ void planted_product_overrun(const float* a, const float* b, float* c, int n) {
  tiled_product<Bug::SharedOverrun>(a, b, c, n);
}

extern "C" __global__ void planted_pipeline(const float* x, float* sums, int rows) {
  pipelined_sum<Bug::None>(x, sums, rows);
}
extern "C" __global__ void planted_pipeline_one_wait_less(const float* x, float* sums, int rows) {
  pipelined_sum<Bug::OneWaitLess>(x, sums, rows);
}

extern "C" __global__ void planted_turn(const float* x, float* out) { turn_warp<Bug::None>(x, out); }
extern "C" __global__ void planted_turn_no_syncwarp(const float* x, float* out) { turn_warp<Bug::NoSyncwarp>(x, out); }

extern "C" __global__ void planted_row_sums(const float* x, float* out) { row_sums<Bug::None>(x, out); }
extern "C" __global__ void planted_row_sums_wrong_mask(const float* x, float* out) {
  row_sums<Bug::WrongMask>(x, out);
}

// A barrier that half of the block never reaches, and one that each half reaches in its own line.
extern "C" __global__ void planted_barrier_half(float* out) {
  if (threadIdx.x < blockDim.x / 2) __syncthreads();
  out[threadIdx.x] = 1.0f;
}
extern "C" __global__ void planted_barrier_divided(float* out) {
  if (threadIdx.x < blockDim.x / 2) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = 1.0f;
}
// Two warps that wait for each other at named barriers in opposite orders.
extern "C" __global__ void planted_barrier_crossed(float* out) {
  int first = threadIdx.x < 32 ? 1 : 2;
  barrier_sync(first, 64);
  barrier_sync(3 - first, 64);
  out[threadIdx.x] = 1.0f;
}

// Doubles x[0 .. n); with the bug, the guard lets one thread too many through.
extern "C" __global__ void planted_double(const float* x, float* out, int n) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i < n) out[i] = 2.0f * x[i];
}
extern "C" __global__ void planted_double_one_more(const float* x, float* out, int n) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i <= n) out[i] = 2.0f * x[i];
}
// Copies what lies behind one buffer to what lies behind the other.
extern "C" __global__ void planted_copy_one_more(const float* x, float* out, int n) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i <= n) out[i] = x[i];
}
// Reads one element too far, and uses it only where it cannot show.
extern "C" __global__ void planted_double_reads_on(const float* x, float* out, int n) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= n) return;
  float next = x[i + 1];
  out[i] = 2.0f * x[i] + (next == 12345.0f ? 1.0f : 0.0f);
}

// A histogram of bytes in shared memory that starts from what was there.
extern "C" __global__ void planted_histogram_uncleared(const unsigned char* x, unsigned* counts, int n) {
  __shared__ unsigned local[256];
  for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) atomicAdd(&local[x[i]], 1u);
  __syncthreads();
  for (unsigned i = threadIdx.x; i < 256; i += blockDim.x) counts[i] = local[i];
}
extern "C" __global__ void planted_histogram(const unsigned char* x, unsigned* counts, int n) {
  __shared__ unsigned local[256];
  for (unsigned i = threadIdx.x; i < 256; i += blockDim.x) local[i] = 0;
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) atomicAdd(&local[x[i]], 1u);
  __syncthreads();
  for (unsigned i = threadIdx.x; i < 256; i += blockDim.x) counts[i] = local[i];
}

// A vector read from an address that is aligned to an element only.
extern "C" __global__ void planted_vector_misaligned(const float* x, float4* out) {
  out[threadIdx.x] = *reinterpret_cast<const float4*>(x + 1 + 4 * threadIdx.x);
}
// The end of dynamic shared memory passed by one.
extern "C" __global__ void planted_dynamic_overrun(float* out, int n) {
  DYNAMIC_SHARED(shared);
  auto* values = reinterpret_cast<float*>(shared);
  for (int i = static_cast<int>(threadIdx.x); i <= n; i += static_cast<int>(blockDim.x)) values[i] = 1.0f;
  __syncthreads();
  out[threadIdx.x] = values[threadIdx.x];
}
// Copies that nothing waits for.
extern "C" __global__ void planted_copy_abandoned(const float* x) {
  DYNAMIC_SHARED(shared);
  cp_async<4>(shared + 4 * threadIdx.x, x + threadIdx.x);
  cp_async_commit();
}
// An address far from everything, for the fault of the processor itself.
extern "C" __global__ void planted_wild_address(float* out, size_t far) { out[far] = 1.0f; }
// More memory of its own than a thread's stack has here.
extern "C" __global__ void planted_deep_stack(float* out, int n) {
  volatile float own[100000];
  for (int i = 0; i < 100000; i++) own[i] = 1.0f;
  out[threadIdx.x] = own[n];
}
