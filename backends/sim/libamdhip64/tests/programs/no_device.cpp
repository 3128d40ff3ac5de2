// Prints what a few calls answer where there is no device: compared with the real library's answers.
#include "check.h"

int main() {
    int n = 0;
    size_t a, b;
    void *p;
    hipDeviceProp_t properties;
    hipStream_t stream;
    hipEvent_t event;
    std::printf("hipInit %d\n", hipInit(0));
    std::printf("hipGetDeviceCount %d\n", hipGetDeviceCount(&n));
    std::printf("count %d\n", n);
    std::printf("hipMalloc %d\n", hipMalloc(&p, 1024));
    std::printf("hipGetDeviceProperties %d\n", hipGetDeviceProperties(&properties, 0));
    std::printf("hipMemGetInfo %d\n", hipMemGetInfo(&a, &b));
    std::printf("hipGetDevice %d\n", hipGetDevice(&n));
    std::printf("hipSetDevice %d\n", hipSetDevice(0));
    std::printf("hipDeviceSynchronize %d\n", hipDeviceSynchronize());
    std::printf("hipStreamCreate %d\n", hipStreamCreate(&stream));
    std::printf("hipEventCreate %d\n", hipEventCreate(&event));
    std::printf("hipHostMalloc %d\n", hipHostMalloc(&p, 100, 0));
    std::printf("hipFree %d\n", hipFree(nullptr));
    fcsp_work<<<1, 1>>>(1, nullptr, 0);
    std::printf("hipPeekAtLastError %d\n", hipPeekAtLastError());
    std::printf("hipGetLastError %d\n", hipGetLastError());
    std::printf("hipGetLastError again %d\n", hipGetLastError());
    std::printf("hipRuntimeGetVersion %d\n", hipRuntimeGetVersion(&n));
    std::printf("version %d\n", n);
    std::printf("%s %s\n", hipGetErrorName(hipErrorOutOfMemory), hipGetErrorString(hipErrorOutOfMemory));
    std::printf("%s\n", hipGetErrorName(static_cast<hipError_t>(31337)));
}
