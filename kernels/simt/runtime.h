// What the kernels' side of the simulated card calls in its runtime, and the registry of kernels.
//
// Kernels and these headers are compiled with a sanitizer's instrumentation, the runtime's .cpp files
// without: so the reads and writes that a sanitizer sees are the kernel's own, made in the thread that
// the card would make them in, and the runtime's bookkeeping is invisible to it.
#pragma once

#include <utility>

#include "simt/types.h"

namespace simt {

// A place in a kernel's source.
struct Site {
  const char* file;
  int line;
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

// What the running fibre may know about itself; set by the scheduler before each switch.
struct Current {
  uint3 thread, block;
  dim3 block_size, grid_size;
  unsigned lane;
  unsigned char* dynamic_shared;
  bool late_copies;
};
extern Current current;

// Ends the launch with an error that names kernel, block, thread and `site`.
[[noreturn]] __attribute__((format(printf, 2, 3))) void fail(Site site, const char* format, ...);

inline void check_aligned(const void* p, size_t bytes, const char* what, Site site) {
  if (reinterpret_cast<uintptr_t>(p) % bytes != 0) fail(site, "%s at %p is not aligned to %zu bytes", what, p, bytes);
}

// Fails unless `bytes` bytes at `p` lie in the block's shared memory.
void check_shared(const void* p, size_t bytes, const char* what, Site site);
// Fails if `p` lies in shared memory.
void check_global(const void* p, const char* what, Site site);
// Fails unless the kernel's source is one for Hopper.
void need_hopper(const char* what, Site site);

// --- Barriers ------------------------------------------------------------------------------------

// What __syncthreads and its kin give: the sum of the threads' `value`s.
unsigned syncthreads(const char* name, unsigned value, Site site);
void named_barrier(int id, int threads, bool wait, Site site);
void fence();

// --- Warps ---------------------------------------------------------------------------------------

enum class WarpOp : uint8_t {
  Sync,
  Shuffle,
  ShuffleUp,
  ShuffleDown,
  ShuffleXor,
  Ballot,
  Any,
  All,
  Ldmatrix,
  Stmatrix,
  Mma
};

// What a lane brings to an operation of its warp.
struct Request {
  WarpOp op;
  unsigned mask;
  uint64_t value;         // shuffles: the lane's value; votes: its predicate; ldmatrix, stmatrix: matrices
  int argument;           // shuffles: source lane, delta or lane mask; ldmatrix, stmatrix: whether transposed;
                          // mma: whether bf16
  int width;              // shuffles: the segment
  const void* a;          // ldmatrix, stmatrix: the row's address; mma: uint32_t[4]
  const void* b;          // mma: uint32_t[2]
  void* out;              // ldmatrix, stmatrix: const unsigned char*[8]; mma: float[4], added to
  Site site;
};
// Waits until every lane of the mask has brought the same operation; gives the lane's result.
uint64_t warp_operation(const Request& request);

// --- Asynchronous copies -------------------------------------------------------------------------

struct Copy {
  void* to;
  const void* from;
  int bytes, valid;
};
void queue_copy(const Copy& copy);
void commit_copies();
// Takes the oldest copy of the thread's closed groups while more than `open` of them are left.
bool next_copy(int open, Copy* copy);

// --- The registry --------------------------------------------------------------------------------

struct Kernel {
  const char *family, *name, *file;
  void (*call)(void** arguments);
  size_t arguments;
  const size_t* sizes;                       // bytes of each argument
  unsigned char *shared_begin, *shared_end;  // the static shared memory of its source file
  Kernel* next;
};
void add_kernel(Kernel* kernel);

struct Arguments {
  size_t count;
  const size_t* sizes;
};

template <auto FUNCTION>
struct Entry;
template <class... A, void (*FUNCTION)(A...)>
struct Entry<FUNCTION> {
  static constexpr size_t SIZES[] = {sizeof(A)..., 0};
  static constexpr Arguments ARGUMENTS{sizeof...(A), SIZES};
  // `arguments` follows cuLaunchKernel: one pointer to each argument's value.
  static void call(void** arguments) { spread(arguments, std::index_sequence_for<A...>()); }

 private:
  template <size_t... I>
  static void spread(void** arguments, std::index_sequence<I...>) {
    FUNCTION(*static_cast<A*>(arguments[I])...);
    (void)arguments;
  }
};

struct Register {
  Kernel kernel;
  Register(const char* family, const char* name, const char* file, void (*call)(void**), Arguments arguments,
           unsigned char* begin, unsigned char* end)
      : kernel{family, name, file, call, arguments.count, arguments.sizes, begin, end, nullptr} {
    add_kernel(&kernel);
  }
};

}  // namespace simt

#define threadIdx (::simt::current.thread)
#define blockIdx (::simt::current.block)
#define blockDim (::simt::current.block_size)
#define gridDim (::simt::current.grid_size)
#define warpSize 32

#define DYNAMIC_SHARED(name) unsigned char* name = ::simt::current.dynamic_shared

template <class V>
inline V load_vector(const void* p, simt::Site site = simt::Site::here()) {
  simt::check_aligned(p, alignof(V), "vector load", site);
  return *static_cast<const V*>(p);
}

template <class V>
inline void store_vector(void* p, V v, simt::Site site = simt::Site::here()) {
  simt::check_aligned(p, alignof(V), "vector store", site);
  *static_cast<V*>(p) = v;
}
