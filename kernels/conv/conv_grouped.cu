// conv_grouped: convolutions in small groups, 4 to 32 channels each, as many filters as channels.
//
//   out[n][y][x][f] = act( (sum over i, j, k of x[n][y sy - py + i][x sx - px + j][g + k] filters[f][k][i][j])
//                     * scale[f] + bias[f] + residual[n][y][x][f] )
//
// Entries      conv_grouped_<type>_<bundle>: f16 or bf16; groups of 16 or 32 channels; 8 is groups of 8, or of 4 in pairs
// x            images x h x w x c, c a multiple of the bundle;  out, residual: images x oh x ow x c
// filters      fragments as fragments.h lays them out, aligned to 8 bytes
// scale, bias  c values each, or null;  residual: or null
// Alignment    that of the element, but for what shape.aligned promises
// Launch       blocks of 128 threads in x: 64 channels, then tiles of 8 x 8 pixels by columns, rows and
//              images; dynamic shared memory for the pixels that a tile's windows cover, 144 bytes each, and
//              at least 18 KiB
//
// A block copies the pixels under its windows once and takes every place of the windows from there: ldmatrix
// asks each lane for the address of a row of 8 channels, wherever that is. A warp computes 16 filters of all
// 64 pixels: fragments of 16 pixels by 8 filters, so that a group of 8 or more wastes nothing. Two groups of
// 4 share a fragment, half of which are zeros; an infinity in one makes the other NaN.

#include "conv/fragments.h"
#include "conv/shape.h"

namespace {

constexpr int THREADS = 128, SIDE = 8, PIXELS = SIDE * SIDE, CHANNELS = 64;
constexpr int LINE = CHANNELS + 8;  // values of a pixel in shared memory; floats of one of the result
constexpr int FRAGMENTS = PIXELS / 16, TILES = 2;
static_assert(THREADS / 32 * TILES * 8 == CHANNELS, "the warps' filters are the block's channels");
static_assert(LINE / 8 % 2 == 1, "8 neighbouring pixels begin in 8 different groups of 4 banks");

// Copies the pixels from (y0, x0) on, `height` x `width` of them; zeros where there are none.
template <class T>
__device__ __forceinline__ void copy(T* to, const T* image, const conv::Shape& s, int y0, int x0, int height,
                                     int width, int channel0) {
  constexpr int VECTORS = CHANNELS / conv::VECTOR;
  for (int at = static_cast<int>(threadIdx.x); at < height * width * VECTORS; at += THREADS) {
    int pixel = at / VECTORS, vector = at % VECTORS * conv::VECTOR;
    int y = y0 + pixel / width, x = x0 + pixel % width;
    bool there = channel0 + vector < s.c && static_cast<unsigned>(y) < static_cast<unsigned>(s.h) &&
                 static_cast<unsigned>(x) < static_cast<unsigned>(s.w);
    const T* from = image + (static_cast<long long>(y) * s.w + x) * s.c + channel0 + vector;
    T* place = to + pixel * LINE + vector;
    if ((s.aligned & conv::X) != 0) {
      cp_async<16>(place, there ? from : image, there ? 16 : 0);
    } else {
      store_vector(place, conv::load_values(from, there ? conv::VECTOR : 0, false));
    }
  }
  cp_async_commit();
}

// The results of a block, staged in shared memory, 8 filters of a pixel at a time.
template <class T>
__device__ __forceinline__ void store(const float* staged, T* out, const conv::Tail<T>& tail, const conv::Shape& s,
                                      int image, int y0, int x0, int channel0) {
  constexpr int VECTORS = CHANNELS / conv::VECTOR;
  static_assert(PIXELS * VECTORS % THREADS == 0, "every thread stores as many vectors");
#pragma unroll
  for (int i = 0; i < PIXELS * VECTORS / THREADS; i++) {
    int at = i * THREADS + static_cast<int>(threadIdx.x), pixel = at / VECTORS;
    int channel = channel0 + at % VECTORS * conv::VECTOR, y = y0 + pixel / SIDE, x = x0 + pixel % SIDE;
    if (y >= s.oh || x >= s.ow || channel >= s.c) continue;
    const float* from = staged + pixel * LINE + at % VECTORS * conv::VECTOR;
    float4 low = load_vector<float4>(from), high = load_vector<float4>(from + 4);
    const float values[conv::VECTOR] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
    long long place = ((static_cast<long long>(image) * s.oh + y) * s.ow + x) * s.c + channel;
    auto result = tail.apply(values, channel, place, conv::VECTOR, (s.aligned & conv::RESIDUAL) != 0);
    conv::store_values(out + place, result, conv::VECTOR, (s.aligned & conv::OUT) != 0);
  }
}

template <int BUNDLE, class T>
__device__ __forceinline__ void convolve(const T* x, const T* filters, T* out, const conv::Tail<T>& tail,
                                         const conv::Shape& s) {
  DYNAMIC_SHARED(shared);
  auto* pixels = reinterpret_cast<T*>(shared);
  auto* staged = reinterpret_cast<float*>(shared);
  int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  int blocks = (s.c - 1) / CHANNELS + 1, tiles_x = (s.ow - 1) / SIDE + 1, tiles_y = (s.oh - 1) / SIDE + 1;
  int block = static_cast<int>(blockIdx.x), channel0 = block % blocks * CHANNELS;
  int x0 = block / blocks % tiles_x * SIDE, y0 = block / blocks / tiles_x % tiles_y * SIDE;
  int image = block / blocks / tiles_x / tiles_y;
  int height = (SIDE - 1) * s.stride_y + s.kh, width = (SIDE - 1) * s.stride_x + s.kw;
  copy(pixels, x + static_cast<long long>(image) * s.h * s.w * s.c, s, y0 * s.stride_y - s.pad_y,
       x0 * s.stride_x - s.pad_x, height, width, channel0);

  // Where each fragment's pixel of this lane has its window's first place.
  int corner[FRAGMENTS];
#pragma unroll
  for (int i = 0; i < FRAGMENTS; i++) {
    int pixel = i * 16 + lane % 16;
    corner[i] = (pixel / SIDE * s.stride_y * width + pixel % SIDE * s.stride_x) * LINE;
  }
  int tile0 = warp * TILES, places = s.kh * s.kw, steps = conv::fragment_steps(BUNDLE, places);
  bool there = channel0 + tile0 * 8 < s.c;
  const T* own = filters + (static_cast<long long>(channel0 / 8 + tile0) * steps * 32 + lane) * 4;
  float acc[FRAGMENTS][TILES][4] = {};
  cp_async_wait<0>();
  __syncthreads();
  for (int step = 0; step < steps && there; step++) {
    // The last half of all may be none: its filters are zeros, and the window's first place stands for it.
    int k = (2 * step + lane / 16) * 8, place = k / BUNDLE < places ? k / BUNDLE : 0;
    int from = (place / s.kw * width + place % s.kw) * LINE + k % BUNDLE;
    uint2 right[TILES];
#pragma unroll
    for (int j = 0; j < TILES; j++) {
      bool exists = channel0 + (tile0 + j) * 8 < s.c;
      right[j] = exists ? load_vector<uint2>(own + static_cast<long long>(j * steps + step) * conv::FRAGMENT)
                        : make_uint2(0, 0);
    }
#pragma unroll
    for (int i = 0; i < FRAGMENTS; i++) {
      uint32_t left[4];
#pragma unroll
      for (int j = 0; j < TILES; j++) {
        if (j == 0 || BUNDLE == 8) ldmatrix(left, pixels + corner[i] + from + (tile0 + j) * 8 / BUNDLE * BUNDLE);
        const uint32_t b[2] = {right[j].x, right[j].y};
        Short<T>::mma(acc[i][j], left, b);
      }
    }
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < FRAGMENTS; i++) {
#pragma unroll
    for (int j = 0; j < TILES; j++) {
#pragma unroll
      for (int e = 0; e < 4; e += 2) {
        int pixel = i * 16 + lane / 4 + e / 2 * 8, column = (tile0 + j) * 8 + lane % 4 * 2;
        store_vector(staged + pixel * LINE + column, make_float2(acc[i][j][e], acc[i][j][e + 1]));
      }
    }
  }
  __syncthreads();
  store(staged, out, tail, s, image, y0, x0, channel0);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(128)
conv_grouped_f16_8(const __half* x, const __half* filters, __half* out, const __half* scale, const __half* bias,
                   const __half* residual, conv::Shape shape, int activation) {
  convolve<8>(x, filters, out, {scale, bias, residual, activation}, shape);
}
extern "C" __global__ void __launch_bounds__(128)
conv_grouped_f16_16(const __half* x, const __half* filters, __half* out, const __half* scale, const __half* bias,
                    const __half* residual, conv::Shape shape, int activation) {
  convolve<16>(x, filters, out, {scale, bias, residual, activation}, shape);
}
extern "C" __global__ void __launch_bounds__(128)
conv_grouped_f16_32(const __half* x, const __half* filters, __half* out, const __half* scale, const __half* bias,
                    const __half* residual, conv::Shape shape, int activation) {
  convolve<32>(x, filters, out, {scale, bias, residual, activation}, shape);
}
extern "C" __global__ void __launch_bounds__(128)
conv_grouped_bf16_8(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out,
                    const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                    conv::Shape shape, int activation) {
  convolve<8>(x, filters, out, {scale, bias, residual, activation}, shape);
}
extern "C" __global__ void __launch_bounds__(128)
conv_grouped_bf16_16(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out,
                     const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                     conv::Shape shape, int activation) {
  convolve<16>(x, filters, out, {scale, bias, residual, activation}, shape);
}
extern "C" __global__ void __launch_bounds__(128)
conv_grouped_bf16_32(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out,
                     const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                     conv::Shape shape, int activation) {
  convolve<32>(x, filters, out, {scale, bias, residual, activation}, shape);
}
