// attention_f16: multi-head self-attention over packed sequences in half precision: see mma_attention.h, which
// says what the arguments are.

#include "attention/mma_attention.h"

extern "C" __global__ void __launch_bounds__(128)
attention_f16_32(const __half* q, const __half* k, const __half* v, __half* out, const uint32_t* offsets,
                 int sequences, int rows, int columns, int width, float scale) {
  attention::attend<attention::Head<32, true>>(q, k, v, out, offsets, sequences, rows, columns, width, scale);
}
extern "C" __global__ void __launch_bounds__(128)
attention_f16_64(const __half* q, const __half* k, const __half* v, __half* out, const uint32_t* offsets,
                 int sequences, int rows, int columns, int width, float scale) {
  attention::attend<attention::Head<64, true>>(q, k, v, out, offsets, sequences, rows, columns, width, scale);
}
extern "C" __global__ void __launch_bounds__(128)
attention_f16_32_any(const __half* q, const __half* k, const __half* v, __half* out, const uint32_t* offsets,
                     int sequences, int rows, int columns, int width, float scale) {
  attention::attend<attention::Head<32, false>>(q, k, v, out, offsets, sequences, rows, columns, width, scale);
}
extern "C" __global__ void __launch_bounds__(128)
attention_f16_64_any(const __half* q, const __half* k, const __half* v, __half* out, const uint32_t* offsets,
                     int sequences, int rows, int columns, int width, float scale) {
  attention::attend<attention::Head<64, false>>(q, k, v, out, offsets, sequences, rows, columns, width, scale);
}
