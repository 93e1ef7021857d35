// The matrix operations of a warpgroup, for the runtime.
#pragma once

#include <deque>
#include <memory>

#include "simt/card.h"
#include "simt/wgmma.h"

namespace simt {

constexpr unsigned MATRIX_ROWS = 64, MATRIX_DEPTH = 16;

// One wgmma: what the first thread asked for, and what each thread brought.
struct MatrixOp {
  MatrixRequest asked;
  uint64_t follows;  // 1 + the number of the operation whose result this one takes up; 0 if there is none
  unsigned arrived;
  bool done;
  std::unique_ptr<float[]> values;  // 64 x n; empty until the followed one is done
  std::unique_ptr<uint32_t[]> a;    // 4 of each thread, if A is in registers
  float* d[WARPGROUP];
};

// setmaxnreg (registers.cpp): registers of each thread, and what the threads ask for.
struct Registers {
  unsigned held, wanted, arrived;
  int line;
  uint64_t changes;
};

struct Warpgroup {
  std::deque<MatrixOp> ops;  // those that somebody may still ask about
  uint64_t first;            // number of ops.front()
  uint64_t executed;         // operations up to here have run, in order
  Registers registers;
  char orders[256];  // for the race detector: an operation has read its operands
};

// Of a thread; fails if it is not whole.
Warpgroup& warpgroup_of(const Fiber& fiber, const char* what, Site site);
// What each thread of a block starts with.
unsigned first_registers();
std::string wait_of_registers(const Fiber& fiber);

// acc[64][n] (+)= a[64][16] b[n][16], the factors in 16 bits by rows of 16 values.
void multiply_tiles(float* acc, const uint16_t* a, const uint16_t* b, unsigned n, bool bfloat);

std::string wait_of_matrices(const Fiber& fiber);
// Fails if operations of the thread have not been waited for.
void check_ended_matrices(const Fiber& fiber);

}  // namespace simt
