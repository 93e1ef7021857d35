// Hopper's primitives under nvcc: inline PTX for sm_90a. `device.h` says what each does.
//
// Compiled for sm_90a, and in the host's pass, which only parses it: a file that another architecture
// compiles too has none of this.
#pragma once

#include <cuda.h>

#include <cstdint>

#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || !defined(__CUDA_ARCH__)

// How 16-byte pieces of a tile's lines are interleaved in shared memory: within spans of so many bytes.
enum class Swizzle { NONE, B32, B64, B128 };

// A tensor as the copy engine knows it, a parameter `const __grid_constant__ TensorMap`.
using TensorMap = CUtensorMap;

// --- stmatrix: the mirror of ldmatrix ------------------------------------------------------------

template <int COUNT>
__device__ __forceinline__ void stmatrix(void* row, const uint32_t (&r)[COUNT]) {
  static_assert(COUNT == 1 || COUNT == 2 || COUNT == 4, "stmatrix stores 1, 2 or 4 matrices");
  uint32_t at = shared_address(row);
  if constexpr (COUNT == 1) {
    asm volatile("stmatrix.sync.aligned.m8n8.x1.shared.b16 [%0], {%1};" ::"r"(at), "r"(r[0]) : "memory");
  } else if constexpr (COUNT == 2) {
    asm volatile("stmatrix.sync.aligned.m8n8.x2.shared.b16 [%0], {%1, %2};" ::"r"(at), "r"(r[0]), "r"(r[1])
                 : "memory");
  } else {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(at), "r"(r[0]),
                 "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
  }
}

template <int COUNT>
__device__ __forceinline__ void stmatrix_trans(void* row, const uint32_t (&r)[COUNT]) {
  static_assert(COUNT == 1 || COUNT == 2 || COUNT == 4, "stmatrix stores 1, 2 or 4 matrices");
  uint32_t at = shared_address(row);
  if constexpr (COUNT == 1) {
    asm volatile("stmatrix.sync.aligned.m8n8.x1.trans.shared.b16 [%0], {%1};" ::"r"(at), "r"(r[0]) : "memory");
  } else if constexpr (COUNT == 2) {
    asm volatile("stmatrix.sync.aligned.m8n8.x2.trans.shared.b16 [%0], {%1, %2};" ::"r"(at), "r"(r[0]),
                 "r"(r[1])
                 : "memory");
  } else {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(at), "r"(r[0]),
                 "r"(r[1]), "r"(r[2]), "r"(r[3])
                 : "memory");
  }
}

// --- mbarrier ------------------------------------------------------------------------------------

__device__ __forceinline__ void mbarrier_init(uint64_t* bar, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(bar)), "r"(arrivals) : "memory");
}

__device__ __forceinline__ void mbarrier_fence_init() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void mbarrier_arrive(uint64_t* bar) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(bar)) : "memory");
}

__device__ __forceinline__ void mbarrier_arrive_expect(uint64_t* bar, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(bar)), "r"(bytes)
               : "memory");
}

// With the default scope: enough to hand a place of shared memory that only wgmma and the copy engine
// touch from block to block. What ordinary instructions wrote is published by cluster_arrive.
__device__ __forceinline__ void mbarrier_arrive_cluster(uint64_t* bar, uint32_t rank) {
  asm volatile(
      "{\n.reg .b32 there;\n"
      "mapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [there];\n}" ::"r"(shared_address(bar)),
      "r"(rank)
      : "memory");
}

__device__ __forceinline__ void mbarrier_wait(uint64_t* bar, uint32_t parity) {
  uint32_t at = shared_address(bar), done;
  do {
    asm volatile(
        "{\n.reg .pred p;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
        "selp.u32 %0, 1, 0, p;\n}"
        : "=r"(done)
        : "r"(at), "r"(parity)
        : "memory");
  } while (done == 0);
}

// --- Bulk tensor copies (PTX ISA, "cp.async.bulk.tensor") ----------------------------------------

namespace ptx {
__device__ __forceinline__ uint64_t map_address(const TensorMap& map) { return reinterpret_cast<uint64_t>(&map); }
}  // namespace ptx

template <int RANK>
__device__ __forceinline__ void tensor_load(void* to, const TensorMap& map, uint64_t* bar, const int (&at)[RANK]) {
  static_assert(RANK >= 2 && RANK <= 5, "tiles have 2 to 5 dimensions");
  if constexpr (RANK == 2) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
        " [%0], [%1, {%3, %4}], [%2];" ::"r"(shared_address(to)),
        "l"(ptx::map_address(map)), "r"(shared_address(bar)), "r"(at[0]), "r"(at[1])
        : "memory");
  } else if constexpr (RANK == 3) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
        " [%0], [%1, {%3, %4, %5}], [%2];" ::"r"(shared_address(to)),
        "l"(ptx::map_address(map)), "r"(shared_address(bar)), "r"(at[0]), "r"(at[1]), "r"(at[2])
        : "memory");
  } else if constexpr (RANK == 4) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
        " [%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(shared_address(to)),
        "l"(ptx::map_address(map)), "r"(shared_address(bar)), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3])
        : "memory");
  } else {
    asm volatile(
        "cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes"
        " [%0], [%1, {%3, %4, %5, %6, %7}], [%2];" ::"r"(shared_address(to)),
        "l"(ptx::map_address(map)), "r"(shared_address(bar)), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]),
        "r"(at[4])
        : "memory");
  }
}

template <int RANK>
__device__ __forceinline__ void tensor_load_multicast(void* to, const TensorMap& map, uint64_t* bar,
                                                      const int (&at)[RANK], uint16_t blocks) {
  static_assert(RANK >= 2 && RANK <= 5, "tiles have 2 to 5 dimensions");
  if constexpr (RANK == 2) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster"
        " [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(shared_address(to)),
        "l"(ptx::map_address(map)), "r"(shared_address(bar)), "r"(at[0]), "r"(at[1]), "h"(blocks)
        : "memory");
  } else if constexpr (RANK == 3) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster"
        " [%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(shared_address(to)),
        "l"(ptx::map_address(map)), "r"(shared_address(bar)), "r"(at[0]), "r"(at[1]), "r"(at[2]), "h"(blocks)
        : "memory");
  } else if constexpr (RANK == 4) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster"
        " [%0], [%1, {%3, %4, %5, %6}], [%2], %7;" ::"r"(shared_address(to)),
        "l"(ptx::map_address(map)), "r"(shared_address(bar)), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "h"(blocks)
        : "memory");
  } else {
    asm volatile(
        "cp.async.bulk.tensor.5d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster"
        " [%0], [%1, {%3, %4, %5, %6, %7}], [%2], %8;" ::"r"(shared_address(to)),
        "l"(ptx::map_address(map)), "r"(shared_address(bar)), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]),
        "r"(at[4]), "h"(blocks)
        : "memory");
  }
}

__device__ __forceinline__ void tensor_load_im2col(void* to, const TensorMap& map, uint64_t* bar, const int (&at)[4],
                                                   const uint16_t (&offset)[2]) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes"
      " [%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8};" ::"r"(shared_address(to)),
      "l"(ptx::map_address(map)), "r"(shared_address(bar)), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]),
      "h"(offset[0]), "h"(offset[1])
      : "memory");
}

__device__ __forceinline__ void tensor_load_im2col_multicast(void* to, const TensorMap& map, uint64_t* bar,
                                                             const int (&at)[4], const uint16_t (&offset)[2],
                                                             uint16_t blocks) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes.multicast::cluster"
      " [%0], [%1, {%3, %4, %5, %6}], [%2], {%7, %8}, %9;" ::"r"(shared_address(to)),
      "l"(ptx::map_address(map)), "r"(shared_address(bar)), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]),
      "h"(offset[0]), "h"(offset[1]), "h"(blocks)
      : "memory");
}

template <int RANK>
__device__ __forceinline__ void tensor_store(const TensorMap& map, const void* from, const int (&at)[RANK]) {
  static_assert(RANK >= 2 && RANK <= 5, "tiles have 2 to 5 dimensions");
  if constexpr (RANK == 2) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];" ::"l"(
                     ptx::map_address(map)),
                 "r"(shared_address(from)), "r"(at[0]), "r"(at[1])
                 : "memory");
  } else if constexpr (RANK == 3) {
    asm volatile("cp.async.bulk.tensor.3d.global.shared::cta.bulk_group [%0, {%2, %3, %4}], [%1];" ::"l"(
                     ptx::map_address(map)),
                 "r"(shared_address(from)), "r"(at[0]), "r"(at[1]), "r"(at[2])
                 : "memory");
  } else if constexpr (RANK == 4) {
    asm volatile("cp.async.bulk.tensor.4d.global.shared::cta.bulk_group [%0, {%2, %3, %4, %5}], [%1];" ::"l"(
                     ptx::map_address(map)),
                 "r"(shared_address(from)), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3])
                 : "memory");
  } else {
    asm volatile("cp.async.bulk.tensor.5d.global.shared::cta.bulk_group [%0, {%2, %3, %4, %5, %6}], [%1];" ::"l"(
                     ptx::map_address(map)),
                 "r"(shared_address(from)), "r"(at[0]), "r"(at[1]), "r"(at[2]), "r"(at[3]), "r"(at[4])
                 : "memory");
  }
}

__device__ __forceinline__ void bulk_commit() { asm volatile("cp.async.bulk.commit_group;" ::: "memory"); }

template <int OPEN>
__device__ __forceinline__ void bulk_wait_read() {
  asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(OPEN) : "memory");
}

template <int OPEN>
__device__ __forceinline__ void bulk_wait() {
  asm volatile("cp.async.bulk.wait_group %0;" ::"n"(OPEN) : "memory");
}

__device__ __forceinline__ void fence_async_shared() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

__device__ __forceinline__ void tensor_prefetch(const TensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(ptx::map_address(map)) : "memory");
}

// --- Clusters ------------------------------------------------------------------------------------

__device__ __forceinline__ uint32_t cluster_rank() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}

__device__ __forceinline__ uint32_t cluster_blocks() {
  uint32_t blocks;
  asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(blocks));
  return blocks;
}

__device__ __forceinline__ void cluster_arrive() { asm volatile("barrier.cluster.arrive.release;" ::: "memory"); }

__device__ __forceinline__ void cluster_wait() { asm volatile("barrier.cluster.wait.acquire;" ::: "memory"); }

__device__ __forceinline__ void cluster_sync() {
  cluster_arrive();
  cluster_wait();
}

template <class T>
__device__ __forceinline__ T* cluster_map(T* p, uint32_t rank) {
  uint64_t there;
  asm volatile("mapa.u64 %0, %1, %2;" : "=l"(there) : "l"(reinterpret_cast<uint64_t>(p)), "r"(rank));
  return reinterpret_cast<T*>(there);
}

// --- Registers of a warpgroup --------------------------------------------------------------------

template <int COUNT>
__device__ __forceinline__ void registers_grow() {
  static_assert(COUNT >= 24 && COUNT <= 256 && COUNT % 8 == 0, "setmaxnreg takes 24 to 256 in eights");
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}

template <int COUNT>
__device__ __forceinline__ void registers_shrink() {
  static_assert(COUNT >= 24 && COUNT <= 256 && COUNT % 8 == 0, "setmaxnreg takes 24 to 256 in eights");
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}

// --- wgmma (PTX ISA, "wgmma.mma_async") ----------------------------------------------------------

// Addresses and distances in units of 16 bytes: 14 bits each at 0, 16 and 32; the swizzle at 62.
template <Swizzle SWIZZLE>
__device__ __forceinline__ uint64_t matrix_descriptor(const void* tile, uint32_t leading_bytes,
                                                      uint32_t stride_bytes) {
  constexpr uint64_t KINDS[] = {0, 3, 2, 1}, KIND = KINDS[static_cast<int>(SWIZZLE)];
  auto field = [](uint32_t bytes) { return static_cast<uint64_t>((bytes & 0x3ffffu) >> 4); };
  return field(shared_address(tile)) | field(leading_bytes) << 16 | field(stride_bytes) << 32 | KIND << 62;
}

__device__ __forceinline__ void wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }

__device__ __forceinline__ void wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

template <int OPEN>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(OPEN) : "memory");
}

// The accumulators as operands, 4 for each 8 columns. A list of operands cannot be made by a template,
// so these are macros.
#define PTX_NAMES_8 "%0, %1, %2, %3"
#define PTX_NAMES_16 PTX_NAMES_8 ", %4, %5, %6, %7"
#define PTX_NAMES_24 PTX_NAMES_16 ", %8, %9, %10, %11"
#define PTX_NAMES_32 PTX_NAMES_24 ", %12, %13, %14, %15"
#define PTX_NAMES_40 PTX_NAMES_32 ", %16, %17, %18, %19"
#define PTX_NAMES_48 PTX_NAMES_40 ", %20, %21, %22, %23"
#define PTX_NAMES_56 PTX_NAMES_48 ", %24, %25, %26, %27"
#define PTX_NAMES_64 PTX_NAMES_56 ", %28, %29, %30, %31"
#define PTX_NAMES_72 PTX_NAMES_64 ", %32, %33, %34, %35"
#define PTX_NAMES_80 PTX_NAMES_72 ", %36, %37, %38, %39"
#define PTX_NAMES_88 PTX_NAMES_80 ", %40, %41, %42, %43"
#define PTX_NAMES_96 PTX_NAMES_88 ", %44, %45, %46, %47"
#define PTX_NAMES_104 PTX_NAMES_96 ", %48, %49, %50, %51"
#define PTX_NAMES_112 PTX_NAMES_104 ", %52, %53, %54, %55"
#define PTX_NAMES_120 PTX_NAMES_112 ", %56, %57, %58, %59"
#define PTX_NAMES_128 PTX_NAMES_120 ", %60, %61, %62, %63"
#define PTX_NAMES_136 PTX_NAMES_128 ", %64, %65, %66, %67"
#define PTX_NAMES_144 PTX_NAMES_136 ", %68, %69, %70, %71"
#define PTX_NAMES_152 PTX_NAMES_144 ", %72, %73, %74, %75"
#define PTX_NAMES_160 PTX_NAMES_152 ", %76, %77, %78, %79"
#define PTX_NAMES_168 PTX_NAMES_160 ", %80, %81, %82, %83"
#define PTX_NAMES_176 PTX_NAMES_168 ", %84, %85, %86, %87"
#define PTX_NAMES_184 PTX_NAMES_176 ", %88, %89, %90, %91"
#define PTX_NAMES_192 PTX_NAMES_184 ", %92, %93, %94, %95"
#define PTX_NAMES_200 PTX_NAMES_192 ", %96, %97, %98, %99"
#define PTX_NAMES_208 PTX_NAMES_200 ", %100, %101, %102, %103"
#define PTX_NAMES_216 PTX_NAMES_208 ", %104, %105, %106, %107"
#define PTX_NAMES_224 PTX_NAMES_216 ", %108, %109, %110, %111"
#define PTX_NAMES_232 PTX_NAMES_224 ", %112, %113, %114, %115"
#define PTX_NAMES_240 PTX_NAMES_232 ", %116, %117, %118, %119"
#define PTX_NAMES_248 PTX_NAMES_240 ", %120, %121, %122, %123"
#define PTX_NAMES_256 PTX_NAMES_248 ", %124, %125, %126, %127"

#define PTX_VALUES_8 "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
#define PTX_VALUES_16 PTX_VALUES_8, "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7])
#define PTX_VALUES_24 PTX_VALUES_16, "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11])
#define PTX_VALUES_32 PTX_VALUES_24, "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15])
#define PTX_VALUES_40 PTX_VALUES_32, "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19])
#define PTX_VALUES_48 PTX_VALUES_40, "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23])
#define PTX_VALUES_56 PTX_VALUES_48, "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27])
#define PTX_VALUES_64 PTX_VALUES_56, "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
#define PTX_VALUES_72 PTX_VALUES_64, "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35])
#define PTX_VALUES_80 PTX_VALUES_72, "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39])
#define PTX_VALUES_88 PTX_VALUES_80, "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43])
#define PTX_VALUES_96 PTX_VALUES_88, "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47])
#define PTX_VALUES_104 PTX_VALUES_96, "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51])
#define PTX_VALUES_112 PTX_VALUES_104, "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55])
#define PTX_VALUES_120 PTX_VALUES_112, "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59])
#define PTX_VALUES_128 PTX_VALUES_120, "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
#define PTX_VALUES_136 PTX_VALUES_128, "+f"(d[64]), "+f"(d[65]), "+f"(d[66]), "+f"(d[67])
#define PTX_VALUES_144 PTX_VALUES_136, "+f"(d[68]), "+f"(d[69]), "+f"(d[70]), "+f"(d[71])
#define PTX_VALUES_152 PTX_VALUES_144, "+f"(d[72]), "+f"(d[73]), "+f"(d[74]), "+f"(d[75])
#define PTX_VALUES_160 PTX_VALUES_152, "+f"(d[76]), "+f"(d[77]), "+f"(d[78]), "+f"(d[79])
#define PTX_VALUES_168 PTX_VALUES_160, "+f"(d[80]), "+f"(d[81]), "+f"(d[82]), "+f"(d[83])
#define PTX_VALUES_176 PTX_VALUES_168, "+f"(d[84]), "+f"(d[85]), "+f"(d[86]), "+f"(d[87])
#define PTX_VALUES_184 PTX_VALUES_176, "+f"(d[88]), "+f"(d[89]), "+f"(d[90]), "+f"(d[91])
#define PTX_VALUES_192 PTX_VALUES_184, "+f"(d[92]), "+f"(d[93]), "+f"(d[94]), "+f"(d[95])
#define PTX_VALUES_200 PTX_VALUES_192, "+f"(d[96]), "+f"(d[97]), "+f"(d[98]), "+f"(d[99])
#define PTX_VALUES_208 PTX_VALUES_200, "+f"(d[100]), "+f"(d[101]), "+f"(d[102]), "+f"(d[103])
#define PTX_VALUES_216 PTX_VALUES_208, "+f"(d[104]), "+f"(d[105]), "+f"(d[106]), "+f"(d[107])
#define PTX_VALUES_224 PTX_VALUES_216, "+f"(d[108]), "+f"(d[109]), "+f"(d[110]), "+f"(d[111])
#define PTX_VALUES_232 PTX_VALUES_224, "+f"(d[112]), "+f"(d[113]), "+f"(d[114]), "+f"(d[115])
#define PTX_VALUES_240 PTX_VALUES_232, "+f"(d[116]), "+f"(d[117]), "+f"(d[118]), "+f"(d[119])
#define PTX_VALUES_248 PTX_VALUES_240, "+f"(d[120]), "+f"(d[121]), "+f"(d[122]), "+f"(d[123])
#define PTX_VALUES_256 PTX_VALUES_248, "+f"(d[124]), "+f"(d[125]), "+f"(d[126]), "+f"(d[127])

// CASE(N, and the numbers of the five operands behind the accumulators)
#define PTX_WGMMA_CASES(CASE) \
  CASE(8, 4, 5, 6, 7, 8, 9) \
  CASE(16, 8, 9, 10, 11, 12, 13) \
  CASE(24, 12, 13, 14, 15, 16, 17) \
  CASE(32, 16, 17, 18, 19, 20, 21) \
  CASE(40, 20, 21, 22, 23, 24, 25) \
  CASE(48, 24, 25, 26, 27, 28, 29) \
  CASE(56, 28, 29, 30, 31, 32, 33) \
  CASE(64, 32, 33, 34, 35, 36, 37) \
  CASE(72, 36, 37, 38, 39, 40, 41) \
  CASE(80, 40, 41, 42, 43, 44, 45) \
  CASE(88, 44, 45, 46, 47, 48, 49) \
  CASE(96, 48, 49, 50, 51, 52, 53) \
  CASE(104, 52, 53, 54, 55, 56, 57) \
  CASE(112, 56, 57, 58, 59, 60, 61) \
  CASE(120, 60, 61, 62, 63, 64, 65) \
  CASE(128, 64, 65, 66, 67, 68, 69) \
  CASE(136, 68, 69, 70, 71, 72, 73) \
  CASE(144, 72, 73, 74, 75, 76, 77) \
  CASE(152, 76, 77, 78, 79, 80, 81) \
  CASE(160, 80, 81, 82, 83, 84, 85) \
  CASE(168, 84, 85, 86, 87, 88, 89) \
  CASE(176, 88, 89, 90, 91, 92, 93) \
  CASE(184, 92, 93, 94, 95, 96, 97) \
  CASE(192, 96, 97, 98, 99, 100, 101) \
  CASE(200, 100, 101, 102, 103, 104, 105) \
  CASE(208, 104, 105, 106, 107, 108, 109) \
  CASE(216, 108, 109, 110, 111, 112, 113) \
  CASE(224, 112, 113, 114, 115, 116, 117) \
  CASE(232, 116, 117, 118, 119, 120, 121) \
  CASE(240, 120, 121, 122, 123, 124, 125) \
  CASE(248, 124, 125, 126, 127, 128, 129) \
  CASE(256, 128, 129, 130, 131, 132, 133)

#define PTX_WGMMA_F16(COLUMNS, A, B, P, X, Y, Z)                                                  \
  if constexpr (N == COLUMNS)                                                                        \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #P ", 0;\n"                                    \
                 "wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32.f16.f16 {" PTX_NAMES_##COLUMNS \
                 "}, %" #A ", %" #B ", p, 1, 1, 0, 0;\n}"                                             \
                 : PTX_VALUES_##COLUMNS                                                              \
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)));

template <int N>
__device__ __forceinline__ void wgmma_f16(float (&d)[N / 2], uint64_t a, uint64_t b, bool accumulate) {
  static_assert(N >= 8 && N <= 256 && N % 8 == 0, "wgmma has 8 to 256 columns in eights");
  PTX_WGMMA_CASES(PTX_WGMMA_F16)
}

#define PTX_WGMMA_BF16(COLUMNS, A, B, P, X, Y, Z)                                                  \
  if constexpr (N == COLUMNS)                                                                        \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #P ", 0;\n"                                    \
                 "wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32.bf16.bf16 {" PTX_NAMES_##COLUMNS \
                 "}, %" #A ", %" #B ", p, 1, 1, 0, 0;\n}"                                             \
                 : PTX_VALUES_##COLUMNS                                                              \
                 : "l"(a), "l"(b), "r"(static_cast<int>(accumulate)));

template <int N>
__device__ __forceinline__ void wgmma_bf16(float (&d)[N / 2], uint64_t a, uint64_t b, bool accumulate) {
  static_assert(N >= 8 && N <= 256 && N % 8 == 0, "wgmma has 8 to 256 columns in eights");
  PTX_WGMMA_CASES(PTX_WGMMA_BF16)
}

#define PTX_WGMMA_REGISTERS(COLUMNS, TYPES, A, B, C, D, E, P)                                            \
  if constexpr (N == COLUMNS)                                                                            \
    asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #P ", 0;\n"                                        \
                 "wgmma.mma_async.sync.aligned.m64n" #COLUMNS "k16.f32" TYPES " {" PTX_NAMES_##COLUMNS   \
                 "}, {%" #A ", %" #B ", %" #C ", %" #D "}, %" #E ", p, 1, 1, 0;\n}"                      \
                 : PTX_VALUES_##COLUMNS                                                                  \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(accumulate)));
#define PTX_WGMMA_REGISTERS_F16(COLUMNS, A, B, C, D, E, P) PTX_WGMMA_REGISTERS(COLUMNS, ".f16.f16", A, B, C, D, E, P)
#define PTX_WGMMA_REGISTERS_BF16(COLUMNS, A, B, C, D, E, P) \
  PTX_WGMMA_REGISTERS(COLUMNS, ".bf16.bf16", A, B, C, D, E, P)

template <int N>
__device__ __forceinline__ void wgmma_f16_registers(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b,
                                                    bool accumulate) {
  static_assert(N >= 8 && N <= 256 && N % 8 == 0, "wgmma has 8 to 256 columns in eights");
  PTX_WGMMA_CASES(PTX_WGMMA_REGISTERS_F16)
}

template <int N>
__device__ __forceinline__ void wgmma_bf16_registers(float (&d)[N / 2], const uint32_t (&a)[4], uint64_t b,
                                                     bool accumulate) {
  static_assert(N >= 8 && N <= 256 && N % 8 == 0, "wgmma has 8 to 256 columns in eights");
  PTX_WGMMA_CASES(PTX_WGMMA_REGISTERS_BF16)
}

#undef PTX_WGMMA_CASES
#undef PTX_WGMMA_F16
#undef PTX_WGMMA_BF16
#undef PTX_WGMMA_REGISTERS
#undef PTX_WGMMA_REGISTERS_F16
#undef PTX_WGMMA_REGISTERS_BF16

#endif
