// Device memory: buffers with sentinels on both sides, filled with NaN like shared memory. Addresses
// are the host's own. Under AddressSanitizer the sentinels are poisoned, so that reads show too.

#include <cstdlib>
#include <new>

#include "simt/abi.h"
#include "simt/card.h"
#include "simt/sanitizer.h"

namespace simt {

namespace {

constexpr size_t SENTINEL = 1024;
constexpr size_t ALIGNED = 256;

// NaN as __half, __nv_bfloat16, float and double; another in each buffer, so that copying one buffer's
// sentinel over another's shows.
unsigned char sentinel_byte(const Buffer& b, size_t i) {
  return i % 2 ? 0xff : static_cast<unsigned char>(0x81 | ((b.number * 23 + i / 2 * 5) << 1 & 0x7e));
}

void set_sentinels(const Buffer& b) {
  unsigned char* data = b.raw + SENTINEL;
  for (size_t i = 0; i < SENTINEL; i++) {
    b.raw[i] = sentinel_byte(b, i);
    data[b.bytes + i] = sentinel_byte(b, b.bytes + i);
  }
}

// Where a sentinel was overwritten, relative to the buffer's first byte.
bool find_damage(const Buffer& b, long* at) {
  const unsigned char* data = b.raw + SENTINEL;
  for (size_t i = 0; i < SENTINEL; i++) {
    if (data[b.bytes + i] != sentinel_byte(b, b.bytes + i)) {
      *at = static_cast<long>(b.bytes + i);
      return true;
    }
    size_t below = SENTINEL - 1 - i;
    if (b.raw[below] != sentinel_byte(b, below)) {
      *at = -1 - static_cast<long>(i);
      return true;
    }
  }
  return false;
}

bool check_buffer(const Buffer& b, const char* after, std::string* error) {
  long at;
  if (!find_damage(b, &at)) return true;
  set_sentinels(b);
  *error = std::string(after) + " wrote outside buffer " + std::to_string(b.number) + " (" +
           std::to_string(b.bytes) + " bytes): at byte " + std::to_string(at);
  return false;
}

void copy_bytes(void* to, const void* from, size_t n) {
  auto* t = static_cast<volatile unsigned char*>(to);
  auto* f = static_cast<const unsigned char*>(from);
  for (size_t i = 0; i < n; i++) t[i] = f[i];
}

}  // namespace

const Buffer* find_buffer(uint64_t address, size_t bytes, std::string* error) {
  auto next = card.buffers.upper_bound(address);
  if (next != card.buffers.begin()) {
    const auto& [start, buffer] = *--next;
    size_t offset = address - start;
    if (offset <= buffer.bytes && bytes <= buffer.bytes - offset) return &buffer;
  }
  *error = std::to_string(bytes) + " bytes at address " + std::to_string(address) + " lie in no one buffer";
  return nullptr;
}

bool check_sentinels(const char* after, std::string* error) {
  for (const auto& [start, buffer] : card.buffers) {
    if (!check_buffer(buffer, after, error)) return false;
  }
  return true;
}

}  // namespace simt

using namespace simt;

extern "C" {

int simt_alloc(size_t bytes, uint64_t* address, char* error, size_t capacity) {
  Call call(error, capacity);
  if (bytes > MEMORY - card.allocated) {
    std::string have = std::to_string(MEMORY - card.allocated);
    return call.refuse(SIMT_EXHAUSTED, "no " + std::to_string(bytes) + " bytes left, but " + have);
  }
  size_t whole = (bytes + 2 * SENTINEL + ALIGNED - 1) / ALIGNED * ALIGNED;
  auto* raw = static_cast<unsigned char*>(std::aligned_alloc(ALIGNED, whole));
  if (raw == nullptr) return call.refuse(SIMT_EXHAUSTED, "the host has no memory left");
  Buffer buffer{raw, bytes, ++card.allocations};
  unsigned char* data = raw + SENTINEL;
  for (size_t i = 0; i < bytes; i++) static_cast<volatile unsigned char*>(data)[i] = 0xff;
  set_sentinels(buffer);
  poison(raw, SENTINEL);
  poison(data + bytes, whole - SENTINEL - bytes);
  card.allocated += bytes;
  *address = reinterpret_cast<uintptr_t>(data);
  card.buffers[*address] = buffer;
  return SIMT_DONE;
}

int simt_free(uint64_t address, char* error, size_t capacity) {
  Call call(error, capacity);
  auto found = card.buffers.find(address);
  if (found == card.buffers.end()) return call.refuse(SIMT_FAILED, "freed an address that is no buffer's");
  Buffer buffer = found->second;
  std::string damage;
  bool whole = check_buffer(buffer, "something", &damage);
  card.buffers.erase(found);
  card.allocated -= buffer.bytes;
  unpoison(buffer.raw, (buffer.bytes + 2 * SENTINEL + ALIGNED - 1) / ALIGNED * ALIGNED);
  std::free(buffer.raw);
  return whole ? SIMT_DONE : call.refuse(SIMT_FAILED, damage);
}

int simt_upload(uint64_t to, const void* from, size_t bytes, char* error, size_t capacity) {
  Call call(error, capacity);
  std::string wrong;
  if (!find_buffer(to, bytes, &wrong)) return call.refuse(SIMT_FAILED, "upload: " + wrong);
  copy_bytes(reinterpret_cast<void*>(to), from, bytes);
  return SIMT_DONE;
}

int simt_download(uint64_t from, void* to, size_t bytes, char* error, size_t capacity) {
  Call call(error, capacity);
  std::string wrong;
  const Buffer* buffer = find_buffer(from, bytes, &wrong);
  if (!buffer) return call.refuse(SIMT_FAILED, "download: " + wrong);
  if (!check_buffer(*buffer, "something", &wrong)) return call.refuse(SIMT_FAILED, wrong);
  copy_bytes(to, reinterpret_cast<const void*>(from), bytes);
  return SIMT_DONE;
}

int simt_copy(uint64_t to, uint64_t from, size_t bytes, char* error, size_t capacity) {
  Call call(error, capacity);
  std::string wrong;
  if (!find_buffer(from, bytes, &wrong) || !find_buffer(to, bytes, &wrong)) {
    return call.refuse(SIMT_FAILED, "copy: " + wrong);
  }
  if (bytes > 0 && to < from + bytes && from < to + bytes) return call.refuse(SIMT_FAILED, "copy: the ranges overlap");
  copy_bytes(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), bytes);
  return SIMT_DONE;
}

int simt_fill(uint64_t to, uint8_t value, size_t bytes, char* error, size_t capacity) {
  Call call(error, capacity);
  std::string wrong;
  if (!find_buffer(to, bytes, &wrong)) return call.refuse(SIMT_FAILED, "fill: " + wrong);
  for (size_t i = 0; i < bytes; i++) reinterpret_cast<volatile unsigned char*>(to)[i] = value;
  return SIMT_DONE;
}

int simt_check(char* error, size_t capacity) {
  Call call(error, capacity);
  std::string damage;
  return check_sentinels("something", &damage) ? SIMT_DONE : call.refuse(SIMT_FAILED, damage);
}
}
