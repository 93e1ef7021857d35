// conv_pack: published filters of 16-bit values, f16 or bf16, in the layouts that the kernels of the family
// read.
//
// Entries      conv_pack_lines     o lines of `line` values: place by place (kh x kw), within each the channels
//                                  of the group, then zeros: for mma_conv.h and conv_thin
//              conv_pack_places    kh x kw lines of o values, one channel a group: for conv_depthwise
//              conv_pack_bundles   fragments of mma.sync, for conv_grouped; see there
// filters      o x inner x places, values
// Launch       any grid and blocks in x; no shared memory.

#include "conv/fragments.h"
#include "conv/shape.h"

namespace {

using Bits = unsigned short;

template <class F>
__device__ __forceinline__ void fill(Bits* to, long long count, F value) {
  long long step = static_cast<long long>(gridDim.x) * blockDim.x;
  for (long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    to[i] = value(i);
  }
}

}  // namespace

extern "C" __global__ void conv_pack_lines(const Bits* filters, Bits* to, int o, int inner, int places, int line) {
  fill(to, static_cast<long long>(o) * line, [=](long long i) {
    int k = static_cast<int>(i % line), filter = static_cast<int>(i / line);
    int place = k / inner, channel = k % inner;
    if (place >= places) return Bits{0};
    return filters[(static_cast<long long>(filter) * inner + channel) * places + place];
  });
}
extern "C" __global__ void conv_pack_places(const Bits* filters, Bits* to, int o, int places) {
  fill(to, static_cast<long long>(o) * places, [=](long long i) {
    return filters[i % o * places + i / o];
  });
}
extern "C" __global__ void conv_pack_bundles(const Bits* filters, Bits* to, int o, int inner, int places,
                                             int bundle) {
  long long count = static_cast<long long>(o / 8) * conv::fragment_steps(bundle, places) * conv::FRAGMENT;
  fill(to, count, [=](long long i) {
    long long from = conv::fragment_source(i, inner, places, bundle);
    return from < 0 ? Bits{0} : filters[from];
  });
}
