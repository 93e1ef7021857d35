// The async proxy: how the copy engine and wgmma reach memory beside the threads.
//
// Two things are kept of it. For the race detector, its accesses belong to threads of its own: one for
// each thread that asks for copies, one for each warp's matrix operations; they are ordered by what
// starts them and by what waits for them, and by nothing else. And `Block::known` holds shared memory
// as the async proxy may see it: what it wrote itself, and what threads wrote before a
// fence_async_shared. Where memory is another when it reads, a fence is missing.
#pragma once

#include "simt/card.h"
#include "simt/sanitizer.h"

namespace simt {

// While one lives, accesses that are told of are the engine's.
class AsEngine {
 public:
  explicit AsEngine([[maybe_unused]] void*& engine) {
#if defined(SIMT_TSAN)
    if (engine == nullptr) engine = __tsan_create_fiber(0);
    back = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(engine, __tsan_switch_to_fiber_no_sync);
#endif
  }
  ~AsEngine() {
#if defined(SIMT_TSAN)
    __tsan_switch_to_fiber(back, __tsan_switch_to_fiber_no_sync);
#endif
  }
  AsEngine(const AsEngine&) = delete;
  AsEngine& operator=(const AsEngine&) = delete;

 private:
  [[maybe_unused]] void* back;
};

// What the running thread did comes before what the engine does from now on.
inline void hand_over([[maybe_unused]] void*& engine) {
#if defined(SIMT_TSAN)
  if (engine == nullptr) engine = __tsan_create_fiber(0);
  void* back = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(engine, 0);
  __tsan_switch_to_fiber(back, __tsan_switch_to_fiber_no_sync);
#endif
}

#if defined(SIMT_TSAN)
extern "C" {
void __tsan_read_range(void* p, unsigned long bytes);
void __tsan_write_range(void* p, unsigned long bytes);
}
inline void tell_read(const void* p, size_t bytes) { __tsan_read_range(const_cast<void*>(p), bytes); }
inline void tell_write(void* p, size_t bytes) { __tsan_write_range(p, bytes); }
#else
inline void tell_read(const void*, size_t) {}
inline void tell_write(void*, size_t) {}
#endif

// The copy engine's part for a thread, and the matrix unit's for its warp.
void*& copy_engine(const Fiber& fiber);
void*& matrix_engine(const Fiber& fiber);
// What the engines did comes before whatever follows the launch.
void end_engines();

// Copies 16 bytes, written out so that no sanitizer looks at it.
inline void copy_16(void* to, const void* from) {
  typedef uint64_t Pair __attribute__((vector_size(16), aligned(1), may_alias));
  *static_cast<Pair*>(to) = *static_cast<const Pair*>(from);
}

// Writes 16 bytes into a block's shared memory, as the async proxy.
inline void write_known(Block& block, size_t offset, const void* from) {
  copy_16(block.shared + offset, from);
  copy_16(block.known + offset, from);
}
// Whether all of the range is known to the async proxy.
bool is_known(const Block& block, size_t offset, size_t bytes);
// A fence: what any thread has written by now is known.
void make_known(Block& block);

}  // namespace simt
