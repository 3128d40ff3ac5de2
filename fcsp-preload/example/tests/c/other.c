/* Another preloaded tool: it counts getenv and toyAlloc and passes both on with RTLD_NEXT. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

int other_getenv_calls, other_alloc_calls;

char *getenv(const char *name) {
    char *(*next)(const char *) = (char *(*)(const char *))dlsym(RTLD_NEXT, "getenv");
    other_getenv_calls++;
    return next(name);
}

int toyAlloc(unsigned long *pointer, size_t bytes) {
    int (*next)(unsigned long *, size_t) = (int (*)(unsigned long *, size_t))dlsym(RTLD_NEXT, "toyAlloc");
    other_alloc_calls++;
    return next ? next(pointer, bytes) : -1;
}
