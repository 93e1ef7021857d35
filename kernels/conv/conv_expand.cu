// conv_expand: a 1x1 convolution that widens images, and the convolution of one filter a channel behind
// it, 3x3 or 5x5, step 1 or 2: what lies between is never stored. And the sums that a global average of the
// result needs.
//
//   wide[n][y][x][f] = value( act0( (sum over k of x[n][y][x][k] wide_filters[f][k]) * wide_scale[f] + wide_bias[f] ) )
//                      as it would be stored, 0 beside the image
//   out[n][y][x][f] = act( (sum over i, j of wide[n][y s - py + i][x s - px + j][f] filters[i][j][f]) * scale[f]
//                     + bias[f] )
//   partial[n][t][f] = the sum of out[n][y][x][f], as stored, over the pixels of tile t
//
// Entries      conv_expand_<type>_<k>x<k>_<step>: f16 or bf16
// x            images x h x w x c, c a multiple of 8 to 96;  out: images x oh x ow x o, o a multiple of 8
// wide_filters o x c;  filters  k x k x o values, aligned to 16 bytes
// wide_scale, wide_bias, scale, bias   o values each, or null
// partial      images x tiles x o f32, or null
// Alignment    that of the element, but for what shape.aligned promises: X, OUT, and 16 for wide_filters
// Launch       blocks of 128 threads: (ceil(o / 64), tiles, images), tiles of 8 x 8 results, or 4 x 8 where the
//              step is 2, by columns, then rows; dynamic shared memory for Cut::PADDED pixels and 64 filters of
//              c + 8 values each (c rounded up to 16), and Cut::PIXELS pixels of 72 values
//
// A block copies the pixels under its windows once, widens them to 64 channels by mma.sync, and takes the
// windows from there, 3x3 in f32 and 5x5 of f16 in pairs of halves row by row (strip.h). Neighbouring tiles widen the
// pixels between them twice: cheap while c is small.

#include "conv/strip.h"

namespace {

constexpr int THREADS = 128, CHANNELS = 64, LANES = CHANNELS / conv::VECTOR;
constexpr int LINE = CHANNELS + 8;    // values of a wide pixel
constexpr int WIDE_FILTERS = 16;      // the flag in shape.aligned
constexpr int HALF = CHANNELS / 2;    // channels of a warp
static_assert(LINE / 8 % 2 == 1, "8 neighbouring pixels begin in 8 different groups of 4 banks");

// How results are cut into tiles, and a tile into strips of one row, one for each 8 threads.
template <class T, template <class, int, int, int> class Form, int K_, int STEP_>
struct Cut {
  static constexpr int K = K_, STEP = STEP_, DOWN = STEP == 1 ? 8 : 4, ACROSS = 8, STRIP = STEP == 1 ? 4 : 2;
  using Value = T;
  using Row = Form<T, K, STEP, STRIP>;
  static constexpr int STRIPS = ACROSS / STRIP;  // of a row
  static constexpr int HEIGHT = (DOWN - 1) * STEP + K, WIDTH = (ACROSS - 1) * STEP + K, PIXELS = HEIGHT * WIDTH;
  static constexpr int FRAGMENTS = (PIXELS + 15) / 16, PADDED = FRAGMENTS * 16;
  static_assert(STRIPS * DOWN * LANES == THREADS, "every thread has one strip of 8 channels");
  static_assert(PADDED * (16 + 8) * 2 >= THREADS * conv::VECTOR * 4, "sums fit where the pixels were");
};

// Where a block's tile begins, in the results and in the image.
struct Place {
  int image, out_y, out_x, y, x, channel;
};

// Copies the pixels under the windows and the filters of the block's channels; zeros where there are none.
template <class C, class T>
__device__ __forceinline__ void stage(T* pixels, T* weights, const T* x, const T* filters,
                                      const conv::Shape& s, const Place& at, int depth) {
  int vectors = depth / conv::VECTOR, line = depth + conv::VECTOR;
  const T* image = x + static_cast<long long>(at.image) * s.h * s.w * s.c;
  auto copy = [&](T* to, const T* base, long long offset, bool there, bool aligned) {
    if (aligned) {
      cp_async<16>(to, there ? base + offset : base, there ? 16 : 0);
    } else {
      store_vector(to, conv::load_values(base + (there ? offset : 0), there ? conv::VECTOR : 0, false));
    }
  };
  for (int i = static_cast<int>(threadIdx.x); i < C::PADDED * vectors; i += THREADS) {
    int pixel = i / vectors, k = i % vectors * conv::VECTOR;
    int row = at.y + pixel / C::WIDTH, column = at.x + pixel % C::WIDTH;
    bool there = pixel < C::PIXELS && k < s.c && static_cast<unsigned>(row) < static_cast<unsigned>(s.h) &&
                 static_cast<unsigned>(column) < static_cast<unsigned>(s.w);
    long long from = (static_cast<long long>(row) * s.w + column) * s.c + k;
    copy(pixels + pixel * line + k, image, from, there, (s.aligned & conv::X) != 0);
  }
  for (int i = static_cast<int>(threadIdx.x); i < CHANNELS * vectors; i += THREADS) {
    int filter = i / vectors, k = i % vectors * conv::VECTOR;
    bool there = at.channel + filter < s.o && k < s.c;
    long long from = static_cast<long long>(at.channel + filter) * s.c + k;
    copy(weights + filter * line + k, filters, from, there, (s.aligned & WIDE_FILTERS) != 0);
  }
  cp_async_commit();
}

// Widens the pixels: a warp has every other fragment of 16, and 32 channels.
template <class C, class T>
__device__ __forceinline__ void widen(T* wide, const T* pixels, const T* weights, const conv::Tail<T>& tail,
                                      const conv::Shape& s, const Place& at, int depth) {
  constexpr int TILES = HALF / 8;
  int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  int line = depth + conv::VECTOR, first = warp % 2 * HALF, column = first + lane % 4 * 2;
  float scales[2 * TILES], biases[2 * TILES];
#pragma unroll
  for (int j = 0; j < 2 * TILES; j++) {
    int filter = at.channel + column + j / 2 * 8 + j % 2;
    bool there = filter < s.o;
    scales[j] = there && tail.scale != nullptr ? to_float(tail.scale[filter]) : 1.0f;
    biases[j] = there && tail.bias != nullptr ? to_float(tail.bias[filter]) : 0.0f;
  }
  const T* right = weights + (first + lane / 16 * 8 + lane % 8) * line + lane / 8 % 2 * 8;
#pragma unroll 1
  for (int f = warp / 2; f < C::FRAGMENTS; f += THREADS / 64) {
    float acc[TILES][4] = {};
    const T* left = pixels + (f * 16 + lane % 16) * line + lane / 16 * 8;
#pragma unroll 1
    for (int k = 0; k < depth; k += 16) {
      uint32_t a[4];
      ldmatrix(a, left + k);
#pragma unroll
      for (int j = 0; j < TILES; j += 2) {
        uint32_t b[4];
        ldmatrix(b, right + j * 8 * line + k);
        const uint32_t low[2] = {b[0], b[1]}, high[2] = {b[2], b[3]};
        Short<T>::mma(acc[j], a, low);
        Short<T>::mma(acc[j + 1], a, high);
      }
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
      int pixel = f * 16 + lane / 4 + r * 8, row = at.y + pixel / C::WIDTH, col = at.x + pixel % C::WIDTH;
      bool inside = static_cast<unsigned>(row) < static_cast<unsigned>(s.h) &&
                    static_cast<unsigned>(col) < static_cast<unsigned>(s.w);
      float v[conv::VECTOR];
#pragma unroll
      for (int j = 0; j < conv::VECTOR; j++) v[j] = acc[j / 2][r * 2 + j % 2] * scales[j] + biases[j];
      conv::activate(tail.activation, v);
      if (pixel >= C::PIXELS) continue;
#pragma unroll
      for (int j = 0; j < TILES; j++) {
        store_pair(wide + pixel * LINE + column + j * 8, inside ? v[2 * j] : 0.0f, inside ? v[2 * j + 1] : 0.0f);
      }
    }
  }
}

// A strip of results before the epilogue; `wide` is its first window's first pixel.
template <class C, class T>
__device__ __forceinline__ void strip(float (&acc)[C::STRIP][conv::VECTOR], const T* wide, const T* filters,
                                      int o) {
  constexpr int COLUMNS = (C::STRIP - 1) * C::STEP + C::K;
#pragma unroll 1
  for (int i = 0; i < C::K; i++) {
    typename C::Row row;
#pragma unroll
    for (int j = 0; j < C::K; j++) row.weight(j, conv::load_pairs(filters + (i * C::K + j) * o));
#pragma unroll
    for (int at = 0; at < COLUMNS; at++) row.pixel(acc, at, conv::load_pairs(wide + (i * C::WIDTH + at) * LINE));
  }
}

template <class C, class T = typename C::Value>
__device__ __forceinline__ void expand(const T* x, const T* wide_filters, const T* filters, T* out,
                                       const conv::Tail<T>& first, const conv::Tail<T>& tail, float* partial,
                                       const conv::Shape& s) {
  DYNAMIC_SHARED(shared);
  int depth = (s.c + 15) / 16 * 16, line = depth + conv::VECTOR;
  auto* pixels = reinterpret_cast<T*>(shared);
  T *weights = pixels + C::PADDED * line, *wide = weights + CHANNELS * line;
  int tiles_x = (s.ow - 1) / C::ACROSS + 1, tile = static_cast<int>(blockIdx.y);
  Place at;
  at.image = static_cast<int>(blockIdx.z), at.channel = static_cast<int>(blockIdx.x) * CHANNELS;
  at.out_y = tile / tiles_x * C::DOWN, at.out_x = tile % tiles_x * C::ACROSS;
  at.y = at.out_y * C::STEP - s.pad_y, at.x = at.out_x * C::STEP - s.pad_x;
  stage<C>(pixels, weights, x, wide_filters, s, at, depth);
  cp_async_wait<0>();
  __syncthreads();
  widen<C>(wide, pixels, weights, first, s, at, depth);
  __syncthreads();

  int thread = static_cast<int>(threadIdx.x), lane = thread % LANES, mine = thread / LANES;
  int down = mine / C::STRIPS, across = mine % C::STRIPS * C::STRIP, channel = at.channel + lane * conv::VECTOR;
  int y = at.out_y + down, column = at.out_x + across;
  float sums[conv::VECTOR] = {};
  if (channel < s.o && y < s.oh && column < s.ow) {
    float acc[C::STRIP][conv::VECTOR] = {};
    strip<C>(acc, wide + (down * C::WIDTH + across) * C::STEP * LINE + lane * conv::VECTOR, filters + channel, s.o);
#pragma unroll
    for (int p = 0; p < C::STRIP; p++) {
      if (column + p >= s.ow) continue;
      long long to = ((static_cast<long long>(at.image) * s.oh + y) * s.ow + column + p) * s.o + channel;
      auto result = tail.apply(acc[p], channel, to, conv::VECTOR, false);
      conv::store_values(out + to, result, conv::VECTOR, (s.aligned & conv::OUT) != 0);
#pragma unroll
      for (int e = 0; e < conv::VECTOR; e++) sums[e] += to_float(result.at[e]);
    }
  }
  if (partial == nullptr) return;
  // Nobody reads the pixels any more: the sums of the strips, added up in their order.
  auto* all = reinterpret_cast<float*>(shared);
#pragma unroll
  for (int e = 0; e < conv::VECTOR; e++) all[thread * conv::VECTOR + e] = sums[e];
  __syncthreads();
  if (thread < CHANNELS && at.channel + thread < s.o) {
    float total = 0.0f;
    for (int i = 0; i < THREADS / LANES; i++) total += all[i * CHANNELS + thread];
    partial[(static_cast<long long>(at.image) * gridDim.y + tile) * s.o + at.channel + thread] = total;
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128, 3)
conv_expand_f16_3x3_1(const __half* x, const __half* wide_filters, const __half* filters, __half* out,
                      const __half* wide_scale, const __half* wide_bias, const __half* scale, const __half* bias,
                      float* partial, conv::Shape shape, int wide_activation, int activation) {
  expand<Cut<__half, conv::Exact, 3, 1>>(x, wide_filters, filters, out, {wide_scale, wide_bias, nullptr, wide_activation},
                                {scale, bias, nullptr, activation}, partial, shape);
}
extern "C" __global__ void __launch_bounds__(128, 3)
conv_expand_f16_3x3_2(const __half* x, const __half* wide_filters, const __half* filters, __half* out,
                      const __half* wide_scale, const __half* wide_bias, const __half* scale, const __half* bias,
                      float* partial, conv::Shape shape, int wide_activation, int activation) {
  expand<Cut<__half, conv::Exact, 3, 2>>(x, wide_filters, filters, out, {wide_scale, wide_bias, nullptr, wide_activation},
                                {scale, bias, nullptr, activation}, partial, shape);
}
extern "C" __global__ void __launch_bounds__(128, 3)
conv_expand_f16_5x5_1(const __half* x, const __half* wide_filters, const __half* filters, __half* out,
                      const __half* wide_scale, const __half* wide_bias, const __half* scale, const __half* bias,
                      float* partial, conv::Shape shape, int wide_activation, int activation) {
  expand<Cut<__half, conv::Paired, 5, 1>>(x, wide_filters, filters, out, {wide_scale, wide_bias, nullptr, wide_activation},
                                {scale, bias, nullptr, activation}, partial, shape);
}
extern "C" __global__ void __launch_bounds__(128, 3)
conv_expand_f16_5x5_2(const __half* x, const __half* wide_filters, const __half* filters, __half* out,
                      const __half* wide_scale, const __half* wide_bias, const __half* scale, const __half* bias,
                      float* partial, conv::Shape shape, int wide_activation, int activation) {
  expand<Cut<__half, conv::Paired, 5, 2>>(x, wide_filters, filters, out, {wide_scale, wide_bias, nullptr, wide_activation},
                                {scale, bias, nullptr, activation}, partial, shape);
}
extern "C" __global__ void __launch_bounds__(128, 3)
conv_expand_bf16_3x3_1(const __nv_bfloat16* x, const __nv_bfloat16* wide_filters, const __nv_bfloat16* filters,
                       __nv_bfloat16* out, const __nv_bfloat16* wide_scale, const __nv_bfloat16* wide_bias,
                       const __nv_bfloat16* scale, const __nv_bfloat16* bias, float* partial, conv::Shape shape,
                       int wide_activation, int activation) {
  expand<Cut<__nv_bfloat16, conv::Exact, 3, 1>>(x, wide_filters, filters, out, {wide_scale, wide_bias, nullptr, wide_activation},
                                {scale, bias, nullptr, activation}, partial, shape);
}
extern "C" __global__ void __launch_bounds__(128, 3)
conv_expand_bf16_3x3_2(const __nv_bfloat16* x, const __nv_bfloat16* wide_filters, const __nv_bfloat16* filters,
                       __nv_bfloat16* out, const __nv_bfloat16* wide_scale, const __nv_bfloat16* wide_bias,
                       const __nv_bfloat16* scale, const __nv_bfloat16* bias, float* partial, conv::Shape shape,
                       int wide_activation, int activation) {
  expand<Cut<__nv_bfloat16, conv::Exact, 3, 2>>(x, wide_filters, filters, out, {wide_scale, wide_bias, nullptr, wide_activation},
                                {scale, bias, nullptr, activation}, partial, shape);
}
extern "C" __global__ void __launch_bounds__(128, 3)
conv_expand_bf16_5x5_1(const __nv_bfloat16* x, const __nv_bfloat16* wide_filters, const __nv_bfloat16* filters,
                       __nv_bfloat16* out, const __nv_bfloat16* wide_scale, const __nv_bfloat16* wide_bias,
                       const __nv_bfloat16* scale, const __nv_bfloat16* bias, float* partial, conv::Shape shape,
                       int wide_activation, int activation) {
  expand<Cut<__nv_bfloat16, conv::Exact, 5, 1>>(x, wide_filters, filters, out, {wide_scale, wide_bias, nullptr, wide_activation},
                                {scale, bias, nullptr, activation}, partial, shape);
}
extern "C" __global__ void __launch_bounds__(128, 3)
conv_expand_bf16_5x5_2(const __nv_bfloat16* x, const __nv_bfloat16* wide_filters, const __nv_bfloat16* filters,
                       __nv_bfloat16* out, const __nv_bfloat16* wide_scale, const __nv_bfloat16* wide_bias,
                       const __nv_bfloat16* scale, const __nv_bfloat16* bias, float* partial, conv::Shape shape,
                       int wide_activation, int activation) {
  expand<Cut<__nv_bfloat16, conv::Exact, 5, 2>>(x, wide_filters, filters, out, {wide_scale, wide_bias, nullptr, wide_activation},
                                {scale, bias, nullptr, activation}, partial, shape);
}
