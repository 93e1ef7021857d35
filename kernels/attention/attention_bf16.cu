// attention_bf16: multi-head self-attention over packed sequences in bf16: see mma_attention.h, which
// says what the arguments are.

#include "attention/mma_attention.h"

extern "C" __global__ void __launch_bounds__(128)
attention_bf16_32(const __nv_bfloat16* q, const __nv_bfloat16* k, const __nv_bfloat16* v, __nv_bfloat16* out,
                  const uint32_t* offsets, int sequences, int rows, int columns, int width, float scale) {
  attention::attend<attention::Head<32, true>>(q, k, v, out, offsets, sequences, rows, columns, width, scale);
}
extern "C" __global__ void __launch_bounds__(128)
attention_bf16_64(const __nv_bfloat16* q, const __nv_bfloat16* k, const __nv_bfloat16* v, __nv_bfloat16* out,
                  const uint32_t* offsets, int sequences, int rows, int columns, int width, float scale) {
  attention::attend<attention::Head<64, true>>(q, k, v, out, offsets, sequences, rows, columns, width, scale);
}
extern "C" __global__ void __launch_bounds__(128)
attention_bf16_32_any(const __nv_bfloat16* q, const __nv_bfloat16* k, const __nv_bfloat16* v, __nv_bfloat16* out,
                      const uint32_t* offsets, int sequences, int rows, int columns, int width, float scale) {
  attention::attend<attention::Head<32, false>>(q, k, v, out, offsets, sequences, rows, columns, width, scale);
}
extern "C" __global__ void __launch_bounds__(128)
attention_bf16_64_any(const __nv_bfloat16* q, const __nv_bfloat16* k, const __nv_bfloat16* v, __nv_bfloat16* out,
                      const uint32_t* offsets, int sequences, int rows, int columns, int width, float scale) {
  attention::attend<attention::Head<64, false>>(q, k, v, out, offsets, sequences, rows, columns, width, scale);
}
