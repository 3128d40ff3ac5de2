/* Calls that the real library makes by exported names, and which release this is.
 *
 * From C these calls go through the procedure linkage table, so that whoever interposes such a function sees them. Who
 * calls what was read from the code of Debian's libamdhip64 5.2.3 and 6.4.3. */

#include <stddef.h>

const int fcsp_sim_hip_major = FCSP_SIM_HIP_MAJOR;

int hipMemGetInfo(size_t *, size_t *);
int hipMallocPitch(void **, size_t *, size_t, size_t);
int hipHostMalloc(void **, size_t, unsigned);
int hipMemcpy(void *, const void *, size_t, int);
int hipMemcpyAsync(void *, const void *, size_t, int, void *);
int hipGetDevice(int *);
int hipGetDeviceProperties(void *, int);
int hipGetDevicePropertiesR0600(void *, int);
int hipModuleLaunchKernel(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **,
                          void **);

int fcsp_own_hipMemGetInfo(size_t *free, size_t *total) { return hipMemGetInfo(free, total); }
int fcsp_own_hipMallocPitch(void **place, size_t *pitch, size_t width, size_t height) {
    return hipMallocPitch(place, pitch, width, height);
}
int fcsp_own_hipHostMalloc(void **place, size_t bytes, unsigned flags) { return hipHostMalloc(place, bytes, flags); }
int fcsp_own_hipMemcpy(void *to, const void *from, size_t bytes, int kind) { return hipMemcpy(to, from, bytes, kind); }
int fcsp_own_hipMemcpyAsync(void *to, const void *from, size_t bytes, int kind, void *stream) {
    return hipMemcpyAsync(to, from, bytes, kind, stream);
}
int fcsp_own_hipGetDevice(int *place) { return hipGetDevice(place); }
int fcsp_own_hipGetDeviceProperties(void *place, int device) {
#if FCSP_SIM_HIP_MAJOR >= 6
    return hipGetDevicePropertiesR0600(place, device);
#else
    return hipGetDeviceProperties(place, device);
#endif
}
int fcsp_own_hipModuleLaunchKernel(void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                                   unsigned bz, unsigned shared, void *stream, void **params, void **extra) {
    return hipModuleLaunchKernel(function, gx, gy, gz, bx, by, bz, shared, stream, params, extra);
}

/* Weak, where the real library is linked to librocprofiler-register: there is none beside this one. */
#pragma weak rocprofiler_register_library_api_table
unsigned rocprofiler_register_library_api_table(const char *, unsigned (*)(void), unsigned, void **, unsigned long,
                                                unsigned long *);

static unsigned version(void) { return 10000 * FCSP_SIM_HIP_MAJOR; }

void fcsp_own_register(void *table) {
    unsigned long identifier = 0;
    if (rocprofiler_register_library_api_table)
        rocprofiler_register_library_api_table("hip", version, version(), &table, 1, &identifier);
}
