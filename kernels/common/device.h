// The one header that kernels include: what they may use of the card, under one set of names.
//
// nvcc compiles a kernel with CUDA's own intrinsics and the inline PTX of `ptx.h` and
// `ptx_sm90.h`; g++ compiles the
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
// Hopper's, in files sm90_*.cu alone. Addresses are of dynamic shared memory but where another is named:
//
//   stmatrix(row, r), stmatrix_trans     the mirror of ldmatrix
//   mbarrier_init(bar, arrivals)         by one thread, once; then mbarrier_fence_init() by it, and a barrier
//   mbarrier_arrive(bar)                 mbarrier_arrive_expect(bar, bytes): and so many bytes of copies must
//                                        come before the phase ends; a phase has at most 2^20 - 1
//   mbarrier_arrive_cluster(bar, rank)   at the same barrier in block `rank` of the cluster
//   mbarrier_wait(bar, parity)           until the phase of that parity has ended: a new barrier's first phase
//                                        has parity 0, and a wait for parity 1 passes at once
//   TensorMap                            a parameter `const __grid_constant__ TensorMap`, made by the host
//   tensor_load<RANK>(to, map, bar, at)  a box into shared memory, RANK 2 to 5, `at` innermost first; outside
//                                        the tensor are zeros; `to` aligned to the swizzle's repeat (1024 for
//                                        B128, 512, 256; 128 without); its bytes count at `bar`
//   tensor_load_multicast<RANK>(..., blocks)          to the same place of each block of the mask, at its own bar
//   tensor_load_im2col(to, map, bar, at, offset)      `at` c, w, h, n of the first place, `offset` w, h in the
//                                        window; tensor_load_im2col_multicast(..., blocks)
//   tensor_store<RANK>(map, from, at)    what lies outside the tensor is not stored; fence_async_shared() by
//                                        those who wrote `from`, and a barrier, come before
//   bulk_commit(), bulk_wait_read<N>, bulk_wait<N>    a thread's stores in groups: until at most N are open, or
//                                        have not been read; at least the latter before the thread ends
//   fence_async_shared()                 ordinary writes to shared memory, before bulk stores or wgmma read them
//   tensor_prefetch(map)
//   cluster_rank(), cluster_blocks()     of this launch's clusters; 0 and 1 without
//   cluster_sync() = cluster_arrive(), cluster_wait()    by all threads of the cluster
//   cluster_map(p, rank)                 the same place in block `rank`, which must not have ended
//   registers_grow<N>, registers_shrink<N>            by whole warpgroups; 24 to 256 in eights
//   matrix_descriptor<Swizzle>(tile, leading_bytes, stride_bytes)    a factor of wgmma with its values of k side
//                                        by side. B128, B64, B32: lines of the span, groups of 8 lines `stride`
//                                        apart, `leading` not used; NONE: pieces of 8 lines x 16 bytes, `leading`
//                                        apart along k and `stride` apart along lines. 16 values of k further is
//                                        the descriptor + 2 within a span
//   wgmma_f16<N>(d, a, b, accumulate)    d (+)= a b^T for m64nNk16 by a warpgroup, f32 accumulators, N in eights to
//                                        256; wgmma_f16_registers(d, a[4], b, accumulate); the same with bf16
//   wgmma_fence(), wgmma_commit(), wgmma_wait<N>      a fence before the first wgmma after a wait; groups as above;
//                                        accumulators are not touched until their group has been waited for
//
// CUDA's own names that both compilers give: __syncthreads (_or, _and, _count), __syncwarp,
// __shfl*_sync, __ballot_sync, __any_sync, __all_sync, atomicAdd/Max/Min/CAS/Exch, __threadfence*,
// __half, __nv_bfloat16, their pairs, conversions and arithmetic (__hfma2, __hadd2, ...), __ldg, __expf,
// rsqrtf, the vector types.
#pragma once

#ifdef __CUDACC__
#include "common/ptx.h"
#else
#include "simt/simulated.h"
#endif
