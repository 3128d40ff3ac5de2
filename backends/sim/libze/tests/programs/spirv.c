// A module that a compiler made, given as a file.
#include "common.h"

static ze_kernel_handle_t kernel_of(ze_module_handle_t from, const char *name, uint32_t arguments) {
    ze_kernel_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_KERNEL_DESC, .pKernelName = name};
    ze_kernel_handle_t kernel;
    OK(zeKernelCreate(from, &desc, &kernel));
    ze_kernel_properties_t properties = {.stype = ZE_STRUCTURE_TYPE_KERNEL_PROPERTIES};
    OK(zeKernelGetProperties(kernel, &properties));
    CHECK(properties.numKernelArgs == arguments);
    return kernel;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    static uint8_t code[1 << 16];
    FILE *file = fopen(argv[1], "rb");
    CHECK(file);
    size_t bytes = fread(code, 1, sizeof code, file);
    fclose(file);
    begin();
    ze_module_desc_t desc = {
        .stype = ZE_STRUCTURE_TYPE_MODULE_DESC,
        .format = ZE_MODULE_FORMAT_IL_SPIRV,
        .inputSize = bytes,
        .pInputModule = code,
    };
    ze_module_handle_t own;
    OK(zeModuleCreate(context, device, &desc, &own, NULL));
    ze_command_list_handle_t l = immediate(ZE_COMMAND_QUEUE_MODE_SYNCHRONOUS);
    ze_group_count_t groups = {1024, 1, 1};
    void *memory = on_device(4096);
    uint64_t n = 1000;
    float a = 2;

    ze_kernel_handle_t saxpy = kernel_of(own, "saxpy", 4);
    OK(zeKernelSetGroupSize(saxpy, 256, 1, 1));
    OK(zeKernelSetArgumentValue(saxpy, 0, sizeof memory, &memory));
    OK(zeKernelSetArgumentValue(saxpy, 1, sizeof memory, &memory));
    OK(zeKernelSetArgumentValue(saxpy, 2, sizeof a, &a));
    OK(zeKernelSetArgumentValue(saxpy, 3, sizeof n, &n));
    IS(ZE_RESULT_ERROR_INVALID_KERNEL_ARGUMENT_SIZE, zeKernelSetArgumentValue(saxpy, 3, 4, &n));
    IS(ZE_RESULT_ERROR_INVALID_KERNEL_ARGUMENT_INDEX, zeKernelSetArgumentValue(saxpy, 4, 8, &n));
    uint64_t began_ns = now_ns();
    OK(zeCommandListAppendLaunchKernel(l, saxpy, &groups, NULL, 0, NULL));
    // Five waves of work items, 5 us each, and 2 us.
    CHECK(now_ns() - began_ns >= 26000);

    float big[12] = {0};
    int vector[4] = {1, 2, 3, 0};
    ze_kernel_handle_t by_value = kernel_of(own, "by_value", 4);
    OK(zeKernelSetArgumentValue(by_value, 0, sizeof big, big));
    OK(zeKernelSetArgumentValue(by_value, 1, sizeof memory, &memory));
    OK(zeKernelSetArgumentValue(by_value, 2, 1024, NULL));
    OK(zeKernelSetArgumentValue(by_value, 3, sizeof vector, vector));
    OK(zeCommandListAppendLaunchKernel(l, by_value, &groups, NULL, 0, NULL));

    OK(zeKernelDestroy(by_value));
    OK(zeKernelDestroy(saxpy));
    OK(zeMemFree(context, memory));
    OK(zeCommandListDestroy(l));
    OK(zeModuleDestroy(own));
    end();
    return 0;
}
