// Kinds of memory and their contents, images, virtual memory, limits.
#include "common.h"

int main(void) {
    begin();
    ze_command_list_handle_t l = immediate(ZE_COMMAND_QUEUE_MODE_SYNCHRONOUS);
    enum { N = 1 << 20 };
    uint8_t *there = on_device(N), *here = on_host(N), *both = shared(N);
    static uint8_t mine[N], back[N];
    void *all[] = {there, here, both, mine};
    ze_memory_type_t kinds[] = {ZE_MEMORY_TYPE_DEVICE, ZE_MEMORY_TYPE_HOST, ZE_MEMORY_TYPE_SHARED,
                                ZE_MEMORY_TYPE_UNKNOWN};
    for (int i = 0; i < 4; i++) {
        ze_memory_allocation_properties_t p = {.stype = ZE_STRUCTURE_TYPE_MEMORY_ALLOCATION_PROPERTIES};
        ze_device_handle_t of = NULL;
        OK(zeMemGetAllocProperties(context, all[i], &p, &of));
        CHECK(p.type == kinds[i]);
        CHECK((of == device) == (i == 0 || i == 2));
    }
    void *base = NULL;
    size_t bytes = 0;
    OK(zeMemGetAddressRange(context, there + 1000, &base, &bytes));
    CHECK(base == there && bytes == N);

    for (int i = 0; i < N; i++)
        mine[i] = i * 7;
    OK(zeCommandListAppendMemoryCopy(l, there, mine, N, NULL, 0, NULL));
    OK(zeCommandListAppendMemoryCopy(l, here, there, N, NULL, 0, NULL));
    OK(zeCommandListAppendMemoryCopy(l, both, here, N, NULL, 0, NULL));
    CHECK(memcmp(both, mine, N) == 0);
    uint64_t pattern[2] = {0x0123456789abcdef, 0xfedcba9876543210};
    OK(zeCommandListAppendMemoryFill(l, there, pattern, sizeof pattern, N, NULL, 0, NULL));
    OK(zeCommandListAppendMemoryCopy(l, back, there, N, NULL, 0, NULL));
    for (int i = 0; i < N; i += sizeof pattern)
        CHECK(memcmp(back + i, pattern, sizeof pattern) == 0);
    IS(ZE_RESULT_ERROR_INVALID_SIZE, zeCommandListAppendMemoryCopy(l, there, mine, N + 1, NULL, 0, NULL));

    // A box of 3 x 2 bytes in rows of 16.
    memset(both, 0, 64);
    ze_copy_region_t to = {1, 1, 0, 3, 2, 1}, from = {0, 0, 0, 3, 2, 1};
    OK(zeCommandListAppendMemoryCopyRegion(l, both, &to, 16, 0, mine, &from, 100, 0, NULL, 0, NULL));
    CHECK(memcmp(both + 17, mine, 3) == 0 && memcmp(both + 33, mine + 100, 3) == 0 && both[20] == 0);

    // An image keeps its texels.
    ze_image_desc_t desc = {
        .stype = ZE_STRUCTURE_TYPE_IMAGE_DESC,
        .type = ZE_IMAGE_TYPE_2D,
        .format = {.layout = ZE_IMAGE_FORMAT_LAYOUT_8_8_8_8, .type = ZE_IMAGE_FORMAT_TYPE_UINT},
        .width = 64,
        .height = 32,
    };
    ze_image_handle_t image;
    OK(zeImageCreate(context, device, &desc, &image));
    OK(zeCommandListAppendImageCopyFromMemory(l, image, mine, NULL, NULL, 0, NULL));
    ze_image_region_t corner = {1, 1, 0, 2, 1, 1};
    OK(zeCommandListAppendImageCopyToMemory(l, back, image, &corner, NULL, 0, NULL));
    CHECK(memcmp(back, mine + 64 * 4 + 4, 8) == 0);
    OK(zeImageDestroy(image));

    // Physical memory, mapped twice over.
    size_t page;
    OK(zeVirtualMemQueryPageSize(context, device, 1 << 20, &page));
    ze_physical_mem_desc_t wanted = {.stype = ZE_STRUCTURE_TYPE_PHYSICAL_MEM_DESC, .size = page};
    ze_physical_mem_handle_t physical;
    OK(zePhysicalMemCreate(context, device, &wanted, &physical));
    // The validation layer of the first loaders wants to be told where.
    void *range = NULL, *near = (void *)(1ull << 40);
    OK(zeVirtualMemReserve(context, near, 2 * page, &range));
    OK(zeVirtualMemMap(context, range, page, physical, 0, ZE_MEMORY_ACCESS_ATTRIBUTE_READWRITE));
    void *second = (char *)range + page;
    OK(zeVirtualMemMap(context, second, page, physical, 0, ZE_MEMORY_ACCESS_ATTRIBUTE_READWRITE));
    OK(zeCommandListAppendMemoryCopy(l, range, mine, page < N ? page : N, NULL, 0, NULL));
    OK(zeCommandListAppendMemoryCopy(l, back, second, 1000, NULL, 0, NULL));
    CHECK(memcmp(back, mine, 1000) == 0);
    OK(zeVirtualMemUnmap(context, range, page));
    OK(zeVirtualMemUnmap(context, second, page));
    OK(zeVirtualMemFree(context, range, 2 * page));
    OK(zePhysicalMemDestroy(context, physical));

    // More than there is.
    ze_device_mem_alloc_desc_t on = {.stype = ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC};
    void *much = NULL, *more = NULL;
    IS(ZE_RESULT_ERROR_UNSUPPORTED_SIZE, zeMemAllocDevice(context, &on, 1ull << 40, 0, device, &more));
    uint32_t count = 1;
    ze_device_memory_properties_t memory = {.stype = ZE_STRUCTURE_TYPE_DEVICE_MEMORY_PROPERTIES};
    OK(zeDeviceGetMemoryProperties(device, &count, &memory));
    OK(zeMemAllocDevice(context, &on, memory.totalSize / 4 * 3, 0, device, &much));
    IS(ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY,
       zeMemAllocDevice(context, &on, memory.totalSize / 2, 0, device, &more));
    OK(zeMemFree(context, much));
    OK(zeMemAllocDevice(context, &on, memory.totalSize / 2, 0, device, &more));
    OK(zeMemFree(context, more));

    // What was made of SPIR-V can be loaded again.
    size_t size = 0;
    OK(zeModuleGetNativeBinary(module, &size, NULL));
    uint8_t *binary = malloc(size);
    OK(zeModuleGetNativeBinary(module, &size, binary));
    ze_module_desc_t native = {
        .stype = ZE_STRUCTURE_TYPE_MODULE_DESC,
        .format = ZE_MODULE_FORMAT_NATIVE,
        .inputSize = size,
        .pInputModule = binary,
    };
    ze_module_handle_t again;
    OK(zeModuleCreate(context, device, &native, &again, NULL));
    uint32_t names = 0;
    OK(zeModuleGetKernelNames(again, &names, NULL));
    const char *name[2];
    CHECK(names == 2);
    OK(zeModuleGetKernelNames(again, &names, name));
    CHECK(strcmp(name[0], "fcsp_work") == 0);
    OK(zeModuleDestroy(again));
    native.inputSize = 3;
    ze_module_build_log_handle_t log;
    IS(ZE_RESULT_ERROR_INVALID_NATIVE_BINARY, zeModuleCreate(context, device, &native, &again, &log));
    OK(zeModuleBuildLogGetString(log, &size, NULL));
    CHECK(size > 1);
    OK(zeModuleBuildLogDestroy(log));
    free(binary);

    OK(zeMemFree(context, there));
    OK(zeMemFree(context, here));
    OK(zeMemFree(context, both));
    OK(zeCommandListDestroy(l));
    end();
    return 0;
}
