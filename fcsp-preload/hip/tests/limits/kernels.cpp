// Launches a kernel in every way that a compiled program has, then waits until it is told to end.

#include <cstdio>
#include <hip/hip_ext.h>
#include <hip/hip_runtime.h>

__global__ void work(int *place, int value) { *place = value; }

#define OK(call)                                                                                                           \
    if (hipError_t error = call; error != hipSuccess) {                                                                    \
        std::fprintf(stderr, "%s: %d\n", #call, error);                                                                    \
        return 1;                                                                                                          \
    }

int main() {
    int *place = nullptr;
    int value = 7;
    hipStream_t stream;
    OK(hipMalloc(&place, sizeof *place));
    OK(hipStreamCreate(&stream));
    work<<<dim3(4), dim3(64)>>>(place, value);
    OK(hipGetLastError());
    work<<<dim3(4), dim3(64), 0, stream>>>(place, value);
    OK(hipGetLastError());
    void *arguments[] = {&place, &value};
    OK(hipExtLaunchKernel(reinterpret_cast<void *>(work), dim3(4), dim3(64), arguments, 0, stream, nullptr, nullptr, 0));
    OK(hipLaunchCooperativeKernel(reinterpret_cast<void *>(work), dim3(4), dim3(64), arguments, 0, stream));
    OK(hipDeviceSynchronize());
    std::puts("launched");
    std::fflush(stdout);
    return std::getchar() == EOF ? 0 : 1;
}
