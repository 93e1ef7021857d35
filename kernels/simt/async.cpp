// The async proxy's engines and what it knows of shared memory.

#include "simt/async.h"

namespace simt {

namespace {

typedef uint64_t Wide __attribute__((vector_size(32), aligned(16), may_alias));
[[maybe_unused]] void* copy_engines[MOST_FIBERS];
[[maybe_unused]] void* matrix_engines[MOST_FIBERS];

}  // namespace

void*& copy_engine(const Fiber& fiber) { return copy_engines[fiber.slot]; }
void*& matrix_engine(const Fiber& fiber) { return matrix_engines[fiber.warp->lanes[0]->slot]; }

void end_engines() {
#if defined(SIMT_TSAN)
  for (unsigned i = 0; i < card.fibers_count; i++) {
    for (void** engine : {&copy_engines[i], &matrix_engines[i]}) {
      if (*engine == nullptr) continue;
      AsEngine as(*engine);
      release(&orders.finished);
      if (card.joined) release(&orders.blocks);
    }
  }
#endif
}

bool is_known(const Block& block, size_t offset, size_t bytes) {
  const unsigned char *now = block.shared + offset, *known = block.known + offset;
  uint64_t other = 0;
  size_t i = 0;
  for (; i + 8 <= bytes; i += 8) {
    uint64_t a, b;
    __builtin_memcpy(&a, now + i, 8);
    __builtin_memcpy(&b, known + i, 8);
    other |= a ^ b;
  }
  for (; i < bytes; i++) other |= now[i] ^ known[i];
  return other == 0;
}

void make_known(Block& block) {
  if (block.known == nullptr) return;
  auto* to = reinterpret_cast<Wide*>(block.known);
  auto* from = reinterpret_cast<const Wide*>(block.shared);
  size_t wide = (block.shared_bytes + sizeof(Wide) - 1) / sizeof(Wide);
  for (size_t i = 0; i < wide; i++) to[i] = from[i];
}

}  // namespace simt
