// The driver API: several contexts, modules and libraries from PTX, mapped physical memory.

#include "common.cuh"

#include <cstring>
#include <unistd.h>

// Compiled by the driver. `step` adds the word `increment` of the module to every element.
static const char PTX[] = R"(
.version 7.0
.target sm_75
.address_size 64
.visible .global .align 4 .u32 increment = 5;
.visible .entry step(.param .u64 memory, .param .u32 count)
{
    .reg .pred %p<2>;
    .reg .b32 %r<8>;
    .reg .b64 %rd<5>;
    ld.param.u64 %rd1, [memory];
    ld.param.u32 %r1, [count];
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p1, %r5, %r1;
    @%p1 bra done;
    ld.global.u32 %r6, [increment];
    cvta.to.global.u64 %rd2, %rd1;
    mul.wide.u32 %rd3, %r5, 4;
    add.s64 %rd4, %rd2, %rd3;
    ld.global.u32 %r7, [%rd4];
    add.s32 %r7, %r7, %r6;
    st.global.u32 [%rd4], %r7;
done:
    ret;
}
)";

static CUdevice device() {
    CUdevice device;
    CHECK(cuInit(0));
    CHECK(cuDeviceGet(&device, 0));
    return device;
}

static uint64_t read(CUdeviceptr memory) {
    std::vector<uint32_t> host(COUNT);
    CHECK(cuMemcpyDtoH(host.data(), memory, BYTES));
    Checksum sum;
    sum.vector(host);
    return sum.value;
}

static void launch(CUfunction function, CUdeviceptr memory, int times, CUstream stream = nullptr) {
    uint32_t count = COUNT;
    void *arguments[] = {&memory, &count};
    for (int i = 0; i < times; ++i) {
        CHECK(cuLaunchKernel(function, COUNT / THREADS, 1, 1, THREADS, 1, 1, 0, stream, arguments, nullptr));
    }
}

static CUcontext make_context() {
    CUcontext context;
#if CUDA_VERSION >= 13000
    CHECK(cuCtxCreate(&context, nullptr, 0, device()));
#else
    CHECK(cuCtxCreate(&context, 0, device()));
#endif
    return context;
}

static uint64_t in_new_context(uint32_t seed, int times) {
    CUmodule module;
    CUfunction step;
    CUdeviceptr memory, increment;
    size_t increment_bytes;
    CHECK(cuModuleLoadData(&module, PTX));
    CHECK(cuModuleGetFunction(&step, module, "step"));
    CHECK(cuModuleGetGlobal(&increment, &increment_bytes, module, "increment"));
    CHECK(cuMemcpyHtoD(increment, &seed, sizeof seed));
    CHECK(cuMemAlloc(&memory, BYTES));
    CHECK(cuMemsetD32(memory, seed, COUNT));
    launch(step, memory, times);
    CHECK(cuCtxSynchronize());
    uint64_t sum = read(memory);
    CHECK(cuModuleUnload(module));
    // The memory goes with its context.
    return sum + increment_bytes;
}

static uint64_t two_contexts() {
    CUcontext first = make_context(), second = make_context(), current;
    // Making one makes it current, on top of the one before.
    uint64_t sum = in_new_context(3, 4);
    CHECK(cuCtxPopCurrent(&current));
    expect(current == second, "the second context is on top");
    sum ^= in_new_context(11, 2) * 3;
    CHECK(cuCtxPopCurrent(&current));
    expect(current == first, "the first context is below it");
    CHECK(cuCtxPushCurrent(second));
    sum ^= in_new_context(17, 1) * 5;
    CHECK(cuCtxPopCurrent(&current));
    CHECK(cuCtxDestroy(first));
    CHECK(cuCtxDestroy(second));
    return sum;
}

static uint64_t contexts_come_and_go() {
    uint64_t sum = 0;
    for (uint32_t round = 0; round < 5; ++round) {
        CUcontext context = make_context(), popped;
        sum = sum * 31 + in_new_context(round, 1);
        CHECK(cuCtxPopCurrent(&popped));
        CHECK(cuCtxDestroy(context));
    }
    return sum;
}

// For the families that follow, which need a context and leave it.
struct Primary {
    CUcontext context;

    Primary() {
        CHECK(cuDevicePrimaryCtxRetain(&context, device()));
        CHECK(cuCtxPushCurrent(context));
    }

    ~Primary() {
        CUcontext popped;
        cuCtxPopCurrent(&popped);
        cuDevicePrimaryCtxRelease(device());
    }
};

static uint64_t primary_beside_runtime() {
    Primary primary;
    void *memory;
    CHECK(cudaMalloc(&memory, BYTES));
    uint64_t sum = fill_and_sum(memory, 5);
    CHECK(cuMemsetD32(reinterpret_cast<CUdeviceptr>(memory), 9, COUNT));
    sum ^= read(reinterpret_cast<CUdeviceptr>(memory));
    CHECK(cudaFree(memory));
    return sum;
}

static uint64_t library() {
    Primary primary;
    CUlibrary library;
    CUkernel kernel;
    CUdeviceptr memory;
    CUstream stream;
    CHECK(cuLibraryLoadData(&library, PTX, nullptr, nullptr, 0, nullptr, nullptr, 0));
    CHECK(cuLibraryGetKernel(&kernel, library, "step"));
    CHECK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CHECK(cuMemAllocAsync(&memory, BYTES, stream));
    CHECK(cuMemsetD32Async(memory, 1, COUNT, stream));
    // A kernel passes for a function, in whatever context is current.
    launch(reinterpret_cast<CUfunction>(kernel), memory, 3, stream);
    CUlaunchConfig configuration = {};
    configuration.gridDimX = COUNT / THREADS;
    configuration.gridDimY = configuration.gridDimZ = 1;
    configuration.blockDimX = THREADS;
    configuration.blockDimY = configuration.blockDimZ = 1;
    configuration.hStream = stream;
    uint32_t count = COUNT;
    void *arguments[] = {&memory, &count};
    CHECK(cuLaunchKernelEx(&configuration, reinterpret_cast<CUfunction>(kernel), arguments, nullptr));
    CHECK(cuStreamSynchronize(stream));
    uint64_t sum = read(memory);
    CHECK(cuMemFreeAsync(memory, stream));
    CHECK(cuStreamSynchronize(stream));
    CHECK(cuStreamDestroy(stream));
    CHECK(cuLibraryUnload(library));
    return sum;
}

static CUmemAllocationProp properties(bool exportable) {
    CUmemAllocationProp properties = {};
    properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    properties.location.id = device();
    if (exportable) {
        properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    }
    return properties;
}

static void allow(CUdeviceptr at, size_t bytes) {
    CUmemAccessDesc access = {};
    access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    access.location.id = device();
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    CHECK(cuMemSetAccess(at, bytes, &access, 1));
}

static uint64_t mapped() {
    Primary primary;
    CUmemAllocationProp wanted = properties(false);
    size_t granularity;
    CHECK(cuMemGetAllocationGranularity(&granularity, &wanted, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    const size_t bytes = (BYTES + granularity - 1) / granularity * granularity;
    CUdeviceptr range;
    CHECK(cuMemAddressReserve(&range, 4 * bytes, 0, 0, 0));
    CUmemGenericAllocationHandle first, second, again;
    CHECK(cuMemCreate(&first, bytes, &wanted, 0));
    CHECK(cuMemCreate(&second, bytes, &wanted, 0));
    // The first twice, the second between.
    CHECK(cuMemMap(range, bytes, 0, first, 0));
    CHECK(cuMemMap(range + bytes, bytes, 0, second, 0));
    CHECK(cuMemMap(range + 2 * bytes, bytes, 0, first, 0));
    allow(range, 3 * bytes);
    CHECK(cuMemsetD32(range, 4, COUNT));
    CHECK(cuMemsetD32(range + bytes, 6, COUNT));
    uint64_t sum = read(range + 2 * bytes) ^ (read(range + bytes) * 3);
    // The handles go, the memory stays while it is mapped, and a handle can be had again.
    CHECK(cuMemRelease(first));
    CHECK(cuMemRelease(second));
    CHECK(cuMemRetainAllocationHandle(&again, reinterpret_cast<void *>(range + bytes)));
    CHECK(cuMemMap(range + 3 * bytes, bytes, 0, again, 0));
    allow(range + 3 * bytes, bytes);
    sum += read(range + 3 * bytes);
    CHECK(cuMemRelease(again));
    for (int i = 0; i < 4; ++i) {
        CHECK(cuMemUnmap(range + i * bytes, bytes));
    }
    CHECK(cuMemAddressFree(range, 4 * bytes));
    return sum;
}

static uint64_t exported_to_itself() {
    Primary primary;
    CUmemAllocationProp wanted = properties(true);
    size_t granularity;
    CHECK(cuMemGetAllocationGranularity(&granularity, &wanted, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    const size_t bytes = (BYTES + granularity - 1) / granularity * granularity;
    CUmemGenericAllocationHandle own, imported;
    int file;
    CHECK(cuMemCreate(&own, bytes, &wanted, 0));
    CHECK(cuMemExportToShareableHandle(&file, own, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    CHECK(cuMemImportFromShareableHandle(&imported, reinterpret_cast<void *>(intptr_t(file)),
                                         CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
    CUdeviceptr range;
    CHECK(cuMemAddressReserve(&range, 2 * bytes, 0, 0, 0));
    CHECK(cuMemMap(range, bytes, 0, own, 0));
    CHECK(cuMemMap(range + bytes, bytes, 0, imported, 0));
    allow(range, 2 * bytes);
    CHECK(cuMemsetD32(range, 8, COUNT));
    uint64_t sum = read(range + bytes);
    CHECK(cuMemUnmap(range, bytes));
    CHECK(cuMemUnmap(range + bytes, bytes));
    CHECK(cuMemRelease(own));
    CHECK(cuMemRelease(imported));
    CHECK(cuMemAddressFree(range, 2 * bytes));
    close(file);
    return sum;
}

int main() {
    return run_families({
        {"two contexts", two_contexts},
        {"contexts come and go", contexts_come_and_go},
        {"primary context beside the runtime", primary_beside_runtime},
        {"library", library},
        {"virtual memory", mapped},
        {"virtual memory, exported to itself", exported_to_itself},
    });
}
