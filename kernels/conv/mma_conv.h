// The convolution of conv_f16.cu and conv_bf16.cu: values of 16 bits, f32 accumulators, as a product of windows
// and filters.
//
//   out[m][f] = act( (sum over k of A(m, k) B(f, k)) * scale[f] + bias[f] + residual[m][f] )
//
// Row m of A is the window of one pixel of the result, never stored: k walks its places row by row and,
// within each, the channels of the group. A 1x1 window makes it the plain product over pixels.
//
// Entries      conv_<type>_<tile>         channels of a group in multiples of 8, x aligned to 16 bytes
//              conv_gated_<type>_<tile>   the same for 1x1 windows of step 1 in one group; x is multiplied by a
//                                      value per image and channel first, and rounded as if stored
//              conv_narrow_<type>_64x64   any channels and alignment, gated or not: for the first layers
//              A tile is 128x128 with 256 threads, 128x64 with 256, 64x64 with 128: pixels by filters.
// x            images x h x w x c;  out, residual: images x oh x ow x o;  out overlaps nothing else
// filters      o lines of `line` values: kh x kw x (c / groups), then zeros up to a multiple of 8; aligned
//              to 16 bytes
// gate         images x c;  scale, bias: o values each, or null;  residual: or null
// Alignment    that of the element, but for what shape.aligned promises
// Launch       tiles of pixels times tiles of a group's filters times groups blocks in x; three stages of
//              both tiles in dynamic shared memory: 60, 45 and 30 KiB (launch_conv.rs)
//
// The main loop is that of gemm/mma_gemm.h: STAGES tiles are in shared memory or on their way, one barrier a tile.
// A window's places outside of the image become zeros by the copies' count of valid bytes.

#pragma once

#include "conv/shape.h"
#include "gemm/epilogue.h"
#include "gemm/tile.h"

namespace conv {

constexpr int STAGES = 3;
static_assert(STAGES >= 2, "a tile must be able to land while another is multiplied");
static_assert(tile::VECTOR == VECTOR, "both count 16 bytes");

// What one thread copies of the tiles of A: a vector of every line that it has, all in the same column, so
// that it walks through the window once for all of them.
template <class T, int M, int THREADS>
struct Windows {
  static constexpr int LINE = tile::DEPTH + tile::PADDING;
  static constexpr int VECTORS = tile::DEPTH / VECTOR, PER = M * VECTORS / THREADS;
  static_assert(M * VECTORS % THREADS == 0, "every thread copies as many vectors");
  static_assert(THREADS % VECTORS == 0, "all vectors of a thread stand in one column");

  const Shape& s;
  const T* x;
  const T* base[PER];  // the line's image, at the group's first channel
  int y0[PER], x0[PER], image[PER];
  int inner, channel, dy, dx;

  __device__ __forceinline__ Windows(const Shape& shape, const T* images, int row0, int rows, int group)
      : s(shape), x(images) {
    int thread = static_cast<int>(threadIdx.x);
    inner = s.c / s.groups;
#pragma unroll
    for (int i = 0; i < PER; i++) {
      int row = row0 + i * (THREADS / VECTORS) + thread / VECTORS, pixels = s.oh * s.ow;
      bool there = row < rows;
      image[i] = there ? row / pixels : 0;
      int pixel = row - image[i] * pixels;
      base[i] = x + static_cast<long long>(image[i]) * s.h * s.w * s.c + group * inner;
      // A line that is not there begins below the image, where all is zero.
      y0[i] = there ? pixel / s.ow * s.stride_y - s.pad_y : s.h;
      x0[i] = there ? pixel % s.ow * s.stride_x - s.pad_x : 0;
    }
    channel = thread % VECTORS * VECTOR;
    dy = dx = 0;
    settle();
  }

  // Carries channels beyond the last one over to the next place of the window.
  __device__ __forceinline__ void settle() {
    while (channel >= inner) {
      channel -= inner;
      if (++dx == s.kw) {
        dx = 0;
        dy++;
      }
    }
  }

  __device__ __forceinline__ T* own(T* tile, int i) const {
    int thread = static_cast<int>(threadIdx.x);
    return tile + (i * (THREADS / VECTORS) + thread / VECTORS) * LINE + thread % VECTORS * VECTOR;
  }

  __device__ __forceinline__ bool inside(int y, int column) const {
    return static_cast<unsigned>(y) < static_cast<unsigned>(s.h) &&
           static_cast<unsigned>(column) < static_cast<unsigned>(s.w);
  }

  // Copies the next tile; a group's channels come in whole vectors.
  __device__ __forceinline__ void copy(T* tile) {
#pragma unroll
    for (int i = 0; i < PER; i++) {
      int y = y0[i] + dy, column = x0[i] + dx;
      bool there = dy < s.kh && inside(y, column);
      const T* from = base[i] + (static_cast<long long>(y) * s.w + column) * s.c + channel;
      cp_async<16>(own(tile, i), there ? from : x, there ? 16 : 0);
    }
    channel += tile::DEPTH;
    settle();
  }

  // The same value by value, multiplied by the gate.
  __device__ __forceinline__ void gather(T* tile, const T* gate) {
#pragma unroll
    for (int i = 0; i < PER; i++) {
      Values<T> v;
      int y = dy, column = dx, k = channel;
#pragma unroll
      for (int e = 0; e < VECTOR; e++) {
        bool there = y < s.kh && inside(y0[i] + y, x0[i] + column);
        put_float(v.at + e, 0.0f);
        if (there) {
          v.at[e] = base[i][(static_cast<long long>(y0[i] + y) * s.w + x0[i] + column) * s.c + k];
          if (gate != nullptr) {
            float by = to_float(gate[static_cast<long long>(image[i]) * s.c + k]);
            put_float(v.at + e, to_float(v.at[e]) * by);
          }
        }
        if (++k == inner) {
          k = 0;
          if (++column == s.kw) {
            column = 0;
            y++;
          }
        }
      }
      store_vector(own(tile, i), v);
    }
    channel += tile::DEPTH;
    settle();
  }

  // The gate's values for what this thread has copied of tile number `step`.
  __device__ __forceinline__ void gates(Values<T> (&to)[PER], const T* gate, int step) const {
    int k = step * tile::DEPTH + static_cast<int>(threadIdx.x) % VECTORS * VECTOR;
#pragma unroll
    for (int i = 0; i < PER; i++) {
      const T* from = gate + static_cast<long long>(image[i]) * s.c + k;
      to[i] = load_values(from, max(0, min(VECTOR, s.c - k)), (s.aligned & GATE) != 0);
    }
  }

  // Multiplies what this thread has copied; its own copies must have landed.
  __device__ __forceinline__ void multiply(T* tile, const Values<T> (&by)[PER]) const {
#pragma unroll
    for (int i = 0; i < PER; i++) {
      auto v = load_vector<Values<T>>(own(tile, i));
#pragma unroll
      for (int e = 0; e < VECTOR; e++) put_float(v.at + e, to_float(v.at[e]) * to_float(by[i].at[e]));
      store_vector(own(tile, i), v);
    }
  }
};

// A warp's part of the result, through shared memory, so that a thread stores 8 filters of a pixel at once.
// `staged` has 16 lines of the warp's own.
template <class T, class Block>
__device__ __forceinline__ void store(const Block& shape, const float (&acc)[Block::ROWS][Block::COLUMNS][4],
                                      float* staged, T* out, const Tail<T>& tail, const Shape& s,
                                      int row0, int rows, int column0, int filters, int first) {
  constexpr int LINE = Block::WARP_N + 8, VECTORS = Block::WARP_N / VECTOR;
  static_assert(LINE % 16 == 8, "8 lines begin in 4 different groups of 8 banks, each pair at most twice");
#pragma unroll
  for (int i = 0; i < Block::ROWS; i++) {
    __syncwarp();
#pragma unroll
    for (int j = 0; j < Block::COLUMNS; j++) {
#pragma unroll
      for (int e = 0; e < 4; e += 2) {
        float* to = staged + (shape.lane / 4 + e / 2 * 8) * LINE + j * 8 + shape.lane % 4 * 2;
        store_vector(to, make_float2(acc[i][j][e], acc[i][j][e + 1]));
      }
    }
    __syncwarp();
#pragma unroll
    for (int v = shape.lane; v < 16 * VECTORS; v += 32) {
      int row = row0 + shape.row0 + i * 16 + v / VECTORS;
      int column = column0 + shape.column0 + v % VECTORS * VECTOR;
      int valid = min(VECTOR, filters - column);
      if (row >= rows || valid <= 0) continue;
      const float* from = staged + v / VECTORS * LINE + v % VECTORS * VECTOR;
      float4 low = load_vector<float4>(from), high = load_vector<float4>(from + 4);
      const float values[VECTOR] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
      long long at = static_cast<long long>(row) * s.o + first + column;
      auto result = tail.apply(values, first + column, at, valid, (s.aligned & RESIDUAL) != 0);
      store_values(out + at, result, valid, (s.aligned & OUT) != 0);
    }
  }
}

enum class Form { PLAIN, GATED, NARROW };

template <class Block, Form FORM, class T>
__device__ __forceinline__ void convolve(const T* x, const T* filters, T* out, const T* gate,
                                         const Tail<T>& tail, const Shape& s, int line) {
  using A = Windows<T, Block::M, Block::THREADS>;
  using Left = tile::DepthMajor<Block::M, Block::THREADS>;
  using Right = tile::DepthMajor<Block::N, Block::THREADS>;
  constexpr int STAGE = Left::HALVES + Right::HALVES;
  static_assert(A::LINE == Left::LINE, "windows are laid out as the operand is read");
  static_assert(STAGES * STAGE * 2 <= 96 << 10, "three stages fit the shared memory of every card from Ampere on");
  static_assert(Block::THREADS / 32 * 16 * (Block::WARP_N + 8) * 4 <= STAGES * STAGE * 2,
                "the warps' lines of the result fit where the stages were");

  DYNAMIC_SHARED(shared);
  auto* stages = reinterpret_cast<T*>(shared);
  int rows = s.images * s.oh * s.ow, each = s.o / s.groups;
  int row_tiles = (rows - 1) / Block::M + 1, column_tiles = (each - 1) / Block::N + 1;
  long long tiles = static_cast<long long>(row_tiles) * column_tiles;
  int group = static_cast<int>(blockIdx.x / tiles), tile_row, tile_column;
  gemm::place_block(blockIdx.x % tiles, row_tiles, column_tiles, &tile_row, &tile_column);
  int row0 = tile_row * Block::M, column0 = tile_column * Block::N;

  A windows(s, x, row0, rows, group);
  const T* own = filters + static_cast<long long>(group) * each * line;
  int steps = (s.c / s.groups * s.kh * s.kw - 1) / tile::DEPTH + 1;
  auto load = [&](int step) {
    if (step < steps) {
      T* stage = stages + step % STAGES * STAGE;
      if constexpr (FORM == Form::NARROW) {
        windows.gather(stage, gate);
      } else {
        windows.copy(stage);
      }
      Right::load(stage + Left::HALVES, own, each, line, column0, step, tile::VECTOR);
    }
    cp_async_commit();  // a group for each step, empty or not, so that waiting can count them
  };

  const Block shape;
  float acc[Block::ROWS][Block::COLUMNS][4] = {};
  Values<T> gates[A::PER];
#pragma unroll
  for (int step = 0; step < STAGES - 1; step++) load(step);
  if constexpr (FORM == Form::GATED) windows.gates(gates, gate, 0);
  for (int step = 0; step < steps; step++) {
    cp_async_wait<STAGES - 2>();
    T* stage = stages + step % STAGES * STAGE;
    if constexpr (FORM == Form::GATED) {
      windows.multiply(stage, gates);
      windows.gates(gates, gate, step + 1);
    }
    __syncthreads();
    load(step + STAGES - 1);
    shape.template multiply<Left, Right>(acc, stage, stage + Left::HALVES);
  }
  cp_async_wait<0>();
  __syncthreads();
  auto* staged = reinterpret_cast<float*>(shared) + static_cast<int>(threadIdx.x) / 32 * 16 * (Block::WARP_N + 8);
  store(shape, acc, staged, out, tail, s, row0, rows, column0, each, group * each);
}

using Large = tile::Shape<128, 128, 2, 4>;
using Tall = tile::Shape<128, 64, 4, 2>;
using Small = tile::Shape<64, 64, 2, 2>;

}  // namespace conv
