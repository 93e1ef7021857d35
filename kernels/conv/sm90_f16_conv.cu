// sm90_f16_conv: a convolution in half precision as an implicit matrix product, for Hopper: see sm90_conv.h, which says
// what the arguments are.

#include "conv/sm90_conv.h"

extern "C" __global__ void __launch_bounds__(384, 1)
sm90_f16_conv_128x256(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap filters,
                      const __grid_constant__ TensorMap out_map, __half* out, const __half* gate, const __half* scale,
                      const __half* bias, const __half* residual, const __grid_constant__ conv::Shape shape,
                      int activation, int store) {
  int rows = shape.images * shape.oh * shape.ow;
  hopper::convolve<hopper::Conv128x256, false>(x, filters, out_map, {out, scale, bias, residual, rows, shape.o, activation}, gate,
                                       shape, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_f16_conv_128x128(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap filters,
                      const __grid_constant__ TensorMap out_map, __half* out, const __half* gate, const __half* scale,
                      const __half* bias, const __half* residual, const __grid_constant__ conv::Shape shape,
                      int activation, int store) {
  int rows = shape.images * shape.oh * shape.ow;
  hopper::convolve<hopper::Conv128x128, false>(x, filters, out_map, {out, scale, bias, residual, rows, shape.o, activation}, gate,
                                       shape, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_f16_conv_128x64(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap filters,
                     const __grid_constant__ TensorMap out_map, __half* out, const __half* gate, const __half* scale,
                     const __half* bias, const __half* residual, const __grid_constant__ conv::Shape shape,
                     int activation, int store) {
  int rows = shape.images * shape.oh * shape.ow;
  hopper::convolve<hopper::Conv128x64, false>(x, filters, out_map, {out, scale, bias, residual, rows, shape.o, activation}, gate,
                                       shape, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_f16_conv_gated_128x256(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap filters,
                            const __grid_constant__ TensorMap out_map, __half* out, const __half* gate,
                            const __half* scale, const __half* bias, const __half* residual,
                            const __grid_constant__ conv::Shape shape, int activation, int store) {
  int rows = shape.images * shape.oh * shape.ow;
  hopper::convolve<hopper::Conv128x256, true>(x, filters, out_map, {out, scale, bias, residual, rows, shape.o, activation}, gate,
                                       shape, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_f16_conv_gated_128x128(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap filters,
                            const __grid_constant__ TensorMap out_map, __half* out, const __half* gate,
                            const __half* scale, const __half* bias, const __half* residual,
                            const __grid_constant__ conv::Shape shape, int activation, int store) {
  int rows = shape.images * shape.oh * shape.ow;
  hopper::convolve<hopper::Conv128x128, true>(x, filters, out_map, {out, scale, bias, residual, rows, shape.o, activation}, gate,
                                       shape, store);
}
extern "C" __global__ void __launch_bounds__(384, 1)
sm90_f16_conv_gated_128x64(const __grid_constant__ TensorMap x, const __grid_constant__ TensorMap filters,
                           const __grid_constant__ TensorMap out_map, __half* out, const __half* gate,
                           const __half* scale, const __half* bias, const __half* residual,
                           const __grid_constant__ conv::Shape shape, int activation, int store) {
  int rows = shape.images * shape.oh * shape.ow;
  hopper::convolve<hopper::Conv128x64, true>(x, filters, out_map, {out, scale, bias, residual, rows, shape.o, activation}, gate,
                                       shape, store);
}
