// Asks for memory in every way until it is refused, under a quota that is given in bytes. Each family gives
// back what it had and then allocates and computes once more. The checksum is the number of bytes held at the
// refusal; a family that is not refused, by the out-of-memory error, fails.

#include "common.cuh"

constexpr size_t PIECE = size_t(256) << 20;
// Of images, for what is allocated in rows.
constexpr size_t SIDE = 8192;

static size_t most_bytes;

// Allocates pieces until refused.
template <typename Take, typename Release> static uint64_t until_refused(Take take, Release release) {
    std::vector<decltype(take())> held;
    cudaError_t refusal = cudaSuccess;
    while (refusal == cudaSuccess) {
        expect(held.size() * PIECE <= most_bytes, "it is refused at the quota");
        try {
            held.push_back(take());
        } catch (cudaError_t status) {
            refusal = status;
            cudaGetLastError();
        }
    }
    if (refusal != cudaErrorMemoryAllocation) {
        throw Failure{std::string("refused with ") + cudaGetErrorName(refusal)};
    }
    uint64_t held_bytes = held.size() * PIECE;
    for (auto piece : held) {
        release(piece);
    }
    CHECK(cudaDeviceSynchronize());
    release(take());
    CHECK(cudaDeviceSynchronize());
    void *memory;
    CHECK(cudaMalloc(&memory, BYTES));
    uint64_t first = fill_and_sum(memory, 1);
    expect(first == fill_and_sum(memory, 1), "it computes after the refusal");
    CHECK(cudaFree(memory));
    return held_bytes;
}

static void raise(cudaError_t status) {
    if (status != cudaSuccess) {
        throw status;
    }
}

static void raise(CUresult status) {
    if (status == CUDA_ERROR_OUT_OF_MEMORY) {
        throw cudaErrorMemoryAllocation;
    }
    CHECK(status);
}

static void free_plain(void *memory) { CHECK(cudaFree(memory)); }

static uint64_t with_malloc() {
    return until_refused([] { void *memory; raise(cudaMalloc(&memory, PIECE)); return memory; }, free_plain);
}

static uint64_t with_managed() {
    return until_refused([] { void *memory; raise(cudaMallocManaged(&memory, PIECE)); return memory; }, free_plain);
}

static uint64_t with_pitch() {
    return until_refused(
        [] {
            void *memory;
            size_t pitch;
            raise(cudaMallocPitch(&memory, &pitch, SIDE * sizeof(float), PIECE / SIDE / sizeof(float)));
            return memory;
        },
        free_plain);
}

static uint64_t with_3d() {
    return until_refused(
        [] {
            cudaPitchedPtr memory;
            raise(cudaMalloc3D(&memory, make_cudaExtent(SIDE, PIECE / SIDE / 64, 64)));
            return memory.ptr;
        },
        free_plain);
}

static uint64_t with_array() {
    return until_refused(
        [] {
            cudaArray_t array;
            cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
            raise(cudaMallocArray(&array, &format, SIDE, PIECE / SIDE / sizeof(float)));
            return array;
        },
        [](cudaArray_t array) { CHECK(cudaFreeArray(array)); });
}

static uint64_t with_mipmapped() {
    return until_refused(
        [] {
            cudaMipmappedArray_t array;
            cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
            raise(cudaMallocMipmappedArray(&array, &format, make_cudaExtent(SIDE, PIECE / SIDE / 4, 0), 1));
            return array;
        },
        [](cudaMipmappedArray_t array) { CHECK(cudaFreeMipmappedArray(array)); });
}

static uint64_t with_async() {
    return until_refused(
        [] {
            void *memory;
            raise(cudaMallocAsync(&memory, PIECE, nullptr));
            return memory;
        },
        [](void *memory) { CHECK(cudaFreeAsync(memory, nullptr)); });
}

static uint64_t with_pool() {
    cudaMemPoolProps properties = {};
    properties.allocType = cudaMemAllocationTypePinned;
    properties.location.type = cudaMemLocationTypeDevice;
    cudaMemPool_t pool;
    CHECK(cudaMemPoolCreate(&pool, &properties));
    uint64_t held_bytes = until_refused(
        [pool] {
            void *memory;
            raise(cudaMallocFromPoolAsync(&memory, PIECE, pool, nullptr));
            return memory;
        },
        [](void *memory) { CHECK(cudaFreeAsync(memory, nullptr)); });
    CHECK(cudaMemPoolDestroy(pool));
    return held_bytes;
}

static uint64_t with_create() {
    return until_refused(
        [] {
            CUmemAllocationProp wanted = {};
            wanted.type = CU_MEM_ALLOCATION_TYPE_PINNED;
            wanted.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
            CUmemGenericAllocationHandle handle;
            raise(cuMemCreate(&handle, PIECE, &wanted, 0));
            return handle;
        },
        [](CUmemGenericAllocationHandle handle) { CHECK(cuMemRelease(handle)); });
}

// A graph that allocates and leaves the memory to the program.
struct Graph {
    cudaGraphExec_t executable;
    void *memory;
};

static uint64_t with_graph() {
    return until_refused(
        [] {
            cudaGraph_t graph;
            cudaGraphNode_t node;
            Graph made;
            cudaMemAllocNodeParams wanted = {};
            wanted.poolProps.allocType = cudaMemAllocationTypePinned;
            wanted.poolProps.location.type = cudaMemLocationTypeDevice;
            wanted.bytesize = PIECE;
            CHECK(cudaGraphCreate(&graph, 0));
            cudaError_t status = cudaGraphAddMemAllocNode(&node, graph, nullptr, 0, &wanted);
            made.memory = wanted.dptr;
            // The memory is had when the graph is made ready, or at the latest when it runs.
            status = status == cudaSuccess ? cudaGraphInstantiate(&made.executable, graph, 0) : status;
            status = status == cudaSuccess ? cudaGraphLaunch(made.executable, nullptr) : status;
            CHECK(cudaGraphDestroy(graph));
            raise(status);
            return made;
        },
        [](Graph made) {
            CHECK(cudaFreeAsync(made.memory, nullptr));
            CHECK(cudaDeviceSynchronize());
            CHECK(cudaGraphExecDestroy(made.executable));
            CHECK(cudaDeviceGraphMemTrim(0));
        });
}

int main(int argc, char **argv) {
    if (argc < 2) {
        std::fprintf(stderr, "the quota in bytes is missing\n");
        return 2;
    }
    most_bytes = std::strtoull(argv[1], nullptr, 10);
    auto totals = [] {
        size_t free_bytes, total_bytes;
        cudaDeviceProp properties;
        CHECK(cudaMemGetInfo(&free_bytes, &total_bytes));
        CHECK(cudaGetDeviceProperties(&properties, 0));
        expect(total_bytes == most_bytes, "cudaMemGetInfo tells the quota as the total");
        expect(properties.totalGlobalMem == most_bytes, "cudaGetDeviceProperties tells the quota as the total");
        expect(free_bytes < total_bytes, "the context is counted");
        return uint64_t(total_bytes);
    };
    return run_families({
        {"totals", totals},
        {"cudaMalloc", with_malloc},
        {"cudaMallocPitch", with_pitch},
        {"cudaMalloc3D", with_3d},
        {"cudaMallocManaged", with_managed},
        {"cudaMallocArray", with_array},
        {"cudaMallocMipmappedArray", with_mipmapped},
        {"cudaMallocAsync", with_async},
        {"cudaMallocFromPoolAsync", with_pool},
        {"cuMemCreate", with_create},
        {"cudaGraphLaunch", with_graph},
    });
}
