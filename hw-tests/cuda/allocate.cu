// Every way of the CUDA runtime to allocate memory, used and freed again.

#include "common.cuh"

static uint64_t with_malloc() {
    void *memory;
    CHECK(cudaMalloc(&memory, BYTES));
    uint64_t sum = fill_and_sum(memory, 1);
    CHECK(cudaFree(memory));
    return sum;
}

static uint64_t with_pitch() {
    void *memory;
    size_t pitch;
    const size_t width = 1000 * sizeof(uint32_t), height = 700;
    CHECK(cudaMallocPitch(&memory, &pitch, width, height));
    CHECK(cudaMemset2D(memory, pitch, 0x5a, width, height));
    std::vector<uint32_t> host(width / sizeof(uint32_t) * height);
    CHECK(cudaMemcpy2D(host.data(), width, memory, pitch, width, height, cudaMemcpyDeviceToHost));
    CHECK(cudaFree(memory));
    Checksum sum;
    sum.vector(host);
    sum.bytes(&pitch, sizeof pitch);
    return sum.value;
}

static uint64_t with_3d() {
    cudaPitchedPtr memory;
    cudaExtent extent = make_cudaExtent(100 * sizeof(uint32_t), 50, 30);
    CHECK(cudaMalloc3D(&memory, extent));
    CHECK(cudaMemset3D(memory, 0x3c, extent));
    std::vector<uint32_t> host(100 * 50 * 30);
    cudaMemcpy3DParms copy = {};
    copy.srcPtr = memory;
    copy.dstPtr = make_cudaPitchedPtr(host.data(), extent.width, extent.width, extent.height);
    copy.extent = extent;
    copy.kind = cudaMemcpyDeviceToHost;
    CHECK(cudaMemcpy3D(&copy));
    CHECK(cudaFree(memory.ptr));
    Checksum sum;
    sum.vector(host);
    return sum.value;
}

static uint64_t with_array() {
    cudaArray_t array;
    cudaChannelFormatDesc format = cudaCreateChannelDesc<uint32_t>();
    const size_t width = 512, height = 256;
    CHECK(cudaMallocArray(&array, &format, width, height));
    std::vector<uint32_t> host(width * height), back(width * height);
    for (size_t i = 0; i < host.size(); ++i) {
        host[i] = mix(uint32_t(i), 4);
    }
    const size_t row = width * sizeof(uint32_t);
    CHECK(cudaMemcpy2DToArray(array, 0, 0, host.data(), row, row, height, cudaMemcpyHostToDevice));
    CHECK(cudaMemcpy2DFromArray(back.data(), row, array, 0, 0, row, height, cudaMemcpyDeviceToHost));
    CHECK(cudaFreeArray(array));
    expect(host == back, "an array gives back what was put in");
    Checksum sum;
    sum.vector(back);
    return sum.value;
}

static uint64_t with_array_3d() {
    cudaArray_t array;
    cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
    cudaExtent extent = make_cudaExtent(64, 32, 16);
    CHECK(cudaMalloc3DArray(&array, &format, extent));
    std::vector<float> host(64 * 32 * 16), back(host.size());
    for (size_t i = 0; i < host.size(); ++i) {
        host[i] = float(mix(uint32_t(i), 5) & 0xffff);
    }
    cudaMemcpy3DParms copy = {};
    copy.srcPtr = make_cudaPitchedPtr(host.data(), 64 * sizeof(float), 64, 32);
    copy.dstArray = array;
    copy.extent = extent;
    copy.kind = cudaMemcpyHostToDevice;
    CHECK(cudaMemcpy3D(&copy));
    cudaMemcpy3DParms out = {};
    out.srcArray = array;
    out.dstPtr = make_cudaPitchedPtr(back.data(), 64 * sizeof(float), 64, 32);
    out.extent = extent;
    out.kind = cudaMemcpyDeviceToHost;
    CHECK(cudaMemcpy3D(&out));
    CHECK(cudaFreeArray(array));
    expect(host == back, "an array gives back what was put in");
    Checksum sum;
    sum.vector(back);
    return sum.value;
}

static uint64_t with_mipmapped() {
    cudaMipmappedArray_t array;
    cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
    CHECK(cudaMallocMipmappedArray(&array, &format, make_cudaExtent(256, 128, 0), 4));
    Checksum sum;
    for (unsigned level = 0; level < 4; ++level) {
        cudaArray_t part;
        CHECK(cudaGetMipmappedArrayLevel(&part, array, level));
        const size_t width = 256 >> level, height = 128 >> level, row = width * sizeof(float);
        std::vector<float> host(width * height, float(level) + 0.5f), back(width * height);
        CHECK(cudaMemcpy2DToArray(part, 0, 0, host.data(), row, row, height, cudaMemcpyHostToDevice));
        CHECK(cudaMemcpy2DFromArray(back.data(), row, part, 0, 0, row, height, cudaMemcpyDeviceToHost));
        sum.vector(back);
    }
    CHECK(cudaFreeMipmappedArray(array));
    return sum.value;
}

static uint64_t with_managed() {
    uint32_t *memory;
    CHECK(cudaMallocManaged(&memory, BYTES));
    fill<<<BLOCKS, THREADS>>>(memory, COUNT, 7);
    CHECK(cudaDeviceSynchronize());
    // The host writes a part, and the device goes on with it.
    for (size_t i = 0; i < COUNT; i += 2) {
        memory[i] ^= 0xffff;
    }
    add<<<BLOCKS, THREADS>>>(memory, COUNT, 3);
    CHECK(cudaDeviceSynchronize());
    Checksum sum;
    sum.bytes(memory, BYTES);
    CHECK(cudaFree(memory));
    return sum.value;
}

static uint64_t with_async() {
    cudaStream_t stream;
    CHECK(cudaStreamCreate(&stream));
    Checksum sum;
    for (uint32_t round = 0; round < 8; ++round) {
        void *memory;
        CHECK(cudaMallocAsync(&memory, BYTES, stream));
        uint64_t part = fill_and_sum(memory, round, COUNT, stream);
        CHECK(cudaFreeAsync(memory, stream));
        sum.bytes(&part, sizeof part);
    }
    CHECK(cudaStreamSynchronize(stream));
    CHECK(cudaStreamDestroy(stream));
    return sum.value;
}

static uint64_t with_pool() {
    cudaMemPoolProps properties = {};
    properties.allocType = cudaMemAllocationTypePinned;
    properties.location.type = cudaMemLocationTypeDevice;
    cudaMemPool_t pool;
    CHECK(cudaMemPoolCreate(&pool, &properties));
    uint64_t keep = 64 << 20, used = 0;
    CHECK(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep));
    void *memory;
    CHECK(cudaMallocFromPoolAsync(&memory, BYTES, pool, nullptr));
    uint64_t sum = fill_and_sum(memory, 9);
    CHECK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
    expect(used == BYTES, "a pool knows what is in use");
    CHECK(cudaFreeAsync(memory, nullptr));
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaMemPoolTrimTo(pool, 0));
    CHECK(cudaMemPoolDestroy(pool));
    return sum;
}

static uint64_t with_host() {
    uint32_t *pinned, *seen;
    CHECK(cudaHostAlloc(&pinned, BYTES, cudaHostAllocMapped));
    CHECK(cudaHostGetDevicePointer(&seen, pinned, 0));
    fill<<<BLOCKS, THREADS>>>(seen, COUNT, 10);
    CHECK(cudaDeviceSynchronize());
    Checksum sum;
    sum.bytes(pinned, BYTES);
    CHECK(cudaFreeHost(pinned));
    std::vector<uint32_t> own(COUNT);
    CHECK(cudaHostRegister(own.data(), BYTES, cudaHostRegisterMapped));
    CHECK(cudaHostGetDevicePointer(&seen, own.data(), 0));
    fill<<<BLOCKS, THREADS>>>(seen, COUNT, 11);
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaHostUnregister(own.data()));
    sum.vector(own);
    return sum.value;
}

__device__ uint32_t global_words[1024];

static uint64_t with_symbol() {
    std::vector<uint32_t> host(1024, 13), back(1024);
    CHECK(cudaMemcpyToSymbol(global_words, host.data(), sizeof global_words));
    void *address;
    CHECK(cudaGetSymbolAddress(&address, global_words));
    add<<<1, THREADS>>>(static_cast<uint32_t *>(address), 1024, 4);
    CHECK(cudaMemcpyFromSymbol(back.data(), global_words, sizeof global_words));
    Checksum sum;
    sum.vector(back);
    return sum.value;
}

static uint64_t copies() {
    cudaStream_t stream;
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    uint32_t *a, *b, *pinned;
    CHECK(cudaMalloc(&a, BYTES));
    CHECK(cudaMalloc(&b, BYTES));
    CHECK(cudaMallocHost(&pinned, BYTES));
    fill<<<BLOCKS, THREADS, 0, stream>>>(a, COUNT, 12);
    CHECK(cudaMemcpyAsync(b, a, BYTES, cudaMemcpyDeviceToDevice, stream));
    CHECK(cudaMemsetAsync(b, 0x77, BYTES / 4, stream));
    CHECK(cudaMemcpyAsync(pinned, b, BYTES, cudaMemcpyDeviceToHost, stream));
    CHECK(cudaStreamSynchronize(stream));
    Checksum sum;
    sum.bytes(pinned, BYTES);
    CHECK(cudaFree(a));
    CHECK(cudaFree(b));
    CHECK(cudaFreeHost(pinned));
    CHECK(cudaStreamDestroy(stream));
    return sum.value;
}

int main() {
    return run_families({
        {"cudaMalloc", with_malloc},
        {"cudaMallocPitch", with_pitch},
        {"cudaMalloc3D", with_3d},
        {"cudaMallocArray", with_array},
        {"cudaMalloc3DArray", with_array_3d},
        {"cudaMallocMipmappedArray", with_mipmapped},
        {"cudaMallocManaged", with_managed},
        {"cudaMallocAsync", with_async},
        {"cudaMallocFromPoolAsync", with_pool},
        {"cudaHostAlloc", with_host},
        {"symbols", with_symbol},
        {"copies", copies},
    });
}
