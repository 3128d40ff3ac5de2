// A program that is not linked to the loader: it opens it and looks functions up.
#include <dlfcn.h>
#include <level_zero/ze_api.h>
#include <stdio.h>
#include <string.h>

#define LOOK(name) __typeof__(&name) name##_ = (__typeof__(&name))dlsym(loader, #name)

int main(void) {
    void *loader = dlopen("libze_loader.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!loader)
        return 2;
    LOOK(zeInit);
    LOOK(zeDriverGet);
    LOOK(zeDeviceGet);
    LOOK(zeDeviceGetProperties);
    if (!zeInit_ || !zeDriverGet_ || !zeDeviceGet_ || !zeDeviceGetProperties_)
        return 3;
    ze_result_t code = zeInit_(0);
    printf("init %x\n", code);
    if (code != ZE_RESULT_SUCCESS)
        return 0;
    uint32_t count = 1;
    ze_driver_handle_t driver;
    ze_device_handle_t device;
    if (zeDriverGet_(&count, &driver) || zeDeviceGet_(driver, &count, NULL))
        return 4;
    count = 0;
    if (zeDeviceGet_(driver, &count, NULL))
        return 5;
    printf("devices %u\n", count);
    count = 1;
    ze_device_properties_t properties = {.stype = ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES};
    if (zeDeviceGet_(driver, &count, &device) || zeDeviceGetProperties_(device, &properties))
        return 6;
    printf("name %s\n", properties.name);
    return 0;
}
