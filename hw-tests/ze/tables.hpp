// The way of a program that carries the loader within itself (the loader's static library): it opens libze_loader.so.1, has
// it fill tables of functions, and calls by these. Nothing of it is linked, and no function is looked up by its own name.
#pragma once

#include <dlfcn.h>
#include <level_zero/ze_ddi.h>
#include <level_zero/zes_ddi.h>

struct Tables {
    ze_global_dditable_t global = {};
    ze_driver_dditable_t driver = {};
    ze_device_dditable_t device = {};
    ze_context_dditable_t context = {};
    ze_command_queue_dditable_t queue = {};
    ze_command_list_dditable_t list = {};
    ze_event_dditable_t event = {};
    ze_event_pool_dditable_t pool = {};
    ze_module_dditable_t module = {};
    ze_kernel_dditable_t kernel = {};
    ze_mem_dditable_t mem = {};
    zes_device_dditable_t managed = {};
    zes_memory_dditable_t memory = {};

    Tables() {
        void *loader = dlopen("libze_loader.so.1", RTLD_NOW | RTLD_LOCAL);
        if (!loader) fail("libze_loader.so.1", dlerror());
        // As the static library begins.
        auto init = reinterpret_cast<ze_result_t (*)()>(dlsym(loader, "zeLoaderInit"));
        if (!init || init() != ZE_RESULT_SUCCESS) fail("zeLoaderInit", "there is no driver");
        fill(loader, "zeGetGlobalProcAddrTable", &global);
        if (global.pfnInit(0) != ZE_RESULT_SUCCESS) fail("zeInit", "there is no driver");
        fill(loader, "zeGetDriverProcAddrTable", &driver);
        fill(loader, "zeGetDeviceProcAddrTable", &device);
        fill(loader, "zeGetContextProcAddrTable", &context);
        fill(loader, "zeGetCommandQueueProcAddrTable", &queue);
        fill(loader, "zeGetCommandListProcAddrTable", &list);
        fill(loader, "zeGetEventProcAddrTable", &event);
        fill(loader, "zeGetEventPoolProcAddrTable", &pool);
        fill(loader, "zeGetModuleProcAddrTable", &module);
        fill(loader, "zeGetKernelProcAddrTable", &kernel);
        fill(loader, "zeGetMemProcAddrTable", &mem);
        fill(loader, "zesGetDeviceProcAddrTable", &managed);
        fill(loader, "zesGetMemoryProcAddrTable", &memory);
    }

    template <typename Table> static void fill(void *loader, const char *name, Table *table) {
        auto filler = reinterpret_cast<ze_result_t (*)(ze_api_version_t, Table *)>(dlsym(loader, name));
        if (!filler || filler(ZE_API_VERSION_CURRENT, table) != ZE_RESULT_SUCCESS) fail(name, "is not to be had");
    }
};

static Tables &tables() {
    static Tables all;
    return all;
}

#define ZE(name) (tables().FIELD_##name)
#define FIELD_zeInit global.pfnInit
#define FIELD_zeDriverGet driver.pfnGet
#define FIELD_zeDriverGetApiVersion driver.pfnGetApiVersion
#define FIELD_zeDeviceGet device.pfnGet
#define FIELD_zeDeviceGetProperties device.pfnGetProperties
#define FIELD_zeContextCreate context.pfnCreate
#define FIELD_zeMemAllocHost mem.pfnAllocHost
#define FIELD_zeMemAllocDevice mem.pfnAllocDevice
#define FIELD_zeMemAllocShared mem.pfnAllocShared
#define FIELD_zeMemFree mem.pfnFree
#define FIELD_zeModuleCreate module.pfnCreate
#define FIELD_zeKernelCreate kernel.pfnCreate
#define FIELD_zeKernelSetGroupSize kernel.pfnSetGroupSize
#define FIELD_zeKernelSetArgumentValue kernel.pfnSetArgumentValue
#define FIELD_zeEventPoolCreate pool.pfnCreate
#define FIELD_zeEventCreate event.pfnCreate
#define FIELD_zeEventHostReset event.pfnHostReset
#define FIELD_zeEventHostSynchronize event.pfnHostSynchronize
#define FIELD_zeCommandListCreate list.pfnCreate
#define FIELD_zeCommandListCreateImmediate list.pfnCreateImmediate
#define FIELD_zeCommandListReset list.pfnReset
#define FIELD_zeCommandListClose list.pfnClose
#define FIELD_zeCommandListAppendBarrier list.pfnAppendBarrier
#define FIELD_zeCommandListAppendLaunchKernel list.pfnAppendLaunchKernel
#define FIELD_zeCommandQueueCreate queue.pfnCreate
#define FIELD_zeCommandQueueExecuteCommandLists queue.pfnExecuteCommandLists
#define FIELD_zeCommandQueueSynchronize queue.pfnSynchronize
#define FIELD_zesDeviceEnumMemoryModules managed.pfnEnumMemoryModules
#define FIELD_zesMemoryGetState memory.pfnGetState
