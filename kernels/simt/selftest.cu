// Kernels that show what each primitive of `common/device.h` does, for the tests of the simulated card
// (tests/simt) and of a real one. No part of the product.

#include "common/device.h"
#include "common/reduce.h"

namespace {

// This thread's number in the block, x fastest.
__device__ __forceinline__ int linear_thread() {
  return static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
}

// In shared memory, `count` chunks of BYTES bytes, one a thread; the k-th is copied in group k / 32
// with (k % (BYTES + 1)) valid bytes. The older groups are read before the newest has landed.
template <int BYTES>
__device__ __forceinline__ void copy_chunks(const unsigned char* from, unsigned char* to, int rounds) {
  DYNAMIC_SHARED(shared);
  int t = linear_thread(), threads = static_cast<int>(blockDim.x);
  for (int r = 0; r < rounds; r++) {
    int chunk = r * threads + t;
    cp_async<BYTES>(shared + chunk * BYTES, from + chunk * BYTES, chunk % (BYTES + 1));
    cp_async_commit();
  }
  cp_async_wait<1>();
  for (int i = 0; i < (rounds - 1) * BYTES; i++) {
    int at = (i / BYTES * threads + t) * BYTES + i % BYTES;
    to[at] = shared[at];
  }
  cp_async_wait<0>();
  __syncthreads();
  for (int i = t; i < threads * BYTES; i += threads) {
    int at = (rounds - 1) * threads * BYTES + i;
    to[at] = shared[at];
  }
}

// What each lane's registers hold after loading COUNT matrices that lie one after the other.
template <int COUNT>
__device__ __forceinline__ void load_fragments(const uint4* matrices, uint32_t* out, bool transposed) {
  DYNAMIC_SHARED(shared);
  auto* rows = reinterpret_cast<uint4*>(shared);
  int lane = linear_thread();
  rows[lane] = load_vector<uint4>(matrices + lane);
  __syncwarp();
  uint32_t r[COUNT];
  // Lanes without a row of their own give an address that must not matter.
  const void* row = lane < 8 * COUNT ? rows + lane : nullptr;
  if (transposed) {
    ldmatrix_trans(r, row == nullptr ? rows : row);
  } else {
    ldmatrix(r, row == nullptr ? rows : row);
  }
  for (int m = 0; m < COUNT; m++) out[lane * COUNT + m] = r[m];
}

}  // namespace

// --- Where a thread is ---------------------------------------------------------------------------

// out[block][thread]: x, y, z of the thread and of the block in ten bits each, as two words.
extern "C" __global__ void selftest_places(uint2* out) {
  unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  unsigned thread = threadIdx.x | threadIdx.y << 10 | threadIdx.z << 20;
  unsigned place = blockIdx.x | blockIdx.y << 10 | blockIdx.z << 20;
  out[block * threads + static_cast<unsigned>(linear_thread())] = make_uint2(thread, place);
}

// --- 16-bit floats and scalar intrinsics ---------------------------------------------------------

// All 65,536 patterns, 256 a block: `halves` and `bfloats` as f32.
extern "C" __global__ void selftest_from_16_bits(float* halves, float* bfloats) {
  unsigned bits = blockIdx.x * blockDim.x + threadIdx.x;
  halves[bits] = __half2float(__ushort_as_half(static_cast<unsigned short>(bits)));
  bfloats[bits] = __bfloat162float(__ushort_as_bfloat16(static_cast<unsigned short>(bits)));
}

extern "C" __global__ void selftest_to_16_bits(const float* x, unsigned short* halves, unsigned short* bfloats, int n) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= n) return;
  halves[i] = __half_as_ushort(__float2half_rn(x[i]));
  bfloats[i] = __bfloat16_as_ushort(__float2bfloat16_rn(x[i]));
}

// By pairs: sum, difference, product, fma, larger, smaller of x, y (and z) to out[6][n / 2]; and sum,
// product and fma one by one to out[3][n].
template <class T, class T2>
__device__ __forceinline__ void sixteen_bits(const T* x, const T* y, const T* z, T2* pairs, T* singles, int n) {
  int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), half = n / 2;
  if (i < half) {
    auto a = load_vector<T2>(x + 2 * i), b = load_vector<T2>(y + 2 * i), c = load_vector<T2>(z + 2 * i);
    const T2 r[6] = {__hadd2(a, b), __hsub2(a, b), __hmul2(a, b), __hfma2(a, b, c), __hmax2(a, b), __hmin2(a, b)};
    for (int k = 0; k < 6; k++) pairs[k * half + i] = r[k];
  }
  if (i >= n) return;
  singles[i] = __hadd(x[i], y[i]);
  singles[n + i] = __hmul(x[i], y[i]);
  singles[2 * n + i] = __hfma(x[i], y[i], z[i]);
}

extern "C" __global__ void selftest_half_arithmetic(const __half* x, const __half* y, const __half* z,
                                                    __half2* pairs, __half* singles, int n) {
  sixteen_bits(x, y, z, pairs, singles, n);
}
extern "C" __global__ void selftest_bfloat_arithmetic(const __nv_bfloat16* x, const __nv_bfloat16* y,
                                                      const __nv_bfloat16* z, __nv_bfloat162* pairs,
                                                      __nv_bfloat16* singles, int n) {
  sixteen_bits(x, y, z, pairs, singles, n);
}

// out[i]: exp, reciprocal square root, fma(x, x, 1), and the bits' population count.
extern "C" __global__ void selftest_scalars(const float* x, float4* out, int n) {
  int i = static_cast<int>(threadIdx.x);
  if (i >= n) return;
  float v = __ldg(x + i);
  float ones = static_cast<float>(__popc(__float_as_uint(v)));
  out[i] = make_float4(__expf(v), rsqrtf(v), fmaf(v, v, 1.0f), ones);
}

// --- Warps ---------------------------------------------------------------------------------------

// kind 0: __shfl_sync, 1: up, 2: down, 3: xor, each by `by` in segments of `width`.
extern "C" __global__ void selftest_shuffle(int kind, int by, int width, const int* values, int* out) {
  int lane = static_cast<int>(threadIdx.x), v = values[lane];
  unsigned delta = static_cast<unsigned>(by);
  if (kind == 0) out[lane] = __shfl_sync(FULL_WARP, v, by, width);
  if (kind == 1) out[lane] = __shfl_up_sync(FULL_WARP, v, delta, width);
  if (kind == 2) out[lane] = __shfl_down_sync(FULL_WARP, v, delta, width);
  if (kind == 3) out[lane] = __shfl_xor_sync(FULL_WARP, v, by, width);
}

// Values of 8 bytes, and sums of halves of a warp that go different ways with masks of their own.
extern "C" __global__ void selftest_half_warps(const double* values, double* turned, float* sums) {
  int lane = static_cast<int>(threadIdx.x);
  turned[lane] = __shfl_sync(FULL_WARP, values[lane], (lane + 1) % 32);
  float v = static_cast<float>(values[lane]);
  if (lane < 16) {
    for (int apart = 8; apart > 0; apart /= 2) v += __shfl_xor_sync(0x0000ffffu, v, apart);
  } else {
    for (int apart = 1; apart < 16; apart *= 2) v += __shfl_down_sync(0xffff0000u, v, static_cast<unsigned>(apart), 16);
  }
  sums[lane] = v;
}

extern "C" __global__ void selftest_warp_reduce(const float* values, float* sums, float* largest) {
  sums[threadIdx.x] = warp_sum(values[threadIdx.x]);
  largest[threadIdx.x] = warp_max(values[threadIdx.x]);
}

// out[thread]: ballot, any and all of its warp; count, or and and of its block, in bits 0, 1 and 8...
extern "C" __global__ void selftest_votes(const int* predicates, uint4* out) {
  int t = static_cast<int>(threadIdx.x), p = predicates[t];
  unsigned ballot = __ballot_sync(FULL_WARP, p);
  unsigned any = static_cast<unsigned>(__any_sync(FULL_WARP, p)), all = static_cast<unsigned>(__all_sync(FULL_WARP, p));
  auto count = static_cast<unsigned>(__syncthreads_count(p));
  auto block_any = static_cast<unsigned>(__syncthreads_or(p)), block_all = static_cast<unsigned>(__syncthreads_and(p));
  out[t] = make_uint4(ballot, any | all << 1, count, block_any | block_all << 1);
}

// --- Barriers and atomics ------------------------------------------------------------------------

// The first warps write, each to a named barrier of its own that a later warp waits at.
extern "C" __global__ void selftest_named_barriers(const int* values, int* out) {
  DYNAMIC_SHARED(shared);
  auto* handed = reinterpret_cast<int*>(shared);
  int t = static_cast<int>(threadIdx.x), half = static_cast<int>(blockDim.x) / 2;
  int pair = t % half / 32 + 1;
  if (t < half) {
    handed[t] = values[t];
    barrier_arrive(pair, 64);
  } else {
    barrier_sync(pair, 64);
    int other = (t - half) / 32 * 32 + 31 - t % 32;
    out[t - half] = handed[other];
  }
}

// Every thread of every block takes part in each. `ints`: sum, largest, smallest, tickets taken;
// `sums`: f32, and a sum by compare-and-swap; `order`: which ticket each thread took.
extern "C" __global__ void selftest_atomics(const int* values, int* ints, unsigned long long* wide, float* sums,
                                            int* order) {
  unsigned t = blockIdx.x * blockDim.x + threadIdx.x;
  int v = values[t];
  atomicAdd(&ints[0], v);
  atomicMax(&ints[1], v);
  atomicMin(&ints[2], v);
  order[t] = atomicAdd(&ints[3], 1);
  atomicAdd(wide, 1ull << 33);
  atomicAdd(&sums[0], static_cast<float>(v));
  auto* bits = reinterpret_cast<unsigned*>(&sums[1]);
  unsigned seen = atomicAdd(bits, 0u), before;
  do {
    before = seen;
    seen = atomicCAS(bits, before, __float_as_uint(__uint_as_float(before) + static_cast<float>(v)));
  } while (seen != before);
  if (v == 7) atomicExch(reinterpret_cast<unsigned*>(&ints[4]), t);
}

// The last block to finish adds what all blocks wrote: a fence and a ticket order them.
extern "C" __global__ void selftest_last_block(const float* values, float* partial, unsigned* tickets, float* total) {
  float sum = warp_sum(values[blockIdx.x * 32 + threadIdx.x]);
  if (threadIdx.x != 0) return;
  partial[blockIdx.x] = sum;
  __threadfence();
  if (atomicAdd(tickets, 1u) != gridDim.x - 1) return;
  __threadfence();
  float all = 0.0f;
  for (unsigned b = 0; b < gridDim.x; b++) all += partial[b];
  *total = all;
}

// --- Asynchronous copies and matrices ------------------------------------------------------------

extern "C" __global__ void selftest_copy_4(const unsigned char* from, unsigned char* to, int rounds) {
  copy_chunks<4>(from, to, rounds);
}
extern "C" __global__ void selftest_copy_8(const unsigned char* from, unsigned char* to, int rounds) {
  copy_chunks<8>(from, to, rounds);
}
extern "C" __global__ void selftest_copy_16(const unsigned char* from, unsigned char* to, int rounds) {
  copy_chunks<16>(from, to, rounds);
}

// `matrices`: 4 of 8 x 8 in row order; out[lane][count].
extern "C" __global__ void selftest_ldmatrix(int count, int transposed, const uint4* matrices, uint32_t* out) {
  if (count == 1) load_fragments<1>(matrices, out, transposed != 0);
  if (count == 2) load_fragments<2>(matrices, out, transposed != 0);
  if (count == 4) load_fragments<4>(matrices, out, transposed != 0);
}

// Registers as they are: a[lane][4], b[lane][2], d[lane][4], which is added to.
extern "C" __global__ void selftest_mma(int bfloat, const uint32_t* a, const uint32_t* b, float* d) {
  int lane = static_cast<int>(threadIdx.x);
  uint32_t ra[4], rb[2];
  float rd[4];
  for (int i = 0; i < 4; i++) ra[i] = a[lane * 4 + i];
  for (int i = 0; i < 2; i++) rb[i] = b[lane * 2 + i];
  for (int i = 0; i < 4; i++) rd[i] = d[lane * 4 + i];
  if (bfloat) {
    mma_bf16(rd, ra, rb);
  } else {
    mma_f16(rd, ra, rb);
  }
  for (int i = 0; i < 4; i++) d[lane * 4 + i] = rd[i];
}
