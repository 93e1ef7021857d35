// The layout of filters for conv_grouped: B fragments of mma.sync, as its lanes hold them.
//
// Filters come in bundles of 8, 16 or 32 that read as many channels: one group, or two groups of 4 side by
// side, where a filter's values over the other group's channels are zeros. The k of a bundle walk the places
// of the window and, within each, the bundle's channels, in halves of 8; a step is two halves.
//
//   [filter / 8][step][lane of 32][4]: filter lane / 4 of the eight; of both halves the values
//   lane % 4 * 2 and the next
#pragma once

#include "common/device.h"

namespace conv {

constexpr int FRAGMENT = 32 * 4;  // halves of one step of 8 filters

__device__ __forceinline__ int fragment_steps(int bundle, int places) { return (places * bundle / 8 + 1) / 2; }

// Where in the published filters [o][inner][places] value number `at` of the fragments stands, or -1 where it
// is zero.
__device__ __forceinline__ long long fragment_source(long long at, int inner, int places, int bundle) {
  int steps = fragment_steps(bundle, places);
  int e = static_cast<int>(at % 4), lane = static_cast<int>(at / 4 % 32), step = static_cast<int>(at / FRAGMENT % steps);
  int filter = static_cast<int>(at / FRAGMENT / steps) * 8 + lane / 4;
  int k = (2 * step + e / 2) * 8 + lane % 4 * 2 + e % 2;
  int place = k / bundle, channel = k % bundle;
  if (place >= places || filter % bundle / inner != channel / inner) return -1;
  return (static_cast<long long>(filter) * inner + channel % inner) * places + place;
}

}  // namespace conv
