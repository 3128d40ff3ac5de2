/* A library that is linked to the driver. */
#include <stddef.h>
#include <stdint.h>

extern int cuMemAlloc_v2(uint64_t *, size_t);

int plugin_alloc(size_t bytes) {
    uint64_t address = 0;
    return cuMemAlloc_v2(&address, bytes);
}
