// The C interface: the registry and launches; memory.cpp has the rest.

#include "simt/abi.h"

using namespace simt;

namespace {

const Kernel* kernel_at(size_t index) {
  const Kernel* k = kernels;
  while (k != nullptr && index > 0) {
    k = k->next;
    index--;
  }
  return k;
}

// What a card would refuse about a launch's shape; empty if nothing.
std::string wrong_shape(Dim grid, Dim block, size_t shared) {
  if (grid.count() == 0 || block.count() == 0) return "the grid or the block is empty";
  if (block.x > 1024 || block.y > 1024 || block.z > 64 || block.count() > MOST_THREADS) {
    return "the block is over 1024 x 1024 x 64, or over 1024 threads";
  }
  if (grid.x > 0x7fffffffu || grid.y > 0xffff || grid.z > 0xffff) return "the grid is over 2^31 - 1 x 65535 x 65535";
  if (shared > MOST_SHARED) {
    return std::to_string(shared) + " bytes of dynamic shared memory are over " + std::to_string(MOST_SHARED);
  }
  return "";
}

}  // namespace

uint32_t simt_abi_version() { return 1; }
const char* simt_build() { return BUILD; }
uint64_t simt_memory() { return MEMORY; }
size_t simt_most_shared() { return MOST_SHARED; }

size_t simt_kernel_count() {
  size_t n = 0;
  for (const Kernel* k = kernels; k != nullptr; k = k->next) n++;
  return n;
}

const char* simt_kernel_name(size_t index) {
  const Kernel* k = kernel_at(index);
  return k ? k->name : nullptr;
}

const char* simt_kernel_family(size_t index) {
  const Kernel* k = kernel_at(index);
  return k ? k->family : nullptr;
}

size_t simt_kernel_arguments(size_t index) {
  const Kernel* k = kernel_at(index);
  return k ? k->arguments : 0;
}

size_t simt_argument_bytes(size_t index, size_t argument) {
  const Kernel* k = kernel_at(index);
  return k && argument < k->arguments ? k->sizes[argument] : 0;
}

int simt_launch(size_t index, const uint32_t* grid, const uint32_t* block, size_t shared, void** arguments,
                size_t argument_count, const Schedule* schedule, char* error, size_t capacity) {
  Call call(error, capacity);
  const Kernel* kernel = kernel_at(index);
  if (kernel == nullptr) return call.refuse(SIMT_UNSUPPORTED, "there is no such kernel");
  std::string name = std::string("kernel ") + kernel->name;
  Dim g{grid[0], grid[1], grid[2]}, b{block[0], block[1], block[2]};
  if (argument_count != kernel->arguments) {
    return call.refuse(SIMT_FAILED, name + " takes " + std::to_string(kernel->arguments) + " arguments, not " +
                                        std::to_string(argument_count));
  }
  std::string wrong = wrong_shape(g, b, shared);
  if (!wrong.empty()) return call.refuse(SIMT_FAILED, name + ": " + wrong);
  if (!check_sentinels("something before the launch", &wrong)) return call.refuse(SIMT_FAILED, wrong);

  card.kernel = kernel;
  card.arguments = arguments;
  card.schedule = *schedule;
  card.faulted = false;
  card.running = &card.main;
  catch_reports();
  {
    SignalGuard guard;
    run_grid(g, b, shared);
  }
  bool whole = check_sentinels(name.c_str(), &wrong);
  if (card.faulted) return call.refuse(SIMT_FAILED, card.fault);
  return whole ? SIMT_DONE : call.refuse(SIMT_FAILED, wrong);
}
