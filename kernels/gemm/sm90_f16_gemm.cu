// sm90_f16_gemm: a matrix product in half precision with f32 accumulators, and its epilogue, for Hopper: see
// sm90_gemm.h, which says what the arguments are.

#include "gemm/sm90_gemm.h"

using hopper::Tile128x128, hopper::Tile128x192, hopper::Tile128x256, hopper::Tile128x64;

extern "C" __global__ void __launch_bounds__(384, 1)
sm90_f16_gemm_128x256(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                      const __grid_constant__ TensorMap out_map, __half* out, const __half* scale,
                      const __half* bias, const __half* residual, int m, int n, int k, int activation, int store) {
  hopper::product<__half, Tile128x256>(a, b, out_map, {out, scale, bias, residual, m, n, activation}, k, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_f16_gemm_128x192(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                      const __grid_constant__ TensorMap out_map, __half* out, const __half* scale,
                      const __half* bias, const __half* residual, int m, int n, int k, int activation, int store) {
  hopper::product<__half, Tile128x192>(a, b, out_map, {out, scale, bias, residual, m, n, activation}, k, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_f16_gemm_128x128(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                      const __grid_constant__ TensorMap out_map, __half* out, const __half* scale,
                      const __half* bias, const __half* residual, int m, int n, int k, int activation, int store) {
  hopper::product<__half, Tile128x128>(a, b, out_map, {out, scale, bias, residual, m, n, activation}, k, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_f16_gemm_128x64(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                     const __grid_constant__ TensorMap out_map, __half* out, const __half* scale,
                     const __half* bias, const __half* residual, int m, int n, int k, int activation, int store) {
  hopper::product<__half, Tile128x64>(a, b, out_map, {out, scale, bias, residual, m, n, activation}, k, store);
}
extern "C" __global__ void __launch_bounds__(256, 1)
sm90_f16_gemm_split(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b, __half* out,
                    const __half* scale, const __half* bias, const __half* residual, int m, int n, int k,
                    int activation) {
  hopper::split<__half>(a, b, {out, scale, bias, residual, m, n, activation}, k);
}
