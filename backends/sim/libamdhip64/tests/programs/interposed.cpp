// An executable that exports names of the library sees the calls that the library makes to itself.
#include "check.h"
#include <dlfcn.h>

static int info_calls = 0, copy_calls = 0;

extern "C" hipError_t hipMemGetInfo(size_t *free_bytes, size_t *total) {
    static auto real = reinterpret_cast<hipError_t (*)(size_t *, size_t *)>(dlsym(RTLD_NEXT, "hipMemGetInfo"));
    ++info_calls;
    return real(free_bytes, total);
}

extern "C" hipError_t hipMemcpyAsync(void *to, const void *from, size_t bytes, hipMemcpyKind kind, hipStream_t stream) {
    using Copy = hipError_t (*)(void *, const void *, size_t, hipMemcpyKind, hipStream_t);
    static auto real = reinterpret_cast<Copy>(dlsym(RTLD_NEXT, "hipMemcpyAsync"));
    ++copy_calls;
    return real(to, from, bytes, kind, stream);
}

__device__ int variable;

int main() {
    void *p;
    IS(hipMalloc(&p, size_t(1) << 50), hipErrorOutOfMemory);
    HOLDS(info_calls == 1);
    int value = 4;
    OK(hipMemcpyToSymbolAsync(HIP_SYMBOL(variable), &value, sizeof value, 0, hipMemcpyHostToDevice, nullptr));
    HOLDS(copy_calls == 1);
    OK(hipDeviceSynchronize());
    std::puts("done");
}
