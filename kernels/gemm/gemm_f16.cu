// gemm_f16: a matrix product in half precision with f32 accumulators, and its epilogue: see mma_gemm.h, which says
// what the arguments are.

#include "gemm/mma_gemm.h"

using gemm::LARGE_STAGES, gemm::Large, gemm::SMALL_STAGES, gemm::Small, gemm::WIDE_STAGES, gemm::Wide, gemm::product;

extern "C" __global__ void __launch_bounds__(256)
gemm_f16_nt_256(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
                const __half* residual, int m, int n, int k, int a_width, int b_width, int out_width, int activation) {
  product<false, true, Wide, WIDE_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width,
                                          out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_f16_nn_128(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
                const __half* residual, int m, int n, int k, int a_width, int b_width, int out_width, int activation) {
  product<false, false, Large, LARGE_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width,
                                             b_width, out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_f16_nt_128(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
                const __half* residual, int m, int n, int k, int a_width, int b_width, int out_width, int activation) {
  product<false, true, Large, LARGE_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width,
                                            out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_f16_tn_128(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
                const __half* residual, int m, int n, int k, int a_width, int b_width, int out_width, int activation) {
  product<true, false, Large, LARGE_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width,
                                            out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_f16_tt_128(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
                const __half* residual, int m, int n, int k, int a_width, int b_width, int out_width, int activation) {
  product<true, true, Large, LARGE_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width,
                                           out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_f16_nn_64(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
               const __half* residual, int m, int n, int k, int a_width, int b_width, int out_width, int activation) {
  product<false, false, Small, SMALL_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width,
                                             b_width, out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_f16_nt_64(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
               const __half* residual, int m, int n, int k, int a_width, int b_width, int out_width, int activation) {
  product<false, true, Small, SMALL_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width,
                                            out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_f16_tn_64(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
               const __half* residual, int m, int n, int k, int a_width, int b_width, int out_width, int activation) {
  product<true, false, Small, SMALL_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width,
                                            out_width);
}
extern "C" __global__ void __launch_bounds__(128)
gemm_f16_tt_64(const __half* a, const __half* b, __half* out, const __half* scale, const __half* bias,
               const __half* residual, int m, int n, int k, int a_width, int b_width, int out_width, int activation) {
  product<true, true, Small, SMALL_STAGES>(a, b, {out, scale, bias, residual, m, n, activation}, k, a_width, b_width,
                                           out_width);
}
