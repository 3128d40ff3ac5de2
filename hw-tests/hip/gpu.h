// The device, its work kernel, and how long that takes.
#pragma once

#include "common.h"

constexpr unsigned BLOCK_THREADS = 256;

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
        bool simulated = std::string(name).find("simulated") != std::string::npos;
        // The field has CUDA's name; here it is HIP's version.
        device = std::string("{\"name\":\"") + name + "\",\"cuda_version\":" + std::to_string(version) +
                 ",\"driver_version\":null,\"simulated\":" + (simulated ? "true" : "false") + "}";
    }

    void launch(unsigned blocks, unsigned iters, u64 add) const {
        fcsp_work<<<dim3(blocks), dim3(BLOCK_THREADS), 0, stream>>>(iters, device_counter, add);
        OK(hipGetLastError());
    }
};

struct Scale {
    double iters_per_us;
    unsigned blocks;
};

static u64 elapsed_ns(const Gpu &gpu, unsigned blocks, unsigned iters, unsigned count) {
    u64 began = now_ns();
    for (unsigned i = 0; i < count; ++i) gpu.launch(blocks, iters, 0);
    OK(hipStreamSynchronize(gpu.stream));
    return now_ns() - began;
}

// Rounds per microsecond of the whole, idle device: the slope between two lengths, median of several.
static double measure(const Gpu &gpu, unsigned blocks, unsigned repetitions) {
    unsigned iters = 256;
    while (elapsed_ns(gpu, blocks, iters, 1) < 250'000 && iters < 1u << 30) iters *= 2;
    u64 one = elapsed_ns(gpu, blocks, iters, 1);
    unsigned count = unsigned(std::min<u64>(500, std::max<u64>(1, 30'000'000 / std::max<u64>(one, 1))));
    elapsed_ns(gpu, blocks, iters, count);
    std::vector<double> runs;
    for (unsigned i = 0; i < repetitions; ++i) {
        u64 lesser = elapsed_ns(gpu, blocks, iters, count), greater = elapsed_ns(gpu, blocks, iters * 2, count);
        if (greater <= lesser) fail("calibration", "twice the work took no longer: the device is not idle");
        runs.push_back(double(iters) * count / double(greater - lesser) * 1000.0);
    }
    std::sort(runs.begin(), runs.end());
    return runs[runs.size() / 2];
}

static Scale settle(const Gpu &gpu, const Options &options) {
    unsigned blocks = unsigned(options.number("blocks", gpu.wave_blocks));
    double rate = options.number("iters-per-us", 0);
    return {rate > 0 ? rate : measure(gpu, blocks, 3), blocks};
}
