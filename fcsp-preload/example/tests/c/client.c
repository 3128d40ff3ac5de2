/* A program that uses the toy driver in the way its first argument says, and prints what it saw.
 * Compiled twice: with -DLINKED and linked to the driver, and without, so that it must load it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int (*alloc_fn)(unsigned long *, size_t);

/* "wrapper" refuses what is over the quota, the driver takes anything. */
static const char *kind(void *function) {
    unsigned long pointer;
    if (!function) return "null";
    return ((alloc_fn)function)(&pointer, 2 << 20) == 2 ? "wrapper" : "driver";
}

static void *open_driver(void) {
    void *handle = dlopen("libtoy.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!handle) { fprintf(stderr, "%s\n", dlerror()); exit(3); }
    return handle;
}

#ifdef LINKED
extern int toyAlloc(unsigned long *, size_t), toyAllocTwice(unsigned long *, size_t), toyFree(unsigned long);
extern int toyLaunch(int), toyQuickLaunch(int), toyDriverCalls(void);
extern size_t toyCharged(void);
extern void *user_next(const char *);
extern int user_direct(unsigned long *, size_t);

static void direct(void) {
    unsigned long pointer = 0;
    int small = toyAlloc(&pointer, 100), over = toyAlloc(&pointer, 2 << 20);
    printf("small=%d over=%d charged=%zu pointer=%lu\n", small, over, toyCharged(), pointer);
    printf("from_library=%d\n", user_direct(&pointer, 2 << 20));
}

static void reentry(void) {
    unsigned long pointer;
    int result = toyAllocTwice(&pointer, 100);
    printf("result=%d charged=%zu driver_calls=%d\n", result, toyCharged(), toyDriverCalls());
}

static void panics(void) {
    int before, results[3];
    before = toyDriverCalls(); results[0] = toyLaunch(13); printf("open=%d calls=%d\n", results[0], toyDriverCalls() - before);
    before = toyDriverCalls(); results[1] = toyLaunch(14); printf("after=%d calls=%d\n", results[1], toyDriverCalls() - before);
    before = toyDriverCalls(); results[2] = toyFree(13);   printf("closed=%d calls=%d\n", results[2], toyDriverCalls() - before);
    printf("then=%d quick=%d\n", toyLaunch(1), toyQuickLaunch(7));
}

static void next(void) {
    printf("program=%s library=%s\n", kind(dlsym(RTLD_NEXT, "toyAlloc")), kind(user_next("toyAlloc")));
    printf("lacking=%p stranger=%d\n", dlsym(RTLD_NEXT, "toyLacking"), dlsym(RTLD_NEXT, "malloc") != NULL);
    printf("default=%s default_lacking=%p\n", kind(dlsym(RTLD_DEFAULT, "toyAlloc")), dlsym(RTLD_DEFAULT, "toyLacking"));
    printf("self=%s\n", kind(dlsym(dlopen(NULL, RTLD_NOW), "toyAlloc")));
}

static void other(void) {
    unsigned long pointer;
    int *getenv_calls = dlsym(RTLD_DEFAULT, "other_getenv_calls"), *alloc_calls = dlsym(RTLD_DEFAULT, "other_alloc_calls");
    int before = *getenv_calls, result = toyAlloc(&pointer, 2 << 20);
    getenv("HOME");
    printf("result=%d allocs=%d getenvs=%d\n", result, *alloc_calls, *getenv_calls - before);
}
#else
static void lookup(void) {
    void *handle = open_driver();
    void *(*dynamic)(void *, const char *) = (void *(*)(void *, const char *))dlsym(RTLD_DEFAULT, "dlsym");
    printf("dlsym=%s dlvsym=%s bad_version=%p\n", kind(dlsym(handle, "toyAlloc")),
           kind(dlvsym(handle, "toyAlloc", "TOY_1.0")), dlvsym(handle, "toyAlloc", "TOY_9.9"));
    printf("lacking=%p unknown=%p forwarded=%d\n", dlsym(handle, "toyLacking"), dlsym(handle, "toyNothing"),
           dlsym(handle, "toyDriverCalls") != NULL);
    printf("found_dlsym=%s\n", kind(dynamic(handle, "toyAlloc")));
}

static void find(void) {
    void *handle = open_driver(), *function, *plain;
    int (*toy_find)(const char *, void **) = (int (*)(const char *, void **))dlsym(handle, "toyFind");
    int found = toy_find("Alloc", &function), same = function == dlsym(handle, "toyAlloc");
    toy_find("DriverCalls", &plain);
    int forwarded = plain == dlsym(handle, "toyDriverCalls");
    printf("found=%d kind=%s same=%d forwarded=%d missing=%d\n", found, kind(function), same, forwarded,
           toy_find("Nothing", &plain));
}

static void unloaded(void) {
    printf("default=%p next=%p\n", dlsym(RTLD_DEFAULT, "toyAlloc"), dlsym(RTLD_NEXT, "toyAlloc"));
    dlerror();
    void *found = dlsym(RTLD_DEFAULT, "no_such_name");
    printf("found=%p error=%d\n", found, dlerror() != NULL);
    printf("loaded=%d\n", dlopen("libtoy.so.1", RTLD_NOW | RTLD_NOLOAD) != NULL);
}

static void strangers(void) {
    static const char *names[] = {"malloc", "free", "printf", "dlopen", "pthread_create", "toy", "toyAllo", "toyAllocs"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        Dl_info info = {0};
        void *found = dlsym(RTLD_DEFAULT, names[i]);
        const char *file = found && dladdr(found, &info) ? strrchr(info.dli_fname, '/') : NULL;
        printf("%s=%s\n", names[i], file ? file + 1 : "null");
    }
}
#endif

int main(int argc, char **argv) {
    static const struct { const char *name; void (*run)(void); } scenarios[] = {
#ifdef LINKED
        {"direct", direct}, {"reentry", reentry}, {"panics", panics}, {"next", next}, {"other", other},
#else
        {"lookup", lookup}, {"find", find}, {"unloaded", unloaded}, {"strangers", strangers},
#endif
    };
    for (size_t i = 0; argc == 2 && i < sizeof scenarios / sizeof *scenarios; i++)
        if (!strcmp(argv[1], scenarios[i].name)) return scenarios[i].run(), 0;
    return 2;
}
