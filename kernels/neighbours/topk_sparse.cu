// Top-k by cosine between sparse rows, exact.
//
//   topk_sparse   for each query its k best rows of the gallery that share a term with it
//
// A block has a query, and works through the gallery by chunks of `width` rows, each with a sum in f64 in
// shared memory. Term by term in ascending order, and with a barrier between two, the products with the
// rows that hold the term are added: every sum is made of the same products in the same order as on the
// CPU (src/search/sparse), which gives the same bits. Sums that no term has touched are told apart by
// their sign: they hold -0.0, which no sum of products behind "+ 0.0" can be. Touched rows are scored
// (neighbours/exact.h), and those that reach the k-th best score so far go to a bounded buffer, which is
// sorted and cut back to the k best whenever it could not take another step. Scores of all pairs are
// never stored.
//
// Both sides are rows of terms; equal rows may be folded into one before. Terms are numbered alike, and
// only those that the gallery holds are left in a query.
//
// query_starts       [query_count + 1] of u64: where the terms of a query begin
// query_terms        u32, ascending within a query; query_values f64 beside them
// query_norms        sums of squares of the whole rows, f64, above 0; gallery_norms likewise
// list_starts        [terms + 1] of u64: where the list of a term begins
// list_rows          u32, ascending within a list: the rows of the gallery that hold the term;
//                    list_values f64 beside them
// rows, scores       [query][k] of u32 and f64, best first; found [query] of u32
// min_score          neighbours have at least this score; -infinity for all
// width              rows of a chunk, a multiple of 256
// room               places of the buffer: a power of two, at least k + 1024
// Launch             one block of 256 threads a query; 8 width + 12 room + 5,184 bytes of dynamic shared memory

#include "neighbours/exact.h"
#include "neighbours/sort.h"

namespace {

using Offset = unsigned long long;

constexpr int THREADS = 256, EACH = 4, STEP = THREADS * EACH;

struct Query {
  const uint32_t* terms;
  const double* values;
  int count;
  double norm;
};

struct Gallery {
  const Offset* starts;
  const uint32_t* rows;
  const double* values;
  const double* norms;
  int count;
};

// A block's shared memory.
struct Shared {
  double* sums;     // [width]
  double* scores;   // [room]
  Offset* begins;   // [THREADS]: a term's part of its list, for as many terms at a time
  double* weights;  // [THREADS]
  uint32_t* rows;   // [room]
  uint32_t* lengths;
  uint32_t* held;

  __device__ __forceinline__ Shared(unsigned char* from, int width, int room)
      : sums(reinterpret_cast<double*>(from)),
        scores(sums + width),
        begins(reinterpret_cast<Offset*>(scores + room)),
        weights(reinterpret_cast<double*>(begins + THREADS)),
        rows(reinterpret_cast<uint32_t*>(weights + THREADS)),
        lengths(rows + room),
        held(lengths + THREADS) {}
};

// The first place from `begin` on, `end` if none, whose row is not below `row`.
__device__ __forceinline__ Offset lower_bound(const uint32_t* rows, Offset begin, Offset end, long long row) {
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

// Adds the products of all terms to the sums of the rows first .. first + count.
__device__ __forceinline__ void add_terms(const Shared& s, const Query& query, const Gallery& gallery, long long first,
                                          int count) {
  int thread = static_cast<int>(threadIdx.x);
  for (int base = 0; base < query.count; base += THREADS) {
    int batch = min(THREADS, query.count - base);
    if (thread < batch) {
      uint32_t term = query.terms[base + thread];
      Offset begin = gallery.starts[term], end = gallery.starts[term + 1];
      if (first > 0) begin = lower_bound(gallery.rows, begin, end, first);
      if (first + count < gallery.count) end = lower_bound(gallery.rows, begin, end, first + count);
      s.begins[thread] = begin;
      s.lengths[thread] = static_cast<uint32_t>(end - begin);
      s.weights[thread] = query.values[base + thread];
    }
    __syncthreads();
    for (int t = 0; t < batch; t++) {
      auto length = static_cast<int>(s.lengths[t]);
      if (length == 0) continue;  // the same for all threads
      const uint32_t* rows = gallery.rows + s.begins[t];
      const double* values = gallery.values + s.begins[t];
      double weight = s.weights[t];
      for (int i = thread; i < length; i += THREADS) {
        double* sum = s.sums + (static_cast<long long>(rows[i]) - first);
        // Rounded after the product and after the sum, as on the CPU.
        *sum = __dadd_rn(__dadd_rn(*sum, __dmul_rn(weight, values[i])), 0.0);
      }
      __syncthreads();  // the next term's products come behind these
    }
    __syncthreads();
  }
}

__device__ __forceinline__ bool untouched(double sum) { return sum == 0.0 && signbit(sum); }

// The k-th best so far, and nothing that stands behind it is worth keeping.
struct Bar {
  double score;
  uint32_t row;
};

// Cuts the buffer back to its k best. By the whole block, behind a barrier, which also ends it.
__device__ __forceinline__ void shrink(const Shared& s, int k, Bar* bar) {
  auto count = static_cast<int>(*s.held);
  sorting::sort<THREADS>(s.scores, s.rows, count);  // its barriers stand between reading `held` and writing it
  if (count >= k) *bar = {s.scores[k - 1], s.rows[k - 1]};
  if (threadIdx.x == 0) *s.held = static_cast<uint32_t>(min(k, count));
  __syncthreads();
}

__device__ __forceinline__ void search(const Query& query, const Gallery& gallery, uint32_t* out_rows,
                                       double* out_scores, uint32_t* out_found, int k, double min_score, int width,
                                       int room) {
  DYNAMIC_SHARED(shared);
  Shared s(shared, width, room);
  int thread = static_cast<int>(threadIdx.x);
  for (int i = thread; i < width; i += THREADS) s.sums[i] = -0.0;
  if (thread == 0) *s.held = 0;
  Bar bar = {min_score, exact::NOBODY};
  __syncthreads();
  for (long long first = 0; first < gallery.count; first += width) {
    long long left = gallery.count - first;
    int count = left < width ? static_cast<int>(left) : width;
    add_terms(s, query, gallery, first, count);
    for (int base = 0; base < count; base += STEP) {
#pragma unroll
      for (int e = 0; e < EACH; e++) {
        int i = base + e * THREADS + thread;
        if (i >= count || untouched(s.sums[i])) continue;
        auto row = static_cast<uint32_t>(first + i);
        double score = exact::cosine(s.sums[i], query.norm, gallery.norms[row]);
        s.sums[i] = -0.0;
        // At the start nothing stands before a row of the least score; a NaN bar would keep nothing.
        if (!exact::better(score, row, bar.score, bar.row)) continue;
        uint32_t at = atomicAdd(s.held, 1u);
        s.scores[at] = score;
        s.rows[at] = row;
      }
      __syncthreads();
      bool full = static_cast<int>(*s.held) > room - STEP;
      __syncthreads();
      if (full) shrink(s, k, &bar);  // the same for all threads
    }
  }
  shrink(s, k, &bar);
  auto found = static_cast<int>(*s.held);
  for (int i = thread; i < found; i += THREADS) {
    out_rows[i] = s.rows[i];
    out_scores[i] = s.scores[i];
  }
  if (thread == 0) *out_found = static_cast<uint32_t>(found);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
topk_sparse(const unsigned long long* query_starts, const uint32_t* query_terms, const double* query_values,
            const double* query_norms, const unsigned long long* list_starts, const uint32_t* list_rows,
            const double* list_values, const double* gallery_norms, uint32_t* rows, double* scores, uint32_t* found,
            int gallery_count, int k, double min_score, int width, int room) {
  long long query = blockIdx.x;
  Offset begin = query_starts[query];
  Query of = {query_terms + begin, query_values + begin, static_cast<int>(query_starts[query + 1] - begin),
              query_norms[query]};
  Gallery gallery = {list_starts, list_rows, list_values, gallery_norms, gallery_count};
  search(of, gallery, rows + query * k, scores + query * k, found + query, k, min_score, width, room);
}
