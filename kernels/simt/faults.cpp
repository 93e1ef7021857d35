// Faults of the processor in a kernel (a wild address, a failed alignment or bounds check, a division
// by zero, a full stack) end the launch, not the process.

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>

#include <cstring>

#include "simt/card.h"
#include "simt/sanitizer.h"

extern "C" void simt_resume();

namespace simt {

namespace {

constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
struct sigaction before[4];
stack_t stack_before;
alignas(16) char handler_stack[64 << 10];
pthread_t launcher;

const char* name_of(int signal) {
  switch (signal) {
    case SIGILL: return "a failed alignment or bounds check";
    case SIGFPE: return "an integer division by zero or its like";
    default: return "an access to memory that is nobody's or not aligned";
  }
}

// The block of the cluster that has ended and whose shared memory holds the address; null if none does.
const Block* ended_block_of(uintptr_t address) {
  for (const Block& block : card.blocks) {
    auto start = reinterpret_cast<uintptr_t>(block.shared);
    if (block.ended == card.threads && address - start < block.shared_bytes) return &block;
  }
  return nullptr;
}

// Gives up the running fibre: the scheduler goes on as if it had switched to it. The fault is told
// with what little is safe in a handler of a synchronous fault: the fibre holds no lock of ours.
void handle(int signal, siginfo_t* info, void* context) {
  bool ours = pthread_equal(pthread_self(), launcher) && card.running != nullptr && card.running != &card.main;
  if (!ours) {
    for (size_t i = 0; i < 4; i++) {
      if (SIGNALS[i] == signal) sigaction(signal, &before[i], nullptr);
    }
    return;  // the instruction faults again, for whoever was there before
  }
  auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  auto at = static_cast<uintptr_t>(registers[REG_RIP]);
  Dl_info library{};
  dladdr(reinterpret_cast<void*>(at), &library);
  const char* name = library.dli_fname ? library.dli_fname : "?";
  if (const char* slash = std::strrchr(name, '/')) name = slash + 1;
  auto offset = at - reinterpret_cast<uintptr_t>(library.dli_fbase);
  auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  auto stack = reinterpret_cast<uintptr_t>(card.running->stack);
  if (signal == SIGSEGV && address < stack && address >= stack - 4096) {
    note_fault(*card.running, "the thread's stack of %zu bytes is full (addr2line -e %s 0x%zx)", STACK, name, offset);
  } else if (const Block* ended = signal == SIGSEGV ? ended_block_of(address) : nullptr) {
    const uint3& b = ended->index;
    constexpr const char* text =
        "an access to the shared memory of block (%u,%u,%u), which has ended (addr2line -e %s 0x%zx)";
    note_fault(*card.running, text, b.x, b.y, b.z, name, offset);
  } else {
    note_fault(*card.running, "%s (addr2line -e %s 0x%zx)", name_of(signal), name, offset);
  }
  card.running->state = Fiber::Ended;
  tell_of_switch_to_main();
  card.running = &card.main;
  registers[REG_RSP] = reinterpret_cast<greg_t>(card.main.sp);
  registers[REG_RIP] = reinterpret_cast<greg_t>(&simt_resume);
}

}  // namespace

SignalGuard::SignalGuard() {
  launcher = pthread_self();
  stack_t mine{};
  mine.ss_sp = handler_stack;
  mine.ss_size = sizeof handler_stack;
  sigaltstack(&mine, &stack_before);
  struct sigaction action{};
  action.sa_sigaction = handle;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < 4; i++) sigaction(SIGNALS[i], &action, &before[i]);
}

SignalGuard::~SignalGuard() {
  for (size_t i = 0; i < 4; i++) sigaction(SIGNALS[i], &before[i], nullptr);
  sigaltstack(&stack_before, nullptr);
}

}  // namespace simt
