// Calls of the real library where there is no device, with what each answers and leaves behind.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>

typedef int Result;
typedef struct {
    unsigned x, y, z;
} Dim3;

Result hipDeviceReset(void);
Result hipDeviceSynchronize(void);
Result hipDeviceTotalMem(size_t *, int);
Result hipFree(void *);
Result hipGetDevice(int *);
Result hipGetDeviceCount(int *);
Result hipGetDeviceProperties(void *, int);
Result hipGetLastError(void);
Result hipGraphLaunch(void *, void *);
Result hipHostMalloc(void **, size_t, unsigned);
Result hipInit(unsigned);
Result hipLaunchKernel(const void *, Dim3, Dim3, void **, size_t, void *);
Result hipMalloc(void **, size_t);
Result hipMallocAsync(void **, size_t, void *);
Result hipMallocManaged(void **, size_t, unsigned);
Result hipMallocPitch(void **, size_t *, size_t, size_t);
Result hipMemGetInfo(size_t *, size_t *);
Result hipMemcpy(void *, const void *, size_t, int);
Result hipMemset(void *, int, size_t);
Result hipModuleLaunchKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                             void **);
Result hipModuleLoad(void **, const char *);
Result hipPeekAtLastError(void);
Result hipSetDevice(int);
Result hipStreamCreate(void **);
Result hipStreamQuery(void *);
Result hipStreamSynchronize(void *);

static void say(const char *call, Result result) {
    int peeked = hipPeekAtLastError();
    printf("%s: %d, last %d, then %d\n", call, result, peeked, hipGetLastError());
}

#define SAY(call) say(#call, call)

int main(void) {
    void *place = 0;
    size_t a = 0, b = 0;
    int number = 7;
    static char properties[4096], from[64], to[64];
    Dim3 one = {1, 1, 1};
    SAY(hipInit(0));
    SAY(hipGetDeviceCount(&number));
    SAY(hipGetDevice(&number));
    SAY(hipSetDevice(0));
    SAY(hipMalloc(&place, 1 << 20));
    SAY(hipMallocPitch(&place, &a, 10, 10));
    SAY(hipMallocManaged(&place, 64, 1));
    SAY(hipMallocAsync(&place, 64, 0));
    SAY(hipHostMalloc(&place, 64, 0));
    SAY(hipFree(0));
    SAY(hipFree(to));
    SAY(hipMemGetInfo(&a, &b));
    SAY(hipDeviceTotalMem(&a, 0));
    SAY(hipGetDeviceProperties(properties, 0));
    SAY(hipMemcpy(to, from, 64, 4));
    SAY(hipMemset(to, 0, 64));
    SAY(hipStreamCreate(&place));
    SAY(hipStreamQuery(0));
    SAY(hipStreamSynchronize(0));
    SAY(hipModuleLoad(&place, "/nonexistent"));
    SAY(hipModuleLaunchKernel(0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0));
    SAY(hipLaunchKernel(to, one, one, 0, 0, 0));
    SAY(hipGraphLaunch(0, 0));
    SAY(hipDeviceSynchronize());
    SAY(hipDeviceReset());
    Dl_info info;
    void *found[] = {(void *)hipMalloc, dlsym(RTLD_DEFAULT, "hipMalloc"), dlvsym(RTLD_DEFAULT, "hipMalloc", "hip_4.2")};
    for (int at = 0; at < 3; at++)
        fprintf(stderr, "%s\n", found[at] && dladdr(found[at], &info) ? info.dli_fname : "nowhere");
    return 0;
}
