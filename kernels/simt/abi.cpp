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
std::string wrong_shape(const Kernel& kernel, Dim grid, Dim block, const Shape& shape) {
  if (grid.count() == 0 || block.count() == 0) return "the grid or the block is empty";
  if (block.x > 1024 || block.y > 1024 || block.z > 64 || block.count() > MOST_THREADS) {
    return "the block is over 1024 x 1024 x 64, or over 1024 threads";
  }
  if (grid.x > 0x7fffffffu || grid.y > 0xffff || grid.z > 0xffff) return "the grid is over 2^31 - 1 x 65535 x 65535";
  if (is_hopper(kernel) && shape.arch != 90) {
    return "it is for sm_90a, not sm_" + std::to_string(shape.arch);
  }
  size_t most = most_shared(shape.arch);
  if (shape.shared > most) {
    return std::to_string(shape.shared) + " bytes of dynamic shared memory are over " + std::to_string(most);
  }
  return "";
}

// The same of its clusters.
std::string wrong_cluster(const Kernel& kernel, Dim grid, Dim block, Dim cluster) {
  uint64_t blocks = cluster.count();
  if (blocks == 1) return "";
  if (!is_hopper(kernel)) return "clusters are for kernels of files sm90_*.cu";
  if (blocks == 0 || blocks > MOST_CLUSTER) return "a cluster has 1 to " + std::to_string(MOST_CLUSTER) + " blocks";
  if (grid.x % cluster.x != 0 || grid.y % cluster.y != 0 || grid.z % cluster.z != 0) {
    return "the grid is not a multiple of the cluster";
  }
  if (blocks * block.count() > MOST_FIBERS) {
    return "a cluster here has at most " + std::to_string(MOST_FIBERS) + " threads";
  }
  bool all_dynamic = kernel.shared_begin == kernel.shared_end;
  return all_dynamic ? "" : "kernels with clusters keep all shared memory in the dynamic block";
}

}  // namespace

uint32_t simt_abi_version() { return 3; }
const char* simt_build() { return BUILD; }
uint64_t simt_memory() { return MEMORY; }
size_t simt_most_shared(uint32_t arch) { return most_shared(arch); }

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

const char* simt_kernel_file(size_t index) {
  const Kernel* k = kernel_at(index);
  return k ? k->file : nullptr;
}

size_t simt_kernel_arguments(size_t index) {
  const Kernel* k = kernel_at(index);
  return k ? k->arguments : 0;
}

size_t simt_argument_bytes(size_t index, size_t argument) {
  const Kernel* k = kernel_at(index);
  return k && argument < k->arguments ? k->sizes[argument] : 0;
}

int simt_launch(size_t index, const Shape* shape, void** arguments, size_t argument_count, const Schedule* schedule,
                char* error, size_t capacity) {
  Call call(error, capacity);
  const Kernel* kernel = kernel_at(index);
  if (kernel == nullptr) return call.refuse(SIMT_UNSUPPORTED, "there is no such kernel");
  std::string name = std::string("kernel ") + kernel->name;
  auto dim = [](const uint32_t* d) { return Dim{d[0], d[1], d[2]}; };
  card.grid = dim(shape->grid);
  card.block = dim(shape->block);
  card.cluster = dim(shape->cluster);
  if (argument_count != kernel->arguments) {
    return call.refuse(SIMT_FAILED, name + " takes " + std::to_string(kernel->arguments) + " arguments, not " +
                                        std::to_string(argument_count));
  }
  std::string wrong = wrong_shape(*kernel, card.grid, card.block, *shape);
  if (wrong.empty()) wrong = wrong_cluster(*kernel, card.grid, card.block, card.cluster);
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
    run_grid(shape->shared);
  }
  bool whole = check_sentinels(name.c_str(), &wrong);
  if (card.faulted) return call.refuse(SIMT_FAILED, card.fault);
  return whole ? SIMT_DONE : call.refuse(SIMT_FAILED, wrong);
}
