/* Tools that are preloaded beside us, each compiled with one of these names defined. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static int counted;
int tool_counted(void) { return counted; }

#ifdef DLSYM
/* Interposes dlsym, and finds the C library's by its version. */
void *dlsym(void *handle, const char *name) {
    static void *(*real)(void *, const char *);
    if (!real) real = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    if (!real) real = (void *(*)(void *, const char *))dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    counted++;
    return real(handle, name);
}
#endif

#ifdef MALLOC
/* Interposes malloc with one that never gives anything back. */
extern void *__libc_malloc(size_t);
void *malloc(size_t bytes) {
    __atomic_add_fetch(&counted, 1, __ATOMIC_RELAXED);
    return __libc_malloc(bytes);
}
#endif

#ifdef PROFILER
/* Stands before the driver by the driver's own lookup: whoever asks for cuMemAlloc gets its function, which counts
 * and goes on to what the lookup found. */
typedef int (*look_up_fn)(const char *, void **, int, uint64_t, int *);
typedef int (*alloc_fn)(uint64_t *, size_t);
static alloc_fn next_alloc;

static int profiled_alloc(uint64_t *address, size_t bytes) {
    counted++;
    return next_alloc(address, bytes);
}

int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status) {
    look_up_fn next = (look_up_fn)dlsym(RTLD_NEXT, "cuGetProcAddress_v2");
    int code = next(name, function, version, flags, status);
    if (!code && !strcmp(name, "cuMemAlloc") && *function) {
        next_alloc = (alloc_fn)*function;
        *function = (void *)profiled_alloc;
    }
    return code;
}
#endif
