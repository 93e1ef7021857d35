// Top-k by cosine, second pass: exact scores and order for the candidates of topk_scan.cu.
//
//   topk_rescore   each row's candidates scored in f64 and ranked: score descending, then row ascending
//   topk_brute     the same for the rows whose candidates did not fit, over every row of the gallery
//
// The scores are those of neighbours/exact.h, which the CPU's search gives to the last bit; so are the
// answers. Rows of zeros have no neighbours and are nobody's.
//
// queries, gallery    rows x dims of f32; query_norms, gallery_norms their squared norms in f64
// candidates, counts  as topk_scan left them: [query][chunk][CAPACITY] and [query][chunk]
// flags               rescore sets 1 for a row that brute must answer, else 0
// rows, scores        [query][k] of u32 and f64, best first; found[query] of them are there
// min_score           neighbours have at least this score; -infinity for all
// slack               twice the error bound of the approximate scores, as in topk_scan.cu
// Launch              one block of 256 threads a query; no dynamic shared memory. k from 1 to MOST_K,
//                     chunks from 1 to MOST_CHUNKS.

#include "neighbours/exact.h"
#include "neighbours/selection.h"

namespace {

using exact::NOBODY;
using selection::Candidate;

constexpr int THREADS = 256, WARPS = THREADS / 32;
constexpr int CAPACITY = 256, MOST_CHUNKS = 8, MOST = CAPACITY * MOST_CHUNKS, MOST_K = 64;
constexpr uint32_t OVERFLOW = 0xffffffffu;
static_assert(MOST * (8 + 8 + 4) <= 48 << 10, "all candidates of a row fit static shared memory");

// One side of a search.
struct Side {
  const float* rows;
  const double* norms;
};

// The score of a pair, by a whole warp; `*listed` says whether the pair may be in a list.
__device__ __forceinline__ double score_pair(Side queries, Side gallery, int dims, double min_score, long long query,
                                             uint32_t row, int lane, bool* listed) {
  double aa = queries.norms[query], bb = gallery.norms[row];
  double ab = exact::dot(queries.rows + query * dims, gallery.rows + static_cast<long long>(row) * dims, dims, lane);
  double score = exact::cosine(ab, aa, bb);
  *listed = aa > 0.0 && bb > 0.0 && score >= min_score;
  return score;
}

// Keeps the candidates that may be among the k best of all chunks, in place. By one warp.
__device__ __forceinline__ int prune(Candidate* candidates, int count, int k, float slack, int lane) {
  if (count <= k) return count;
  uint32_t kth = selection::kth_largest(k, [&](uint32_t least) {
    int reached = 0;
    for (int i = lane; i < count; i += 32) {
      reached += selection::key_of(selection::score_of(candidates[i])) >= least ? 1 : 0;
    }
    return reached;
  });
  float least = selection::of_key(kth) - slack;
  int kept = 0;
  for (int i = 0; i < count; i += 32) {
    bool there = i + lane < count;
    Candidate mine = there ? candidates[i + lane] : make_uint2(0u, 0u);
    bool keep = there && selection::score_of(mine) >= least;
    unsigned keepers = __ballot_sync(FULL_WARP, keep);
    __syncwarp();  // all lanes have read before one writes
    if (keep) candidates[kept + __popc(keepers & ((1u << lane) - 1u))] = mine;
    kept += __popc(keepers);
  }
  return kept;
}

__device__ __forceinline__ void rescore(Side queries, Side gallery, const Candidate* candidates,
                                        const uint32_t* counts, uint32_t* flags, uint32_t* out_rows,
                                        double* out_scores, uint32_t* out_found, int dims, int k, int chunks,
                                        float slack, double min_score) {
  __shared__ Candidate pool[MOST];
  __shared__ double scores[MOST];
  __shared__ uint32_t rows[MOST];
  __shared__ int kept, listed;
  long long query = blockIdx.x;
  int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;

  int count = 0;
  for (int c = 0; c < chunks; c++) {
    uint32_t found = counts[query * chunks + c];
    if (found == OVERFLOW) {  // the same for all threads
      if (thread == 0) {
        flags[query] = 1;
        out_found[query] = 0;
      }
      return;
    }
    const Candidate* from = candidates + (query * chunks + c) * CAPACITY;
    for (int i = thread; i < static_cast<int>(found); i += THREADS) pool[count + i] = load_vector<Candidate>(from + i);
    count += static_cast<int>(found);
  }
  __syncthreads();
  if (warp == 0) {
    int left = prune(pool, count, k, slack, lane);
    if (lane == 0) {
      kept = left;
      listed = 0;
    }
  }
  __syncthreads();

  for (int i = warp; i < kept; i += WARPS) {
    bool in_list;
    uint32_t row = pool[i].y;
    double score = score_pair(queries, gallery, dims, min_score, query, row, lane, &in_list);
    if (lane == 0) {
      scores[i] = score;
      rows[i] = in_list ? row : NOBODY;
      if (in_list) atomicAdd(&listed, 1);
    }
  }
  __syncthreads();
  for (int i = thread; i < kept; i += THREADS) {
    if (rows[i] == NOBODY) continue;
    int rank = exact::rank(scores, rows, kept, scores[i], rows[i]);
    if (rank >= k) continue;
    out_rows[query * k + rank] = rows[i];
    out_scores[query * k + rank] = scores[i];
  }
  if (thread == 0) {
    flags[query] = 0;
    out_found[query] = static_cast<uint32_t>(min(k, listed));
  }
}

// The best so far stand in the first MOST_K places of a pool, the next rows of the gallery behind them;
// each entry's rank in the pool is its place in the next.
__device__ __forceinline__ void brute(Side queries, Side gallery, const uint32_t* flags, uint32_t* out_rows,
                                      double* out_scores, uint32_t* out_found, int gallery_rows, int dims, int k,
                                      double min_score) {
  constexpr int NEW = THREADS - MOST_K;
  __shared__ double scores[THREADS];
  __shared__ uint32_t rows[THREADS];
  long long query = blockIdx.x;
  if (flags[query] == 0) return;  // the same for all threads
  int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;

  if (thread < MOST_K) rows[thread] = NOBODY;
  for (long long base = 0; base < gallery_rows; base += NEW) {
    for (int i = warp; i < NEW; i += WARPS) {
      bool in_list = false;
      double score = 0.0;
      auto row = static_cast<uint32_t>(base + i);
      if (base + i < gallery_rows) {
        score = score_pair(queries, gallery, dims, min_score, query, row, lane, &in_list);
      }
      if (lane == 0) {
        scores[MOST_K + i] = score;
        rows[MOST_K + i] = in_list ? row : NOBODY;
      }
    }
    __syncthreads();
    uint32_t row = rows[thread];
    double score = row == NOBODY ? 0.0 : scores[thread];
    int rank = row == NOBODY ? k : exact::rank(scores, rows, THREADS, score, row);
    __syncthreads();
    if (thread < MOST_K) rows[thread] = NOBODY;
    __syncthreads();
    if (rank < k) {
      rows[rank] = row;
      scores[rank] = score;
    }
    __syncthreads();
  }
  bool there = thread < k && rows[thread] != NOBODY;
  if (there) {
    out_rows[query * k + thread] = rows[thread];
    out_scores[query * k + thread] = scores[thread];
  }
  int found = __syncthreads_count(there);
  if (thread == 0) out_found[query] = static_cast<uint32_t>(found);
}

}  // namespace

extern "C" __global__ void __launch_bounds__(256)
topk_rescore(const float* queries, const double* query_norms, const float* gallery, const double* gallery_norms,
             const uint2* candidates, const uint32_t* counts, uint32_t* flags, uint32_t* rows, double* scores,
             uint32_t* found, int dims, int k, int chunks, float slack, double min_score) {
  rescore({queries, query_norms}, {gallery, gallery_norms}, candidates, counts, flags, rows, scores, found, dims, k,
          chunks, slack, min_score);
}

extern "C" __global__ void __launch_bounds__(256)
topk_brute(const float* queries, const double* query_norms, const float* gallery, const double* gallery_norms,
           const uint32_t* flags, uint32_t* rows, double* scores, uint32_t* found, int gallery_rows, int dims, int k,
           double min_score) {
  brute({queries, query_norms}, {gallery, gallery_norms}, flags, rows, scores, found, gallery_rows, dims, k, min_score);
}
