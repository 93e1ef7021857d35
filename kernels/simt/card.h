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
constexpr unsigned WARPGROUP = 128;
constexpr unsigned MOST_THREADS = 1024;  // of a block
constexpr unsigned MOST_CLUSTER = 16;    // blocks of a cluster
constexpr unsigned MOST_FIBERS = 8192;   // threads of a cluster
constexpr unsigned NAMED_BARRIERS = 16;  // 0 is __syncthreads
constexpr size_t MEMORY = size_t(1) << 30;

// Dynamic shared memory of a block: what every card from sm_86 on has, and what Hopper has.
constexpr size_t most_shared(unsigned arch) { return size_t(arch >= 90 ? 227 : 99) << 10; }

// The order in which what could run, runs: threads of a block, blocks of a grid.
enum class Order : uint32_t { Forward, Reverse, Random };
struct Schedule {
  Order order;
  uint32_t late_copies, late_matrices;
  uint64_t seed;
};

struct Dim {
  unsigned x, y, z;
  uint64_t count() const { return uint64_t(x) * y * z; }
};

struct Barrier;
struct BlockOrders;
struct Block;
struct Mbarrier;
struct Warp;
struct Warpgroup;

struct Fiber {
  enum State : uint8_t { Ready, Waiting, Ended };
  // What a wait is for.
  enum class Wait : uint8_t { Warp, Barrier, Mbarrier, Cluster, Matrices, Registers };
  State state;
  Wait wait;
  unsigned linear, lane;  // in the block, in the warp
  unsigned slot;          // of fibers.cpp
  uint3 thread;
  Block* block;
  Warp* warp;
  Barrier* barrier;    // of the wait, if it is a block's
  Mbarrier* mbarrier;  // of the wait, if it is one of shared memory
  unsigned parity;     // that it waits for
  Request request;     // of the wait, if it is a warp's
  uint64_t result;
  const char* what;  // of the wait
  Site site;

  std::vector<Copy> copies;  // asynchronous and late: first those of closed groups, in order
  std::vector<unsigned> groups;  // how many copies each closed group has, oldest first
  unsigned open_copies;          // at the end of `copies`, in no group yet

  // wgmma: how many operations the thread has brought, how many at each open commit, and until where
  // it has waited; whether it has passed a fence since its last wait.
  uint64_t matrices, matrices_waited;
  std::vector<uint64_t> matrix_groups;
  bool matrix_fence;

  bool in_cluster_barrier;  // arrived, not waited yet
  uint64_t cluster_generation;

  char* stack;
  void* sp;
  void* fake_stack;  // AddressSanitizer's
  void* tsan;        // ThreadSanitizer's
  void* engine;      // the copy engine's part that serves the thread, as ThreadSanitizer knows it
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

// A block that runs; those of a cluster run together.
struct Block {
  uint3 index;
  unsigned rank;  // in its cluster
  Fiber* fibers;  // card.threads of them
  unsigned ended;
  std::vector<Warp> warps;
  Barrier barriers[NAMED_BARRIERS];
  BlockOrders* orders;
  unsigned char *shared_raw, *shared;
  size_t shared_bytes;
  // Shared memory as the copy engine and wgmma may read it: what they wrote, and what a fence has
  // made known to them (async.cpp).
  unsigned char* known;
  std::vector<Warpgroup*> warpgroups;
  unsigned free_registers;  // for setmaxnreg

  bool is_shared(const void* p, size_t bytes) const {
    auto* at = static_cast<const unsigned char*>(p);
    return at >= shared && at <= shared + shared_bytes && bytes <= static_cast<size_t>(shared + shared_bytes - at);
  }
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
  std::vector<Fiber> fibers;   // of all blocks that run
  std::vector<Block> blocks;   // that run: a cluster, or one
  std::vector<unsigned> turns;
  unsigned threads;       // of a block
  unsigned fibers_count;  // of the cluster
  Dim grid, block, cluster;
  bool joined;  // whether blocks are ordered for the race detector
  bool faulted;
  char fault[2048];

  std::map<uintptr_t, Buffer> buffers;
  size_t allocated;
  uint64_t allocations;
};
extern Card card;
extern Kernel* kernels;

// Whether the kernel's source is a file sm90_*.cu, which alone is compiled for Hopper.
bool is_hopper(const Kernel& kernel);

// card.cpp: errors
void set_fault(const char* prefix, const char* format, va_list arguments);
void note_fault(const Fiber& fiber, const char* format, ...) __attribute__((format(printf, 2, 3)));
// For faults of a block as a whole.
Fiber nobody_of(const Block& block);
// A fault of `fiber` at `site`, though another may be running: ends the running thread, if one is.
void blame(const Fiber& fiber, Site site, const char* format, ...) __attribute__((format(printf, 3, 4)));
const char* name_of(WarpOp op);

// fibers.cpp
void make_stacks(unsigned threads);
// `index` counts all fibres of the cluster.
void start_fiber(Fiber& fiber, unsigned index, void (*entry)());
void end_fibers();
void switch_to(Fiber& fiber, bool for_good = false);
[[noreturn]] void leave();
// For a signal handler that goes on in the scheduler: tells the sanitizer.
void tell_of_switch_to_main();
void first_step();
// Waits until another fibre makes this one ready.
void wait(Fiber::Wait kind, const char* what, Site site);

// schedule.cpp
void run_grid(size_t shared);
uint32_t random_below(uint32_t bound);

// blocks.cpp
void make_block(Block& block, uint3 index, unsigned rank, size_t shared);
void drop_block(Block& block);
// After the last thread of a block of a cluster: nobody may touch its shared memory any more.
void close_block(Block& block);
// The block of the cluster whose dynamic shared memory holds the address; null if none does.
Block* block_of(const void* p);

// deadlock.cpp
void note_deadlock();

// memory.cpp
bool check_sentinels(const char* after, std::string* error);
// The buffer that holds all of `bytes` bytes at `address`; null, and why, if none does.
const Buffer* find_buffer(uint64_t address, size_t bytes, std::string* error);

// faults.cpp
struct SignalGuard {
  SignalGuard();
  ~SignalGuard();
};

}  // namespace simt
