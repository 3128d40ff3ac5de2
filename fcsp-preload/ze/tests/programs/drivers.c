// Goes through all drivers that the loader has: allocates half the quota on each one's first device, and then as much as the
// whole quota. Says for each, in the loader's order, whether the second was refused.
#include "asks.h"

static ze_result_t take(uint64_t bytes, void **place) {
    ze_device_mem_alloc_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC};
    return zeMemAllocDevice(context, &desc, bytes, 0, device, place);
}

int main(void) {
    OK(zeInit(0));
    uint64_t quota = number("BUD_MEMORY_LIMIT");
    uint32_t drivers = 8, one = 1;
    ze_driver_handle_t all[8];
    OK(zeDriverGet(&drivers, all));
    for (uint32_t i = 0; i < drivers; i++) {
        OK(zeDeviceGet(all[i], &one, &device));
        CHECK(one == 1);
        ze_context_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_CONTEXT_DESC};
        OK(zeContextCreate(all[i], &desc, &context));
        void *half, *whole;
        OK(take(quota / 2, &half));
        ze_result_t second = take(quota, &whole);
        CHECK(second == ZE_RESULT_SUCCESS || second == ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY);
        printf("%s\n", second == ZE_RESULT_SUCCESS ? "passes" : "refused");
        if (second == ZE_RESULT_SUCCESS)
            OK(zeMemFree(context, whole));
        OK(zeMemFree(context, half));
        OK(zeContextDestroy(context));
    }
    return 0;
}
