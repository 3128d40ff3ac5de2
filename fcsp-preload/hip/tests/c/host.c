/* Opens the driver, then a library that is linked to it, so that the library finds the driver's functions before anybody
 * else's. With a third argument, opens what is to have the driver's tables before that, and says how often it was called. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static void *opened(const char *name, int flags) {
    void *library = dlopen(name, RTLD_NOW | flags);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    return library;
}

int main(int count, char **arguments) {
    void *profiler = count > 4 ? opened(arguments[4], RTLD_GLOBAL) : NULL;
    opened(arguments[1], RTLD_GLOBAL);
    void *plugin = opened(arguments[2], RTLD_DEEPBIND);
    int (*held_to)(size_t) = (int (*)(size_t))dlsym(plugin, "held_to");
    int result = held_to(strtoull(arguments[3], NULL, 0));
    if (profiler)
        printf("%u\n", *(unsigned *)dlsym(profiler, "mallocs"));
    return result;
}
