// What a boundary between segments costs the device and the host, by how it is made: 192 kernels of some 40 us in one
// stream, a boundary after every 4th or 16th, all of it queued behind a wait so that the host is never the slower one.
//
//   nvcc -O2 -arch=native -o boundary boundary.cu -lcuda && ./boundary
#include <cuda.h>
#include <cuda_runtime.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <vector>

__global__ void copy(float4* to, const float4* from, size_t count) {
    size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t i = blockIdx.x * (size_t)blockDim.x + threadIdx.x; i < count; i += step) {
        float4 value = from[i];
        value.x += 1;
        to[i] = value;
    }
}

__global__ void compute(float* out, int rounds) {
    float a = threadIdx.x, b = 1.0001f;
    for (int i = 0; i < rounds; i++) a = a * b + 0.5f;
    if (a == 0.123f) out[0] = a;
}

static void check(CUresult result, int line) {
    if (result) {
        printf("line %d: error %d\n", line, result);
        exit(1);
    }
}
#define CHECK(call) check(call, __LINE__)

static double now_us() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

int main() {
    enum { NOTHING, WRITE, WAIT, WRITE_WAIT, BATCH, EVENT, TIMED, SIDE, TWO_TIMED, WAYS };
    const char* names[] = {"nothing", "write to the host", "wait for the host (true already)", "write, then wait",
                           "write and wait in one batch", "event without timing", "timed event",
                           "event, and a write in another stream", "two timed events"};
    const int kernels = 192, rounds = 9;
    const size_t bytes = 64 << 20;
    float4 *a, *b;
    unsigned* words;
    CUdeviceptr device_words;
    CUstream stream, side;
    CUevent events[64], timed[64];
    cudaFree(0);
    CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CHECK(cuStreamCreate(&side, CU_STREAM_NON_BLOCKING));
    cudaMalloc(&a, bytes);
    cudaMalloc(&b, bytes);
    cudaMemset(a, 0, bytes);
    cudaHostAlloc((void**)&words, 4096, cudaHostAllocMapped);
    CHECK(cuMemHostGetDevicePointer(&device_words, words, 0));
    for (auto& event : events) CHECK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    for (auto& event : timed) CHECK(cuEventCreate(&event, CU_EVENT_DEFAULT));
    // Code is loaded at the first launch, which waits for the device: not behind a wait.
    copy<<<1, 32, 0, stream>>>(b, a, 1);
    compute<<<1, 32, 0, stream>>>((float*)b, 1);
    cudaDeviceSynchronize();
    // 64 bytes apart: what is written, what is waited for, what holds everything back.
    const CUdeviceptr written = device_words, granted = device_words + 64, held = device_words + 128;
    words[16] = 0xffffff;
    for (int computes = 0; computes < 2; computes++) {
        for (int every = 4; every <= 16; every *= 4) {
            std::vector<double> device_us[WAYS], host_us[WAYS];
            for (int round = 0; round < rounds; round++) {
                for (int way = 0; way < WAYS; way++) {
                    cudaDeviceSynchronize();
                    words[32] = 0;
                    CHECK(cuStreamWaitValue32(stream, held, 1, CU_STREAM_WAIT_VALUE_EQ));
                    double began = now_us();
                    unsigned n = 0;
                    for (int kernel = 0; kernel < kernels; kernel++) {
                        if (computes)
                            compute<<<1056, 256, 0, stream>>>((float*)b, 4000);
                        else
                            copy<<<1056, 512, 0, stream>>>(b, a, bytes / sizeof(float4));
                        if (kernel % every != every - 1) continue;
                        n++;
                        if (way == WRITE || way == WRITE_WAIT) CHECK(cuStreamWriteValue32(stream, written, n, 0));
                        if (way == WAIT || way == WRITE_WAIT)
                            CHECK(cuStreamWaitValue32(stream, granted, n, CU_STREAM_WAIT_VALUE_GEQ));
                        if (way == BATCH) {
                            CUstreamBatchMemOpParams both[2] = {};
                            both[0].writeValue = {CU_STREAM_MEM_OP_WRITE_VALUE_32, written, {n}, 0, 0};
                            both[1].waitValue = {CU_STREAM_MEM_OP_WAIT_VALUE_32, granted, {n},
                                                 CU_STREAM_WAIT_VALUE_GEQ, 0};
                            CHECK(cuStreamBatchMemOp(stream, 2, both, 0));
                        }
                        if (way == EVENT || way == SIDE) CHECK(cuEventRecord(events[n % 64], stream));
                        if (way == SIDE) {
                            CHECK(cuStreamWaitEvent(side, events[n % 64], 0));
                            CHECK(cuStreamWriteValue32(side, written, n, 0));
                        }
                        if (way == TIMED || way == TWO_TIMED) CHECK(cuEventRecord(timed[n % 64], stream));
                        if (way == TWO_TIMED) CHECK(cuEventRecord(timed[(n + 7) % 64], stream));
                    }
                    host_us[way].push_back(now_us() - began);
                    began = now_us();
                    *(volatile unsigned*)(words + 32) = 1;
                    CHECK(cuStreamSynchronize(stream));
                    cudaDeviceSynchronize();
                    device_us[way].push_back(now_us() - began);
                }
            }
            double base = median(device_us[NOTHING]), boundaries = kernels / every;
            printf("%s of %.1f us, a boundary after %d:\n", computes ? "compute" : "copy", base / kernels, every);
            for (int way = 0; way < WAYS; way++)
                printf("  %-38s device %+6.2f us each, host %+6.2f us each\n", names[way],
                       (median(device_us[way]) - base) / boundaries,
                       (median(host_us[way]) - median(host_us[NOTHING])) / boundaries);
        }
    }
}
