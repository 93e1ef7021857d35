// Tile after tile of a product of two matrices of unit rows, for scans: what becomes of a tile's
// accumulators is the caller's.
#pragma once

#include "common/device.h"
#include "gemm/tile.h"

namespace product {

// Of SHAPE's tiles; STAGES tiles of both operands are in shared memory.
template <class Shape, int STAGES>
struct Product {
  using Left = tile::DepthMajor<Shape::M, Shape::THREADS>;
  using Right = tile::DepthMajor<Shape::N, Shape::THREADS>;
  static constexpr int STAGE = Left::HALVES + Right::HALVES, BYTES = STAGES * STAGE * 2;

  __half* stages;  // BYTES of shared memory
  const __half* queries;
  const __half* gallery;
  int query_rows, gallery_rows, depth;  // depth is a multiple of tile::DEPTH
  int row0;                             // the block's first query

  // Calls each(accumulators, tile) for the gallery's tiles first .. last. By all threads of the block. The
  // pipeline does not drain between tiles: a call of `each` runs while the next tile is on its way, and
  // may pass barriers. Ends with a barrier.
  template <class Each>
  __device__ __forceinline__ void run(const Shape& shape, int first, int last, Each each) const {
    run(shape, first, last, [](int t) { return t; }, each);
  }

  // The same where number t stands for the gallery's tile where(t).
  template <class Where, class Each>
  __device__ __forceinline__ void run(const Shape& shape, int first, int last, Where where, Each each) const {
    int steps = depth / tile::DEPTH, load_tile = first, load_step = 0, stage = 0;
    auto load = [&](int into) {
      if (load_tile < last) {
        __half* to = stages + into * STAGE;
        Left::load(to, queries, query_rows, depth, row0, load_step, tile::VECTOR);
        int column0 = where(load_tile) * Shape::N;
        Right::load(to + Left::HALVES, gallery, gallery_rows, depth, column0, load_step, tile::VECTOR);
      }
      cp_async_commit();
      if (++load_step == steps) {
        load_step = 0;
        load_tile++;
      }
    };
#pragma unroll
    for (int i = 0; i < STAGES - 1; i++) load(i);
    for (int t = first; t < last; t++) {
      float acc[Shape::ROWS][Shape::COLUMNS][4] = {};
      for (int step = 0; step < steps; step++) {
        cp_async_wait<STAGES - 2>();
        __syncthreads();
        load(stage == 0 ? STAGES - 1 : stage - 1);
        const __half* from = stages + stage * STAGE;
        shape.template multiply<Left, Right>(acc, from, from + Left::HALVES);
        stage = stage + 1 == STAGES ? 0 : stage + 1;
      }
      each(acc, t);
    }
    cp_async_wait<0>();
    __syncthreads();
  }
};

}  // namespace product
