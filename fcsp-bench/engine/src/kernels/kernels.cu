// What the benchmark computes with, on NVIDIA's and on AMD's devices (for Intel's: kernels.cl). `cargo xtask codegen` compiles
// it to kernels.ptx, which NVIDIA's driver compiles for the device that is there: no toolkit is needed to run the benchmark.
// AMD's runtime compiles the source (hiprtc); kernels.gfx90a is what its compiler made of it for the simulated device, which
// runs no compiler.
//
// Every kernel does a fixed amount of work and never spins on a clock, because a clock also counts the time during which a
// kernel was preempted. A kernel that is counted credits `add` to a word of pinned host memory once its first block is
// done; in a grid of one wave nearly all others are done with it.
//
// Simulated devices know `fcsp_work`, `fcsp_read`, `fcsp_stamped` and `fcsp_chase` by their names and parameters. They run the
// others for a time that follows from the number of threads, and compute nothing.

#ifdef __HIP__
#ifndef __HIPCC_RTC__
#include <hip/hip_runtime.h>
#endif
// Past the first-level cache, which no two programs share.
__device__ unsigned read_past(const unsigned *from) { return __builtin_nontemporal_load(from); }
typedef unsigned quad __attribute__((ext_vector_type(4)));
__device__ quad read_past(const quad *from) { return __builtin_nontemporal_load(from); }
// The device's clock, in ticks that the runtime knows the length of. Headers of before ROCm 5.3 have no function for it.
__device__ unsigned long long device_clock() {
#ifdef __HIPCC_RTC__
    return wall_clock64();
#else
    return __builtin_amdgcn_s_memrealtime();
#endif
}
#else
typedef uint4 quad;
#define read_past __ldcg
__device__ __forceinline__ unsigned long long device_clock() {
    unsigned long long now;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
    return now;
}
#endif

__device__ void credit(unsigned long long *counter, unsigned long long add) {
    if (threadIdx.x == 0 && blockIdx.x == 0 && counter) {
        atomicAdd_system(counter, add);
    }
}

// Dependent arithmetic: takes multiprocessors, and neither cache nor memory.
extern "C" __global__ void fcsp_work(unsigned iters, unsigned long long *counter, unsigned long long add) {
    float x = threadIdx.x;
    for (unsigned round = 0; round < iters; ++round) {
        x = fmaf(x, 0.999f, 0.001f);
    }
    // x stays positive, so this never happens; it keeps the loop from being optimized away.
    if (x < 0.0f) {
        *counter = 0;
    }
    credit(counter, add);
}

// Reads `iters` times 16 bytes a thread from a buffer of `bytes`, a multiple of 16, round and round; neighbours beside each
// other. A buffer larger than any cache measures memory, a smaller one the cache it fits into.
extern "C" __global__ void fcsp_read(unsigned iters, unsigned long long *counter, unsigned long long add,
                                     const char *from, unsigned long long bytes) {
    const unsigned long long threads = (unsigned long long)gridDim.x * blockDim.x;
    const unsigned long long stride = threads * sizeof(quad) % bytes;
    unsigned long long at = ((unsigned long long)blockIdx.x * blockDim.x + threadIdx.x) * sizeof(quad) % bytes;
    unsigned found = 0;
#pragma unroll 8
    for (unsigned round = 0; round < iters; ++round) {
        // Past the first-level cache, which no two programs share.
        const quad value = read_past((const quad *)(from + at));
        found ^= value.x ^ value.y ^ value.z ^ value.w;
        at += stride;
        if (at >= bytes) {
            at -= bytes;
        }
    }
    // The buffer is all zero, so this never happens; it keeps the reads from being optimized away.
    if (found) {
        *counter = 0;
    }
    credit(counter, add);
}

// Reads that depend on each other: each block follows `hops` pointers (places of 128 bytes) through its own part of `set`,
// and adds up the cycles of each read. A read during which the kernel was preempted takes longer than any cache or memory
// and is left out. A block has four words of `out`: the cycles, the number of reads, how many of them took `hit_cycles` or
// less, and the place where it begins and where it ended.
#define LINE_WORDS 32
#define CYCLES_MAX 20000
extern "C" __global__ void fcsp_chase(const unsigned *set, unsigned hops, unsigned hit_cycles, unsigned long long *out) {
    unsigned long long *mine = out + 4ull * blockIdx.x;
    unsigned place = (unsigned)mine[3];
    unsigned long long cycles = 0, reads = 0, hits = 0;
    for (unsigned hop = 0; hop < hops; ++hop) {
        const long long began = clock64();
        // Past the first-level cache, which no two programs share.
        const unsigned next = read_past(set + (unsigned long long)place * LINE_WORDS);
        // Never so, but known only once the read is there; the clock is not read before.
        if (next == 0xffffffffu) {
            break;
        }
        place = next;
        const long long took = clock64() - began;
        if (took < CYCLES_MAX) {
            cycles += took;
            reads += 1;
            hits += took <= hit_cycles;
        }
    }
    mine[0] = cycles;
    mine[1] = reads;
    mine[2] = hits;
    mine[3] = place;
}

// As fcsp_work, and its first thread notes when it began and ended by the device's clock: nanoseconds on NVIDIA's.
extern "C" __global__ void fcsp_stamped(unsigned iters, unsigned long long *begin_and_end) {
    const bool first = threadIdx.x == 0 && blockIdx.x == 0;
    if (first) {
        begin_and_end[0] = device_clock();
    }
    float x = threadIdx.x;
    for (unsigned round = 0; round < iters; ++round) {
        x = fmaf(x, 0.999f, 0.001f);
    }
    if (x < 0.0f) {
        begin_and_end[0] = 0;
    }
    if (first) {
        begin_and_end[1] = device_clock();
    }
}

// Writes what it says to; the caller sees to it that the program may not.
extern "C" __global__ void fcsp_write(unsigned long long *at, unsigned long long value) {
    *at = value;
}

// Exact attention of one head for a block: softmax(q k^T / sqrt(64)) v by online softmax, in single precision without
// tensor cores. A thread owns a query row; a block loads keys and values in tiles. `rows` is a multiple of 128; heads
// follow one another. 4 * rows * rows * 64 floating-point operations a head, the softmax itself not counted.
#define HEAD_DIM 64
#define TILE 32
extern "C" __global__ void __launch_bounds__(128)
    fcsp_attention(const float *q, const float *k, const float *v, float *out, unsigned rows) {
    __shared__ float keys[TILE][HEAD_DIM];
    __shared__ float values[TILE][HEAD_DIM];
    const unsigned long long head = (unsigned long long)blockIdx.y * rows * HEAD_DIM;
    const unsigned row = blockIdx.x * blockDim.x + threadIdx.x;
    float query[HEAD_DIM], sum[HEAD_DIM];
    for (int d = 0; d < HEAD_DIM; ++d) {
        query[d] = q[head + (unsigned long long)row * HEAD_DIM + d] * 0.125f;
        sum[d] = 0.0f;
    }
    float largest = -1e30f, weights = 0.0f;
    for (unsigned tile = 0; tile < rows; tile += TILE) {
        __syncthreads();
        for (unsigned i = threadIdx.x; i < TILE * HEAD_DIM; i += blockDim.x) {
            keys[i / HEAD_DIM][i % HEAD_DIM] = k[head + (unsigned long long)tile * HEAD_DIM + i];
            values[i / HEAD_DIM][i % HEAD_DIM] = v[head + (unsigned long long)tile * HEAD_DIM + i];
        }
        __syncthreads();
        for (int j = 0; j < TILE; ++j) {
            float score = 0.0f;
#pragma unroll
            for (int d = 0; d < HEAD_DIM; ++d) {
                score = fmaf(query[d], keys[j][d], score);
            }
            const float above = fmaxf(largest, score);
            const float shrink = __expf(largest - above), weight = __expf(score - above);
            largest = above;
            weights = weights * shrink + weight;
#pragma unroll
            for (int d = 0; d < HEAD_DIM; ++d) {
                sum[d] = fmaf(weight, values[j][d], sum[d] * shrink);
            }
        }
    }
    for (int d = 0; d < HEAD_DIM; ++d) {
        out[head + (unsigned long long)row * HEAD_DIM + d] = sum[d] / weights;
    }
}
