// A code object from a file: its kernels, its variables, launches by handle. The path is the argument.
#include "check.h"
#include <hip/hip_ext.h>

int main(int, char **argv) {
    hipModule_t module;
    IS(hipModuleLoad(&module, "/nonexistent"), hipErrorFileNotFound);
    OK(hipModuleLoad(&module, argv[1]));
    hipFunction_t function;
    OK(hipModuleGetFunction(&function, module, "fcsp_work"));
    IS(hipModuleGetFunction(&function, module, "nothing"), hipErrorNotFound);
    OK(hipModuleGetFunction(&function, module, "fcsp_work"));
    HOLDS(!std::strcmp(hipKernelNameRef(function), "fcsp_work"));
    u64 *counter = new_counter();
    unsigned iters = 10;
    u64 add = 1;
    void *params[] = {&iters, &counter, &add};
    OK(hipModuleLaunchKernel(function, 1, 1, 1, 64, 1, 1, 0, nullptr, params, nullptr));
    struct {
        unsigned iters;
        u64 *counter;
        u64 add;
    } packed = {10, counter, 2};
    size_t bytes = sizeof packed;
    void *extra[] = {HIP_LAUNCH_PARAM_BUFFER_POINTER, &packed, HIP_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
                     HIP_LAUNCH_PARAM_END};
    OK(hipModuleLaunchKernel(function, 1, 1, 1, 64, 1, 1, 0, nullptr, nullptr, extra));
    add = 4;
    OK(hipExtModuleLaunchKernel(function, 256, 1, 1, 64, 1, 1, 0, nullptr, params, nullptr, nullptr, nullptr, 0));
    OK(hipDeviceSynchronize());
    HOLDS(read_counter(counter) == 7);
    hipDeviceptr_t variable;
    OK(hipModuleGetGlobal(&variable, &bytes, module, "seven"));
    int value = 0;
    OK(hipMemcpyDtoH(&value, variable, sizeof value));
    HOLDS(bytes == sizeof value && value == 7);
    OK(hipModuleUnload(module));
    char text[64] = "no code";
    IS(hipModuleLoadData(&module, text), hipErrorInvalidImage);
    std::puts("done");
}
