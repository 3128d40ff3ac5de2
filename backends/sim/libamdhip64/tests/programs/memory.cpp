// Memory of every kind, with its contents.
#include "check.h"

static void device() {
    size_t free_before, free_after, total;
    // The runtime's own part is taken from here on.
    OK(hipFree(nullptr));
    OK(hipMemGetInfo(&free_before, &total));
    HOLDS(free_before < total);
    void *p;
    OK(hipMalloc(&p, 64 << 20));
    OK(hipMemGetInfo(&free_after, &total));
    HOLDS(free_before - free_after == 64 << 20);
    size_t bytes = 0;
    OK(hipMemPtrGetInfo(p, &bytes));
    HOLDS(bytes == 64 << 20);
    hipPointerAttribute_t attributes;
    OK(hipPointerGetAttributes(&attributes, p));
    HOLDS(attributes.memoryType == hipMemoryTypeDevice && attributes.devicePointer == p);
    OK(hipFree(p));
    OK(hipMemGetInfo(&free_after, &total));
    HOLDS(free_before == free_after);
    IS(hipMalloc(&p, total + 1), hipErrorOutOfMemory);
    IS(hipFree(reinterpret_cast<void *>(4096)), hipErrorInvalidValue);
    OK(hipFree(nullptr));
}

static void contents() {
    std::vector<int> in(1000), out(1000);
    for (int i = 0; i < 1000; ++i) in[i] = i * i;
    int *a, *b;
    OK(hipMalloc(reinterpret_cast<void **>(&a), 4000));
    OK(hipMalloc(reinterpret_cast<void **>(&b), 4000));
    OK(hipMemcpy(a, in.data(), 4000, hipMemcpyHostToDevice));
    OK(hipMemcpy(b, a, 4000, hipMemcpyDeviceToDevice));
    OK(hipMemcpy(out.data(), b, 4000, hipMemcpyDefault));
    HOLDS(in == out);
    OK(hipMemsetD32(b, 7, 500));
    OK(hipMemcpyDtoH(out.data(), b, 4000));
    HOLDS(out[499] == 7 && out[500] == 500 * 500);
    HOLDS(hipMemcpy(b, a, 4001, hipMemcpyDeviceToDevice) == hipErrorInvalidValue);

    char *rows;
    size_t pitch;
    OK(hipMallocPitch(reinterpret_cast<void **>(&rows), &pitch, 100, 10));
    HOLDS(pitch >= 100);
    OK(hipMemset2D(rows, pitch, 3, 100, 10));
    std::vector<char> flat(1000);
    OK(hipMemcpy2D(flat.data(), 100, rows, pitch, 100, 10, hipMemcpyDeviceToHost));
    HOLDS(flat == std::vector<char>(1000, 3));

    hipPitchedPtr box;
    OK(hipMalloc3D(&box, make_hipExtent(64, 4, 2)));
    OK(hipMemset3D(box, 9, make_hipExtent(64, 4, 2)));
    std::vector<char> cube(64 * 4 * 2);
    hipMemcpy3DParms copy = {};
    copy.srcPtr = box;
    copy.dstPtr = make_hipPitchedPtr(cube.data(), 64, 64, 4);
    copy.extent = make_hipExtent(64, 4, 2);
    copy.kind = hipMemcpyDeviceToHost;
    OK(hipMemcpy3D(&copy));
    HOLDS(cube == std::vector<char>(64 * 4 * 2, 9));
    OK(hipFree(a));
    OK(hipFree(b));
    OK(hipFree(rows));
    OK(hipFree(box.ptr));
}

__device__ int variable = 42;
__constant__ int table[4] = {1, 2, 3, 4};
__managed__ int managed = 5;

static void variables() {
    int value = 0, values[4];
    OK(hipMemcpyFromSymbol(&value, HIP_SYMBOL(variable), sizeof value));
    HOLDS(value == 42);
    value = 43;
    OK(hipMemcpyToSymbol(HIP_SYMBOL(variable), &value, sizeof value));
    value = 0;
    OK(hipMemcpyFromSymbolAsync(&value, HIP_SYMBOL(variable), sizeof value, 0, hipMemcpyDeviceToHost, nullptr));
    OK(hipDeviceSynchronize());
    HOLDS(value == 43);
    OK(hipMemcpyFromSymbol(values, HIP_SYMBOL(table), sizeof values));
    HOLDS(values[3] == 4);
    void *address;
    size_t bytes;
    OK(hipGetSymbolAddress(&address, HIP_SYMBOL(table)));
    OK(hipGetSymbolSize(&bytes, HIP_SYMBOL(table)));
    HOLDS(address && bytes == sizeof values);
    HOLDS(managed == 5);
    managed = 6;
    HOLDS(managed == 6);
}

static void host_and_managed() {
    int *host, *shared;
    OK(hipHostMalloc(reinterpret_cast<void **>(&host), 4096, hipHostMallocCoherent));
    OK(hipMallocManaged(reinterpret_cast<void **>(&shared), 4096));
    host[0] = 11;
    OK(hipMemcpy(shared, host, 4, hipMemcpyDefault));
    OK(hipDeviceSynchronize());
    HOLDS(shared[0] == 11);
    hipPointerAttribute_t attributes;
    OK(hipPointerGetAttributes(&attributes, host));
    HOLDS(attributes.memoryType == hipMemoryTypeHost);
    OK(hipPointerGetAttributes(&attributes, shared));
    HOLDS(attributes.isManaged);
    void *device = nullptr;
    OK(hipHostGetDevicePointer(&device, host, 0));
    HOLDS(device == host);
    OK(hipHostFree(host));
    OK(hipFree(shared));
    std::vector<char> own(8192);
    OK(hipHostRegister(own.data(), own.size(), hipHostRegisterDefault));
    IS(hipHostRegister(own.data(), own.size(), 0), hipErrorHostMemoryAlreadyRegistered);
    OK(hipHostUnregister(own.data()));
    void *plain;
    OK(hipMemAllocHost(&plain, 100));
    OK(hipHostFree(plain));
}

static void pools() {
    hipMemPool_t pool;
    OK(hipDeviceGetDefaultMemPool(&pool, 0));
    hipStream_t stream;
    OK(hipStreamCreate(&stream));
    void *p;
    OK(hipMallocAsync(&p, 1 << 20, stream));
    OK(hipMemsetAsync(p, 1, 1 << 20, stream));
    u64 reserved = 0, used = 0;
    OK(hipMemPoolGetAttribute(pool, hipMemPoolAttrReservedMemCurrent, &reserved));
    OK(hipMemPoolGetAttribute(pool, hipMemPoolAttrUsedMemCurrent, &used));
    HOLDS(reserved >= used && used == 1 << 20);
    OK(hipFreeAsync(p, stream));
    OK(hipStreamSynchronize(stream));
    OK(hipMemPoolTrimTo(pool, 0));
    OK(hipMemPoolGetAttribute(pool, hipMemPoolAttrReservedMemCurrent, &reserved));
    HOLDS(reserved == 0);
    hipMemPoolProps props = {};
    props.allocType = hipMemAllocationTypePinned;
    props.location.type = hipMemLocationTypeDevice;
    OK(hipMemPoolCreate(&pool, &props));
    OK(hipMallocFromPoolAsync(&p, 100, pool, stream));
    OK(hipFreeAsync(p, stream));
    OK(hipStreamSynchronize(stream));
    OK(hipMemPoolDestroy(pool));
    OK(hipStreamDestroy(stream));
}

static void virtual_memory() {
    hipMemAllocationProp prop = {};
    prop.type = hipMemAllocationTypePinned;
    prop.location.type = hipMemLocationTypeDevice;
    size_t granularity = 0;
    OK(hipMemGetAllocationGranularity(&granularity, &prop, hipMemAllocationGranularityMinimum));
    hipMemGenericAllocationHandle_t handle;
    OK(hipMemCreate(&handle, granularity, &prop, 0));
    void *at;
    OK(hipMemAddressReserve(&at, granularity, 0, nullptr, 0));
    OK(hipMemMap(at, granularity, 0, handle, 0));
    hipMemAccessDesc access = {};
    access.location = prop.location;
    access.flags = hipMemAccessFlagsProtReadWrite;
    OK(hipMemSetAccess(at, granularity, &access, 1));
    OK(hipMemsetD8(at, 5, 100));
    char value = 0;
    OK(hipMemcpy(&value, static_cast<char *>(at) + 99, 1, hipMemcpyDeviceToHost));
    HOLDS(value == 5);
    OK(hipMemUnmap(at, granularity));
    OK(hipMemRelease(handle));
    OK(hipMemAddressFree(at, granularity));
}

static void arrays() {
    size_t before, after, total;
    OK(hipMemGetInfo(&before, &total));
    hipChannelFormatDesc desc = hipCreateChannelDesc(32, 32, 0, 0, hipChannelFormatKindFloat);
    hipArray *array;
    OK(hipMallocArray(&array, &desc, 1024, 1024, hipArrayDefault));
    OK(hipMemGetInfo(&after, &total));
    HOLDS(before - after == 8 << 20);
    OK(hipFreeArray(array));
    OK(hipMemGetInfo(&after, &total));
    HOLDS(before == after);
}

int main() {
    device();
    contents();
    variables();
    host_and_managed();
    pools();
    virtual_memory();
    arrays();
    std::puts("done");
}
