// wgmma: descriptors, the queue of a warpgroup, fragments.
//
// A thread brings its part of an operation and goes on. The operation runs once all 128 have brought
// theirs, or late, when somebody waits for it; in order. What it adds to is taken from the threads'
// registers as they arrive, or from an operation before it that is still under way with the same
// accumulators; registers hold NaN until they are waited for, or the operation has run early.
//
// With g = lane / 4 and t = lane % 4, of warp w in the warpgroup (PTX ISA, "Register fragments"):
//   d[4j + 2h + e]    row 16w + g + 8h, column 8j + 2t + e
//   a[2i + h]         row 16w + g + 8h, columns 8i + 2t and the next

#include "simt/async.h"
#include "simt/half.h"
#include "simt/tensor_map.h"
#include "simt/wgmma_unit.h"

namespace simt {

namespace {

constexpr uint32_t IN_FLIGHT = 0x7fc0dead;  // a NaN of ours
// Where shared addresses begin: the card keeps the first KiB for itself.
constexpr uint32_t SHARED_BASE = 1024;
constexpr uint32_t MOST_ADDRESS = 1 << 18;
constexpr unsigned SPANS[] = {0, 128, 64, 32};  // by the descriptor's kind

// A factor in shared memory, as its descriptor's bits say (PTX ISA, "Matrix descriptor format").
struct Tile {
  uint32_t start, leading, stride, base;
  unsigned span;

  explicit Tile(uint64_t bits)
      : start(static_cast<uint32_t>(bits & 0x3fff) << 4),
        leading(static_cast<uint32_t>(bits >> 16 & 0x3fff) << 4),
        stride(static_cast<uint32_t>(bits >> 32 & 0x3fff) << 4),
        base(static_cast<uint32_t>(bits >> 49 & 7)),
        span(SPANS[bits >> 62]) {}

  // The address of 8 values of a row, from value 8 * half on.
  uint32_t piece(unsigned row, unsigned half) const {
    if (span == 0) return start + row / 8 * stride + row % 8 * 16 + half * leading;
    return static_cast<uint32_t>(swizzled(start + row / 8 * stride + row % 8 * span + half * 16, span));
  }
};

// What is wrong with a factor's descriptor and memory; checked once all threads have arrived.
void check_tile(const Fiber& fiber, const char* name, uint64_t bits, unsigned rows, Site site) {
  Tile tile(bits);
  const Block& block = *fiber.block;
  if (tile.base != 0 || (tile.span != 0 && tile.start % (tile.span * 8) >= 128)) {
    constexpr const char* text =
        "wgmma: %s begins at byte %u with a base offset of %u: tiles stand at multiples of %u bytes";
    return blame(fiber, site, text, name, tile.start - SHARED_BASE, tile.base, tile.span * 8);
  }
  for (unsigned row = 0; row < rows; row++) {
    for (unsigned half = 0; half < 2; half++) {
      int64_t at = int64_t(tile.piece(row, half)) - SHARED_BASE;
      if (at < 0 || at + 16 > static_cast<int64_t>(block.shared_bytes)) {
        constexpr const char* text = "wgmma: row %u of %s, at byte %lld, is outside the dynamic shared memory";
        return blame(fiber, site, text, row, name, static_cast<long long>(at));
      }
      if (!is_known(block, static_cast<size_t>(at), 16)) {
        constexpr const char* text =
            "wgmma reads what threads have written since the last fence_async_shared: row %u of %s, at byte %lld";
        return blame(fiber, site, text, row, name, static_cast<long long>(at));
      }
    }
  }
}

// Copies a factor by rows of 16 values.
void gather(uint16_t* to, const Block& block, uint64_t bits, unsigned rows) {
  Tile tile(bits);
  for (unsigned row = 0; row < rows; row++) {
    for (unsigned half = 0; half < 2; half++) {
      copy_16(to + row * MATRIX_DEPTH + half * 8, block.shared + (tile.piece(row, half) - SHARED_BASE));
    }
  }
}

// Each warp reads its own rows of A, and all of B.
void tell_reads(const Block& block, const Fiber* first, const MatrixOp& op, char* order) {
#if defined(SIMT_TSAN)
  for (unsigned warp = 0; warp < 4; warp++) {
    AsEngine as(matrix_engine(first[warp * WARP]));
    auto tell = [&](uint64_t bits, unsigned row0, unsigned rows) {
      Tile tile(bits);
      for (unsigned row = row0; row < row0 + rows; row++) {
        for (unsigned half = 0; half < 2; half++) tell_read(block.shared + (tile.piece(row, half) - SHARED_BASE), 16);
      }
    };
    if (op.a == nullptr) tell(op.asked.a, warp * 16, 16);
    tell(op.asked.b, 0, op.asked.n);
    release(order);
  }
#else
  (void)block, (void)first, (void)op, (void)order;
#endif
}

// Calls f(i, place) for each accumulator of the thread: d[i] is values[place].
template <class F>
void each_accumulator(unsigned thread, unsigned n, F f) {
  unsigned row = thread / WARP * 16 + thread % WARP / 4, column = thread % 4 * 2;
  for (unsigned j = 0; j < n / 8; j++) {
    for (unsigned h = 0; h < 2; h++) {
      unsigned place = (row + 8 * h) * n + 8 * j + column;
      f(4 * j + 2 * h, place);
      f(4 * j + 2 * h + 1, place + 1);
    }
  }
}

void gather_registers(uint16_t* to, const MatrixOp& op) {
  for (unsigned thread = 0; thread < WARPGROUP; thread++) {
    unsigned row = thread / WARP * 16 + thread % WARP / 4, column = thread % 4 * 2;
    for (unsigned i = 0; i < 4; i++) {
      uint32_t pair = op.a[thread * 4 + i];
      uint16_t* at = to + (row + 8 * (i % 2)) * MATRIX_DEPTH + 8 * (i / 2) + column;
      at[0] = static_cast<uint16_t>(pair);
      at[1] = static_cast<uint16_t>(pair >> 16);
    }
  }
}

MatrixOp* successor(Warpgroup& group, uint64_t number) {
  for (uint64_t i = number + 1 - group.first; i < group.ops.size(); i++) {
    if (group.ops[i].follows == number + 1) return &group.ops[i];
  }
  return nullptr;
}

// Runs the next operation, all of whose threads have arrived.
void run_next(Warpgroup& group, const Fiber& fiber) {
  static uint16_t a[MATRIX_ROWS * MATRIX_DEPTH], b[256 * MATRIX_DEPTH];
  uint64_t number = group.executed++;
  MatrixOp& op = group.ops[number - group.first];
  const Block& block = *fiber.block;
  const Fiber* first = &block.fibers[fiber.linear / WARPGROUP * WARPGROUP];
  unsigned n = op.asked.n;
  if (op.a != nullptr) {
    gather_registers(a, op);
  } else {
    gather(a, block, op.asked.a, MATRIX_ROWS);
  }
  gather(b, block, op.asked.b, n);
  tell_reads(block, first, op, &group.orders[number % sizeof group.orders]);
  if (!op.asked.accumulate) {
    for (unsigned i = 0; i < MATRIX_ROWS * n; i++) op.values[i] = 0.0f;
  }
  multiply_tiles(op.values.get(), a, b, n, op.asked.bfloat);
  op.done = true;
  if (MatrixOp* next = successor(group, number)) {
    next->values = std::move(op.values);
    return;
  }
  for (unsigned thread = 0; thread < WARPGROUP; thread++) {
    each_accumulator(thread, n, [&](unsigned i, unsigned place) { op.d[thread][i] = op.values[place]; });
  }
  Quiet quiet;
  op.values.reset();
}

// Forgets what nobody can ask about any more.
void forget(Warpgroup& group) {
  Quiet quiet;
  while (!group.ops.empty() && group.ops.front().done) {
    const MatrixOp* next = successor(group, group.first);
    if (next != nullptr && next->arrived < WARPGROUP) return;
    group.ops.pop_front();
    group.first++;
  }
}

bool alike(const MatrixRequest& x, const MatrixRequest& y) {
  return x.n == y.n && x.a == y.a && x.b == y.b && x.bfloat == y.bfloat && x.accumulate == y.accumulate &&
         (x.registers == nullptr) == (y.registers == nullptr) && x.site.line == y.site.line;
}

// Founds an operation with what its first thread asks for.
MatrixOp& found(Warpgroup& group, const MatrixRequest& asked, unsigned thread, uint64_t number) {
  Quiet quiet;
  group.ops.emplace_back();
  MatrixOp& op = group.ops.back();
  op.asked = asked;
  op.follows = op.arrived = 0;
  op.done = false;
  for (float*& d : op.d) d = nullptr;
  for (uint64_t other = number; other-- > group.executed;) {
    const MatrixOp& before = group.ops[other - group.first];
    if (before.d[thread] != asked.d) continue;
    op.follows = other + 1;
    break;
  }
  if (op.follows == 0) op.values = std::make_unique<float[]>(MATRIX_ROWS * asked.n);
  if (asked.registers != nullptr) op.a = std::make_unique<uint32_t[]>(4 * WARPGROUP);
  return op;
}

// Takes the thread's registers into the operation, and leaves NaN in them.
void take_registers(Warpgroup& group, MatrixOp& op, const MatrixRequest& r, unsigned thread) {
  op.d[thread] = r.d;
  if (r.registers != nullptr) {
    for (unsigned i = 0; i < 4; i++) op.a[thread * 4 + i] = r.registers[i];
  }
  if (op.follows != 0) {
    const MatrixOp* before = op.follows > group.first ? &group.ops[op.follows - 1 - group.first] : nullptr;
    if (before != nullptr && (before->d[thread] != r.d || before->asked.n != r.n)) {
      fail(r.site, "wgmma: the threads of a warpgroup differ in which accumulators they use again");
    }
    each_accumulator(thread, r.n, [&](unsigned i, unsigned) {
      if (to_bits(r.d[i]) != IN_FLIGHT) fail(r.site, "wgmma: accumulator %u was written while wgmma was under way", i);
    });
    return;
  }
  each_accumulator(thread, r.n, [&](unsigned i, unsigned place) {
    op.values[place] = r.d[i];
    r.d[i] = from_bits(IN_FLIGHT);
  });
}

// All threads have brought the operation.
void complete(Warpgroup& group, Fiber& me, const MatrixOp& op) {
  const MatrixRequest& r = op.asked;
  if (op.a == nullptr) check_tile(me, "A", r.a, MATRIX_ROWS, r.site);
  check_tile(me, "B", r.b, r.n, r.site);
  if (!card.schedule.late_matrices) run_next(group, me);
  for (unsigned i = me.linear / WARPGROUP * WARPGROUP, end = i + WARPGROUP; i < end; i++) {
    Fiber& f = me.block->fibers[i];
    if (f.state == Fiber::Waiting && f.wait == Fiber::Wait::Matrices) f.state = Fiber::Ready;
  }
}

}  // namespace

Warpgroup& warpgroup_of(const Fiber& fiber, const char* what, Site site) {
  need_hopper(what, site);
  size_t number = fiber.linear / WARPGROUP;
  if (number >= fiber.block->warpgroups.size()) {
    fail(site, "%s by a warpgroup that is not whole: the block has %u threads", what, card.threads);
  }
  return *fiber.block->warpgroups[number];
}

uint64_t describe_matrix(const void* tile, unsigned swizzle, uint32_t leading, uint32_t stride, Site site) {
  need_hopper("matrix_descriptor", site);
  const Block& block = *card.running->block;
  check_aligned(tile, 16, "matrix_descriptor: the tile", site);
  if (!block.is_shared(tile, 16)) fail(site, "matrix_descriptor: the tile is not in the block's dynamic shared memory");
  if (leading % 16 != 0 || stride % 16 != 0 || leading >= MOST_ADDRESS || stride >= MOST_ADDRESS) {
    fail(site, "matrix_descriptor: %u and %u bytes: needs multiples of 16 below 2^18", leading, stride);
  }
  constexpr uint64_t KINDS[] = {0, 3, 2, 1};
  auto address = static_cast<uint64_t>(static_cast<const unsigned char*>(tile) - block.shared) + SHARED_BASE;
  return address >> 4 | static_cast<uint64_t>(leading >> 4) << 16 | static_cast<uint64_t>(stride >> 4) << 32 |
         KINDS[swizzle] << 62;
}

void matrix_fence(Site site) {
  warpgroup_of(*card.running, "wgmma_fence", site);
  card.running->matrix_fence = true;
}

void multiply(const MatrixRequest& r) {
  Fiber& me = *card.running;
  Warpgroup& group = warpgroup_of(me, "wgmma", r.site);
  unsigned thread = me.linear % WARPGROUP;
  if (!me.matrix_fence) fail(r.site, "wgmma without a wgmma_fence since the last wgmma_wait");
  uint64_t number = me.matrices++;
  bool first = number == group.first + group.ops.size();
  MatrixOp& op = first ? found(group, r, thread, number) : group.ops[number - group.first];
  if (!alike(op.asked, r)) {
    fail(r.site, "wgmma: thread %u of the warpgroup brings another operation than the one that began at %s:%d", thread,
         op.asked.site.file, op.asked.site.line);
  }
  take_registers(group, op, r, thread);
  hand_over(matrix_engine(me));
  if (++op.arrived < WARPGROUP) return;
  complete(group, me, op);
  forget(group);
}

void commit_matrices(Site site) {
  warpgroup_of(*card.running, "wgmma_commit", site);
  Quiet quiet;
  card.running->matrix_groups.push_back(card.running->matrices);
}

void wait_matrices(int open, Site site) {
  Fiber& me = *card.running;
  Warpgroup& group = warpgroup_of(me, "wgmma_wait", site);
  me.matrix_fence = false;
  auto& groups = me.matrix_groups;
  if (groups.size() <= static_cast<size_t>(open)) return;
  auto closed = static_cast<long>(groups.size()) - open;
  uint64_t until = groups[static_cast<size_t>(closed) - 1];
  groups.erase(groups.begin(), groups.begin() + closed);
  me.matrices_waited = until;
  while (group.executed < until) {
    const MatrixOp& next = group.ops[group.executed - group.first];
    if (next.arrived == WARPGROUP) {
      run_next(group, me);
      forget(group);
    } else {
      wait(Fiber::Wait::Matrices, "wgmma_wait", site);
    }
  }
  if (until > 0) acquire(&group.orders[(until - 1) % sizeof group.orders]);
}

std::string wait_of_matrices(const Fiber& f) {
  const Warpgroup& group = *f.block->warpgroups[f.linear / WARPGROUP];
  const MatrixOp& op = group.ops[group.executed - group.first];
  const Site& site = op.asked.site;
  return "for a wgmma that " + std::to_string(op.arrived) + " of 128 threads have brought (" + site.file + ":" +
         std::to_string(site.line) + ")";
}

void check_ended_matrices(const Fiber& fiber) {
  if (fiber.matrices > fiber.matrices_waited) {
    fail({"", 0}, "the thread ends with %llu wgmma not waited for",
         static_cast<unsigned long long>(fiber.matrices - fiber.matrices_waited));
  }
}

}  // namespace simt
