// Tensor maps: the checks of cuTensorMapEncodeTiled and cuTensorMapEncodeIm2col, and some of our own.

#include "simt/tensor_map.h"

#include "simt/abi.h"
#include "simt/card.h"

namespace simt {

namespace {

constexpr uint64_t MAGIC = 0x70616d726f736e65;

uint64_t sum_of(const Encoded& map) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(&map);
  uint64_t sum = 0xcbf29ce484222325;
  for (size_t i = 0; i < sizeof map - sizeof map.sum; i++) sum = (sum ^ bytes[i]) * 0x100000001b3;
  return sum;
}

std::string text(const char* what, uint64_t value) { return std::string(what) + " " + std::to_string(value); }

std::string wrong_tensor(const TensorShape& s) {
  if (s.rank < 1 || s.rank > 5) return text("a tensor has rank 1 to 5, not", s.rank);
  bool power = s.element != 0 && (s.element & (s.element - 1)) == 0;
  if (!power || s.element > 8) return text("no elements have a size of", s.element);
  bool span = s.swizzle == 0 || s.swizzle == 32 || s.swizzle == 64 || s.swizzle == 128;
  if (!span) return text("no swizzle spans", s.swizzle);
  if (s.address % 16 != 0) return "the tensor's address is not aligned to 16 bytes";
  for (unsigned i = 0; i < s.rank; i++) {
    if (s.dims[i] < 1 || s.dims[i] > uint64_t(1) << 32) return text("a size is 1 to 2^32, not", s.dims[i]);
    if (i + 1 == s.rank) continue;
    uint64_t stride = s.strides[i];
    if (stride % 16 != 0 || stride >= uint64_t(1) << 40) {
      return text("a stride is a multiple of 16 bytes below 2^40, not", stride);
    }
    // Ours: the driver allows lines that overlap.
    uint64_t inner = i == 0 ? s.dims[0] * s.element : s.strides[i - 1];
    if (s.dims[i + 1] > 1 && stride < inner) return text("a dimension's stride is below what it steps over:", stride);
  }
  return "";
}

std::string wrong_line(const TensorShape& s, uint64_t count) {
  uint64_t bytes = count * s.element;
  if (count < 1 || count > 256) return text("a box has 1 to 256 elements in each dimension, not", count);
  if (bytes % 16 != 0) return text("a box's line is a multiple of 16 bytes, not", bytes);
  // Ours: the driver takes narrower ones too, and nothing says how they lie.
  if (s.swizzle != 0 && bytes != s.swizzle) {
    return text("a box's line is as long as the swizzle's span, not", bytes);
  }
  return "";
}

std::string wrong_box(const TensorShape& s) {
  for (unsigned i = 0; i < s.rank; i++) {
    if (s.box[i] < 1 || s.box[i] > 256) return text("a box has 1 to 256 elements in each dimension, not", s.box[i]);
  }
  return wrong_line(s, s.box[0]);
}

std::string wrong_window(const TensorShape& s) {
  if (s.rank != 4) return text("im2col here is of images, rank 4, not", s.rank);
  for (int i = 0; i < 2; i++) {
    if (s.lower[i] < -128 || s.lower[i] > 127 || s.upper[i] < -128 || s.upper[i] > 127) {
      return "a corner of the bounding box is outside -128 .. 127";
    }
    if (s.steps[i] < 1 || s.steps[i] > 8) return text("a step is 1 to 8, not", s.steps[i]);
    if (static_cast<int64_t>(s.dims[i + 1]) + s.upper[i] <= s.lower[i]) return "the bounding box is empty";
  }
  if (s.pixels < 1 || s.pixels > 1024) return text("a copy has 1 to 1024 pixels, not", s.pixels);
  return wrong_line(s, s.channels);
}

// Bytes from the first element to behind the last.
uint64_t reach(const TensorShape& s) {
  uint64_t bytes = s.dims[0] * s.element;
  for (unsigned i = 1; i < s.rank; i++) bytes += (s.dims[i] - 1) * s.strides[i - 1];
  return bytes;
}

}  // namespace

std::string encode(const TensorShape& s, Encoded* map) {
  std::string wrong = wrong_tensor(s);
  if (wrong.empty()) wrong = s.im2col ? wrong_window(s) : wrong_box(s);
  const Buffer* buffer = wrong.empty() ? find_buffer(s.address, reach(s), &wrong) : nullptr;
  if (!wrong.empty()) return wrong;
  *map = {};
  map->magic = MAGIC;
  map->address = s.address;
  map->buffer = buffer->number;
  map->rank = static_cast<uint8_t>(s.rank);
  map->element = static_cast<uint8_t>(s.element);
  map->swizzle = static_cast<uint8_t>(s.swizzle);
  map->im2col = s.im2col != 0;
  for (unsigned i = 0; i < s.rank; i++) {
    map->last[i] = static_cast<uint32_t>(s.dims[i] - 1);
    map->box[i] = static_cast<uint16_t>(s.box[i]);
    if (i == 0) continue;
    map->strides16[i - 1] = static_cast<uint32_t>(s.strides[i - 1] / 16);
    map->strides_high[i - 1] = static_cast<uint8_t>(s.strides[i - 1] / 16 >> 32);
  }
  for (int i = 0; i < 2; i++) {
    map->lower[i] = static_cast<int16_t>(s.lower[i]);
    map->upper[i] = static_cast<int16_t>(s.upper[i]);
    map->steps[i] = static_cast<uint8_t>(s.steps[i]);
  }
  map->channels = static_cast<uint16_t>(s.channels);
  map->pixels = static_cast<uint16_t>(s.pixels);
  map->sum = sum_of(*map);
  return "";
}

bool is_good(const Encoded& map) {
  if (map.magic != MAGIC || map.sum != sum_of(map)) return false;
  std::string ignored;
  const Buffer* buffer = find_buffer(map.address, 1, &ignored);
  return buffer != nullptr && buffer->number == map.buffer;
}

}  // namespace simt

using namespace simt;

int simt_tensor_map(const TensorShape* shape, void* map, char* error, size_t capacity) {
  Call call(error, capacity);
  std::string wrong = encode(*shape, static_cast<Encoded*>(map));
  return wrong.empty() ? SIMT_DONE : call.refuse(SIMT_FAILED, wrong);
}
