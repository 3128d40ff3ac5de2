// The device, its work kernel, and the frame of modes on it.
#pragma once

#include "common.h"

// Every thread does the same fixed amount of dependent arithmetic, as in fcsp-load/work.ptx; then the first credits `add`
// to a counter in memory of the host. Simulated devices know this kernel by its name and parameters.
extern "C" __global__ void fcsp_work(unsigned iters, u64 *counter, u64 add) {
    float x = threadIdx.x;
    for (unsigned i = 0; i < iters; ++i) x = __builtin_fmaf(x, 0.99902f, 0.001f);
    // x stays positive, so this store never happens; it keeps the loop from being optimized away.
    if (x < 0.0f) *counter = x;
    if (threadIdx.x == 0 && blockIdx.x == 0 && counter) __hip_atomic_fetch_add(counter, add, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_SYSTEM);
}

struct Gpu {
    static constexpr unsigned BLOCK_THREADS = 256;
    std::string device;
    unsigned multiprocessors = 0, wave_blocks = 0;
    u64 attach_ns = 0, total_bytes = 0;
    volatile u64 *counter = nullptr;
    u64 *device_counter = nullptr;
    hipStream_t stream = nullptr;

    explicit Gpu(const Options &options) {
        u64 began = now_ns();
        int ordinal = int(options.number("device", 0));
        OK(hipSetDevice(ordinal));
        OK(hipFree(nullptr));
        void *host = nullptr, *seen = nullptr;
        OK(hipHostMalloc(&host, sizeof(u64), hipHostMallocMapped | hipHostMallocPortable));
        attach_ns = now_ns() - began;
        *static_cast<u64 *>(host) = 0;
        OK(hipHostGetDevicePointer(&seen, host, 0));
        counter = static_cast<volatile u64 *>(host);
        device_counter = static_cast<u64 *>(seen);
        OK(hipStreamCreateWithFlags(&stream, hipStreamNonBlocking));
        char name[256] = "";
        int version = 0, count = 0, blocks = 0;
        OK(hipDeviceGetName(name, sizeof name - 1, ordinal));
        OK(hipRuntimeGetVersion(&version));
        OK(hipDeviceGetAttribute(&count, hipDeviceAttributeMultiprocessorCount, ordinal));
        OK(hipOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, fcsp_work, BLOCK_THREADS, 0));
        multiprocessors = unsigned(count);
        wave_blocks = multiprocessors * unsigned(blocks > 0 ? blocks : 1);
        size_t total = 0, free = 0;
        OK(hipMemGetInfo(&free, &total));
        total_bytes = total;
        device = described(name, version);
    }

    void launch(unsigned blocks, unsigned iters, u64 add) const {
        fcsp_work<<<dim3(blocks), dim3(BLOCK_THREADS), 0, stream>>>(iters, device_counter, add);
        OK(hipGetLastError());
    }
    void finish() const { OK(hipDeviceSynchronize()); }
};

using Frame = Session<Gpu>;
