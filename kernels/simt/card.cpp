// The card's one instance, its registry of kernels, and how a launch goes wrong.

#include "simt/card.h"

#include <cstdio>
#include <cstring>

#include "simt/sanitizer.h"

namespace simt {

Card card;
Current current;
Kernel* kernels;
Orders orders;

void add_kernel(Kernel* kernel) {
  kernel->next = kernels;
  kernels = kernel;
}

// The kernel, the block and the thread, if the fibre is one.
std::string where(const Fiber& fiber) {
  char text[160];
  const char* name = card.kernel ? card.kernel->name : "?";
  const uint3& b = fiber.block ? fiber.block->index : current.block;
  int used = std::snprintf(text, sizeof text, "kernel %.80s, block (%u,%u,%u)", name, b.x, b.y, b.z);
  const uint3& t = fiber.thread;
  if (fiber.warp != nullptr) {
    std::snprintf(text + used, sizeof text - static_cast<size_t>(used), ", thread (%u,%u,%u)", t.x, t.y, t.z);
  }
  return text;
}

// The first fault of a launch is the one that is told.
void set_fault(const char* prefix, const char* format, va_list arguments) {
  if (card.faulted) return;
  int used = std::snprintf(card.fault, sizeof card.fault, "%s: ", prefix);
  std::vsnprintf(card.fault + used, sizeof card.fault - static_cast<size_t>(used), format, arguments);
  card.faulted = true;
}

void note_fault(const Fiber& fiber, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  set_fault(where(fiber).c_str(), format, arguments);
  va_end(arguments);
}

namespace {

void note(const Fiber& fiber, Site site, const char* format, va_list arguments) {
  Quiet quiet;
  std::string place = where(fiber);
  if (site.line > 0) place += std::string(", at ") + site.file + ":" + std::to_string(site.line);
  set_fault(place.c_str(), format, arguments);
}

}  // namespace

Fiber nobody_of(const Block& block) {
  Fiber nobody{};
  nobody.block = const_cast<Block*>(&block);
  return nobody;
}

void fail(Site site, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  note(*card.running, site, format, arguments);
  va_end(arguments);
  leave();
}

void blame(const Fiber& fiber, Site site, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  note(fiber, site, format, arguments);
  va_end(arguments);
  if (card.running != &card.main) leave();
}

bool is_hopper(const Kernel& kernel) {
  const char* slash = std::strrchr(kernel.file, '/');
  return std::strncmp(slash ? slash + 1 : kernel.file, "sm90_", 5) == 0;
}

void need_hopper(const char* what, Site site) {
  if (!is_hopper(*card.kernel)) fail(site, "%s is Hopper's: only the kernels of files sm90_*.cu have it", what);
}

const char* name_of(WarpOp op) {
  switch (op) {
    case WarpOp::Sync: return "__syncwarp";
    case WarpOp::Shuffle: return "__shfl_sync";
    case WarpOp::ShuffleUp: return "__shfl_up_sync";
    case WarpOp::ShuffleDown: return "__shfl_down_sync";
    case WarpOp::ShuffleXor: return "__shfl_xor_sync";
    case WarpOp::Ballot: return "__ballot_sync";
    case WarpOp::Any: return "__any_sync";
    case WarpOp::All: return "__all_sync";
    case WarpOp::Ldmatrix: return "ldmatrix";
    case WarpOp::Stmatrix: return "stmatrix";
    case WarpOp::Mma: return "mma.sync";
  }
  return "?";
}

void check_shared(const void* p, size_t bytes, const char* what, Site site) {
  auto* at = static_cast<const unsigned char*>(p);
  bool fixed = at >= card.kernel->shared_begin && at + bytes <= card.kernel->shared_end;
  if (!card.running->block->is_shared(p, bytes) && !fixed) fail(site, "%s is not in the block's shared memory", what);
}

void check_global(const void* p, const char* what, Site site) {
  auto* at = static_cast<const unsigned char*>(p);
  bool fixed = at >= card.kernel->shared_begin && at < card.kernel->shared_end;
  if (fixed || block_of(p) != nullptr) fail(site, "%s is in shared memory", what);
}

}  // namespace simt
