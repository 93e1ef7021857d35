// prepare: pictures of several sizes, resized, cropped, normalised and stored as an encoder's input.
//
//   out[i][y][x][c] = (s / 255 - mean[c]) / std[c],  s = the picture's resampled sample, or 0 outside of it
//
// Resampling is Pillow's, to the bit: a pass along the rows and one down the columns, each a sum of whole
// numbers whose weights have 22 fractional bits, rounded to 8 bits between the passes. The host computes
// the weights (src/image/filter.rs); a side that keeps its size has weights of one pixel each, which
// change nothing.
//
// Entries      prepare_f16, prepare_f32
// records      10 words a picture: where its pixels begin (bytes), its width; where the windows along the
//              rows and down the columns begin (words); columns and rows that are made; the column and the
//              row of the square where they stand; 1 where columns are summed before rows; 0
// tables       windows. Of a side that makes n pixels: 3 n words, for each of them the first pixel under it,
//              how many there are, and where their weights begin, from the side's first word on; then
//              weights. Windows neither begin nor end before those of the pixel before.
// pixels       8 bits for each of red, green and blue, pixel by pixel, row by row
// out          pictures x size x size x 3; overlaps nothing that is read
// Alignment    that of the element
// Launch       256 threads; x: tiles of 32 x 32 pixels, rounded up, line by line; y: pictures. 4 KiB of
//              dynamic shared memory. What the host has put into records and tables is not looked at again.
//
// A block makes one tile. It goes through the pixels under the tile 32 rows at a time (or columns, where
// they are summed first): the first pass squeezes them into shared memory, 8 bits again, and the second
// adds them, by their weights, to the sums of the tile's pixels, four a thread. So any reduction fits, and
// nothing of the first pass goes through memory.

#include "common/number.h"

namespace {

constexpr int TILE = 32, THREADS = 256, LINES = THREADS / TILE, MINE = TILE / LINES;
constexpr int RECORD = 10;
constexpr int FRACTION_BITS = 22;
static_assert(MINE * LINES == TILE, "threads share a tile's lines evenly");

struct Window {
  int first, count;
  const int* weights;
};

// Windows of a side.
struct Side {
  const int* table;

  __device__ __forceinline__ Window at(int i) const { return {table[3 * i], table[3 * i + 1], table + table[3 * i + 2]}; }
  __device__ __forceinline__ int end(int i) const { return table[3 * i] + table[3 * i + 1]; }
};

// Sums of the three colours, modulo 2^32 as the host's.
struct Sums {
  uint32_t of[3] = {};

  __device__ __forceinline__ void add(uint32_t red, uint32_t green, uint32_t blue, int weight) {
    auto by = static_cast<uint32_t>(weight);
    of[0] += red * by, of[1] += green * by, of[2] += blue * by;
  }
  __device__ __forceinline__ uint32_t sample(int colour) const {
    int value = static_cast<int>(of[colour] + (1u << (FRACTION_BITS - 1))) >> FRACTION_BITS;
    return static_cast<uint32_t>(max(0, min(255, value)));
  }
  __device__ __forceinline__ uint32_t packed() const { return sample(0) | sample(1) << 8 | sample(2) << 16; }
};

struct Picture {
  const unsigned char* pixels;
  int width;
  Side across, down;

  // The weighted sum of the pixels under a window: along row `line`, or down column `line`.
  template <bool ALONG>
  __device__ __forceinline__ uint32_t squeezed(const Window& window, int line) const {
    long long first = ALONG ? static_cast<long long>(line) * width + window.first
                            : static_cast<long long>(window.first) * width + line;
    int step = ALONG ? 3 : 3 * width;
    const unsigned char* from = pixels + 3 * first;
    Sums sums;
    for (int i = 0; i < window.count; i++, from += step) sums.add(from[0], from[1], from[2], window.weights[i]);
    return sums.packed();
  }
};

// The squeezed pixels: line by line of the first pass, a word a pixel.
__device__ __forceinline__ uint32_t* lines() {
  DYNAMIC_SHARED(shared);
  return reinterpret_cast<uint32_t*>(shared);
}

// Sums of the pixels of a tile: `mine[k]` is that of pixel `thread % TILE` of the side that is squeezed
// first (`inner`), and of pixel `thread / TILE + k * LINES` of the other (`outer`). The tile takes
// `inners` x `outers` pixels from inner0, outer0 on.
template <bool ALONG>
__device__ __forceinline__ void resample(const Picture& picture, int inner0, int inners, int outer0, int outers,
                                         Sums (&mine)[MINE]) {
  const Side& inner = ALONG ? picture.across : picture.down;
  const Side& outer = ALONG ? picture.down : picture.across;
  int thread = static_cast<int>(threadIdx.x), place = thread % TILE, line0 = thread / TILE;
  uint32_t* held = lines();
  Window window{0, 0, nullptr}, windows[MINE];
  if (place < inners) window = inner.at(inner0 + place);
#pragma unroll
  for (int k = 0; k < MINE; k++) {
    int line = line0 + k * LINES;
    windows[k] = line < outers ? outer.at(outer0 + line) : Window{0, 0, nullptr};
  }
  int end = outer.end(outer0 + outers - 1);
  for (int from = outer.at(outer0).first; from < end; from += TILE) {
    int count = min(TILE, end - from);
    for (int line = line0; line < count; line += LINES) {
      if (place < inners) held[line * TILE + place] = picture.squeezed<ALONG>(window, from + line);
    }
    __syncthreads();
#pragma unroll
    for (int k = 0; k < MINE; k++) {
      int first = max(from, windows[k].first), past = min(from + count, windows[k].first + windows[k].count);
      for (int line = first; line < past && place < inners; line++) {
        uint32_t pixel = held[(line - from) * TILE + place];
        mine[k].add(pixel & 255u, pixel >> 8 & 255u, pixel >> 16, windows[k].weights[line - windows[k].first]);
      }
    }
    __syncthreads();  // the lines may be written again
  }
}

struct Normal {
  float mean[3], std[3];
};

template <class T>
__device__ __forceinline__ void prepare(const int* records, const int* tables, const unsigned char* pixels, T* out,
                                        int size, const Normal& normal) {
  const int* record = records + static_cast<long long>(blockIdx.y) * RECORD;
  auto start = static_cast<uint32_t>(record[0]);
  Picture picture{pixels + start, record[1], {tables + record[2]}, {tables + record[3]}};
  int columns = record[4], rows = record[5], column0 = record[6], row0 = record[7];
  bool down_first = record[8] != 0;

  // The tile's corner, and the part of it that the picture fills.
  int tiles = (size - 1) / TILE + 1, tile = static_cast<int>(blockIdx.x);
  int x0 = tile % tiles * TILE, y0 = tile / tiles * TILE;
  int left = max(x0, column0), right = min(min(x0 + TILE, size), column0 + columns);
  int top = max(y0, row0), bottom = min(min(y0 + TILE, size), row0 + rows);
  Sums mine[MINE];
  if (left < right && top < bottom) {
    if (down_first) {
      resample<false>(picture, top - row0, bottom - top, left - column0, right - left, mine);
    } else {
      resample<true>(picture, left - column0, right - left, top - row0, bottom - top, mine);
    }
  }
  bool filled = left < right && top < bottom;
  int thread = static_cast<int>(threadIdx.x);
  T* square = out + static_cast<long long>(blockIdx.y) * size * size * 3;
#pragma unroll
  for (int k = 0; k < MINE; k++) {
    // Pixels that were summed, and as many others behind them, which are black.
    int inner = thread % TILE, outer = thread / TILE + k * LINES;
    int x = down_first ? outer : inner, y = down_first ? inner : outer;
    if (filled) x += left - x0, y += top - y0;
    bool inside = filled && x0 + x < right && y0 + y < bottom;
    x = x0 + x % TILE, y = y0 + y % TILE;
    if (x >= size || y >= size) continue;
    T* to = square + (static_cast<long long>(y) * size + x) * 3;
#pragma unroll
    for (int c = 0; c < 3; c++) {
      float sample = inside ? static_cast<float>(mine[k].sample(c)) : 0.0f;
      put_float(to + c, (sample / 255.0f - normal.mean[c]) / normal.std[c]);
    }
  }
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
prepare_f16(const int* records, const int* tables, const unsigned char* pixels, __half* out, int size, float mean0,
            float mean1, float mean2, float std0, float std1, float std2) {
  prepare(records, tables, pixels, out, size, {{mean0, mean1, mean2}, {std0, std1, std2}});
}
extern "C" __global__ void __launch_bounds__(256)
prepare_bf16(const int* records, const int* tables, const unsigned char* pixels, __nv_bfloat16* out, int size,
             float mean0, float mean1, float mean2, float std0, float std1, float std2) {
  prepare(records, tables, pixels, out, size, {{mean0, mean1, mean2}, {std0, std1, std2}});
}
extern "C" __global__ void __launch_bounds__(256)
prepare_f32(const int* records, const int* tables, const unsigned char* pixels, float* out, int size, float mean0,
            float mean1, float mean2, float std0, float std1, float std2) {
  prepare(records, tables, pixels, out, size, {{mean0, mean1, mean2}, {std0, std1, std2}});
}
