// gemm_bf16: a matrix product in bf16 with f32 accumulators, and its epilogue: see mma_gemm.h, which says
// what the arguments are.

#include "gemm/mma_gemm.h"

using gemm::LARGE_STAGES, gemm::Large, gemm::SMALL_STAGES, gemm::Small, gemm::WIDE_STAGES, gemm::Wide, gemm::product;

extern "C" __global__ void __launch_bounds__(256)
gemm_bf16_nt_256(const __nv_bfloat16* a, const __nv_bfloat16* b, __nv_bfloat16* out, const __nv_bfloat16* scale,
                 const __nv_bfloat16* bias, const __nv_bfloat16* residual, int m, int n, int k, int a_width,
                 int b_width, int out_width, int activation) {
  product<false, true, Wide, WIDE_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width,
                                          out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_bf16_nn_128(const __nv_bfloat16* a, const __nv_bfloat16* b, __nv_bfloat16* out, const __nv_bfloat16* scale,
                 const __nv_bfloat16* bias, const __nv_bfloat16* residual, int m, int n, int k, int a_width,
                 int b_width, int out_width, int activation) {
  product<false, false, Large, LARGE_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width,
                                             b_width, out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_bf16_nt_128(const __nv_bfloat16* a, const __nv_bfloat16* b, __nv_bfloat16* out, const __nv_bfloat16* scale,
                 const __nv_bfloat16* bias, const __nv_bfloat16* residual, int m, int n, int k, int a_width,
                 int b_width, int out_width, int activation) {
  product<false, true, Large, LARGE_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width,
                                            out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_bf16_tn_128(const __nv_bfloat16* a, const __nv_bfloat16* b, __nv_bfloat16* out, const __nv_bfloat16* scale,
                 const __nv_bfloat16* bias, const __nv_bfloat16* residual, int m, int n, int k, int a_width,
                 int b_width, int out_width, int activation) {
  product<true, false, Large, LARGE_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width,
                                            out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_bf16_tt_128(const __nv_bfloat16* a, const __nv_bfloat16* b, __nv_bfloat16* out, const __nv_bfloat16* scale,
                 const __nv_bfloat16* bias, const __nv_bfloat16* residual, int m, int n, int k, int a_width,
                 int b_width, int out_width, int activation) {
  product<true, true, Large, LARGE_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width,
                                           out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_bf16_nn_64(const __nv_bfloat16* a, const __nv_bfloat16* b, __nv_bfloat16* out, const __nv_bfloat16* scale,
                const __nv_bfloat16* bias, const __nv_bfloat16* residual, int m, int n, int k, int a_width,
                int b_width, int out_width, int activation) {
  product<false, false, Small, SMALL_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width,
                                             b_width, out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_bf16_nt_64(const __nv_bfloat16* a, const __nv_bfloat16* b, __nv_bfloat16* out, const __nv_bfloat16* scale,
                const __nv_bfloat16* bias, const __nv_bfloat16* residual, int m, int n, int k, int a_width,
                int b_width, int out_width, int activation) {
  product<false, true, Small, SMALL_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width,
                                            out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_bf16_tn_64(const __nv_bfloat16* a, const __nv_bfloat16* b, __nv_bfloat16* out, const __nv_bfloat16* scale,
                const __nv_bfloat16* bias, const __nv_bfloat16* residual, int m, int n, int k, int a_width,
                int b_width, int out_width, int activation) {
  product<true, false, Small, SMALL_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width,
                                            out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_bf16_tt_64(const __nv_bfloat16* a, const __nv_bfloat16* b, __nv_bfloat16* out, const __nv_bfloat16* scale,
                const __nv_bfloat16* bias, const __nv_bfloat16* residual, int m, int n, int k, int a_width,
                int b_width, int out_width, int activation) {
  product<true, true, Small, SMALL_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width,
                                           out_width);
}
