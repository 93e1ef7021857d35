// The convolution of sm90_f16_conv.cu and sm90_bf16_conv.cu as an implicit matrix product, for Hopper: values of
// 16 bits, f32 accumulators.
//
//   out[p][f] = act( (sum over places and k of x[pixel under p at the place][g inner + k] gate[image][k]
//               filters[f][place][k]) * scale[f] + bias[f] + residual[p][f] )
//
// where p counts the pixels of all results, g is the group of filter f, and inner its channels.
//
// Entries      sm90_<type>_conv_<M>x<N>         a block computes tiles of M pixels x N filters
//              sm90_<type>_conv_gated_<M>x<N>   the same with a gate; windows of 1 x 1, one group
// x            images x h x w x c; an im2col map: 64 channels of M pixels, swizzled within 128 bytes; what a
//              window has beside the image reads as 0
// filters      o lines: place by place, within each the group's channels, then zeros; a map of the lines:
//              boxes of N / cluster lines x 64 values, swizzled likewise
// out          images x oh x ow x o; overlaps nothing that is read. Its map, of pixels x o: boxes of 64 lines
//              x 64 filters, swizzled likewise; used where `store` is BULK alone
// gate         images x c; scale, bias: o values each, or null; residual: like out, or null
// store        as in gemm/sm90_gemm.h
// activation   a number of pointwise/activation.h
// Alignment    x, the filters and their lines begin at multiples of 16 bytes, all else at 4; c is a multiple
//              of 8, o is even. With several groups, channels and filters of each are multiples of 64 and of N
// Launch       as gemm/sm90_gemm.h: persistent, 384 threads, clusters of 1 or 2 blocks in x (heuristics in
//              launch_conv_sm90.rs). images x oh x ow and o from 1, below 2^31.
//
// The k of the product walk the places of the window, and within each the channels, 64 at a time: a stage of
// the ring is one place of the window under M pixels, copied by the copy engine. Where a place ends before a
// stage does, x has zeros beyond its last channel, and the filters' values of the next place count for nothing.
//
// The gate multiplies A on its way from shared memory to registers, rounded as the gate alone would
// be; wgmma takes A from there.

#pragma once

#include "conv/shape.h"
#include "gemm/sm90_product.h"

namespace hopper {


// A tile's corner in the result, and where its first window begins in x.
struct Spot : Corner {
  int x, y, image, channel;
};

// The work of one block.
template <class T, class Tile>
struct Convolution : Output<T, Tile> {
  const TensorMap &x, &filters;
  const conv::Shape& s;
  Grid grid;
  int chunks;  // stages of one place
  int begin, end, stride, steps;
  uint32_t rank, blocks;

  // The tiles of a cluster count as one row of the grid. A tile beyond the last pixel lies in an image that
  // is not there.
  __device__ __forceinline__ Spot where(int tile) const {
    Corner at = grid.place(tile);
    Spot spot;
    spot.row = (at.row * static_cast<int>(blocks) + static_cast<int>(rank)) * Tile::M;
    spot.column = at.column * Tile::N;
    int pixels = s.oh * s.ow, pixel = spot.row % pixels;
    spot.image = spot.row / pixels;
    spot.y = pixel / s.ow * s.stride_y - s.pad_y;
    spot.x = pixel % s.ow * s.stride_x - s.pad_x;
    spot.channel = spot.column / (s.o / s.groups) * (s.c / s.groups);
    return spot;
  }

  __device__ __forceinline__ void load(const Spot& at, int step, unsigned char* to_a, unsigned char* to_b,
                                       uint64_t* bar) const {
    int place = step / chunks, channel = step % chunks * DEPTH, line = place * (s.c / s.groups) + channel;
    const uint16_t offset[2] = {static_cast<uint16_t>(place % s.kw), static_cast<uint16_t>(place / s.kw)};
    tensor_load_im2col(to_a, x, bar, {at.channel + channel, at.x, at.y, at.image}, offset);
    if (blocks == 1) {
      tensor_load<2>(to_b, filters, bar, {line, at.column});
    } else {
      int skip = static_cast<int>(rank) * (Tile::N / 2);
      tensor_load_multicast<2>(to_b + skip * LINE, filters, bar, {line, at.column + skip}, BOTH);
    }
  }
};

// A thread's fragments of A for 16 values of k hold two pixels, 8 apart.
template <class T>
struct Gate {
  const T *low, *high;  // the gates of their images
  int last;                  // pair of channels

  __device__ __forceinline__ Gate(const T* gate, const conv::Shape& s, int row) {
    int pixels = s.oh * s.ow;
    low = gate + static_cast<long long>(min(row / pixels, s.images - 1)) * s.c;
    high = gate + static_cast<long long>(min((row + 8) / pixels, s.images - 1)) * s.c;
    last = s.c - 2;
  }

  static __device__ __forceinline__ uint32_t times(uint32_t pair, const T* by) {
    typename Short<T>::Pair v;
    memcpy(&v, &pair, sizeof(v));
    v = __hmul2(v, load_vector<typename Short<T>::Pair>(by));
    memcpy(&pair, &v, sizeof(v));
    return pair;
  }

  // A fragment whose first pair of values belongs to `channel`. Channels beyond the last are zeros of x.
  __device__ __forceinline__ void apply(uint32_t (&a)[4], int channel) const {
    int first = min(channel, last), second = min(channel + 8, last);
    a[0] = times(a[0], low + first);
    a[1] = times(a[1], high + first);
    a[2] = times(a[2], low + second);
    a[3] = times(a[3], high + second);
  }
};

template <int N>
__device__ __forceinline__ void multiply_add(__half, float (&acc)[N / 2], const uint32_t (&a)[4], uint64_t b,
                                             bool accumulate) {
  wgmma_f16_registers<N>(acc, a, b, accumulate);
}
template <int N>
__device__ __forceinline__ void multiply_add(__nv_bfloat16, float (&acc)[N / 2], const uint32_t (&a)[4], uint64_t b,
                                             bool accumulate) {
  wgmma_bf16_registers<N>(acc, a, b, accumulate);
}

// The product of one tile with the gate in its way. By a whole warpgroup; while it fetches and multiplies,
// the other one has the tensor cores.
template <class Tile, class T>
__device__ __forceinline__ void multiply_gated(float (&acc)[Tile::N / 2], const Ring<Tile>& ring,
                                               Place<Tile::STAGES>& at, int steps, int warpgroup,
                                               const Gate<T>& gate) {
  unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
  unsigned line = static_cast<unsigned>(warpgroup) * GROUP_ROWS + warp * 16 + lane % 16;
  uint64_t b0 = matrix_descriptor<Swizzle::B128>(ring.stages + Tile::A_BYTES, 16, SPAN);
  for (int step = 0; step < steps; step++, at.next()) {
    mbarrier_wait(&ring.full[at.stage], at.parity);
    const unsigned char* a = ring.stages + at.stage * Tile::STAGE + line * LINE;
    uint32_t fragments[DEPTH / 16][4];
#pragma unroll
    for (unsigned k = 0; k < DEPTH / 16; k++) {
      ldmatrix(fragments[k], a + ((2 * k + lane / 16) ^ line % 8) * 16);  // piece p stands at p ^ (line % 8)
      gate.apply(fragments[k], step * DEPTH + static_cast<int>(k * 16 + lane % 4 * 2));
    }
    uint64_t skip = static_cast<uint64_t>(at.stage * (Tile::STAGE / 16));
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < DEPTH / 16; k++) {
      multiply_add<Tile::N>(T(), acc, fragments[k], b0 + skip + k * 2, step > 0 || k > 0);
    }
    wgmma_commit();
    wgmma_wait<0>();
    ring.release(at.stage);
  }
}

template <class Tile, bool GATED, class T>
__device__ __forceinline__ void convolve(const TensorMap& x, const TensorMap& filters, const TensorMap& out_map,
                                         const gemm::Epilogue<T>& epilogue, const T* gate,
                                         const conv::Shape& s, int store) {
  DYNAMIC_SHARED(shared);
  uint32_t blocks = cluster_blocks();
  const Ring<Tile> ring(shared, shared + Tile::BARRIERS_AT, blocks);
  if (threadIdx.x == 0) {
    tensor_prefetch(x);
    tensor_prefetch(filters);
    if (store == BULK) tensor_prefetch(out_map);
  }
  unsigned halve = blocks - 1;  // clusters have 1 or 2 blocks
  int high = (epilogue.rows - 1) / Tile::M + 1, chunks = (s.c / s.groups - 1) / DEPTH + 1;
  Grid grid{((high - 1) >> halve) + 1, (epilogue.columns - 1) / Tile::N + 1};
  Convolution<T, Tile> work{{out_map, epilogue, shared + Tile::PANELS_AT, store}, x, filters, s, grid, chunks,
                         static_cast<int>(blockIdx.x >> halve), grid.rows * grid.columns,
                         static_cast<int>(gridDim.x >> halve), chunks * s.kh * s.kw, cluster_rank(), blocks};
  if constexpr (GATED) {
    int row = static_cast<int>(threadIdx.x / 32 % 4 * 16 + threadIdx.x % 32 / 4);
    run<Tile, Tile::REGISTERS, Tile::SPARED>(
        ring, work, [&](float (&acc)[Tile::N / 2], Place<Tile::STAGES>& at, int tile, int warpgroup) {
          int first = work.where(tile).row + warpgroup * GROUP_ROWS;
          multiply_gated<Tile>(acc, ring, at, work.steps, warpgroup, Gate<T>(gate, s, first + row));
        });
  } else {
    run<T, Tile, Tile::REGISTERS, Tile::SPARED>(ring, work);
  }
}

using Conv128x256 = Hopper<128, 256, 4, 2, 232, 40>;
using Conv128x128 = Hopper<128, 128, 5, 2, 232, 40>;
using Conv128x64 = Hopper<128, 64, 6, 1, 232, 40>;

}  // namespace hopper
