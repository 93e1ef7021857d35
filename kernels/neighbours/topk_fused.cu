// Top-k by one score from the cosines of several spaces, dense and sparse together, first part: which
// pairs may be among a row's k best, and their exact cosines.
//
//   fused_prepare      rows of f32 made unit rows of f16
//   fused_scan_mean    strengths of all pairs by tiles, those that may matter to each row's bounded buffer
//   fused_scan_either  the same by another formula, and
//   fused_scan_power   by a third
//   fused_cosines      each row's candidates, and their cosines in every space in f64
//   fused_every        cosines of the rows whose candidates did not fit, with a part of the gallery
//
// The spaces' scores are fused before anything is selected, tile by tile; neither scores of all pairs nor
// lists of single spaces are ever stored. What ranks in the end is computed from the exact cosines, in f64.
//
// A tile holds strengths (src/search/combined/fuse.rs): numbers that a higher score never has less of, and
// that move by no more than sum_m share_m |error of cos_m|.
//   mean     sum of share_m cos_m
//   either   1 - product of (1 - a_m), a_m = share_m cos_m held within 0 and 1
//   power    (sum of a_m^power)^(1/power), a_m = max(0, share_m cos_m)
//
// Errors. With u = 2^-24: an approximate dense cosine is within the bound of topk_scan.cu. A sparse one is a
// sum of integers: each product of two unit values, f32 each with a relative error of u and rounded once
// more, is rounded to a multiple of 2^-30. So it is within terms 2^-31 + 4 u of the true one, whatever the
// order of additions. The formula itself adds less than (24 spaces + 40) u: powers are good to 8 u (powf to
// 4 units in the last place), quotients under a power of p add p u, at most one for each space and one for
// each time that the largest changes, and the root divides all of that by p. The launcher adds these up;
// `slack` is twice their sum and `floor` is less by the sum, as in topk_scan.cu. Below `sure` strengths do
// not tell scores apart, and nothing is dropped.
//
// Rows of zeros have a cosine of 0 in their space. A row that is zero in every space is nobody's.
//
// spaces               what each space is: see Space. Addresses of query rows are those of the slab.
// query_there, gallery_there   a byte a row: 0 for rows of zeros in every space
// candidates, counts   [query][chunk][capacity] and [query][chunk], OVERFLOW where they did not fit
// capacity             at least k + 128
// rows, cosines        [query][room] of u32 and [query][room][spaces] of f64; found [query], or OVERFLOW
// fused_prepare   blocks of a multiple of 32 threads, a warp a row; `unit` is rows x depth, aligned to 16
//                 bytes, and depth is dims rounded up to 32
// fused_scan_*    ceil(query_rows / 64) * chunks blocks of 256 threads, 87,616 bytes of dynamic shared memory
// fused_cosines   one block of 256 threads a query; 8,256 bytes of dynamic shared memory
// fused_every     `queries` of the slab, `count` rows of the gallery; cosines [query of those][count][spaces].
//                 One block of 256 threads for each of those queries

#include "neighbours/buffers.h"
#include "neighbours/exact.h"
#include "neighbours/product.h"

namespace {

using Offset = unsigned long long;
using buffers::Candidate;
using Shape = tile::Shape<64, 128, 2, 4>;
using Product = product::Product<Shape, 3>;

constexpr int THREADS = Shape::THREADS, WARPS = THREADS / 32;
constexpr float UNIT = 1.0f / (1 << 30);
static_assert(THREADS == 256, "as the launcher has it");
static_assert(Product::BYTES + 4 * Shape::M * Shape::N + 8 * Shape::M + 4 * radix::WORDS <= 96 << 10,
              "all of it fits every card from Ampere on");

// One side of a space. A dense one has rows x dims values in f32, unit rows of f16 and squared norms. A sparse
// one has the values of distinct rows (groups) by column, ascending, and which group a row is of, NOBODY for
// rows of zeros; its norms are those of groups.
struct Side {
  const float* rows;
  const __half* unit;
  const double* norms;
  const uint32_t* group_of;
  const Offset* starts;
  const uint32_t* columns;
  const double* values;
};

// As the launcher writes it: 8 bytes each, but for the last four.
struct Space {
  Side queries, gallery;
  // Of a sparse space, its query rows' terms and values as unit rows, and the lists of the gallery's rows.
  const Offset* term_starts;
  const uint32_t* terms;
  const float* weights;
  const Offset* list_starts;
  const uint32_t* list_rows;
  const float* list_weights;
  // [chunk][cursors]: how far the list of each of the queries' terms has been worked off.
  Offset* cursors;
  Offset cursor_count;
  int sparse, dims, depth;
  float share;
};
static_assert(sizeof(Space) == 8 * 22 + 16, "the launcher's layout");

// The three formulas; a pair's state is an array of FLOATS.
struct Mean {
  static constexpr int FLOATS = 1;
  __device__ __forceinline__ explicit Mean(float) {}
  __device__ __forceinline__ void begin(float (&s)[1]) const { s[0] = 0.0f; }
  __device__ __forceinline__ void add(float (&s)[1], float a) const { s[0] += a; }
  __device__ __forceinline__ float strength(const float (&s)[1]) const { return s[0]; }
};

struct Either {
  static constexpr int FLOATS = 1;
  __device__ __forceinline__ explicit Either(float) {}
  __device__ __forceinline__ void begin(float (&s)[1]) const { s[0] = 1.0f; }
  __device__ __forceinline__ void add(float (&s)[1], float a) const { s[0] *= 1.0f - fminf(fmaxf(a, 0.0f), 1.0f); }
  __device__ __forceinline__ float strength(const float (&s)[1]) const { return 1.0f - s[0]; }
};

// The largest so far, and the sum of powers as shares of it, so that no power leaves the range of f32.
struct Power {
  static constexpr int FLOATS = 2;
  float power;
  __device__ __forceinline__ explicit Power(float power) : power(power) {}
  __device__ __forceinline__ void begin(float (&s)[2]) const { s[0] = s[1] = 0.0f; }
  __device__ __forceinline__ void add(float (&s)[2], float a) const {
    if (!(a > 0.0f)) return;
    float most = fmaxf(s[0], a), share = powf(fminf(s[0], a) / most, power);
    s[1] = a > s[0] ? s[1] * share + 1.0f : s[1] + share;
    s[0] = most;
  }
  __device__ __forceinline__ float strength(const float (&s)[2]) const {
    return s[0] > 0.0f ? s[0] * powf(s[1], 1.0f / power) : 0.0f;
  }
};

// The first place from `begin` on, `end` if none, whose row is not below `row`.
__device__ __forceinline__ Offset lower_bound(const uint32_t* rows, Offset begin, Offset end, uint32_t row) {
  while (begin < end) {
    Offset middle = begin + (end - begin) / 2;
    if (rows[middle] < row) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

// Fills `sums`, [M][N], with the cosines of a sparse space in multiples of 2^-30. A lane has a term of a
// query, and comes back to where it left its list at the last tile. By the whole block; begins and ends with
// a barrier.
__device__ __forceinline__ void add_lists(const Space& space, int* sums, int query_rows, int row0, int column0,
                                          int chunk, bool first) {
  int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  for (int i = thread; i < Shape::M * Shape::N; i += THREADS) sums[i] = 0;
  __syncthreads();
  Offset* cursors = space.cursors + chunk * space.cursor_count;
  Offset origin = space.term_starts[0];
  auto last = static_cast<uint32_t>(column0 + Shape::N);
  for (int row = warp; row < Shape::M && row0 + row < query_rows; row += WARPS) {
    Offset begin = space.term_starts[row0 + row], end = space.term_starts[row0 + row + 1];
    for (Offset t = begin + lane; t < end; t += 32) {
      uint32_t term = space.terms[t];
      float weight = space.weights[t];
      Offset at = space.list_starts[term], stop = space.list_starts[term + 1];
      if (!first) {
        at = cursors[t - origin];
      } else if (column0 > 0) {
        at = lower_bound(space.list_rows, at, stop, static_cast<uint32_t>(column0));
      }
      for (; at < stop; at++) {
        uint32_t column = space.list_rows[at];
        if (column >= last) break;
        float product = weight * space.list_weights[at];
        atomicAdd(&sums[row * Shape::N + static_cast<int>(column) - column0],
                  static_cast<int>(rintf(product * static_cast<float>(1 << 30))));
      }
      cursors[t - origin] = at;
    }
  }
  __syncthreads();
}

template <class Formula>
__device__ __forceinline__ void scan(const Space* spaces, const unsigned char* query_there,
                                     const unsigned char* gallery_there, Candidate* candidates, uint32_t* counts,
                                     int space_count, int query_rows, int gallery_rows, buffers::Cut cut, float floor,
                                     int chunks, int capacity, float power) {
  DYNAMIC_SHARED(shared);
  auto* sums = reinterpret_cast<int*>(shared + Product::BYTES);
  auto* thresholds = reinterpret_cast<float*>(sums + Shape::M * Shape::N);
  auto* found = reinterpret_cast<uint32_t*>(thresholds + Shape::M);
  int thread = static_cast<int>(threadIdx.x);
  int block = static_cast<int>(blockIdx.x), chunk = block % chunks, row0 = block / chunks * Shape::M;
  long long tiles = (gallery_rows - 1) / Shape::N + 1;
  int first = static_cast<int>(tiles * chunk / chunks), last = static_cast<int>(tiles * (chunk + 1) / chunks);
  long long place = static_cast<long long>(row0) * chunks + chunk;
  buffers::Buffers kept = {candidates + place * capacity, thresholds,        found,
                           found + Shape::M,              chunks * capacity, capacity};
  const Shape shape;
  const Formula formula(power);
  if (thread < Shape::M) {
    bool there = row0 + thread < query_rows && query_there[row0 + thread] != 0;
    thresholds[thread] = there ? floor : INFINITY;
    found[thread] = 0;
  }
  __syncthreads();
  for (int t = first; t < last; t++) {
    int column0 = t * Shape::N;
    float state[Shape::ROWS][Shape::COLUMNS][4][Formula::FLOATS];
#pragma unroll
    for (int i = 0; i < Shape::ROWS; i++) {
#pragma unroll
      for (int j = 0; j < Shape::COLUMNS; j++) {
#pragma unroll
        for (int e = 0; e < 4; e++) formula.begin(state[i][j][e]);
      }
    }
#pragma unroll 1
    for (int m = 0; m < space_count; m++) {
      const Space& space = spaces[m];
      float share = space.share;
      // The accumulators of a space join the states.
      auto join = [&](auto cosine) {
#pragma unroll
        for (int i = 0; i < Shape::ROWS; i++) {
#pragma unroll
          for (int j = 0; j < Shape::COLUMNS; j++) {
#pragma unroll
            for (int e = 0; e < 4; e++) formula.add(state[i][j][e], share * cosine(i, j, e));
          }
        }
      };
      if (space.sparse != 0) {
        add_lists(space, sums, query_rows, row0, column0, chunk, t == first);
        join([&](int i, int j, int e) {
          return static_cast<float>(sums[shape.row(i, e) * Shape::N + shape.column(j, e)]) * UNIT;
        });
        __syncthreads();
      } else {
        Product product = {reinterpret_cast<__half*>(shared), space.queries.unit, space.gallery.unit, query_rows,
                           gallery_rows,                      space.depth,        row0};
        product.run(shape, t, t + 1,
                    [&](const auto& acc, int) { join([&](int i, int j, int e) { return acc[i][j][e]; }); });
      }
    }
#pragma unroll
    for (int i = 0; i < Shape::ROWS; i++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        int row = shape.row(i, e);
        float threshold = thresholds[row];
#pragma unroll
        for (int j = 0; j < Shape::COLUMNS; j++) {
          int column = column0 + shape.column(j, e);
          float strength = formula.strength(state[i][j][e]);
          if (strength >= threshold && column < gallery_rows && gallery_there[column] != 0) {
            kept.put(row, strength, static_cast<uint32_t>(column));
          }
        }
      }
    }
    kept.template make_room<THREADS, Shape::M, Shape::N>(cut);
  }
  __syncthreads();
  if (thread < Shape::M && row0 + thread < query_rows) counts[place + thread * chunks] = found[thread];
}

// By a whole warp; 0 when either row is all zeros.
__device__ __forceinline__ double dense_cosine(const Space& space, long long query, long long row, int lane) {
  double aa = space.queries.norms[query], bb = space.gallery.norms[row];
  if (!(aa > 0.0) || !(bb > 0.0)) return 0.0;  // the same for all lanes
  int dims = space.dims;
  return exact::cosine(exact::dot(space.queries.rows + query * dims, space.gallery.rows + row * dims, dims, lane), aa,
                       bb);
}

// By one thread: the products of common columns in ascending order.
__device__ __forceinline__ double sparse_cosine(const Space& space, long long query, long long row) {
  const Side &a = space.queries, &b = space.gallery;
  uint32_t g = a.group_of[query], h = b.group_of[row];
  if (g == exact::NOBODY || h == exact::NOBODY) return 0.0;
  Offset p = a.starts[g], q = b.starts[h], p_end = a.starts[g + 1], q_end = b.starts[h + 1];
  double dot = 0.0;
  while (p < p_end && q < q_end) {
    uint32_t left = a.columns[p], right = b.columns[q];
    if (left == right) dot = __dadd_rn(dot, __dmul_rn(a.values[p], b.values[q]));
    p += left <= right ? 1 : 0;
    q += right <= left ? 1 : 0;
  }
  return exact::cosine(dot, a.norms[g], b.norms[h]);
}

// The cosines of a query with `count` rows, in every space. By all threads.
__device__ __forceinline__ void score_rows(const Space* spaces, int space_count, long long query, const uint32_t* rows,
                                           int count, double* cosines) {
  int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  for (int m = 0; m < space_count; m++) {
    const Space& space = spaces[m];
    if (space.sparse != 0) {
      for (int i = thread; i < count; i += THREADS) cosines[i * space_count + m] = sparse_cosine(space, query, rows[i]);
    } else {
      for (int i = warp; i < count; i += WARPS) {
        double cosine = dense_cosine(space, query, rows[i], lane);
        if (lane == 0) cosines[i * space_count + m] = cosine;
      }
    }
  }
}

__device__ __forceinline__ void score(const Space* spaces, const Candidate* candidates, const uint32_t* counts,
                                      uint32_t* out_rows, double* out_cosines, uint32_t* out_found, int space_count,
                                      buffers::Cut cut, int chunks, int capacity, int room) {
  DYNAMIC_SHARED(shared);
  auto* words = reinterpret_cast<uint32_t*>(shared);
  long long query = blockIdx.x, place = query * chunks;
  int thread = static_cast<int>(threadIdx.x);
  uint32_t* rows = out_rows + query * room;
  double* cosines = out_cosines + query * room * space_count;
  int count = buffers::gather<THREADS>(candidates + place * capacity, counts + place, chunks, capacity, cut, rows,
                                       room, words);
  if (thread == 0) out_found[query] = count < 0 ? buffers::OVERFLOW : static_cast<uint32_t>(count);
  score_rows(spaces, space_count, query, rows, count, cosines);
}

__device__ __forceinline__ void prepare(const float* x, const double* norms, __half* unit, int rows, int dims,
                                        int depth) {
  int lane = static_cast<int>(threadIdx.x) % 32, warps = static_cast<int>(blockDim.x) / 32;
  long long row = static_cast<long long>(blockIdx.x) * warps + threadIdx.x / 32;
  if (row >= rows) return;
  double inverse = norms[row] > 0.0 ? 1.0 / sqrt(norms[row]) : 0.0;
  for (int c = lane; c < depth; c += 32) {
    double value = c < dims ? static_cast<double>(x[row * dims + c]) * inverse : 0.0;
    unit[row * depth + c] = __float2half_rn(static_cast<float>(value));
  }
}

}  // namespace

extern "C" __global__ void fused_prepare(const float* x, const double* norms, __half* unit, int rows, int dims,
                                         int depth) {
  prepare(x, norms, unit, rows, dims, depth);
}

extern "C" __global__ void __launch_bounds__(256, 1)
fused_scan_mean(const unsigned long long* spaces, const unsigned char* query_there, const unsigned char* gallery_there,
                uint2* candidates, uint32_t* counts, int space_count, int query_rows, int gallery_rows, int k,
                float slack, float sure, float floor, int chunks, int capacity, float power) {
  scan<Mean>(reinterpret_cast<const Space*>(spaces), query_there, gallery_there, candidates, counts, space_count,
             query_rows, gallery_rows, {k, slack, sure}, floor, chunks, capacity, power);
}

extern "C" __global__ void __launch_bounds__(256, 1)
fused_scan_either(const unsigned long long* spaces, const unsigned char* query_there,
                  const unsigned char* gallery_there, uint2* candidates, uint32_t* counts, int space_count,
                  int query_rows, int gallery_rows, int k, float slack, float sure, float floor, int chunks,
                  int capacity, float power) {
  scan<Either>(reinterpret_cast<const Space*>(spaces), query_there, gallery_there, candidates, counts, space_count,
               query_rows, gallery_rows, {k, slack, sure}, floor, chunks, capacity, power);
}

extern "C" __global__ void __launch_bounds__(256, 1)
fused_scan_power(const unsigned long long* spaces, const unsigned char* query_there,
                 const unsigned char* gallery_there, uint2* candidates, uint32_t* counts, int space_count,
                 int query_rows, int gallery_rows, int k, float slack, float sure, float floor, int chunks,
                 int capacity, float power) {
  scan<Power>(reinterpret_cast<const Space*>(spaces), query_there, gallery_there, candidates, counts, space_count,
              query_rows, gallery_rows, {k, slack, sure}, floor, chunks, capacity, power);
}

extern "C" __global__ void __launch_bounds__(256)
fused_cosines(const unsigned long long* spaces, const uint2* candidates, const uint32_t* counts, uint32_t* rows,
              double* cosines, uint32_t* found, int space_count, int k, float slack, float sure, int chunks,
              int capacity, int room) {
  score(reinterpret_cast<const Space*>(spaces), candidates, counts, rows, cosines, found, space_count,
        {k, slack, sure}, chunks, capacity, room);
}

extern "C" __global__ void __launch_bounds__(256)
fused_every(const unsigned long long* spaces, const uint32_t* queries, const uint32_t* rows, double* cosines,
            int space_count, int count) {
  score_rows(reinterpret_cast<const Space*>(spaces), space_count, queries[blockIdx.x], rows, count,
             cosines + static_cast<long long>(blockIdx.x) * count * space_count);
}
