// The attention of attention_f16.cu and attention_bf16.cu: multi-head self-attention over packed sequences,
// values of 16 bits with f32 scores, softmax and sums, on mma.sync.
//
//   out[r] = sum over s of p[r][s] v[s],  p[r] = softmax over s of scale * q[r] . k[s]
//
// for each head's `width` columns by themselves, s over the rows of r's own sequence. Nothing is padded:
// a warp computes 16 rows of queries against the keys of their sequence, in whole fragments of 16 keys.
//
// Entries      attention_<type>_<width>, for heads of this width and 16-byte alignment; type is f16 or bf16;
//              attention_<type>_<width>_any, for heads of at most this width and any alignment
// q, k, v, out rows x columns, row r at x + r * columns, head h in the columns from h * width on; out
//              overlaps none of the others
// offsets      sequences + 1 of u32; see sequences.h. Rows of no sequence are not written.
// Launch       128 threads; x: (rows / 16 + sequences) / 4 blocks, rounded up; y: heads. No shared
//              memory. sequences, rows, width from 1.
//
// Fragments come straight from global memory, 16 bytes a thread: the sum q . k does not mind the order of
// its columns, so a thread takes 8 neighbouring columns of a row where the fragment wants four pairs 8
// apart, of q and k alike. The columns of v and out are numbered anew in the same way: column g of
// fragment j is column g * (width / 8) + j of the head. So no value passes through shared memory, warps
// wait for nobody, and the four of a block find each other's keys in the L1 cache.
//
// In a single sweep over the keys, KEYS at a time, each row keeps its largest score, and what was summed
// before is multiplied by e^(old - new) when a larger one comes (Milakov and Gimelshein 2018). Sequences
// of up to KEYS rows are done in one step. Scores stay in f32: half precision would overflow at 65,504,
// and would have lost all differences below 32 there. The weights are rounded to 16 bits for their
// product with v: they are at most 1, and the sum that divides is that of the rounded ones.
#pragma once

#include "attention/sequences.h"
#include "common/number.h"

namespace attention {

constexpr int WARPS = 4;
constexpr int VECTOR = 8;  // values in 16 bytes
constexpr float LOG2_E = 1.44269504f;

// Heads of WIDTH columns; or of fewer, where the missing ones count as 0.
template <int WIDTH_, bool WHOLE_>
struct Head {
  static constexpr int WIDTH = WIDTH_;
  static constexpr bool WHOLE = WHOLE_;
  static constexpr int STEPS = WIDTH / 16;         // fragments along the columns of q and k
  static constexpr int VECTORS = WIDTH / 32;       // 16-byte loads of a row of q or k by its four threads
  static constexpr int RUN = WIDTH / 8;            // neighbouring columns of v and out that a thread holds
  static constexpr int KEYS = 2048 / WIDTH;        // keys of a step: their loads fill 32 registers
  static constexpr int BLOCKS = KEYS / 16;
  static_assert(WIDTH % 32 == 0, "four threads take whole vectors of a row");
  static_assert(RUN == 4 || RUN == 8, "a thread's run of columns is one access of 8 or 16 bytes");
  static_assert(KEYS % 16 == 0, "keys come in whole fragments");
};

// `COUNT` values of a row from column `column` on, zeros where there is no row or no column.
template <class Head, int COUNT, class T>
__device__ __forceinline__ void load(uint32_t (&to)[COUNT / 2], const T* row, bool there, int column, int width) {
  static_assert(COUNT == 4 || COUNT == 8, "one access of 8 or 16 bytes");
#pragma unroll
  for (int i = 0; i < COUNT / 2; i++) to[i] = 0;
  if (!there) return;
  if constexpr (Head::WHOLE && COUNT == 8) {
    uint4 loaded = load_vector<uint4>(row + column);
    to[0] = loaded.x, to[1] = loaded.y, to[2] = loaded.z, to[3] = loaded.w;
  } else if constexpr (Head::WHOLE) {
    uint2 loaded = load_vector<uint2>(row + column);
    to[0] = loaded.x, to[1] = loaded.y;
  } else {
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
      uint32_t bits = column + i < width ? Short<T>::bits(row[column + i]) : 0u;
      to[i / 2] |= bits << (i % 2 * 16);
    }
  }
}

template <class T, class Head>
struct Warp {
  const T *q, *k, *v;
  T* out;
  int columns, width;
  float factor;
  sequences::Rows rows;
  int group, quad;  // the thread's row of a fragment, and its place among the four of the row

  float sums[Head::RUN][4] = {}, total[4] = {};
  float largest[2] = {-INFINITY, -INFINITY};

  __device__ __forceinline__ long long at(int row) const { return static_cast<long long>(row) * columns; }

  // Scores of the keys from `key0` on, in units of the logarithm of 2; of what is no key, minus infinity.
  __device__ __forceinline__ void score(float (&scores)[2 * Head::BLOCKS][4],
                                        const uint32_t (&queries)[2][Head::VECTORS][4], int key0) const {
    uint32_t keys[2 * Head::BLOCKS][Head::VECTORS][4];
#pragma unroll
    for (int j = 0; j < 2 * Head::BLOCKS; j++) {
      int row = key0 + j * 8 + group;
#pragma unroll
      for (int i = 0; i < Head::VECTORS; i++) {
        load<Head, VECTOR>(keys[j][i], k + at(row), row < rows.end, i * 32 + quad * VECTOR, width);
      }
    }
#pragma unroll
    for (int j = 0; j < 2 * Head::BLOCKS; j++) {
#pragma unroll
      for (int e = 0; e < 4; e++) scores[j][e] = 0.0f;
      if (key0 + j / 2 * 16 < rows.end) {
#pragma unroll
        for (int s = 0; s < Head::STEPS; s++) {
          int i = s / 2, w = s % 2 * 2;
          const uint32_t left[4] = {queries[0][i][w], queries[1][i][w], queries[0][i][w + 1], queries[1][i][w + 1]};
          const uint32_t right[2] = {keys[j][i][w], keys[j][i][w + 1]};
          Short<T>::mma(scores[j], left, right);
        }
      }
#pragma unroll
      for (int e = 0; e < 4; e++) {
        int key = key0 + j * 8 + quad * 2 + e % 2;
        scores[j][e] = key < rows.end ? scores[j][e] * factor : -INFINITY;
      }
    }
  }

  // Scores become weights: e^(score - largest so far). What was summed before is brought to the same scale.
  __device__ __forceinline__ void weigh(float (&scores)[2 * Head::BLOCKS][4]) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      float most = largest[h];
#pragma unroll
      for (int j = 0; j < 2 * Head::BLOCKS; j++) most = fmaxf(most, fmaxf(scores[j][2 * h], scores[j][2 * h + 1]));
      most = fmaxf(most, __shfl_xor_sync(FULL_WARP, most, 1));
      most = fmaxf(most, __shfl_xor_sync(FULL_WARP, most, 2));
      float before = exp2f(largest[h] - most);
      largest[h] = most;
#pragma unroll
      for (int e = 2 * h; e < 2 * h + 2; e++) {
        total[e] *= before;
#pragma unroll
        for (int i = 0; i < Head::RUN; i++) sums[i][e] *= before;
#pragma unroll
        for (int j = 0; j < 2 * Head::BLOCKS; j++) scores[j][e] = exp2f(scores[j][e] - most);
      }
    }
  }

  // Adds the values of the keys from `key0` on, by their weights, and the weights.
  __device__ __forceinline__ void add(const float (&weights)[2 * Head::BLOCKS][4],
                                      const uint32_t (&values)[Head::BLOCKS][4][Head::RUN / 2], int key0) {
#pragma unroll
    for (int b = 0; b < Head::BLOCKS; b++) {
      if (key0 + b * 16 >= rows.end) break;
      const float(&low)[4] = weights[2 * b], (&high)[4] = weights[2 * b + 1];
      const uint32_t left[4] = {pack_pair<T>(low[0], low[1]), pack_pair<T>(low[2], low[3]),
                                pack_pair<T>(high[0], high[1]), pack_pair<T>(high[2], high[3])};
#pragma unroll
      for (int i = 0; i < Head::RUN; i++) {
        uint32_t right[2];
#pragma unroll
        for (int h = 0; h < 2; h++) {
          uint32_t even = values[b][2 * h][i / 2], odd = values[b][2 * h + 1][i / 2];
          right[h] = i % 2 == 0 ? (even & 0xffffu) | odd << 16 : even >> 16 | (odd & 0xffff0000u);
        }
        Short<T>::mma(sums[i], left, right);
      }
      const uint32_t ones[2] = {Short<T>::ONES, Short<T>::ONES};
      Short<T>::mma(total, left, ones);
    }
  }

  __device__ __forceinline__ void run() {
    uint32_t queries[2][Head::VECTORS][4];
#pragma unroll
    for (int h = 0; h < 2; h++) {
      int row = rows.first + h * 8 + group;
#pragma unroll
      for (int i = 0; i < Head::VECTORS; i++) {
        load<Head, VECTOR>(queries[h][i], q + at(row), row < rows.end, i * 32 + quad * VECTOR, width);
      }
    }
    for (int key0 = rows.begin; key0 < rows.end; key0 += Head::KEYS) {
      float scores[2 * Head::BLOCKS][4];
      score(scores, queries, key0);
      uint32_t values[Head::BLOCKS][4][Head::RUN / 2];
#pragma unroll
      for (int b = 0; b < Head::BLOCKS; b++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          int row = key0 + b * 16 + i / 2 * 8 + quad * 2 + i % 2;
          load<Head, Head::RUN>(values[b][i], v + at(row), row < rows.end, group * Head::RUN, width);
        }
      }
      weigh(scores);
      add(scores, values, key0);
    }
    store();
  }

  __device__ __forceinline__ void store() const {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      int row = rows.first + h * 8 + group;
      if (row >= rows.end) continue;
      float by = 1.0f / total[2 * h];
#pragma unroll
      for (int p = 0; p < 2; p++) {
        int column = (quad * 2 + p) * Head::RUN;
        T* to = out + at(row) + column;
        if constexpr (Head::WHOLE) {
          uint32_t words[Head::RUN / 2];
#pragma unroll
          for (int i = 0; i < Head::RUN / 2; i++) {
            words[i] = pack_pair<T>(sums[2 * i][2 * h + p] * by, sums[2 * i + 1][2 * h + p] * by);
          }
          if constexpr (Head::RUN == 8) {
            store_vector(to, make_uint4(words[0], words[1], words[2], words[3]));
          } else {
            store_vector(to, make_uint2(words[0], words[1]));
          }
        } else {
#pragma unroll
          for (int i = 0; i < Head::RUN; i++) {
            if (column + i < width) put_float(to + i, sums[i][2 * h + p] * by);
          }
        }
      }
    }
  }
};

template <class Head, class T>
__device__ __forceinline__ void attend(const T* q, const T* k, const T* v, T* out, const uint32_t* offsets,
                                       int sequences, int rows, int columns, int width, float scale) {
  int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  uint32_t number = blockIdx.x * WARPS + static_cast<uint32_t>(warp);
  auto mine = sequences::find<sequences::TILE>(offsets, sequences, rows, number, lane);
  if (mine.first >= mine.end) return;  // whole warps leave, and none meets another
  long long head = static_cast<long long>(blockIdx.y) * width;
  Warp<T, Head> work{q + head,       k + head, v + head, out + head, columns, width,
                     scale * LOG2_E, mine,     lane / 4, lane % 4};
  work.run();
}

}  // namespace attention
