// The simulated card's state, for its runtime alone.
#pragma once

#include <csetjmp>
#include <cstdarg>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "simt/runtime.h"

namespace simt {

constexpr unsigned WARP = 32;
constexpr unsigned MOST_THREADS = 1024;   // of a block
constexpr unsigned NAMED_BARRIERS = 16;   // 0 is __syncthreads
constexpr size_t MOST_SHARED = 99 << 10;  // dynamic, of a block: what every card from sm_86 on has
constexpr size_t MEMORY = size_t(1) << 30;

// The order in which what could run, runs: threads of a block, blocks of a grid.
enum class Order : uint32_t { Forward, Reverse, Random };
struct Schedule {
  Order order;
  uint32_t late_copies;
  uint64_t seed;
};

struct Dim {
  unsigned x, y, z;
  uint64_t count() const { return uint64_t(x) * y * z; }
};

struct Barrier;
struct Warp;

struct Fiber {
  enum State : uint8_t { Ready, Waiting, Ended };
  State state;
  unsigned linear, lane;
  unsigned slot;  // of fibers.cpp
  uint3 thread;
  Warp* warp;
  Barrier* barrier;  // of the wait, if it is a block's
  Request request;   // of the wait, if it is a warp's
  uint64_t result;
  const char* what;  // of the wait
  Site site;

  std::vector<Copy> copies;  // asynchronous and late: first those of closed groups, in order
  std::vector<unsigned> groups;  // how many copies each closed group has, oldest first
  unsigned open_copies;          // at the end of `copies`, in no group yet

  char* stack;
  void* sp;
  void* fake_stack;  // AddressSanitizer's
  void* tsan;        // ThreadSanitizer's
};

struct Barrier {
  const char* name;
  Site site;
  unsigned needed, arrived, sum;
  uint64_t generation;
};

struct Warp {
  // An operation that some lanes of `mask` have reached.
  struct Meeting {
    WarpOp op;
    unsigned mask, arrived, instance;
    Site site;
  };
  std::vector<Meeting> meetings;
  unsigned live, instances;
  Fiber* lanes[WARP];
};

struct Buffer {
  unsigned char* raw;
  size_t bytes;
  uint64_t number;
};

struct Card {
  std::mutex lock;  // one launch, or one call that touches memory, at a time

  // The launch.
  const Kernel* kernel;
  void** arguments;
  Schedule schedule;
  uint64_t random;
  Fiber main;  // the scheduler
  Fiber* running;
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::vector<unsigned> turns;
  unsigned threads, ended;
  Barrier barriers[NAMED_BARRIERS];
  unsigned char *shared_raw, *shared;
  size_t shared_bytes;
  bool joined;  // whether blocks are ordered for the race detector
  bool faulted;
  char fault[2048];

  std::map<uintptr_t, Buffer> buffers;
  size_t allocated;
  uint64_t allocations;
};
extern Card card;
extern Kernel* kernels;

// card.cpp: errors
void set_fault(const char* prefix, const char* format, va_list arguments);
void note_fault(const Fiber& fiber, const char* format, ...) __attribute__((format(printf, 2, 3)));
const char* name_of(WarpOp op);

// fibers.cpp
void make_stacks(unsigned threads);
void start_fiber(Fiber& fiber, void (*entry)());
void end_fibers();
void switch_to(Fiber& fiber, bool for_good = false);
[[noreturn]] void leave();
// For a signal handler that goes on in the scheduler: tells the sanitizer.
void tell_of_switch_to_main();
void first_step();
// Waits until another fibre makes this one ready.
void wait(const char* what, Site site);

// schedule.cpp
void run_grid(Dim grid, Dim block, size_t shared);

// barrier.cpp, warp.cpp: fresh for a block
void reset_barriers();

// memory.cpp
bool check_sentinels(const char* after, std::string* error);

// faults.cpp
struct SignalGuard {
  SignalGuard();
  ~SignalGuard();
};

}  // namespace simt
