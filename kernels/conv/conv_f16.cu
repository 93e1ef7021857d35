// conv_f16: a convolution in half precision with f32 accumulators: see mma_conv.h, which says what the arguments are.

#include "conv/mma_conv.h"

using conv::convolve, conv::Form, conv::Large, conv::Small, conv::Tall;

extern "C" __global__ void __launch_bounds__(256)
conv_f16_128x128(const __half* x, const __half* filters, __half* out, const __half* gate, const __half* scale,
                 const __half* bias, const __half* residual, conv::Shape shape, int line, int activation) {
  convolve<Large, Form::PLAIN>(x, filters, out, gate, {scale, bias, residual, activation}, shape, line);
}
extern "C" __global__ void __launch_bounds__(256)
conv_f16_128x64(const __half* x, const __half* filters, __half* out, const __half* gate, const __half* scale,
                const __half* bias, const __half* residual, conv::Shape shape, int line, int activation) {
  convolve<Tall, Form::PLAIN>(x, filters, out, gate, {scale, bias, residual, activation}, shape, line);
}
extern "C" __global__ void __launch_bounds__(128)
conv_f16_64x64(const __half* x, const __half* filters, __half* out, const __half* gate, const __half* scale,
               const __half* bias, const __half* residual, conv::Shape shape, int line, int activation) {
  convolve<Small, Form::PLAIN>(x, filters, out, gate, {scale, bias, residual, activation}, shape, line);
}
extern "C" __global__ void __launch_bounds__(256)
conv_gated_f16_128x128(const __half* x, const __half* filters, __half* out, const __half* gate, const __half* scale,
                       const __half* bias, const __half* residual, conv::Shape shape, int line, int activation) {
  convolve<Large, Form::GATED>(x, filters, out, gate, {scale, bias, residual, activation}, shape, line);
}
extern "C" __global__ void __launch_bounds__(256)
conv_gated_f16_128x64(const __half* x, const __half* filters, __half* out, const __half* gate, const __half* scale,
                      const __half* bias, const __half* residual, conv::Shape shape, int line, int activation) {
  convolve<Tall, Form::GATED>(x, filters, out, gate, {scale, bias, residual, activation}, shape, line);
}
extern "C" __global__ void __launch_bounds__(128)
conv_gated_f16_64x64(const __half* x, const __half* filters, __half* out, const __half* gate, const __half* scale,
                     const __half* bias, const __half* residual, conv::Shape shape, int line, int activation) {
  convolve<Small, Form::GATED>(x, filters, out, gate, {scale, bias, residual, activation}, shape, line);
}
extern "C" __global__ void __launch_bounds__(128)
conv_narrow_f16_64x64(const __half* x, const __half* filters, __half* out, const __half* gate, const __half* scale,
                      const __half* bias, const __half* residual, conv::Shape shape, int line, int activation) {
  convolve<Small, Form::NARROW>(x, filters, out, gate, {scale, bias, residual, activation}, shape, line);
}
