// Kernels in every way that code which hipcc compiled can launch them.
#include "check.h"
#include <hip/hip_ext.h>

__global__ void plain(float *x, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] *= 2;
}

__global__ void cooperative(u64 *) {}

int main() {
    u64 *counter = new_counter();
    hipStream_t stream;
    OK(hipStreamCreate(&stream));

    fcsp_work<<<1, 64>>>(100, counter, 1);
    OK(hipGetLastError());
    fcsp_work<<<1, 64, 0, stream>>>(100, counter, 2);
    hipLaunchKernelGGL(fcsp_work, dim3(4), dim3(64), 0, stream, 100, counter, u64(4));
    unsigned iters = 100;
    u64 add = 8;
    void *args[] = {&iters, &counter, &add};
    OK(hipLaunchKernel(reinterpret_cast<void *>(fcsp_work), dim3(1), dim3(64), args, 0, stream));
    add = 16;
    hipEvent_t start, stop;
    OK(hipEventCreate(&start));
    OK(hipEventCreate(&stop));
    iters = 100000;
    OK(hipExtLaunchKernel(reinterpret_cast<void *>(fcsp_work), dim3(1), dim3(64), args, 0, stream, start, stop, 0));
    OK(hipStreamSynchronize(stream));
    float ms = 0;
    OK(hipEventElapsedTime(&ms, start, stop));
    HOLDS(ms > 0.9 && ms < 60);
    OK(hipDeviceSynchronize());
    HOLDS(read_counter(counter) == 31);

    float *x;
    OK(hipMalloc(reinterpret_cast<void **>(&x), 4096));
    plain<<<4, 256>>>(x, 1024);
    OK(hipGetLastError());
    plain<<<4, 2048>>>(x, 1024);
    HOLDS(hipGetLastError() != hipSuccess);
    HOLDS(hipGetLastError() == hipSuccess);

    void *none[] = {&counter};
    OK(hipLaunchCooperativeKernel(reinterpret_cast<void *>(cooperative), dim3(104), dim3(256), none, 0, stream));
    IS(hipLaunchCooperativeKernel(reinterpret_cast<void *>(cooperative), dim3(100000), dim3(1024), none, 0, stream),
       hipErrorCooperativeLaunchTooLarge);
    IS(hipLaunchKernel(reinterpret_cast<void *>(main), dim3(1), dim3(1), none, 0, stream),
       hipErrorInvalidDeviceFunction);

    int blocks = 0, grid = 0, block = 0;
    OK(hipOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, reinterpret_cast<const void *>(plain), 256, 0));
    HOLDS(blocks == 8);
    OK(hipOccupancyMaxPotentialBlockSize(&grid, &block, reinterpret_cast<const void *>(plain), 0, 0));
    HOLDS(grid > 0 && block > 0);
    hipFuncAttributes attributes;
    OK(hipFuncGetAttributes(&attributes, reinterpret_cast<const void *>(plain)));
    HOLDS(attributes.maxThreadsPerBlock == 1024);
    OK(hipDeviceSynchronize());
    OK(hipFree(x));
    std::puts("done");
}
