// sm90_bf16_gemm: a matrix product in bf16 with f32 accumulators, and its epilogue, for Hopper: see
// sm90_gemm.h, which says what the arguments are.

#include "gemm/sm90_gemm.h"

using hopper::Tile128x128, hopper::Tile128x192, hopper::Tile128x256, hopper::Tile128x64;

extern "C" __global__ void __launch_bounds__(384, 1)
sm90_bf16_gemm_128x256(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                       const __grid_constant__ TensorMap out_map, __nv_bfloat16* out, const __nv_bfloat16* scale,
                       const __nv_bfloat16* bias, const __nv_bfloat16* residual, int m, int n, int k, int activation,
                       int store) {
  hopper::product<__nv_bfloat16, Tile128x256>(a, b, out_map, {out, scale, bias, residual, m, n, activation}, k, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_bf16_gemm_128x192(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                       const __grid_constant__ TensorMap out_map, __nv_bfloat16* out, const __nv_bfloat16* scale,
                       const __nv_bfloat16* bias, const __nv_bfloat16* residual, int m, int n, int k, int activation,
                       int store) {
  hopper::product<__nv_bfloat16, Tile128x192>(a, b, out_map, {out, scale, bias, residual, m, n, activation}, k, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_bf16_gemm_128x128(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                       const __grid_constant__ TensorMap out_map, __nv_bfloat16* out, const __nv_bfloat16* scale,
                       const __nv_bfloat16* bias, const __nv_bfloat16* residual, int m, int n, int k, int activation,
                       int store) {
  hopper::product<__nv_bfloat16, Tile128x128>(a, b, out_map, {out, scale, bias, residual, m, n, activation}, k, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_bf16_gemm_128x64(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                      const __grid_constant__ TensorMap out_map, __nv_bfloat16* out, const __nv_bfloat16* scale,
                      const __nv_bfloat16* bias, const __nv_bfloat16* residual, int m, int n, int k, int activation,
                      int store) {
  hopper::product<__nv_bfloat16, Tile128x64>(a, b, out_map, {out, scale, bias, residual, m, n, activation}, k, store);
}
extern "C" __global__ void __launch_bounds__(256, 1)
sm90_bf16_gemm_split(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, __nv_bfloat16* out,
                     const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual, int m,
                     int n, int k, int activation) {
  hopper::split<__nv_bfloat16>(a, b, {out, scale, bias, residual, m, n, activation}, k);
}
