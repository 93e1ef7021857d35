// sm90_bf16_conv: a convolution in bf16 as an implicit matrix product, for Hopper: see sm90_conv.h, which says
// what the arguments are.

#include "conv/sm90_conv.h"

extern "C" __global__ void __launch_bounds__(384, 1)
sm90_bf16_conv_128x256(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap filters,
                       const __grid_constant__ TensorMap out_map, __nv_bfloat16* out, const __nv_bfloat16* gate,
                       const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                       const __grid_constant__ conv::Shape shape, int activation, int store) {
  int rows = shape.images * shape.oh * shape.ow;
  hopper::convolve<hopper::Conv128x256, false>(x, filters, out_map, {out, scale, bias, residual, rows, shape.o, activation}, gate,
                                       shape, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_bf16_conv_128x128(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap filters,
                       const __grid_constant__ TensorMap out_map, __nv_bfloat16* out, const __nv_bfloat16* gate,
                       const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                       const __grid_constant__ conv::Shape shape, int activation, int store) {
  int rows = shape.images * shape.oh * shape.ow;
  hopper::convolve<hopper::Conv128x128, false>(x, filters, out_map, {out, scale, bias, residual, rows, shape.o, activation}, gate,
                                       shape, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_bf16_conv_128x64(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap filters,
                      const __grid_constant__ TensorMap out_map, __nv_bfloat16* out, const __nv_bfloat16* gate,
                      const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                      const __grid_constant__ conv::Shape shape, int activation, int store) {
  int rows = shape.images * shape.oh * shape.ow;
  hopper::convolve<hopper::Conv128x64, false>(x, filters, out_map, {out, scale, bias, residual, rows, shape.o, activation}, gate,
                                       shape, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_bf16_conv_gated_128x256(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap filters,
                             const __grid_constant__ TensorMap out_map, __nv_bfloat16* out, const __nv_bfloat16* gate,
                             const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                             const __grid_constant__ conv::Shape shape, int activation, int store) {
  int rows = shape.images * shape.oh * shape.ow;
  hopper::convolve<hopper::Conv128x256, true>(x, filters, out_map, {out, scale, bias, residual, rows, shape.o, activation}, gate,
                                       shape, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_bf16_conv_gated_128x128(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap filters,
                             const __grid_constant__ TensorMap out_map, __nv_bfloat16* out, const __nv_bfloat16* gate,
                             const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                             const __grid_constant__ conv::Shape shape, int activation, int store) {
  int rows = shape.images * shape.oh * shape.ow;
  hopper::convolve<hopper::Conv128x128, true>(x, filters, out_map, {out, scale, bias, residual, rows, shape.o, activation}, gate,
                                       shape, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_bf16_conv_gated_128x64(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap filters,
                            const __grid_constant__ TensorMap out_map, __nv_bfloat16* out, const __nv_bfloat16* gate,
                            const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                            const __grid_constant__ conv::Shape shape, int activation, int store) {
  int rows = shape.images * shape.oh * shape.ow;
  hopper::convolve<hopper::Conv128x64, true>(x, filters, out_map, {out, scale, bias, residual, rows, shape.o, activation}, gate,
                                       shape, store);
}
