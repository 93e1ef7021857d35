// The library's C interface: what `src/device/gpu/driver_simt.rs` opens.
//
// Every call that can fail takes a buffer for a message and gives a status; 0 is done. Calls may come
// from any thread; they are served one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>

#include "simt/card.h"
#include "simt/sanitizer.h"
#include "simt/tensor_map.h"

namespace simt {

// A launch's shape: x, y, z of each. `arch` is what the card passes for.
struct Shape {
  uint32_t grid[3], block[3], cluster[3];
  uint32_t arch;
  size_t shared;
};

}  // namespace simt

enum SimtStatus { SIMT_DONE = 0, SIMT_FAILED = 1, SIMT_EXHAUSTED = 2, SIMT_UNSUPPORTED = 3 };

#pragma GCC visibility push(default)
extern "C" {
// Which form of this interface the library has.
uint32_t simt_abi_version();
// "plain", "asan" or "tsan".
const char* simt_build();
uint64_t simt_memory();
// Dynamic shared memory of a block on a card of this compute capability, times ten.
size_t simt_most_shared(uint32_t arch);

// Kernels are numbered from 0; their family is the folder that their source is in, and their file is
// from kernels/. Those of files sm90_*.cu are for compute capability 9.0 alone.
size_t simt_kernel_count();
const char* simt_kernel_name(size_t index);
const char* simt_kernel_family(size_t index);
const char* simt_kernel_file(size_t index);
// How many arguments a kernel takes, and the bytes of each.
size_t simt_kernel_arguments(size_t index);
size_t simt_argument_bytes(size_t index, size_t argument);

// Memory. Addresses are aligned to 256; sentinels are checked by simt_free, simt_download, simt_check and
// after each launch.
int simt_alloc(size_t bytes, uint64_t* address, char* error, size_t capacity);
int simt_free(uint64_t address, char* error, size_t capacity);
int simt_upload(uint64_t to, const void* from, size_t bytes, char* error, size_t capacity);
int simt_download(uint64_t from, void* to, size_t bytes, char* error, size_t capacity);
int simt_copy(uint64_t to, uint64_t from, size_t bytes, char* error, size_t capacity);
int simt_fill(uint64_t to, uint8_t value, size_t bytes, char* error, size_t capacity);
int simt_check(char* error, size_t capacity);

// Describes a tensor for bulk copies: fills the 128 bytes at `map`.
int simt_tensor_map(const simt::TensorShape* shape, void* map, char* error, size_t capacity);

// Runs a kernel to its end. `arguments` follows cuLaunchKernel.
int simt_launch(size_t kernel, const simt::Shape* shape, void** arguments, size_t argument_count,
                const simt::Schedule* schedule, char* error, size_t capacity);
}
#pragma GCC visibility pop

namespace simt {

// One call: holds the card's lock, and writes the message of a refusal.
class Call {
 public:
  Call(char* error, size_t capacity) : lock(card.lock), error(error), capacity(capacity) {
    if (capacity > 0) error[0] = '\0';
  }
  int refuse(SimtStatus status, const std::string& message) {
    size_t n = 0;
    for (; n + 1 < capacity && n < message.size(); n++) error[n] = message[n];
    if (capacity > 0) error[n] = '\0';
    return status;
  }

 private:
  std::lock_guard<std::mutex> lock;
  Quiet quiet;
  char* error;
  size_t capacity;
};

}  // namespace simt
