// conv_bf16: a convolution in bf16 with f32 accumulators: see mma_conv.h, which says what the arguments are.

#include "conv/mma_conv.h"

using conv::convolve, conv::Form, conv::Large, conv::Small, conv::Tall;

extern "C" __global__ void __launch_bounds__(256)
conv_bf16_128x128(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out, const __nv_bfloat16* gate,
                  const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                  conv::Shape shape, int line, int activation) {
  convolve<Large, Form::PLAIN>(x, filters, out, gate, {scale, bias, residual, activation}, shape, line);
}
extern "C" __global__ void __launch_bounds__(256)
conv_bf16_128x64(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out, const __nv_bfloat16* gate,
                 const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual,
                 conv::Shape shape, int line, int activation) {
  convolve<Tall, Form::PLAIN>(x, filters, out, gate, {scale, bias, residual, activation}, shape, line);
}
extern "C" __global__ void __launch_bounds__(128)
conv_bf16_64x64(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out, const __nv_bfloat16* gate,
                const __nv_bfloat16* scale, const __nv_bfloat16* bias, const __nv_bfloat16* residual, conv::Shape shape,
                int line, int activation) {
  convolve<Small, Form::PLAIN>(x, filters, out, gate, {scale, bias, residual, activation}, shape, line);
}
extern "C" __global__ void __launch_bounds__(256)
conv_gated_bf16_128x128(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out,
                        const __nv_bfloat16* gate, const __nv_bfloat16* scale, const __nv_bfloat16* bias,
                        const __nv_bfloat16* residual, conv::Shape shape, int line, int activation) {
  convolve<Large, Form::GATED>(x, filters, out, gate, {scale, bias, residual, activation}, shape, line);
}
extern "C" __global__ void __launch_bounds__(256)
conv_gated_bf16_128x64(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out,
                       const __nv_bfloat16* gate, const __nv_bfloat16* scale, const __nv_bfloat16* bias,
                       const __nv_bfloat16* residual, conv::Shape shape, int line, int activation) {
  convolve<Tall, Form::GATED>(x, filters, out, gate, {scale, bias, residual, activation}, shape, line);
}
extern "C" __global__ void __launch_bounds__(128)
conv_gated_bf16_64x64(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out,
                      const __nv_bfloat16* gate, const __nv_bfloat16* scale, const __nv_bfloat16* bias,
                      const __nv_bfloat16* residual, conv::Shape shape, int line, int activation) {
  convolve<Small, Form::GATED>(x, filters, out, gate, {scale, bias, residual, activation}, shape, line);
}
extern "C" __global__ void __launch_bounds__(128)
conv_narrow_bf16_64x64(const __nv_bfloat16* x, const __nv_bfloat16* filters, __nv_bfloat16* out,
                       const __nv_bfloat16* gate, const __nv_bfloat16* scale, const __nv_bfloat16* bias,
                       const __nv_bfloat16* residual, conv::Shape shape, int line, int activation) {
  convolve<Small, Form::NARROW>(x, filters, out, gate, {scale, bias, residual, activation}, shape, line);
}
