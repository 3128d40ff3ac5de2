// What all programs share: families of calls, each of which gives one checksum.
//
// A program prints `begin`, then a line per family, then `end`: `ok FAMILY: CHECKSUM`, or `no FAMILY: REASON`
// where a call failed. It runs natively and under FCSP, and whoever runs it compares the lines; so a family
// must give the same checksum each time, and says nothing of addresses, times or free memory.

#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

// A call failed.
struct Failure {
    std::string text;
};

inline void check(cudaError_t status, const char *call) {
    if (status != cudaSuccess) {
        // Taken back, so that it does not meet the next family.
        cudaGetLastError();
        throw Failure{std::string(call) + " gave " + cudaGetErrorName(status)};
    }
}

inline void check(CUresult status, const char *call) {
    if (status != CUDA_SUCCESS) {
        const char *name = "an unknown error";
        cuGetErrorName(status, &name);
        throw Failure{std::string(call) + " gave " + name};
    }
}

// Calls, and ends the family if that fails. What is in flight or allocated then is left to the process.
#define CHECK(call) check(call, #call)

inline void expect(bool holds, const char *what) {
    if (!holds) {
        throw Failure{std::string("this does not hold: ") + what};
    }
}

// FNV-1a, 64 bits.
struct Checksum {
    uint64_t value = 0xcbf29ce484222325;

    void bytes(const void *data, size_t count) {
        for (size_t i = 0; i < count; ++i) {
            value = (value ^ static_cast<const unsigned char *>(data)[i]) * 0x100000001b3;
        }
    }

    template <typename T> void vector(const std::vector<T> &data) { bytes(data.data(), data.size() * sizeof(T)); }
};

// Words that depend on their place and a seed.
__device__ __host__ inline uint32_t mix(uint32_t at, uint32_t seed) {
    uint32_t x = at * 2654435761u + seed * 40503u;
    x ^= x >> 15;
    return x * 2246822519u;
}

static __global__ void fill(uint32_t *out, size_t count, uint32_t seed) {
    size_t stride = size_t(gridDim.x) * blockDim.x;
    for (size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
        out[i] = mix(uint32_t(i), seed);
    }
}

static __global__ void add(uint32_t *out, size_t count, uint32_t what) {
    size_t stride = size_t(gridDim.x) * blockDim.x;
    for (size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += stride) {
        out[i] += what;
    }
}

constexpr size_t COUNT = size_t(1) << 20;
constexpr size_t BYTES = COUNT * sizeof(uint32_t);
constexpr int BLOCKS = 128;
constexpr int THREADS = 256;

// Checksum of `count` words of device memory.
inline uint64_t sum_up(const void *device, size_t count = COUNT) {
    std::vector<uint32_t> host(count);
    CHECK(cudaMemcpy(host.data(), device, count * sizeof(uint32_t), cudaMemcpyDefault));
    Checksum sum;
    sum.vector(host);
    return sum.value;
}

// Fills and reads back.
inline uint64_t fill_and_sum(void *device, uint32_t seed, size_t count = COUNT, cudaStream_t stream = nullptr) {
    fill<<<BLOCKS, THREADS, 0, stream>>>(static_cast<uint32_t *>(device), count, seed);
    CHECK(cudaGetLastError());
    CHECK(cudaStreamSynchronize(stream));
    return sum_up(device, count);
}

struct Family {
    const char *name;
    std::function<uint64_t()> run;
};

// Runs all families, also after one that failed.
inline int run_families(const std::vector<Family> &families) {
    std::printf("begin\n");
    for (const Family &family : families) {
        // Known then, if it crashes or hangs.
        std::fprintf(stderr, "%s\n", family.name);
        try {
            uint64_t sum = family.run();
            CHECK(cudaDeviceSynchronize());
            std::printf("ok %s: %016llx\n", family.name, static_cast<unsigned long long>(sum));
        } catch (const Failure &failure) {
            std::printf("no %s: %s\n", family.name, failure.text.c_str());
        }
        // What was said must be known if the next family crashes.
        std::fflush(stdout);
    }
    std::printf("end\n");
    return 0;
}
