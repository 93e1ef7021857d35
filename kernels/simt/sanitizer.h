// What the runtime tells the sanitizers, and nothing in a plain build.
#pragma once

#include <cstddef>

#if defined(SIMT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#elif defined(SIMT_TSAN)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char*, int);
void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int);
void AnnotateIgnoreWritesEnd(const char*, int);
}
#endif

namespace simt {

#if defined(SIMT_ASAN)
constexpr const char* BUILD = "asan";
constexpr size_t STACK = 256 << 10;
inline void poison(void* p, size_t n) { __asan_poison_memory_region(p, n); }
inline void unpoison(void* p, size_t n) { __asan_unpoison_memory_region(p, n); }
#else
inline void poison(void*, size_t) {}
inline void unpoison(void*, size_t) {}
#endif

#if defined(SIMT_TSAN)
constexpr const char* BUILD = "tsan";
constexpr size_t STACK = 128 << 10;
// While one lives, the thread's accesses through intercepted functions are not looked at.
struct Quiet {
  Quiet() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Quiet() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
};
inline void release(void* p) { __tsan_release(p); }
inline void acquire(void* p) { __tsan_acquire(p); }
#else
struct Quiet {
  ~Quiet() {}
};
inline void release(void*) {}
inline void acquire(void*) {}
#endif

#if !defined(SIMT_ASAN) && !defined(SIMT_TSAN)
constexpr const char* BUILD = "plain";
constexpr size_t STACK = 64 << 10;
#endif

struct Fiber;

// Addresses that stand for an order between threads. Those of a block are fresh for each block, so
// that a block is ordered after another by nothing but what the kernel does.
struct Orders {
  char started, finished, blocks, fence;
};
extern Orders orders;
struct BlockOrders {
  char barriers[16][2];
  char warps[32][64];
};

// reports.cpp: what the sanitizers print is kept, and makes the launch fail.
void catch_reports();
// Notes a fault of `fiber` if something was reported since the last call.
void look_for_reports(const Fiber& fiber);

}  // namespace simt
