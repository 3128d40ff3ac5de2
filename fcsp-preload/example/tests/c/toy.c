/* The toy driver, see src/lib.rs. */
#include <stddef.h>
#include <string.h>

static int calls;

/* Not hidden: calls among these functions go through the dynamic linker, as in some vendors' drivers. */
int toyAlloc(unsigned long *pointer, size_t bytes) { calls++; *pointer = bytes; return 0; }
int toyAllocTwice(unsigned long *pointer, size_t bytes) { return toyAlloc(pointer, bytes) + toyAlloc(pointer, bytes); }
int toyFree(unsigned long pointer) { (void)pointer; calls++; return 0; }
int toyLaunch(int kernel) { calls++; return kernel; }
int toyQuickLaunch(int kernel) { calls++; return kernel; }
size_t toyCharged(void) { return (size_t)-1; }
int toyDriverCalls(void) { return calls; }

int toyFind(const char *name, void **function) {
    *function = NULL;
    if (!strcmp(name, "Alloc")) *function = (void *)toyAlloc;
    if (!strcmp(name, "DriverCalls")) *function = (void *)toyDriverCalls;
    return *function ? 0 : 1;
}
