/* A driver with the functions of CUDA 2 and 3, whose addresses and sizes have 32 bits, and what is needed
 * to attach a device. It counts nothing: what is charged is the preload library's affair. Allocations of
 * an odd number of bytes fail, as if the device were full. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { OK = 0, OUT_OF_MEMORY = 2, INVALID_VALUE = 1 };

static __thread void *current;
static uint32_t next = 0x10000;
static char contexts[16];
static int made;

int cuInit(unsigned flags) { return OK; }
int cuDeviceGetUuid(char *uuid, int device) { memset(uuid, 0x5a, 16); return OK; }
int cuDeviceGetName(char *name, int length, int device) { strncpy(name, "Old (simulated)", length); return OK; }
int cuDeviceTotalMem_v2(size_t *bytes, int device) { *bytes = (size_t)8 << 30; return OK; }
int cuDeviceTotalMem(unsigned *bytes, int device) { *bytes = UINT32_MAX; return OK; }
int cuCtxGetDevice(int *device) { *device = 0; return current ? OK : 201; }
int cuCtxGetCurrent(void **context) { *context = current; return OK; }
int cuCtxSetCurrent(void *context) { current = context; return OK; }

int cuCtxCreate(void **context, unsigned flags, int device) {
    current = *context = &contexts[made++ % sizeof contexts];
    return OK;
}
int cuCtxDestroy(void *context) { return OK; }
int cuCtxAttach(void **context, unsigned flags) { *context = current; return OK; }
int cuCtxDetach(void *context) { return OK; }

static int allocate(uint32_t *address, unsigned bytes) {
    if (bytes % 2) return OUT_OF_MEMORY;
    *address = next += 512;
    return OK;
}
int cuMemAlloc(uint32_t *address, unsigned bytes) { return allocate(address, bytes); }
int cuMemAllocPitch(uint32_t *address, unsigned *pitch, unsigned width, unsigned height, unsigned element) {
    *pitch = (width + 511) / 512 * 512;
    return allocate(address, *pitch * height);
}
int cuMemFree(uint32_t address) { return address % 512 ? INVALID_VALUE : OK; }
int cuMemGetInfo(unsigned *free, unsigned *total) { *free = *total = UINT32_MAX; return OK; }

static int array(void **handle) {
    *handle = (void *)(uintptr_t)(next += 512);
    return OK;
}
int cuArrayCreate(void **handle, const void *descriptor) { return array(handle); }
int cuArray3DCreate(void **handle, const void *descriptor) { return array(handle); }
int cuArrayDestroy(void *handle) { return OK; }
