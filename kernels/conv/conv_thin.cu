// conv_thin: the product of mma_conv.h where there are few pixels: squeeze-excite's two layers, whose
// "images" are one pixel each, and the last layers of small batches.
//
//   out[m][f] = act( (sum over k of A(m, k) B(f, k)) * scale[f] + bias[f] + residual[m][f] )
//
// Entries      conv_thin_<type>: f16 or bf16
// Arguments    as there, for one group of channels in multiples of 8 and no gate; `gate` is not read
// Launch       ceil(pixels / 16) x ceil(o / 16) blocks in x, filters first, of 256 threads; 8 KiB of dynamic
//              shared memory
//
// The 8 warps share out the sum: each takes every eighth run of 32 values of k, straight from global memory
// into fragments. A lane reads 16 bytes of a line; which k those are does not matter to mma.sync as long as
// both factors agree, so the first words of all lanes make one k16, the last words the other. The warps'
// sums are added in their order.

#include "conv/shape.h"

namespace {

constexpr int WARPS = 8, TILE = 16, RUN = 32;

struct alignas(16) Words {
  uint32_t at[4];
};

template <class T>
__device__ __forceinline__ Words words(const T* from, bool there) {
  Words v;
  v.at[0] = v.at[1] = v.at[2] = v.at[3] = 0;
  if (there) v = load_vector<Words>(from);
  return v;
}

// A pixel of the result: where its window begins.
template <class T>
struct Pixel {
  const T* image;
  int y, x;

  __device__ __forceinline__ Pixel(const T* images, const conv::Shape& s, int row) {
    int pixels = s.oh * s.ow, rows = s.images * pixels;
    bool there = row < rows;
    int n = there ? row / pixels : 0, pixel = row - n * pixels;
    image = images + static_cast<long long>(n) * s.h * s.w * s.c;
    y = there ? pixel / s.ow * s.stride_y - s.pad_y : s.h;
    x = there ? pixel % s.ow * s.stride_x - s.pad_x : 0;
  }

  __device__ __forceinline__ Words at(const conv::Shape& s, int dy, int dx, int channel, bool there) const {
    int row = y + dy, column = x + dx;
    bool inside = there && static_cast<unsigned>(row) < static_cast<unsigned>(s.h) &&
                  static_cast<unsigned>(column) < static_cast<unsigned>(s.w);
    return words(image + (static_cast<long long>(row) * s.w + column) * s.c + channel, inside);
  }
};

template <class T>
__device__ __forceinline__ void convolve(const T* x, const T* filters, T* out, const T* scale, const T* bias,
                                         const T* residual, const conv::Shape& s, int line, int activation) {
  DYNAMIC_SHARED(shared);
  auto* sums = reinterpret_cast<float*>(shared);  // [WARPS][TILE][TILE]
  int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  int column_tiles = (s.o - 1) / TILE + 1, rows = s.images * s.oh * s.ow;
  int row0 = static_cast<int>(blockIdx.x) / column_tiles * TILE;
  int column0 = static_cast<int>(blockIdx.x) % column_tiles * TILE;

  const Pixel<T> upper(x, s, row0 + lane / 4), lower(x, s, row0 + lane / 4 + 8);
  int filter = column0 + lane / 4, depth = s.kh * s.kw * s.c;
  const T* first = filters + static_cast<long long>(filter) * line;
  const T* second = first + 8LL * line;
  float acc[2][4] = {};
#pragma unroll 2
  for (int k0 = warp * RUN; k0 < depth; k0 += WARPS * RUN) {
    int k = k0 + lane % 4 * conv::VECTOR, place = k / s.c, dy = place / s.kw;
    int channel = k - place * s.c, dx = place - dy * s.kw;
    bool there = k < depth;
    Words a = upper.at(s, dy, dx, channel, there), b = lower.at(s, dy, dx, channel, there);
    Words f[2] = {words(first + k, there && filter < s.o), words(second + k, there && filter + 8 < s.o)};
#pragma unroll
    for (int half = 0; half < 4; half += 2) {
      const uint32_t left[4] = {a.at[half], b.at[half], a.at[half + 1], b.at[half + 1]};
#pragma unroll
      for (int j = 0; j < 2; j++) {
        const uint32_t right[2] = {f[j].at[half], f[j].at[half + 1]};
        Short<T>::mma(acc[j], left, right);
      }
    }
  }
#pragma unroll
  for (int j = 0; j < 2; j++) {
#pragma unroll
    for (int e = 0; e < 4; e++) {
      int row = lane / 4 + e / 2 * 8, column = j * 8 + lane % 4 * 2 + e % 2;
      sums[(warp * TILE + row) * TILE + column] = acc[j][e];
    }
  }
  __syncthreads();
  int row = row0 + thread / TILE, column = column0 + thread % TILE;
  if (row >= rows || column >= s.o) return;
  float total = 0.0f;
#pragma unroll
  for (int w = 0; w < WARPS; w++) total += sums[w * TILE * TILE + thread];
  long long at = static_cast<long long>(row) * s.o + column;
  if (scale != nullptr) total *= to_float(scale[column]);
  if (bias != nullptr) total += to_float(bias[column]);
  if (residual != nullptr) total += to_float(residual[at]);
  put_float(out + at, activation::apply(activation, total));
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
conv_thin_f16(const __half* x, const __half* filters, __half* out, const __half* gate, const __half* scale,
              const __half* bias, const __half* residual, conv::Shape shape, int line, int activation) {
  static_cast<void>(gate);
  convolve(x, filters, out, scale, bias, residual, shape, line, activation);
}
extern "C" __global__ void __launch_bounds__(256)
conv_thin_bf16(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out, const __nv_bfloat16* gate,
               const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual, conv::Shape shape,
               int line, int activation) {
  static_cast<void>(gate);
  convolve(x, filters, out, scale, bias, residual, shape, line, activation);
}
