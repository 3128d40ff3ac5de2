// The tables that a loader is given: what has a row is ours, all else the driver's own function, so that it costs nothing.
#include <dlfcn.h>
#include <level_zero/ze_ddi.h>
#include <stdio.h>
#include <stdlib.h>

static void fill(void *library, const char *name, void *table) {
    ze_result_t (*filler)(ze_api_version_t, void *) = dlsym(library, name);
    if (!filler || filler(ZE_API_VERSION_CURRENT, table) != ZE_RESULT_SUCCESS) {
        fprintf(stderr, "%s\n", name);
        exit(1);
    }
}

#define COMPARE(table_t, name)                                                                                        \
    do {                                                                                                              \
        table_t theirs = {0}, given = {0};                                                                            \
        fill(driver, name, &theirs);                                                                                  \
        fill(ours, name, &given);                                                                                     \
        for (size_t i = 0; i < sizeof given / sizeof(void *); i++) {                                                  \
            void *a = ((void **)&theirs)[i], *b = ((void **)&given)[i];                                               \
            all += a != NULL;                                                                                         \
            replaced += a != b;                                                                                       \
            lost += a && !b;                                                                                          \
        }                                                                                                             \
    } while (0)

int main(int argc, char **argv) {
    if (argc < 3)
        return 2;
    void *ours = dlopen(argv[1], RTLD_NOW), *driver = dlopen(argv[2], RTLD_NOW);
    if (!ours || !driver) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    unsigned all = 0, replaced = 0, lost = 0;
    COMPARE(ze_device_dditable_t, "zeGetDeviceProcAddrTable");
    COMPARE(ze_command_list_dditable_t, "zeGetCommandListProcAddrTable");
    COMPARE(ze_command_queue_dditable_t, "zeGetCommandQueueProcAddrTable");
    COMPARE(ze_kernel_dditable_t, "zeGetKernelProcAddrTable");
    COMPARE(ze_module_dditable_t, "zeGetModuleProcAddrTable");
    COMPARE(ze_event_dditable_t, "zeGetEventProcAddrTable");
    COMPARE(ze_mem_dditable_t, "zeGetMemProcAddrTable");
    ze_kernel_dditable_t kernel = {0}, theirs = {0};
    fill(ours, "zeGetKernelProcAddrTable", &kernel);
    fill(driver, "zeGetKernelProcAddrTable", &theirs);
    printf("%u %u %u %d\n", all, replaced, lost, kernel.pfnSetArgumentValue == theirs.pfnSetArgumentValue);
    return 0;
}
