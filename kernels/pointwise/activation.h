// The activations of the catalogue and their derivatives, in f32, within a few units in the last place.
//
// Numbers as in src/device/gpu/launch_pointwise.rs. No form overflows or cancels: large arguments of
// either sign give the limits.
#pragma once

#include "common/device.h"

namespace activation {

enum Kind : int { NONE = 0, RELU = 1, SILU = 2, GELU = 3, MISH = 4, SIGMOID = 5 };

constexpr float SQRT_HALF = 0.70710678118654752f;       // 1 / sqrt(2)
constexpr float DENSITY_AT_0 = 0.39894228040143268f;    // 1 / sqrt(2 pi)

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

// The distribution function of the normal law; by erfc, whose far tail is exact where 1 + erf is 0.
__device__ __forceinline__ float normal(float x) { return 0.5f * erfcf(-x * SQRT_HALF); }

// With e = exp(x): tanh(ln(1 + e)) = n / (n + 2) for n = e (e + 2). Above 20 it is 1 in f32.
__device__ __forceinline__ float mish_n(float x) {
  float e = expf(fminf(x, 20.0f));
  return e * (e + 2.0f);
}

__device__ __forceinline__ float apply(int kind, float x) {
  switch (kind) {
    case RELU: return x < 0.0f ? 0.0f : x;  // of NaN it is NaN, so that an overflow shows in the end
    case SILU: return x * sigmoid(x);
    case GELU: return x * normal(x);
    case MISH: {
      float n = mish_n(x);
      return x * (n / (n + 2.0f));
    }
    case SIGMOID: return sigmoid(x);
    default: return x;
  }
}

__device__ __forceinline__ float derivative(int kind, float x) {
  switch (kind) {
    case RELU: return x > 0.0f ? 1.0f : 0.0f;
    case SILU: return sigmoid(x) * (1.0f + x * sigmoid(-x));
    case GELU: return normal(x) + x * DENSITY_AT_0 * expf(-0.5f * x * x);
    case MISH: {
      // t + x s (1 - t^2), and 1 - t^2 = 4 (n + 1) / (n + 2)^2 without cancellation.
      float n = mish_n(x), r = 1.0f / (n + 2.0f);
      return n * r + x * sigmoid(x) * 4.0f * (n + 1.0f) * r * r;
    }
    case SIGMOID: return sigmoid(x) * sigmoid(-x);
    default: return 1.0f;
  }
}

}  // namespace activation
