// What every program here needs: calls that must succeed, conditions that must hold, and the kernel that counts.
#pragma once
#include <hip/hip_runtime.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#define OK(call)                                                                                                      \
    do {                                                                                                              \
        hipError_t code = (call);                                                                                     \
        if (code != hipSuccess) {                                                                                     \
            std::printf("%s:%d: %s: %s\n", __FILE__, __LINE__, #call, hipGetErrorName(code));                         \
            std::exit(1);                                                                                             \
        }                                                                                                             \
    } while (0)

#define IS(call, expected)                                                                                            \
    do {                                                                                                              \
        hipError_t code = (call);                                                                                     \
        if (code != (expected)) {                                                                                     \
            std::printf("%s:%d: %s: %s, not %s\n", __FILE__, __LINE__, #call, hipGetErrorName(code),                  \
                        hipGetErrorName(expected));                                                                   \
            std::exit(1);                                                                                             \
        }                                                                                                             \
    } while (0)

#define HOLDS(condition)                                                                                              \
    do {                                                                                                              \
        if (!(condition)) {                                                                                           \
            std::printf("%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                                 \
            std::exit(1);                                                                                             \
        }                                                                                                             \
    } while (0)

using u64 = unsigned long long;

// Takes `iters` times 10 ns, then adds: on the simulated device by its name, on a real one by its code.
extern "C" __global__ void fcsp_work(unsigned iters, u64 *counter, u64 add) {
    for (unsigned i = 0; i < iters; ++i) __builtin_amdgcn_s_sleep(1);
    if (counter && threadIdx.x == 0 && blockIdx.x == 0) atomicAdd(counter, add);
}

inline u64 read_counter(const u64 *counter) {
    u64 value = 0;
    OK(hipMemcpy(&value, counter, sizeof value, hipMemcpyDeviceToHost));
    return value;
}

inline u64 *new_counter() {
    u64 *counter = nullptr;
    OK(hipMalloc(reinterpret_cast<void **>(&counter), sizeof *counter));
    OK(hipMemset(counter, 0, sizeof *counter));
    return counter;
}
