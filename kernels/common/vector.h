// 16 bytes of elements of one type, as one access moves them.
#pragma once

#include "common/number.h"

template <class T, int COUNT_ = 16 / sizeof(T)>
struct alignas(COUNT_ * sizeof(T)) Pack {
  static constexpr int COUNT = COUNT_;
  T at[COUNT];
};
