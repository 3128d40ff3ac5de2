// What the device says about itself.
#include "check.h"

int main() {
    int count = 0, device = -1, version = 0;
    OK(hipGetDeviceCount(&count));
    HOLDS(count == 2);
    OK(hipGetDevice(&device));
    HOLDS(device == 0);
    hipDeviceProp_t properties;
    OK(hipGetDeviceProperties(&properties, 1));
    HOLDS(std::strstr(properties.name, "(simulated)"));
    HOLDS(!std::strncmp(properties.gcnArchName, "gfx90a", 6));
    HOLDS(properties.multiProcessorCount == 104 && properties.warpSize == 64 && properties.major == 9);
    size_t total = 0, free_bytes = 0;
    OK(hipDeviceTotalMem(&total, 1));
    HOLDS(total == properties.totalGlobalMem && total == (size_t(64) << 30) - (16 << 20));
    IS(hipGetDeviceProperties(&properties, 2), hipErrorInvalidDevice);
    int value = 0;
    OK(hipDeviceGetAttribute(&value, hipDeviceAttributeMultiprocessorCount, 0));
    HOLDS(value == 104);
    OK(hipDeviceGetAttribute(&value, hipDeviceAttributeCanUseStreamWaitValue, 0));
    HOLDS(value == 1);
    char id[32], name[128];
    OK(hipDeviceGetPCIBusId(id, sizeof id, 1));
    OK(hipDeviceGetByPCIBusId(&device, id));
    HOLDS(device == 1);
    OK(hipDeviceGetName(name, sizeof name, 0));
    HOLDS(!std::strcmp(name, properties.name));
    OK(hipSetDevice(1));
    OK(hipMemGetInfo(&free_bytes, &total));
    IS(hipSetDevice(2), hipErrorInvalidDevice);
    OK(hipGetDevice(&device));
    HOLDS(device == 1);
    OK(hipRuntimeGetVersion(&version));
    HOLDS(version / 10000000 == 5);
    int least = 0, greatest = 0;
    OK(hipDeviceGetStreamPriorityRange(&least, &greatest));
    HOLDS(least == 1 && greatest == -1);
    void *p;
    OK(hipMalloc(&p, 100));
    OK(hipDeviceReset());
    IS(hipFree(p), hipErrorInvalidValue);
    OK(hipMalloc(&p, 100));
    OK(hipFree(p));
    std::puts("done");
}
