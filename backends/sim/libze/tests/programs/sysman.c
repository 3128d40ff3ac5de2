// Sysman, with `zesInit` where the loader has it (argument `init`) and with the core where a variable says so.
#include "common.h"
#include <dlfcn.h>
#include <level_zero/zes_api.h>
#include <unistd.h>

static uint64_t free_bytes(zes_device_handle_t of) {
    uint32_t count = 1;
    zes_mem_handle_t memory;
    OK(zesDeviceEnumMemoryModules(of, &count, &memory));
    CHECK(count == 1);
    zes_mem_state_t state = {.stype = ZES_STRUCTURE_TYPE_MEM_STATE};
    OK(zesMemoryGetState(memory, &state));
    CHECK(state.free <= state.size && state.size > 0);
    return state.free;
}

int main(int argc, char **argv) {
    zes_device_handle_t managed = NULL;
    if (argc > 1 && strcmp(argv[1], "init") == 0) {
        ze_result_t (*init)(uint32_t) = (ze_result_t(*)(uint32_t))dlsym(RTLD_DEFAULT, "zesInit");
        ze_result_t (*drivers)(uint32_t *, zes_driver_handle_t *) = dlsym(RTLD_DEFAULT, "zesDriverGet");
        ze_result_t (*devices)(zes_driver_handle_t, uint32_t *, zes_device_handle_t *) =
            dlsym(RTLD_DEFAULT, "zesDeviceGet");
        if (!init || !drivers || !devices) {
            puts("skipped: this loader has no zesInit");
            return 0;
        }
        OK(init(0));
        zes_driver_handle_t first;
        uint32_t count = 1;
        OK(drivers(&count, &first));
        count = 1;
        OK(devices(first, &count, &managed));
        CHECK(count == 1);
        begin();
    } else {
        begin();
        managed = (zes_device_handle_t)device;
    }
    ze_device_properties_t core = {.stype = ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES};
    OK(zeDeviceGetProperties(device, &core));
    zes_device_properties_t properties = {.stype = ZES_STRUCTURE_TYPE_DEVICE_PROPERTIES};
    properties.core.stype = ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES;
    OK(zesDeviceGetProperties(managed, &properties));
    CHECK(strstr(properties.modelName, "simulated"));
    CHECK(memcmp(&core.uuid, &properties.core.uuid, sizeof core.uuid) == 0);

    void *small = on_device(1);
    uint64_t before = free_bytes(managed);
    void *memory = on_device(1 << 30);
    CHECK(before - free_bytes(managed) == 1 << 30);
    uint32_t count = 8;
    zes_process_state_t processes[8] = {0};
    OK(zesDeviceProcessesGetState(managed, &count, processes));
    CHECK(count == 1 && processes[0].processId == (uint32_t)getpid());
    CHECK(processes[0].memSize >= 1 << 30);

    count = 1;
    zes_engine_handle_t engine;
    OK(zesDeviceEnumEngineGroups(managed, &count, &engine));
    zes_engine_stats_t was, is;
    OK(zesEngineGetActivity(engine, &was));
    ze_kernel_handle_t kernel = work(1000000, NULL, 0);
    ze_command_list_handle_t l = immediate(ZE_COMMAND_QUEUE_MODE_SYNCHRONOUS);
    ze_group_count_t one = {1, 1, 1};
    OK(zeCommandListAppendLaunchKernel(l, kernel, &one, NULL, 0, NULL));
    OK(zesEngineGetActivity(engine, &is));
    uint64_t busy_us = is.activeTime - was.activeTime;
    CHECK(busy_us >= 9800 && busy_us <= 10300 && is.timestamp - was.timestamp >= busy_us);

    count = 0;
    OK(zesDeviceEnumPowerDomains(managed, &count, NULL));
    CHECK(count == 0);
    OK(zesDeviceEnumTemperatureSensors(managed, &count, NULL));
    CHECK(count == 0);

    OK(zeCommandListDestroy(l));
    OK(zeKernelDestroy(kernel));
    OK(zeMemFree(context, memory));
    OK(zeMemFree(context, small));
    CHECK(free_bytes(managed) > before);
    end();
    return 0;
}
