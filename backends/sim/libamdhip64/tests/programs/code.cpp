// Only code, for modules.cpp.
#include "check.h"
__device__ int seven = 7;
