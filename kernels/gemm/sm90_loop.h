// The main loop of Hopper's products: C[m][n] = sum over k of A[m][k] B[n][k], both factors with their
// values of k side by side.
//
// A block computes a tile of M x N with one warpgroup that produces and M / 64 that consume. The producer
// keeps a ring of STAGES tiles of both factors filled by bulk tensor copies; each consumer multiplies its
// 64 rows of a stage by all N columns with wgmma, straight from shared memory. What is computed is a
// template parameter, WORK, shared by both sides:
//
//   int begin, end, stride      the tiles that this block computes, by numbers of its own
//   int steps                   values of k in units of DEPTH, at least 1
//   At where(tile)              where a tile is, in a type of its own
//   void load(At, step, unsigned char* a, unsigned char* b, uint64_t* bar)
//                               starts the copies of a stage, STAGE bytes in all to this block's `bar`
//   void finish(At, float (&acc)[N / 2], int warpgroup)
//                               what a consumer does with its accumulators; by the whole warpgroup
//   void end_of_work()          after the last tile; by each consumer's whole warpgroup
//
// A stage is A's M lines and B's N lines of DEPTH values, 128 bytes each, swizzled within 128 bytes.
//
// The ring has two barriers a stage. `full` is awaited by the consumers: the producer announces the
// stage's bytes, and the copies complete it. `empty` is awaited by the producer: every consumer of every
// block of the cluster arrives when its wgmma have read the stage. Where blocks of a cluster share a
// factor, each copies a part of it to all of them; so all must compute as many tiles of as many steps.
#pragma once

#include "common/device.h"

namespace hopper {

constexpr int DEPTH = 64;                // values of k in a stage
constexpr int LINE = 2 * DEPTH;          // bytes of a line of a stage
constexpr int GROUP_ROWS = 64;           // rows of a consumer
constexpr int WARPGROUP = 128;           // threads
constexpr uint32_t SPAN = 8 * LINE;      // bytes from one group of 8 lines to the next
static_assert(LINE == 128, "a line is the span of the swizzle");

template <int M_, int N_, int STAGES_>
struct Tile {
  static constexpr int M = M_, N = N_, STAGES = STAGES_;
  static constexpr int CONSUMERS = M / GROUP_ROWS, THREADS = WARPGROUP * (CONSUMERS + 1);
  static constexpr int A_BYTES = M * LINE, B_BYTES = N * LINE, STAGE = A_BYTES + B_BYTES;
  static constexpr int RING_BYTES = STAGES * STAGE, BARRIER_BYTES = 2 * STAGES * 8;
  static_assert(M % GROUP_ROWS == 0, "a consumer has 64 rows");
  static_assert(N % 16 == 0 && N <= 256, "wgmma has at most 256 columns, and half a tile whole spans");
  static_assert(A_BYTES % 1024 == 0 && STAGE % 1024 == 0, "the swizzle repeats every 1024 bytes");
  static_assert(STAGES >= 2, "a stage is filled while another is read");
};

// A stage of the ring, and how often the ring has been gone round, in its last bit.
template <int STAGES>
struct Place {
  int stage = 0;
  uint32_t parity = 0;

  __device__ __forceinline__ void next() {
    if (++stage == STAGES) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// The ring in a block's shared memory: `stages` aligned to 1024, `barriers` to 8. `blocks` of the cluster
// fill and empty their rings together.
template <class Tile>
struct Ring {
  unsigned char* stages;
  uint64_t *full, *empty;
  uint32_t blocks;

  __device__ __forceinline__ Ring(unsigned char* stages_, unsigned char* barriers, uint32_t blocks_)
      : stages(stages_), full(reinterpret_cast<uint64_t*>(barriers)), empty(full + Tile::STAGES), blocks(blocks_) {}

  // By all threads of all blocks, before anything else.
  __device__ __forceinline__ void open() const {
    if (threadIdx.x == 0) {
      for (int i = 0; i < Tile::STAGES; i++) {
        mbarrier_init(&full[i], 1);
        mbarrier_init(&empty[i], Tile::CONSUMERS * blocks);
      }
      mbarrier_fence_init();
    }
    meet();
  }

  // All threads of all blocks. No block may end while another may still reach its barriers.
  __device__ __forceinline__ void meet() const {
    if (cluster_blocks() > 1) {
      cluster_sync();
    } else {
      __syncthreads();
    }
  }

  // A consumer has read a stage: all blocks that fill it are told. By a whole warpgroup.
  __device__ __forceinline__ void release(int stage) const {
    uint32_t thread = threadIdx.x % WARPGROUP;
    if (blocks == 1) {
      if (thread == 0) mbarrier_arrive(&empty[stage]);
    } else if (thread < blocks) {
      mbarrier_arrive_cluster(&empty[stage], thread);
    }
  }
};

template <int N>
__device__ __forceinline__ void multiply_add(__half, float (&acc)[N / 2], uint64_t a, uint64_t b, bool accumulate) {
  wgmma_f16<N>(acc, a, b, accumulate);
}
template <int N>
__device__ __forceinline__ void multiply_add(__nv_bfloat16, float (&acc)[N / 2], uint64_t a, uint64_t b,
                                             bool accumulate) {
  wgmma_bf16<N>(acc, a, b, accumulate);
}

// Fills the ring for all tiles of `work`. By one thread.
template <class Tile, class Work>
__device__ __forceinline__ void produce(const Ring<Tile>& ring, const Work& work) {
  Place<Tile::STAGES> at;
  for (int tile = work.begin; tile < work.end; tile += work.stride) {
    auto where = work.where(tile);
    for (int step = 0; step < work.steps; step++, at.next()) {
      mbarrier_wait(&ring.empty[at.stage], at.parity ^ 1);  // passes at once in the first round
      mbarrier_arrive_expect(&ring.full[at.stage], Tile::STAGE);
      unsigned char* a = ring.stages + at.stage * Tile::STAGE;
      work.load(where, step, a, a + Tile::A_BYTES, &ring.full[at.stage]);
    }
  }
}

// The product of one tile, from the next `steps` stages of the ring. By a whole warpgroup.
template <class T, class Tile>
__device__ __forceinline__ void multiply(float (&acc)[Tile::N / 2], const Ring<Tile>& ring, Place<Tile::STAGES>& at,
                                         int steps, int warpgroup) {
  uint64_t a0 = matrix_descriptor<Swizzle::B128>(ring.stages + warpgroup * GROUP_ROWS * LINE, 16, SPAN);
  uint64_t b0 = matrix_descriptor<Swizzle::B128>(ring.stages + Tile::A_BYTES, 16, SPAN);
  int before = 0;
  for (int step = 0; step < steps; step++, at.next()) {
    mbarrier_wait(&ring.full[at.stage], at.parity);
    uint64_t skip = static_cast<uint64_t>(at.stage * (Tile::STAGE / 16));
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < DEPTH / 16; k++) {
      uint64_t within = skip + k * 2;  // 16 values are 32 bytes of a line
      multiply_add<Tile::N>(T(), acc, a0 + within, b0 + within, step > 0 || k > 0);
    }
    wgmma_commit();
    wgmma_wait<1>();  // the step before has read its stage
    if (step > 0) ring.release(before);
    before = at.stage;
  }
  wgmma_wait<0>();
  ring.release(before);
}

// All tiles of `work`, by all threads of the block: REGISTERS are left to each consumer's thread, and
// SPARED to each of the producer's. `multiply_tile(acc, place, where, warpgroup)` is a consumer's part.
template <class Tile, int REGISTERS, int SPARED, class Work, class Multiply>
__device__ __forceinline__ void run(const Ring<Tile>& ring, Work& work, const Multiply& multiply_tile) {
  static_assert(WARPGROUP * (SPARED + Tile::CONSUMERS * REGISTERS) <= 65536, "registers of a multiprocessor");
  ring.open();
  int warpgroup = static_cast<int>(threadIdx.x / WARPGROUP);
  if (warpgroup == 0) {
    registers_shrink<SPARED>();
    if (threadIdx.x == 0) produce(ring, work);
  } else {
    registers_grow<REGISTERS>();
    float acc[Tile::N / 2];
    Place<Tile::STAGES> at;
    for (int tile = work.begin; tile < work.end; tile += work.stride) {
      multiply_tile(acc, at, tile, warpgroup - 1);
      work.finish(work.where(tile), acc, warpgroup - 1);
    }
    work.end_of_work();
  }
  ring.meet();
}

// The same with the plain product.
template <class T, class Tile, int REGISTERS, int SPARED, class Work>
__device__ __forceinline__ void run(const Ring<Tile>& ring, Work& work) {
  run<Tile, REGISTERS, SPARED>(
      ring, work, [&](float (&acc)[Tile::N / 2], Place<Tile::STAGES>& at, int, int warpgroup) {
        multiply<T, Tile>(acc, ring, at, work.steps, warpgroup);
      });
}

}  // namespace hopper
