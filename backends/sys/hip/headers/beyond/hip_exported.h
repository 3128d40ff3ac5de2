/* What libamdhip64 exports and its C headers declare elsewhere, only in C++, or not at all. Written for FCSP: the forms are
 * those of hip_ext.h (C++), of the calls that clang generates for HIP programs, and of the C++ names themselves. */

#include <hip/hip_runtime_api.h>
#include <hip/hiprtc.h>

#if HIP_VERSION_MAJOR >= 6
#include <hip/amd_detail/amd_hip_gl_interop.h>
/* The names of HIP 5, which the header turns into those of 6, keep the layout of 5. */
#include <hip/hip_deprecated.h>
#undef hipGetDeviceProperties
#undef hipChooseDevice
hipError_t hipGetDeviceProperties(hipDeviceProp_tR0000* prop, int deviceId);
hipError_t hipGetDevicePropertiesR0000(hipDeviceProp_tR0000* prop, int deviceId);
hipError_t hipChooseDevice(int* device, const hipDeviceProp_tR0000* prop);
hipError_t hipChooseDeviceR0000(int* device, const hipDeviceProp_tR0000* prop);
#endif

/* Launches with events, of hip_ext.h; the C++ names are those of HIP 5. */
hipError_t hipExtModuleLaunchKernel(hipFunction_t f, uint32_t globalWorkSizeX, uint32_t globalWorkSizeY,
                                    uint32_t globalWorkSizeZ, uint32_t localWorkSizeX, uint32_t localWorkSizeY,
                                    uint32_t localWorkSizeZ, size_t sharedMemBytes, hipStream_t hStream,
                                    void** kernelParams, void** extra, hipEvent_t startEvent, hipEvent_t stopEvent,
                                    uint32_t flags);
hipError_t hipHccModuleLaunchKernel(hipFunction_t f, uint32_t globalWorkSizeX, uint32_t globalWorkSizeY,
                                    uint32_t globalWorkSizeZ, uint32_t localWorkSizeX, uint32_t localWorkSizeY,
                                    uint32_t localWorkSizeZ, size_t sharedMemBytes, hipStream_t hStream,
                                    void** kernelParams, void** extra, hipEvent_t startEvent, hipEvent_t stopEvent);
hipError_t _Z24hipExtModuleLaunchKernelP18ihipModuleSymbol_tjjjjjjmP12ihipStream_tPPvS4_P11ihipEvent_tS6_j(
    hipFunction_t f, uint32_t globalWorkSizeX, uint32_t globalWorkSizeY, uint32_t globalWorkSizeZ,
    uint32_t localWorkSizeX, uint32_t localWorkSizeY, uint32_t localWorkSizeZ, size_t sharedMemBytes,
    hipStream_t hStream, void** kernelParams, void** extra, hipEvent_t startEvent, hipEvent_t stopEvent,
    uint32_t flags);
hipError_t _Z24hipHccModuleLaunchKernelP18ihipModuleSymbol_tjjjjjjmP12ihipStream_tPPvS4_P11ihipEvent_tS6_(
    hipFunction_t f, uint32_t globalWorkSizeX, uint32_t globalWorkSizeY, uint32_t globalWorkSizeZ,
    uint32_t localWorkSizeX, uint32_t localWorkSizeY, uint32_t localWorkSizeZ, size_t sharedMemBytes,
    hipStream_t hStream, void** kernelParams, void** extra, hipEvent_t startEvent, hipEvent_t stopEvent);
void _ZN8hip_impl22hipLaunchKernelGGLImplEmRK4dim3S2_jP12ihipStream_tPPv(uintptr_t functionAddress,
                                                                         const dim3* numBlocks, const dim3* dimBlocks,
                                                                         uint32_t sharedMemBytes, hipStream_t stream,
                                                                         void** kernarg);
hipError_t _Z22hipCreateSurfaceObjectPP13__hip_surfacePK15hipResourceDesc(hipSurfaceObject_t* pSurfObject,
                                                                         const hipResourceDesc* pResDesc);
hipError_t _Z23hipDestroySurfaceObjectP13__hip_surface(hipSurfaceObject_t surfaceObject);

/* What clang makes of kernels, of <<<>>> and of device variables. */
hipError_t __hipPushCallConfiguration(dim3 gridDim, dim3 blockDim, size_t sharedMem, hipStream_t stream);
hipError_t __hipPopCallConfiguration(dim3* gridDim, dim3* blockDim, size_t* sharedMem, hipStream_t* stream);
void** __hipRegisterFatBinary(const void* data);
void __hipUnregisterFatBinary(void** modules);
void __hipRegisterFunction(void** modules, const void* hostFunction, char* deviceFunction, const char* deviceName,
                           unsigned int threadLimit, void* tid, void* bid, dim3* blockDim, dim3* gridDim, int* wSize);
void __hipRegisterVar(void** modules, void* var, char* hostVar, char* deviceVar, int ext, size_t size, int constant,
                      int global);
void __hipRegisterManagedVar(void** modules, void** pointer, void* initValue, const char* name, size_t size,
                             unsigned int align);
void __hipRegisterSurface(void** modules, void* var, char* hostVar, char* deviceVar, int type, int ext);
void __hipRegisterTexture(void** modules, void* var, char* hostVar, char* deviceVar, int type, int norm, int ext);
void __hipGetPCH(const char** pch, unsigned int* size);

/* For tracers. */
void hipRegisterTracerCallback(int (*function)(uint32_t domain, uint32_t operation, void* data));
hipError_t hipRegisterApiCallback(uint32_t id, void* function, void* argument);
hipError_t hipRemoveApiCallback(uint32_t id);
hipError_t hipRegisterActivityCallback(uint32_t id, void* function, void* argument);
hipError_t hipRemoveActivityCallback(uint32_t id);
void hipInitActivityCallback(void* idCallback, void* opCallback, void* argument);
bool hipEnableActivityCallback(unsigned int op, bool enable);
const char* hipGetCmdName(unsigned int op);
