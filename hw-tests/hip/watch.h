// What the device has in use, as ROCm SMI sees it, by a program that has no context there.
#pragma once

#include "common.h"
#include <dlfcn.h>

struct Watch {
    int (*usage)(uint32_t, int, uint64_t *) = nullptr;
    uint32_t device;
    char name[256] = "";

    explicit Watch(const Options &options) : device(uint32_t(options.number("device", 0))) {
        void *library = nullptr;
        for (const char *name : {"librocm_smi64.so.7", "librocm_smi64.so.6", "librocm_smi64.so.5", "librocm_smi64.so.1"})
            if (!library) library = dlopen(name, RTLD_NOW);
        if (!library) fail("librocm_smi64", "is not there");
        auto init = reinterpret_cast<int (*)(uint64_t)>(dlsym(library, "rsmi_init"));
        usage = reinterpret_cast<decltype(usage)>(dlsym(library, "rsmi_dev_memory_usage_get"));
        auto tell = reinterpret_cast<int (*)(uint32_t, char *, size_t)>(dlsym(library, "rsmi_dev_name_get"));
        if (!init || !usage || !tell || init(0) != 0 || tell(device, name, sizeof name - 1) != 0) fail("librocm_smi64", "cannot be asked");
    }
    u64 used() const {
        uint64_t bytes = 0;
        // 0 is the memory of the device itself.
        if (usage(device, 0, &bytes) != 0) fail("rsmi_dev_memory_usage_get", "failed");
        return bytes;
    }
    // As in the header of every mode.
    std::string shown() const { return described(name, 0); }
};
