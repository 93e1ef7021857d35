// Fibres: one CUDA thread each, on a stack of its own, switched by hand.

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

#include "simt/card.h"
#include "simt/sanitizer.h"

#if !defined(__x86_64__)
#error "the simulated card switches fibres on x86-64 only"
#endif

// Saves the callee-saved registers and the stack pointer, and goes on where `to` was saved. A signal
// handler enters at simt_resume to give up the running fibre.
asm(R"(
.text
.globl simt_swap
.hidden simt_swap
.type simt_swap, @function
simt_swap:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
.globl simt_resume
.hidden simt_resume
simt_resume:
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
.size simt_swap, .-simt_swap
)");
extern "C" void simt_swap(void** save, void* to);

namespace simt {

namespace {

constexpr size_t GUARD = 4096;  // below each stack, not accessible
char* arena;
unsigned stacks_made;
// A slot is a stack and, for the race detector, a thread. Making such a thread is slow, so that slots
// serve one block after another; they change hands, so that the same thread of two blocks is two threads.
unsigned turn;
[[maybe_unused]] void* tsan_threads[MOST_FIBERS];
// The scheduler's stack as AddressSanitizer knows it; taken anew for each block.
[[maybe_unused]] const void* main_stack;
[[maybe_unused]] size_t main_stack_bytes;

char* stack_of(unsigned slot) { return arena + slot * (STACK + GUARD) + GUARD; }

}  // namespace

void make_stacks(unsigned threads) {
  if (arena == nullptr) {
    void* got = mmap(nullptr, MOST_FIBERS * (STACK + GUARD), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) {
      std::perror("simulated card: no memory for stacks");
      std::abort();
    }
    arena = static_cast<char*>(got);
  }
  for (; stacks_made < threads; stacks_made++) mprotect(stack_of(stacks_made) - GUARD, GUARD, PROT_NONE);
  turn += 37;
}

void start_fiber(Fiber& fiber, unsigned index, void (*entry)()) {
  fiber.slot = (index + turn) % card.fibers_count;
  fiber.stack = stack_of(fiber.slot);
  // The last fibre here never returned from its frames.
  unpoison(fiber.stack, STACK);
  auto** top = reinterpret_cast<void**>(fiber.stack + STACK);
  *--top = nullptr;  // where `entry` would return to
  *--top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; i++) *--top = nullptr;  // the saved registers
  fiber.sp = top;
  fiber.fake_stack = nullptr;
#if defined(SIMT_TSAN)
  void*& thread = tsan_threads[fiber.slot];
  if (thread == nullptr) thread = __tsan_create_fiber(0);
  fiber.tsan = thread;
#endif
}

// All fibres of the cluster are done with, those that a fault left behind too: what they did comes
// before whatever follows the launch, and before the next block if blocks are joined.
void end_fibers() {
#if defined(SIMT_TSAN)
  for (unsigned i = 0; i < card.fibers_count; i++) {
    Fiber& fiber = card.fibers[i];
    __tsan_switch_to_fiber(fiber.tsan, __tsan_switch_to_fiber_no_sync);
    release(&orders.finished);
    if (card.joined) release(&orders.blocks);
    __tsan_switch_to_fiber(card.main.tsan, __tsan_switch_to_fiber_no_sync);
    if (!card.faulted) continue;
    // Left in the middle of a function, it would never be whole again.
    __tsan_destroy_fiber(fiber.tsan);
    tsan_threads[fiber.slot] = nullptr;
  }
#endif
  for (unsigned i = 0; i < card.fibers_count; i++) unpoison(card.fibers[i].stack, STACK);
  main_stack = nullptr;
}

// The first thing a fibre does.
void first_step() {
#if defined(SIMT_ASAN)
  const void* from;
  size_t bytes;
  __sanitizer_finish_switch_fiber(nullptr, &from, &bytes);
  if (main_stack == nullptr) {
    main_stack = from;
    main_stack_bytes = bytes;
  }
#endif
  acquire(&orders.started);
  if (card.joined) acquire(&orders.blocks);
}

namespace {

// Before a switch; `fake_stack` keeps the present fibre's, or is null if it is left for good.
void tell_of_switch([[maybe_unused]] Fiber& to, [[maybe_unused]] void** fake_stack) {
#if defined(SIMT_ASAN)
  bool main = &to == &card.main;
  __sanitizer_start_switch_fiber(fake_stack, main ? main_stack : to.stack, main ? main_stack_bytes : STACK);
#elif defined(SIMT_TSAN)
  __tsan_switch_to_fiber(to.tsan, __tsan_switch_to_fiber_no_sync);
#endif
}

}  // namespace

void tell_of_switch_to_main() { tell_of_switch(card.main, nullptr); }

void switch_to(Fiber& to, bool for_good) {
  Fiber& from = *card.running;
  card.running = &to;
  if (&to != &card.main) {
    current.thread = to.thread;
    current.lane = to.lane;
    current.block = to.block->index;
    current.dynamic_shared = to.block->shared;
  }
  tell_of_switch(to, for_good ? nullptr : &from.fake_stack);
  simt_swap(&from.sp, to.sp);
#if defined(SIMT_ASAN)
  __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
#endif
}

void leave() {
  card.running->state = Fiber::Ended;
  switch_to(card.main, true);
  __builtin_unreachable();
}

void wait(Fiber::Wait kind, const char* what, Site site) {
  Fiber& fiber = *card.running;
  fiber.wait = kind;
  fiber.what = what;
  fiber.site = site;
  fiber.state = Fiber::Waiting;
  switch_to(card.main);
}

}  // namespace simt
