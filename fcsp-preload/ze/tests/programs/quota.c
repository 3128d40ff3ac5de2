// Memory of every kind: charged when it is there, refused beyond the quota, given back.
#include "asks.h"

static uint64_t before;
#define CHARGED(bytes) CHECK(before - free_bytes() == (bytes))

static ze_result_t try(size_t bytes, void **address) {
    ze_device_mem_alloc_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC};
    return zeMemAllocDevice(context, &desc, bytes, 0, device, address);
}

int main(void) {
    uint64_t quota = number("BUD_MEMORY_LIMIT");
    begin();
    uint32_t count = 1;
    ze_device_memory_properties_t memory = {.stype = ZE_STRUCTURE_TYPE_DEVICE_MEMORY_PROPERTIES};
    OK(zeDeviceGetMemoryProperties(device, &count, &memory));
    CHECK(memory.totalSize == quota);
    ze_device_properties_t properties = {.stype = ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES};
    OK(zeDeviceGetProperties(device, &properties));
    CHECK(properties.maxMemAllocSize <= quota);
    CHECK(memory_state((zes_device_handle_t)device).size == quota);

    void *first = on_device(1);
    before = free_bytes();
    CHECK(before < quota && before > quota - 128 * MIB);
    void *some = on_device(100 * MIB), *more = NULL;
    CHARGED(100 * MIB);
    IS(ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY, try(quota - 100 * MIB, &more));
    CHARGED(100 * MIB);
    void *both = shared(50 * MIB), *here = on_host(700 * MIB);
    CHARGED(150 * MIB);
    // What the driver refuses is not charged.
    IS(ZE_RESULT_ERROR_UNSUPPORTED_ALIGNMENT, ({
           ze_device_mem_alloc_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC};
           zeMemAllocDevice(context, &desc, MIB, 4 * MIB, device, &more);
       }));
    CHARGED(150 * MIB);
    OK(zeMemFree(context, both));
    OK(zeMemFree(context, here));
    OK(zeMemFree(context, some));
    CHARGED(0);

    ze_image_desc_t desc = {
        .stype = ZE_STRUCTURE_TYPE_IMAGE_DESC,
        .type = ZE_IMAGE_TYPE_2D,
        .format = {.layout = ZE_IMAGE_FORMAT_LAYOUT_32_32_32_32, .type = ZE_IMAGE_FORMAT_TYPE_UINT},
        .width = 1024,
        .height = 1024,
    };
    ze_image_handle_t image;
    OK(zeImageCreate(context, device, &desc, &image));
    CHARGED(16 * MIB);
    desc.width = desc.height = 8192;
    ze_image_handle_t large;
    IS(ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY, zeImageCreate(context, device, &desc, &large));
    OK(zeImageDestroy(image));
    CHARGED(0);

    ze_physical_mem_desc_t wanted = {.stype = ZE_STRUCTURE_TYPE_PHYSICAL_MEM_DESC, .size = 32 * MIB};
    ze_physical_mem_handle_t physical, too_much;
    OK(zePhysicalMemCreate(context, device, &wanted, &physical));
    CHARGED(32 * MIB);
    ze_physical_mem_desc_t much = {.stype = ZE_STRUCTURE_TYPE_PHYSICAL_MEM_DESC, .size = quota};
    IS(ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY, zePhysicalMemCreate(context, device, &much, &too_much));
    void *range = NULL, *near = (void *)(1ull << 40);
    OK(zeVirtualMemReserve(context, near, 32 * MIB, &range));
    OK(zeVirtualMemMap(context, range, 32 * MIB, physical, 0, ZE_MEMORY_ACCESS_ATTRIBUTE_READWRITE));
    CHARGED(32 * MIB);
    OK(zeVirtualMemUnmap(context, range, 32 * MIB));
    CHARGED(32 * MIB);
    OK(zePhysicalMemDestroy(context, physical));
    CHARGED(0);
    OK(zeVirtualMemFree(context, range, 32 * MIB));

    ze_memory_free_ext_desc_t blocking = {
        .stype = ZE_STRUCTURE_TYPE_MEMORY_FREE_EXT_DESC,
        .freePolicy = ZE_DRIVER_MEMORY_FREE_POLICY_EXT_FLAG_BLOCKING_FREE,
    };
    some = on_device(10 * MIB);
    OK(zeMemFreeExt(context, &blocking, some));
    CHARGED(0);
    OK(zeMemFree(context, first));
    end();
    return 0;
}
