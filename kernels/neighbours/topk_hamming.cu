// Top-k by Hamming distance over 64-bit hashes, exact.
//
//   topk_hamming   for each query its k nearest hashes: fewer different bits first, then lower row
//
// A warp has a query. A first pass over the gallery counts how many hashes are at each of the 65
// distances; only those count that can still be among the k nearest, so the counters are rarely touched
// behind the first tile. A second pass walks the gallery in the order of its rows and puts every hash
// into its final place: the number of nearer ones, and of equal ones before it. That is a counting
// sort, so ties come by lower row and nothing is sorted afterwards.
//
// queries, gallery   hashes of 64 bits
// rows, bits         [query][k] of u32 and u8: the neighbours' rows, and how many bits differ
// found              [query] of u32: how many there are
// most               neighbours have at most so many different bits, 0 to 64
// Launch             ceil(query_count / 8) blocks of 256 threads; 10,272 bytes of dynamic shared memory.
//                    k from 1.

#include "common/device.h"
#include "common/reduce.h"

namespace {

using Hash = unsigned long long;

constexpr int THREADS = 256, WARPS = THREADS / 32, TILE = 1024;
constexpr int DISTANCES = 65, EACH = 3;
static_assert(32 * EACH >= DISTANCES, "a warp's lanes hold all distances, EACH neighbouring ones a lane");
static_assert(TILE % 32 == 0, "a warp takes whole groups of 32 hashes of a tile");

// This lane's sum over its EACH distances, and the sum over all distances below them.
__device__ __forceinline__ uint32_t below(const uint32_t* counts, int lane, uint32_t* own) {
  uint32_t sum = 0;
#pragma unroll
  for (int i = 0; i < EACH; i++) sum += lane * EACH + i < DISTANCES ? counts[lane * EACH + i] : 0u;
  uint32_t upto = sum;
#pragma unroll
  for (int apart = 1; apart < 32; apart *= 2) {
    uint32_t other = __shfl_up_sync(FULL_WARP, upto, apart);
    if (lane >= apart) upto += other;
  }
  *own = sum;
  return upto - sum;
}

// The least distance within which there are k hashes, or `bound` when there are not so many.
__device__ __forceinline__ int tightened(const uint32_t* counts, uint32_t k, int bound, int lane) {
  uint32_t own, before = below(counts, lane, &own);
  int mine = bound;
  if (before < k && before + own >= k) {
#pragma unroll
    for (int i = EACH - 1; i >= 0; i--) {
      uint32_t upto = before;
      for (int j = 0; j <= i; j++) upto += lane * EACH + j < DISTANCES ? counts[lane * EACH + j] : 0u;
      if (upto >= k) mine = lane * EACH + i;
    }
  }
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2) mine = min(mine, __shfl_xor_sync(FULL_WARP, mine, apart));
  return min(mine, bound);
}

// Turns counts into the places where the hashes of each distance begin.
__device__ __forceinline__ void places(uint32_t* counts, int lane) {
  uint32_t own, at = below(counts, lane, &own);
  __syncwarp();  // all lanes have read before one writes
#pragma unroll
  for (int i = 0; i < EACH; i++) {
    int distance = lane * EACH + i;
    if (distance >= DISTANCES) continue;
    uint32_t count = counts[distance];
    counts[distance] = at;
    at += count;
  }
  __syncwarp();
}

// Gives the hashes at `distance` (none where it is above `bound`) of 32 neighbouring rows their places.
__device__ __forceinline__ void put(uint32_t* places, int distance, int bound, uint32_t row, uint32_t k,
                                    uint32_t* rows, unsigned char* bits, int lane) {
  unsigned left = __ballot_sync(FULL_WARP, distance <= bound);
  while (left != 0u) {  // the same for all lanes
    int leader = __ffs(static_cast<int>(left)) - 1;
    int theirs = __shfl_sync(FULL_WARP, distance, leader);
    unsigned same = __ballot_sync(FULL_WARP, distance == theirs);
    uint32_t first = places[theirs];
    __syncwarp();
    if (lane == leader) places[theirs] = first + __popc(same);
    uint32_t at = first + __popc(same & ((1u << lane) - 1u));
    if (distance == theirs && at < k) {
      rows[at] = row;
      bits[at] = static_cast<unsigned char>(distance);
    }
    left &= ~same;
    __syncwarp();
  }
}

__device__ __forceinline__ void search(const Hash* queries, const Hash* gallery, uint32_t* rows, unsigned char* bits,
                                       uint32_t* found, int query_count, int gallery_count, int k, int most) {
  DYNAMIC_SHARED(shared);
  auto* tile = reinterpret_cast<Hash*>(shared);
  int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  auto* counts = reinterpret_cast<uint32_t*>(tile + TILE) + warp * DISTANCES;
  long long query = static_cast<long long>(blockIdx.x) * WARPS + warp;
  bool there = query < query_count;  // the same for a whole warp; all warps meet at the barriers
  Hash own = there ? queries[query] : 0ull;
  auto wanted = static_cast<uint32_t>(k);
  for (int d = lane; d < DISTANCES; d += 32) counts[d] = 0;

  int bound = there ? most : -1;
  for (int pass = 0; pass < 2; pass++) {
    for (long long base = 0; base < gallery_count; base += TILE) {
      long long left = gallery_count - base;
      int count = left < TILE ? static_cast<int>(left) : TILE;
      __syncthreads();
      for (int i = thread; i < count; i += THREADS) tile[i] = gallery[base + i];
      __syncthreads();
      if (!there) continue;
      for (int first = 0; first < count; first += 32) {
        int i = first + lane;
        int distance = i < count ? __popcll(own ^ tile[i]) : DISTANCES;
        if (pass == 0) {
          if (distance <= bound) atomicAdd(&counts[distance], 1u);
        } else {
          put(counts, distance, bound, static_cast<uint32_t>(base + i), wanted, rows + query * k, bits + query * k,
              lane);
        }
      }
      if (pass == 0) {
        __syncwarp();
        bound = tightened(counts, wanted, bound, lane);
        __syncwarp();
      }
    }
    if (there && pass == 0) {
      __syncwarp();
      uint32_t within, before = below(counts, lane, &within);
      uint32_t total = __shfl_sync(FULL_WARP, before + within, 31);
      if (lane == 0) found[query] = min(total, wanted);
      places(counts, lane);
    }
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
topk_hamming(const unsigned long long* queries, const unsigned long long* gallery, uint32_t* rows, unsigned char* bits,
             uint32_t* found, int query_count, int gallery_count, int k, int most) {
  search(queries, gallery, rows, bits, found, query_count, gallery_count, k, most);
}
