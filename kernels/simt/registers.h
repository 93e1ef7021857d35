// setmaxnreg: registers that a warpgroup gives back or takes. There are none here; what is checked is
// that whole warpgroups ask, that counts are legal, and that the block's registers suffice in the end.
#pragma once

#include "simt/runtime.h"

namespace simt {

void change_registers(unsigned count, bool grow, Site site);

}  // namespace simt

template <int COUNT>
inline void registers_grow(simt::Site site = simt::Site::here()) {
  static_assert(COUNT >= 24 && COUNT <= 256 && COUNT % 8 == 0, "setmaxnreg takes 24 to 256 in eights");
  simt::change_registers(COUNT, true, site);
}
template <int COUNT>
inline void registers_shrink(simt::Site site = simt::Site::here()) {
  static_assert(COUNT >= 24 && COUNT <= 256 && COUNT % 8 == 0, "setmaxnreg takes 24 to 256 in eights");
  simt::change_registers(COUNT, false, site);
}
