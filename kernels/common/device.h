// The one header that kernels include: what they may use of the card, under one set of names.
//
// nvcc compiles a kernel with CUDA's own intrinsics and the inline PTX of `ptx.h`; g++ compiles the
// very same file for the simulated card of `kernels/simt/`. Kernels hold no `asm`, no `extern
// __shared__` and no test of who compiles them.
//
//   DYNAMIC_SHARED(name)                 `unsigned char* name`: the dynamic shared memory, aligned to 1024
//   cp_async<4|8|16>(to, from, valid)    asynchronous copy global -> shared; bytes from `valid` on become 0;
//                                        both addresses aligned to the size
//   cp_async_commit(), cp_async_wait<N>  close a group of copies; wait until at most N groups are open
//   ldmatrix(r, row), ldmatrix_trans     1, 2 or 4 8x8 matrices of 16-bit elements from shared memory;
//                                        lane 8m+i gives the address of row i of matrix m, aligned to 16
//   mma_f16(d, a, b), mma_bf16           d += a b for m16n8k16, f32 accumulators, PTX's fragments
//   barrier_sync(id, threads)            named barrier 1..15 of `threads` threads, a multiple of 32
//   barrier_arrive(id, threads)          the same, without waiting
//   load_vector<V>(p), store_vector(p,v) one access of sizeof(V) bytes; p aligned to V
//
// CUDA's own names that both compilers give: __syncthreads (_or, _and, _count), __syncwarp,
// __shfl*_sync, __ballot_sync, __any_sync, __all_sync, atomicAdd/Max/Min/CAS/Exch, __threadfence*,
// __half, __nv_bfloat16 and their conversions, __ldg, __expf, rsqrtf, the vector types.
#pragma once

#ifdef __CUDACC__
#include "common/ptx.h"
#else
#include "simt/simulated.h"
#endif
