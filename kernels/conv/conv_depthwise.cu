// conv_depthwise: one filter a channel, 3x3 or 5x5, step 1 or 2, and the sums that a global average of
// the result needs.
//
//   out[n][y][x][c] = act( (sum over i, j of x[n][y s - py + i][x s - px + j][c] filters[i][j][c]) * scale[c]
//                     + bias[c] + residual[n][y][x][c] )
//   partial[n][t][c] = the sum of out[n][y][x][c], as stored, over the pixels of tile t
//
// Entries      conv_depthwise_<type>_<k>x<k>_<step>: f16 or bf16
// x            images x h x w x c, c a multiple of 8;  out, residual: images x oh x ow x c
// filters      k x k x c values, aligned to 16 bytes
// scale, bias  c values each, or null;  residual: or null
// partial      images x tiles x c f32, or null
// lanes        threads side by side, each on 8 channels: 1 to 32
// across       strips of 4 pixels side by side in a tile; 128 / lanes / across threads stand one below
//              the other, each with ROWS rows of strips
// Alignment    that of the element, but for what shape.aligned promises
// Launch       blocks of 128 threads: (ceil(c / 8 / lanes), tiles, images); 128 x 8 f32 of dynamic shared
//              memory where there is `partial`, else none
//
// 3x3 windows are summed in f32, 5x5 ones of f16 in pairs of halves row by row: why, and what that may lose,
// says strip.h. Rows overlap in the cache.

#include "conv/strip.h"

namespace {

constexpr int THREADS = 128, STRIP = 4, ROWS = 2;

// A strip of results of one row, from `column` on.
template <class Row, int K, int STEP, bool ALIGNED, class T>
__device__ __forceinline__ void strip(float (&acc)[STRIP][conv::VECTOR], const T* image, const T* filters,
                                      const conv::Shape& s, int y, int column, int channel) {
  constexpr int COLUMNS = (STRIP - 1) * STEP + K;
  int first = column * STEP - s.pad_x;
#pragma unroll 1
  for (int i = 0; i < K; i++) {
    int line = y * STEP - s.pad_y + i;
    if (line < 0 || line >= s.h) continue;
    Row row;
    const T* places = filters + i * K * s.c + channel;
#pragma unroll
    for (int j = 0; j < K; j++) row.weight(j, conv::load_pairs(places + static_cast<unsigned>(j * s.c)));
    const T* from = image + (static_cast<long long>(line) * s.w + first) * s.c + channel;
#pragma unroll
    for (int at = 0; at < COLUMNS; at++) {
      bool there = first + at >= 0 && first + at < s.w;
      row.pixel(acc, at, conv::load_pairs<ALIGNED>(from + static_cast<unsigned>(at * s.c), there));
    }
  }
}

// Adds up the threads of a lane, in their order.
__device__ __forceinline__ void add_strips(const float (&sums)[conv::VECTOR], float* partial, int lanes, int strips,
                                           const conv::Shape& s) {
  DYNAMIC_SHARED(shared);
  auto* all = reinterpret_cast<float*>(shared);
  int thread = static_cast<int>(threadIdx.x), width = lanes * conv::VECTOR;
  if (thread < strips * lanes) {
#pragma unroll
    for (int e = 0; e < conv::VECTOR; e++) all[thread * conv::VECTOR + e] = sums[e];
  }
  __syncthreads();
  for (int at = thread; at < width; at += THREADS) {
    int channel = static_cast<int>(blockIdx.x) * width + at;
    if (channel >= s.c) continue;
    float total = 0.0f;
    for (int i = 0; i < strips; i++) total += all[i * width + at];
    partial[(static_cast<long long>(blockIdx.z) * gridDim.y + blockIdx.y) * s.c + channel] = total;
  }
}

template <template <class, int, int, int> class Form, int K, int STEP, class T>
__device__ __forceinline__ void depthwise(const T* x, const T* filters, T* out, const conv::Tail<T>& tail,
                                          float* partial, const conv::Shape& s, int lanes, int across) {
  using Row = Form<T, K, STEP, STRIP>;
  int thread = static_cast<int>(threadIdx.x), strips = THREADS / lanes / across * across;
  int lane = thread % lanes, mine = thread / lanes, down = strips / across;
  int tiles_x = (s.ow - 1) / (across * STRIP) + 1;
  int tile_y = static_cast<int>(blockIdx.y) / tiles_x, tile_x = static_cast<int>(blockIdx.y) % tiles_x;
  int channel = (static_cast<int>(blockIdx.x) * lanes + lane) * conv::VECTOR;
  int column = (tile_x * across + mine % across) * STRIP, image = static_cast<int>(blockIdx.z);
  bool there = mine < strips && channel < s.c && column < s.ow;
  const conv::Tail<T> rest = {nullptr, nullptr, tail.residual, tail.activation};
  float sums[conv::VECTOR] = {}, scales[conv::VECTOR], biases[conv::VECTOR];
#pragma unroll
  for (int e = 0; e < conv::VECTOR; e++) {
    scales[e] = there && tail.scale != nullptr ? to_float(tail.scale[channel + e]) : 1.0f;
    biases[e] = there && tail.bias != nullptr ? to_float(tail.bias[channel + e]) : 0.0f;
  }
#pragma unroll 1
  for (int r = 0; r < ROWS; r++) {
    int y = (tile_y * ROWS + r) * down + mine / across;
    if (!there || y >= s.oh) continue;
    float acc[STRIP][conv::VECTOR] = {};
    const T* from = x + static_cast<long long>(image) * s.h * s.w * s.c;
    if ((s.aligned & conv::X) != 0) {
      strip<Row, K, STEP, true>(acc, from, filters, s, y, column, channel);
    } else {
      strip<Row, K, STEP, false>(acc, from, filters, s, y, column, channel);
    }
#pragma unroll
    for (int p = 0; p < STRIP; p++) {
      if (column + p >= s.ow) continue;
#pragma unroll
      for (int e = 0; e < conv::VECTOR; e++) acc[p][e] = acc[p][e] * scales[e] + biases[e];
      long long at = ((static_cast<long long>(image) * s.oh + y) * s.ow + column + p) * s.c + channel;
      auto result = rest.apply(acc[p], channel, at, conv::VECTOR, (s.aligned & conv::RESIDUAL) != 0);
      conv::store_values(out + at, result, conv::VECTOR, (s.aligned & conv::OUT) != 0);
#pragma unroll
      for (int e = 0; e < conv::VECTOR; e++) sums[e] += to_float(result.at[e]);
    }
  }
  if (partial != nullptr) add_strips(sums, partial, lanes, strips, s);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128, 2)
conv_depthwise_f16_3x3_1(const __half* x, const __half* filters, __half* out, const __half* scale, const __half* bias,
                         const __half* residual, float* partial, conv::Shape shape, int lanes, int across,
                         int activation) {
  depthwise<conv::Exact, 3, 1>(x, filters, out, {scale, bias, residual, activation}, partial, shape, lanes, across);
}
extern "C" __global__ void __launch_bounds__(128, 2)
conv_depthwise_f16_3x3_2(const __half* x, const __half* filters, __half* out, const __half* scale, const __half* bias,
                         const __half* residual, float* partial, conv::Shape shape, int lanes, int across,
                         int activation) {
  depthwise<conv::Exact, 3, 2>(x, filters, out, {scale, bias, residual, activation}, partial, shape, lanes, across);
}
extern "C" __global__ void __launch_bounds__(128, 2)
conv_depthwise_f16_5x5_1(const __half* x, const __half* filters, __half* out, const __half* scale, const __half* bias,
                         const __half* residual, float* partial, conv::Shape shape, int lanes, int across,
                         int activation) {
  depthwise<conv::Paired, 5, 1>(x, filters, out, {scale, bias, residual, activation}, partial, shape, lanes, across);
}
extern "C" __global__ void __launch_bounds__(128, 2)
conv_depthwise_f16_5x5_2(const __half* x, const __half* filters, __half* out, const __half* scale, const __half* bias,
                         const __half* residual, float* partial, conv::Shape shape, int lanes, int across,
                         int activation) {
  depthwise<conv::Paired, 5, 2>(x, filters, out, {scale, bias, residual, activation}, partial, shape, lanes, across);
}
extern "C" __global__ void __launch_bounds__(128, 2)
conv_depthwise_bf16_3x3_1(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out,
                          const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                          float* partial, conv::Shape shape, int lanes, int across, int activation) {
  depthwise<conv::Exact, 3, 1>(x, filters, out, {scale, bias, residual, activation}, partial, shape, lanes, across);
}
extern "C" __global__ void __launch_bounds__(128, 2)
conv_depthwise_bf16_3x3_2(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out,
                          const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                          float* partial, conv::Shape shape, int lanes, int across, int activation) {
  depthwise<conv::Exact, 3, 2>(x, filters, out, {scale, bias, residual, activation}, partial, shape, lanes, across);
}
extern "C" __global__ void __launch_bounds__(128, 2)
conv_depthwise_bf16_5x5_1(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out,
                          const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                          float* partial, conv::Shape shape, int lanes, int across, int activation) {
  depthwise<conv::Exact, 5, 1>(x, filters, out, {scale, bias, residual, activation}, partial, shape, lanes, across);
}
extern "C" __global__ void __launch_bounds__(128, 2)
conv_depthwise_bf16_5x5_2(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out,
                          const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                          float* partial, conv::Shape shape, int lanes, int across, int activation) {
  depthwise<conv::Exact, 5, 2>(x, filters, out, {scale, bias, residual, activation}, partial, shape, lanes, across);
}
