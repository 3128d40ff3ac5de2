// Every way to launch a kernel, and what orders kernels.

#include "common.cuh"

#include <cooperative_groups.h>
#include <thread>

namespace cg = cooperative_groups;

static uint32_t *filled(uint32_t seed) {
    uint32_t *memory;
    CHECK(cudaMalloc(&memory, BYTES));
    fill<<<BLOCKS, THREADS>>>(memory, COUNT, seed);
    CHECK(cudaDeviceSynchronize());
    return memory;
}

static uint64_t sum_and_free(uint32_t *memory) {
    uint64_t sum = sum_up(memory);
    CHECK(cudaFree(memory));
    return sum;
}

// Each round reads what another block wrote in the round before.
static __global__ void shift_together(uint32_t *a, uint32_t *b, size_t count, int rounds) {
    cg::grid_group grid = cg::this_grid();
    for (int round = 0; round < rounds; ++round) {
        for (size_t i = grid.thread_rank(); i < count; i += grid.size()) {
            b[i] = a[(i + count / 2 + 1) % count] + 1;
        }
        grid.sync();
        uint32_t *other = a;
        a = b;
        b = other;
    }
}

static uint64_t cooperative() {
    uint32_t *a = filled(1), *b = filled(2);
    size_t count = COUNT;
    int rounds = 8;
    void *arguments[] = {&a, &b, &count, &rounds};
    void *kernel = reinterpret_cast<void *>(shift_together);
    CHECK(cudaLaunchCooperativeKernel(kernel, dim3(64), dim3(THREADS), arguments, 0, nullptr));
    CHECK(cudaDeviceSynchronize());
    uint64_t sum = sum_and_free(a);
    return sum ^ sum_and_free(b);
}

// Each block reads the shared memory of its neighbour in the cluster.
static __global__ void exchange(uint32_t *out) {
    __shared__ uint32_t mine[THREADS];
    cg::cluster_group cluster = cg::this_cluster();
    size_t i = size_t(blockIdx.x) * THREADS + threadIdx.x;
    mine[threadIdx.x] = out[i];
    cluster.sync();
    unsigned other = (cluster.block_rank() + 1) % cluster.num_blocks();
    uint32_t value = cluster.map_shared_rank(mine, other)[threadIdx.x];
    cluster.sync();
    out[i] = value * 3 + cluster.block_rank();
}

static uint64_t clusters() {
    uint32_t *memory = filled(3);
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = 4;
    attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
    cudaLaunchConfig_t configuration = {};
    configuration.gridDim = dim3(unsigned(COUNT / THREADS));
    configuration.blockDim = dim3(THREADS);
    configuration.attrs = &attribute;
    configuration.numAttrs = 1;
    CHECK(cudaLaunchKernelEx(&configuration, exchange, memory));
    CHECK(cudaDeviceSynchronize());
    return sum_and_free(memory);
}

static __global__ void follow(uint32_t *memory, size_t count) {
#if __CUDA_ARCH__ >= 900
    cudaGridDependencySynchronize();
#endif
    size_t i = size_t(blockIdx.x) * blockDim.x + threadIdx.x;
    if (i < count) {
        memory[i] = memory[i] * 5 + 1;
    }
}

static uint64_t programmatic() {
    uint32_t *memory = filled(4);
    cudaStream_t in;
    CHECK(cudaStreamCreateWithFlags(&in, cudaStreamNonBlocking));
    cudaLaunchAttribute attribute = {};
    attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    attribute.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t configuration = {};
    configuration.gridDim = dim3(unsigned(COUNT / THREADS));
    configuration.blockDim = dim3(THREADS);
    configuration.stream = in;
    configuration.attrs = &attribute;
    configuration.numAttrs = 1;
    for (int i = 0; i < 10; ++i) {
        CHECK(cudaLaunchKernelEx(&configuration, follow, memory, COUNT));
    }
    CHECK(cudaStreamSynchronize(in));
    CHECK(cudaStreamDestroy(in));
    return sum_and_free(memory);
}

static __global__ void through_shared(uint32_t *memory, size_t count) {
    extern __shared__ uint32_t room[];
    for (size_t i = threadIdx.x; i < count; i += blockDim.x) {
        room[i] = memory[i];
    }
    __syncthreads();
    for (size_t i = threadIdx.x; i < count; i += blockDim.x) {
        memory[i] = room[count - 1 - i];
    }
}

static uint64_t large_shared() {
    uint32_t *memory = filled(5);
    const int bytes = 96 << 10;
    CHECK(cudaFuncSetAttribute(through_shared, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
    through_shared<<<1, THREADS, bytes>>>(memory, bytes / sizeof(uint32_t));
    CHECK(cudaGetLastError());
    return sum_and_free(memory);
}

static uint64_t ordered_by_events() {
    uint32_t *memory = filled(6);
    cudaStream_t streams[4];
    cudaEvent_t event;
    int least, greatest;
    CHECK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    for (int i = 0; i < 4; ++i) {
        int priority = i & 1 ? greatest : least;
        CHECK(cudaStreamCreateWithPriority(&streams[i], cudaStreamNonBlocking, priority));
    }
    CHECK(cudaEventCreate(&event));
    for (int i = 0; i < 200; ++i) {
        cudaStream_t in = streams[i % 4];
        if (i > 0) {
            CHECK(cudaStreamWaitEvent(in, event, 0));
        }
        // Not commutative: the order shows.
        follow<<<BLOCKS, THREADS, 0, in>>>(memory, COUNT);
        add<<<BLOCKS, THREADS, 0, in>>>(memory, COUNT, i);
        CHECK(cudaEventRecord(event, in));
    }
    CHECK(cudaEventSynchronize(event));
    for (cudaStream_t in : streams) {
        CHECK(cudaStreamDestroy(in));
    }
    CHECK(cudaEventDestroy(event));
    return sum_and_free(memory);
}

static uint64_t default_streams() {
    // What runs in a blocking stream is ordered with the legacy default stream, which the build with
    // per-thread default streams has not: there the event orders.
    uint32_t *memory = filled(7);
    cudaStream_t in;
    cudaEvent_t event;
    CHECK(cudaStreamCreate(&in));
    CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    for (int i = 0; i < 20; ++i) {
        add<<<BLOCKS, THREADS>>>(memory, COUNT, 1);
        CHECK(cudaEventRecord(event, 0));
        CHECK(cudaStreamWaitEvent(in, event, 0));
        follow<<<unsigned(COUNT / THREADS), THREADS, 0, in>>>(memory, COUNT);
        CHECK(cudaEventRecord(event, in));
        CHECK(cudaStreamWaitEvent(0, event, 0));
    }
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaStreamDestroy(in));
    return sum_and_free(memory);
}

static uint64_t threads() {
    constexpr int WORKERS = 8;
    uint64_t sums[WORKERS] = {};
    std::string failures[WORKERS];
    std::vector<std::thread> workers;
    for (int worker = 0; worker < WORKERS; ++worker) {
        workers.emplace_back([worker, &sums, &failures] {
            try {
                uint32_t *memory;
                CHECK(cudaMallocAsync(&memory, BYTES, cudaStreamPerThread));
                fill<<<BLOCKS, THREADS, 0, cudaStreamPerThread>>>(memory, COUNT, worker);
                for (int i = 0; i < 50; ++i) {
                    add<<<BLOCKS, THREADS, 0, cudaStreamPerThread>>>(memory, COUNT, i);
                }
                CHECK(cudaStreamSynchronize(cudaStreamPerThread));
                sums[worker] = sum_up(memory);
                CHECK(cudaFreeAsync(memory, cudaStreamPerThread));
                CHECK(cudaStreamSynchronize(cudaStreamPerThread));
            } catch (const Failure &failure) {
                failures[worker] = failure.text;
            }
        });
    }
    for (std::thread &worker : workers) {
        worker.join();
    }
    Checksum sum;
    sum.bytes(sums, sizeof sums);
    for (const std::string &failure : failures) {
        if (!failure.empty()) {
            throw Failure{failure};
        }
    }
    return sum.value;
}

static void CUDART_CB note(void *data) { *static_cast<uint32_t *>(data) *= 3; }

static uint64_t host_functions() {
    uint32_t *memory = filled(8), noted = 1;
    cudaStream_t in;
    CHECK(cudaStreamCreate(&in));
    for (int i = 0; i < 10; ++i) {
        add<<<BLOCKS, THREADS, 0, in>>>(memory, COUNT, 1);
        CHECK(cudaLaunchHostFunc(in, note, &noted));
    }
    CHECK(cudaStreamSynchronize(in));
    CHECK(cudaStreamDestroy(in));
    return sum_and_free(memory) + noted;
}

// More local memory than registers, so that the driver makes room for it.
static __global__ void recurse(uint32_t *memory, int depth) {
    uint32_t frame[2000];
    for (int i = 0; i < 2000; ++i) {
        frame[i] = mix(i, depth + threadIdx.x);
    }
    uint32_t at = memory[blockIdx.x * blockDim.x + threadIdx.x];
    for (int i = 0; i < depth; ++i) {
        at = frame[at % 2000];
    }
    memory[blockIdx.x * blockDim.x + threadIdx.x] = at;
}

static uint64_t local_memory() {
    uint32_t *memory = filled(9);
    recurse<<<BLOCKS, THREADS>>>(memory, 50);
    CHECK(cudaDeviceSynchronize());
    return sum_and_free(memory);
}

int main() {
    return run_families({
        {"cooperative launch", cooperative},
        {"clusters", clusters},
        {"programmatic dependent launch", programmatic},
        {"large shared memory", large_shared},
        {"streams ordered by events", ordered_by_events},
        {"default streams", default_streams},
        {"per-thread streams of 8 threads", threads},
        {"host functions", host_functions},
        {"local memory", local_memory},
    });
}
