/* A library that calls the driver by nothing but its own link to it. */

#include <stddef.h>

int hipMalloc(void **, size_t);
int hipFree(void *);
int hipMemGetInfo(size_t *, size_t *);

enum { OUT_OF_MEMORY = 2 };

/* What is not as it should be for a tenant with that quota; 0 if everything is. */
int held_to(size_t quota) {
    size_t before, after, total;
    void *address;
    if (hipFree(NULL) || hipMemGetInfo(&before, &total))
        return 10;
    if (total != quota)
        return 11;
    if (hipMalloc(&address, quota) != OUT_OF_MEMORY)
        return 12;
    if (hipMalloc(&address, quota / 4) || hipMemGetInfo(&after, &total))
        return 13;
    if (before - after != quota / 4)
        return 14;
    if (hipFree(address) || hipMemGetInfo(&after, &total))
        return 15;
    return after == before ? 0 : 16;
}
