// Top-k by cosine for k from 65 to 1,024: topk_scan.cu and topk_exact.cu with buffers in global memory
// that are cut back by a radix select, and lists that are sorted in shared memory.
//
//   topk_scan_large      unit rows times unit rows, pairs that may matter to each row's bounded buffer
//   topk_rescore_large   each row's candidates scored in f64 and sorted: score descending, row ascending
//   topk_brute_large     the same for rows whose candidates did not fit, over every row of the gallery
//
// On Hopper sm90_f16_topk_wave, cut back by topk_wave_settle_large, stands in for topk_scan_large; what it
// leaves is of the same form, in one part.
//
// Scores, bounds and thresholds are those of topk_scan.cu, whose comment has the proof that no neighbour is
// lost; unit rows and norms come from its topk_prepare. Equal lists to the bit on every device.
//
// topk_scan_large
//   queries, gallery    unit rows of f16, as topk_prepare makes them: rows x depth, aligned to 16 bytes
//   candidates, counts  [query][chunk][capacity] and [query][chunk], OVERFLOW where they did not fit
//   capacity            at least k + 128
//   Launch              ceil(query_rows / 128) * chunks blocks of 256 threads, as topk_scan; 70,720 bytes of
//                       dynamic shared memory
// topk_rescore_large, topk_brute_large
//   queries, gallery    rows x dims of f32; query_norms, gallery_norms their squared norms in f64
//   flags               rescore sets 1 for a row that brute must answer, else 0
//   rows, scores        [query][k] of u32 and f64, best first; found[query] of them are there
//   min_score           neighbours have at least this score; -infinity for all
//   Launch              one block of 256 threads a query; 57,408 bytes of dynamic shared memory. k to 1,024.

#include "neighbours/buffers.h"
#include "neighbours/exact.h"
#include "neighbours/product.h"
#include "neighbours/sort.h"

namespace {

using buffers::Candidate;
using exact::NOBODY;
using Shape = tile::Shape<128, 128, 2, 4>;
using Product = product::Product<Shape, 3>;

constexpr int THREADS = Shape::THREADS, WARPS = THREADS / 32;
// Places of a sorted list; rows that are scored exactly.
constexpr int ROOM = 4096, MOST_K = 1024;
static_assert(THREADS == 256, "as topk_exact.cu");
static_assert(Product::BYTES + 8 * Shape::M + 4 * radix::WORDS <= 96 << 10, "all of it fits every card from Ampere on");
static_assert(2 * MOST_K <= ROOM, "a brute force takes at least as many new rows at a time as it keeps");

// One side of a search.
struct Side {
  const float* rows;
  const double* norms;
};

__device__ __forceinline__ void scan(const __half* queries, const __half* gallery, Candidate* candidates,
                                     uint32_t* counts, int query_rows, int gallery_rows, int depth, buffers::Cut cut,
                                     float floor, int chunks, int capacity) {
  DYNAMIC_SHARED(shared);
  auto* thresholds = reinterpret_cast<float*>(shared + Product::BYTES);
  auto* found = reinterpret_cast<uint32_t*>(thresholds + Shape::M);
  int thread = static_cast<int>(threadIdx.x);
  int block = static_cast<int>(blockIdx.x), chunk = block % chunks, row0 = block / chunks * Shape::M;
  long long tiles = (gallery_rows - 1) / Shape::N + 1;
  int first = static_cast<int>(tiles * chunk / chunks), last = static_cast<int>(tiles * (chunk + 1) / chunks);
  long long place = static_cast<long long>(row0) * chunks + chunk;
  buffers::Buffers kept = {candidates + place * capacity,
                           thresholds,
                           found,
                           found + Shape::M,
                           chunks * capacity,
                           capacity};

  const Shape shape;
  if (thread < Shape::M) {
    thresholds[thread] = row0 + thread < query_rows ? floor : INFINITY;
    found[thread] = 0;
  }
  Product product = {reinterpret_cast<__half*>(shared), queries, gallery, query_rows, gallery_rows, depth, row0};
  product.run(shape, first, last, [&](const auto& acc, int t) {
    int column0 = t * Shape::N;
#pragma unroll
    for (int i = 0; i < Shape::ROWS; i++) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        int row = shape.row(i, e);
        float threshold = thresholds[row];
#pragma unroll
        for (int j = 0; j < Shape::COLUMNS; j++) {
          int column = column0 + shape.column(j, e);
          if (acc[i][j][e] >= threshold && column < gallery_rows) {
            kept.put(row, acc[i][j][e], static_cast<uint32_t>(column));
          }
        }
      }
    }
    kept.template make_room<THREADS, Shape::M, Shape::N>(cut);
  });
  if (thread < Shape::M && row0 + thread < query_rows) counts[place + thread * chunks] = found[thread];
}

// A block's shared memory, and what it scores.
struct List {
  double* scores;   // [ROOM]
  uint32_t* rows;   // [ROOM]
  uint32_t* words;  // [radix::WORDS]
  Side queries, gallery;
  int dims;
  double min_score;
  long long query;

  __device__ __forceinline__ List(unsigned char* shared, Side queries, Side gallery, int dims, double min_score)
      : scores(reinterpret_cast<double*>(shared)),
        rows(reinterpret_cast<uint32_t*>(scores + ROOM)),
        words(rows + ROOM),
        queries(queries),
        gallery(gallery),
        dims(dims),
        min_score(min_score),
        query(blockIdx.x) {}

  // Scores the pair with the row at place i; a row that is no neighbour becomes NOBODY. By a whole warp.
  __device__ __forceinline__ void score(int i, int lane) const {
    uint32_t row = rows[i];
    double aa = queries.norms[query], bb = gallery.norms[row];
    double ab = exact::dot(queries.rows + query * dims, gallery.rows + static_cast<long long>(row) * dims, dims, lane);
    double score = exact::cosine(ab, aa, bb);
    bool listed = aa > 0.0 && bb > 0.0 && score >= min_score;
    __syncwarp();  // all lanes have read the row before it is written
    if (lane != 0) return;
    scores[i] = listed ? score : -INFINITY;
    if (!listed) rows[i] = NOBODY;
  }

  // Scores the places begin .. end and sorts all up to `end`. By the whole block, behind a barrier.
  __device__ __forceinline__ void settle(int begin, int end) const {
    int thread = static_cast<int>(threadIdx.x);
    for (int i = begin + thread / 32; i < end; i += WARPS) score(i, thread % 32);
    sorting::sort<THREADS>(scores, rows, end);
  }

  // Writes the best of `count` sorted entries, at most k.
  __device__ __forceinline__ void write(int count, int k, uint32_t* out_rows, double* out_scores,
                                        uint32_t* out_found) const {
    int thread = static_cast<int>(threadIdx.x), most = min(count, k);
    for (int i = thread; i < most; i += THREADS) {
      bool there = rows[i] != NOBODY;
      if (there) {
        out_rows[query * k + i] = rows[i];
        out_scores[query * k + i] = scores[i];
      }
      // Those that are nobody stand last.
      if (there && (i + 1 == most || rows[i + 1] == NOBODY)) out_found[query] = static_cast<uint32_t>(i + 1);
    }
    if (thread == 0 && (most == 0 || rows[0] == NOBODY)) out_found[query] = 0;
  }
};

__device__ __forceinline__ void rescore(const List& list, const Candidate* candidates, const uint32_t* counts,
                                        uint32_t* flags, uint32_t* out_rows, double* out_scores, uint32_t* out_found,
                                        buffers::Cut cut, int chunks, int capacity) {
  long long place = list.query * chunks;
  int count = buffers::gather<THREADS>(candidates + place * capacity, counts + place, chunks, capacity, cut, list.rows,
                                       ROOM, list.words);
  if (threadIdx.x == 0) flags[list.query] = count < 0 ? 1u : 0u;
  if (count < 0) {  // the same for all threads
    if (threadIdx.x == 0) out_found[list.query] = 0;
    return;
  }
  list.settle(0, count);
  list.write(count, cut.k, out_rows, out_scores, out_found);
}

// The best so far stand in the first places, the next rows of the gallery behind them.
__device__ __forceinline__ void brute(const List& list, const uint32_t* flags, uint32_t* out_rows, double* out_scores,
                                      uint32_t* out_found, int gallery_rows, int k) {
  if (flags[list.query] == 0) return;  // the same for all threads
  int thread = static_cast<int>(threadIdx.x), held = 0;
  for (long long base = 0; base < gallery_rows;) {
    long long left = gallery_rows - base;
    int count = left < ROOM - held ? static_cast<int>(left) : ROOM - held;
    for (int i = thread; i < count; i += THREADS) list.rows[held + i] = static_cast<uint32_t>(base + i);
    __syncthreads();
    list.settle(held, held + count);
    held = min(k, held + count);
    base += count;
  }
  list.write(held, k, out_rows, out_scores, out_found);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256, 2)
topk_scan_large(const __half* queries, const __half* gallery, uint2* candidates, uint32_t* counts, int query_rows,
                int gallery_rows, int depth, int k, float slack, float floor, int chunks, int capacity) {
  scan(queries, gallery, candidates, counts, query_rows, gallery_rows, depth, {k, slack, -INFINITY}, floor, chunks,
       capacity);
}

extern "C" __global__ void __launch_bounds__(256)
topk_rescore_large(const float* queries, const double* query_norms, const float* gallery, const double* gallery_norms,
                   const uint2* candidates, const uint32_t* counts, uint32_t* flags, uint32_t* rows, double* scores,
                   uint32_t* found, int dims, int k, int chunks, int capacity, float slack, double min_score) {
  DYNAMIC_SHARED(shared);
  rescore({shared, {queries, query_norms}, {gallery, gallery_norms}, dims, min_score}, candidates, counts, flags, rows,
          scores, found, {k, slack, -INFINITY}, chunks, capacity);
}

extern "C" __global__ void __launch_bounds__(256)
topk_brute_large(const float* queries, const double* query_norms, const float* gallery, const double* gallery_norms,
                 const uint32_t* flags, uint32_t* rows, double* scores, uint32_t* found, int gallery_rows, int dims,
                 int k, double min_score) {
  DYNAMIC_SHARED(shared);
  brute({shared, {queries, query_norms}, {gallery, gallery_norms}, dims, min_score}, flags, rows, scores, found,
        gallery_rows, k);
}
