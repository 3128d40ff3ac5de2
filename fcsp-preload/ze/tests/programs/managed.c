// Sysman started by zesInit, beside the core interface or alone: the quota is the whole device. Says so where the loader has
// no zesInit.
#define _GNU_SOURCE
#include "asks.h"
#include <dlfcn.h>

static zes_device_handle_t started(void) {
    ze_result_t (*init)(uint32_t) = dlsym(RTLD_DEFAULT, "zesInit");
    ze_result_t (*drivers)(uint32_t *, zes_driver_handle_t *) = dlsym(RTLD_DEFAULT, "zesDriverGet");
    ze_result_t (*devices)(zes_driver_handle_t, uint32_t *, zes_device_handle_t *) = dlsym(RTLD_DEFAULT, "zesDeviceGet");
    if (!init || !drivers || !devices) {
        puts("no zesInit");
        exit(0);
    }
    OK(init(0));
    uint32_t count = 1;
    zes_driver_handle_t managing;
    OK(drivers(&count, &managing));
    count = 1;
    zes_device_handle_t managed;
    OK(devices(managing, &count, &managed));
    return managed;
}

int main(void) {
    uint64_t quota = number("BUD_MEMORY_LIMIT");
    zes_device_handle_t managed = started();
    zes_mem_state_t state = memory_state(managed);
    CHECK(state.size == quota && state.free <= quota);
    begin();
    void *first = on_device(1);
    uint64_t before = memory_state(managed).free;
    CHECK(before < quota);
    void *some = on_device(100 * MIB);
    CHECK(before - memory_state(managed).free == 100 * MIB);
    uint32_t count = 0;
    OK(zesDeviceProcessesGetState(managed, &count, NULL));
    CHECK(count == 1);
    OK(zeMemFree(context, some));
    CHECK(memory_state(managed).free == before);
    OK(zeMemFree(context, first));
    end();
    puts("as the core");
    return 0;
}
