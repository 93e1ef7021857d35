// margin: from the cosines between rows and classes to logits, or straight to the mean loss.
//
// With c = cos[r][label[r]], the cosine of the row's true class, and m the margin,
//
//   border   = cos(theta + m) = c cos m - sqrt(max(1 - c^2, 0)) sin m
//   target   = border                   where c > -cos m, else c - m sin m (theta + m would pass pi)   Arc
//            = c - m                                                                                   Cos
//   logit[r][label[r]] = scale * target
//   logit[r][j]        = scale * cos[r][j], but where cos[r][j] > border for Curricular, which has
//                        scale * cos[r][j] * (t + cos[r][j]) there, and Arc's target
//   t        = 0.01 * mean over r of c + 0.99 * (t before this batch)
//   loss     = mean over r of ln(sum over j of exp(logit[r][j])) - logit[r][label[r]]
//
// Deng et al. 2019, equation 3 (Arc); Wang et al. 2018, equation 4 (Cos); Huang et al. 2020, section 3.2 and
// equation 9 (Curricular). No angle is formed. Everything is f32; 1 - c^2 is (1 - c)(1 + c), whose first
// factor is exact near 1, and is clamped at 0, since a cosine may be rounded past 1.
//
// Launches, in this order:
//   margin_mean     Curricular alone: t; one block of a multiple of 32 threads up to 1024
//   margin_logits   x: rows; y: 1,024 columns a block; 256 threads
//   margin_parts    the same grid: the largest logit and the sum of exp(logit - largest) of each block's
//                   columns; no logit is stored
//   margin_loss     the mean loss from these parts; one block, as margin_mean
//
// cosines    rows x columns
// labels     rows of u32, below `columns`. The engine cannot look at labels on the card: a label that is
//            not reads nothing out of bounds, makes its row's logits, the loss and t NaN.
// before, t  one f32 each, apart; read for Curricular alone, null else
// parts      rows x ceil(columns / 1024) x {largest, sum}, scratch, aligned to 8
// logits     rows x columns, not overlapping the cosines
// Alignment  that of the element
// rows, columns from 1. No dynamic shared memory.

#include "common/device.h"
#include "margin/block.h"

namespace {

constexpr int COS = 1, CURRICULAR = 2;  // Arc is 0
constexpr int THREADS = 256, MINE = 4, COLUMNS = THREADS * MINE;
constexpr float MOMENTUM = 0.01f;

struct Margin {
  int kind;
  float margin, cosine, sine, scale;  // cosine and sine are those of the margin
};

// What the logits of a row have in common.
struct Row {
  uint32_t label;
  float border, target, t;

  __device__ __forceinline__ Row(const Margin& how, const float* cosines, uint32_t label, int columns, float t)
      : label(label), t(t) {
    float c = label < static_cast<uint32_t>(columns) ? cosines[label] : NAN;
    float square = (1.0f - c) * (1.0f + c);
    border = c * how.cosine - sqrtf(square < 0.0f ? 0.0f : square) * how.sine;
    target = how.kind == COS ? c - how.margin : c > -how.cosine ? border : c - how.margin * how.sine;
  }

  __device__ __forceinline__ float logit(const Margin& how, float cosine, int column) const {
    float value = cosine;
    if (how.kind == CURRICULAR && cosine > border) value = cosine * (t + cosine);
    if (static_cast<uint32_t>(column) == label) value = target;
    // A row without a class has no logits.
    return how.scale * (target == target ? value : NAN);
  }
};

// The logits of this block's columns of its row; minus infinity for columns that are not.
__device__ __forceinline__ void logits_of(float (&values)[MINE], const Margin& how, const float* cosines,
                                          const uint32_t* labels, const float* t, int columns) {
  long long row = blockIdx.x;
  const float* from = cosines + row * columns;
  const Row mine(how, from, labels[row], columns, how.kind == CURRICULAR ? *t : 0.0f);
#pragma unroll
  for (int i = 0; i < MINE; i++) {
    long long column = static_cast<long long>(blockIdx.y) * COLUMNS + i * THREADS + threadIdx.x;
    values[i] = column < columns ? mine.logit(how, from[column], static_cast<int>(column)) : -INFINITY;
  }
}

}  // namespace

extern "C" __global__ void margin_mean(const float* cosines, const uint32_t* labels, const float* before, float* t,
                                       int rows, int columns) {
  float sum = 0.0f;
  for (int r = static_cast<int>(threadIdx.x); r < rows; r += static_cast<int>(blockDim.x)) {
    uint32_t label = labels[r];
    sum += label < static_cast<uint32_t>(columns) ? cosines[static_cast<long long>(r) * columns + label] : NAN;
  }
  sum = combine<Sum>(sum, 0.0f);
  if (threadIdx.x == 0) t[0] = MOMENTUM * (sum / static_cast<float>(rows)) + (1.0f - MOMENTUM) * before[0];
}

extern "C" __global__ void __launch_bounds__(256)
margin_logits(const float* cosines, const uint32_t* labels, const float* t, float* logits, int columns, int kind,
              float margin, float cosine, float sine, float scale) {
  float values[MINE];
  logits_of(values, {kind, margin, cosine, sine, scale}, cosines, labels, t, columns);
#pragma unroll
  for (int i = 0; i < MINE; i++) {
    long long column = static_cast<long long>(blockIdx.y) * COLUMNS + i * THREADS + threadIdx.x;
    if (column < columns) logits[static_cast<long long>(blockIdx.x) * columns + column] = values[i];
  }
}

extern "C" __global__ void __launch_bounds__(256)
margin_parts(const float* cosines, const uint32_t* labels, const float* t, float2* parts, int columns, int kind,
             float margin, float cosine, float sine, float scale) {
  float values[MINE], largest = -INFINITY, sum = 0.0f;
  logits_of(values, {kind, margin, cosine, sine, scale}, cosines, labels, t, columns);
#pragma unroll
  for (int i = 0; i < MINE; i++) largest = fmaxf(largest, values[i]);
  largest = combine<Max>(largest, -INFINITY);
#pragma unroll
  for (int i = 0; i < MINE; i++) sum += expf(values[i] - largest);
  sum = combine<Sum>(sum, 0.0f);
  if (threadIdx.x == 0) {
    parts[static_cast<long long>(blockIdx.x) * gridDim.y + blockIdx.y] = make_float2(largest, sum);
  }
}

// A warp takes a row, its lanes the row's parts.
extern "C" __global__ void margin_loss(const float* cosines, const uint32_t* labels, const float* t,
                                       const float2* parts, float* loss, int rows, int columns, int kind,
                                       float margin, float cosine, float sine, float scale) {
  const Margin how{kind, margin, cosine, sine, scale};
  int count = (columns - 1) / COLUMNS + 1, lane = static_cast<int>(threadIdx.x) % 32;
  float losses = 0.0f;
  for (int r = static_cast<int>(threadIdx.x) / 32; r < rows; r += static_cast<int>(blockDim.x) / 32) {
    const float2* mine = parts + static_cast<long long>(r) * count;
    float largest = -INFINITY, sum = 0.0f;
    for (int p = lane; p < count; p += 32) largest = fmaxf(largest, mine[p].x);
    largest = warp_max(largest);
    for (int p = lane; p < count; p += 32) sum += mine[p].y * expf(mine[p].x - largest);
    sum = warp_sum(sum);
    const Row row(how, cosines + static_cast<long long>(r) * columns, labels[r], columns,
                  kind == CURRICULAR ? *t : 0.0f);
    if (lane == 0) losses += logf(sum) + (largest - how.scale * row.target);
  }
  losses = combine<Sum>(losses, 0.0f);
  if (threadIdx.x == 0) loss[0] = losses / static_cast<float>(rows);
}
