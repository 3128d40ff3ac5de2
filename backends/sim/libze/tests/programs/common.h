// What every program here begins with: a device, and a module with the kernels of the simulated devices.
#include <level_zero/ze_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECK(condition)                                                                                              \
    do {                                                                                                              \
        if (!(condition)) {                                                                                           \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                           \
            exit(1);                                                                                                  \
        }                                                                                                             \
    } while (0)

#define IS(expected, call)                                                                                            \
    do {                                                                                                              \
        ze_result_t code_ = (call);                                                                                   \
        if (code_ != (expected)) {                                                                                    \
            fprintf(stderr, "%s:%d: %s: 0x%x, not 0x%x\n", __FILE__, __LINE__, #call, code_, (expected));             \
            exit(1);                                                                                                  \
        }                                                                                                             \
    } while (0)
#define OK(call) IS(ZE_RESULT_SUCCESS, call)

static ze_driver_handle_t driver;
static ze_device_handle_t device;
static ze_context_handle_t context;
static ze_module_handle_t module;

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

// One instruction of SPIR-V: its words without the first.
static inline void put(uint32_t *words, size_t *at, uint32_t opcode, uint32_t count, const uint32_t *operands) {
    words[(*at)++] = (count + 1) << 16 | opcode;
    memcpy(words + *at, operands, count * sizeof *operands);
    *at += count;
}

// A kernel `name(u32, pointer, u64)`; types must have been declared as 1, 2 and 3.
static inline void put_kernel(uint32_t *words, size_t *at, uint32_t id) {
    put(words, at, 54, 4, (uint32_t[]){4, id, 0, 5});
    put(words, at, 55, 2, (uint32_t[]){1, id + 1});
    put(words, at, 55, 2, (uint32_t[]){3, id + 2});
    put(words, at, 55, 2, (uint32_t[]){2, id + 3});
    put(words, at, 56, 0, NULL);
}

static inline size_t spirv(uint32_t *words) {
    size_t at = 5;
    memcpy(words, (uint32_t[]){0x07230203, 0x00010000, 0, 100, 0}, 20);
    put(words, &at, 17, 1, (uint32_t[]){6}); // capability: kernels
    const char *names[] = {"fcsp_work", "something"};
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t operands[8] = {6, 20 + 10 * i};
        memcpy(operands + 2, names[i], strlen(names[i]));
        put(words, &at, 15, 5, operands);
    }
    put(words, &at, 21, 3, (uint32_t[]){1, 32, 0});
    put(words, &at, 21, 3, (uint32_t[]){2, 64, 0});
    put(words, &at, 32, 3, (uint32_t[]){3, 5, 2});
    put(words, &at, 19, 1, (uint32_t[]){4});
    put(words, &at, 33, 5, (uint32_t[]){5, 4, 1, 3, 2});
    put_kernel(words, &at, 20);
    put_kernel(words, &at, 30);
    return at * 4;
}

static inline void begin_after_init(void) {
    uint32_t count = 1;
    OK(zeDriverGet(&count, &driver));
    CHECK(count == 1);
    count = 1;
    OK(zeDeviceGet(driver, &count, &device));
    CHECK(count == 1);
    ze_context_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_CONTEXT_DESC};
    OK(zeContextCreate(driver, &desc, &context));
    uint32_t words[128];
    ze_module_desc_t code = {
        .stype = ZE_STRUCTURE_TYPE_MODULE_DESC,
        .format = ZE_MODULE_FORMAT_IL_SPIRV,
        .inputSize = spirv(words),
        .pInputModule = (const uint8_t *)words,
    };
    OK(zeModuleCreate(context, device, &code, &module, NULL));
}

static inline void begin(void) {
    OK(zeInit(0));
    begin_after_init();
}

static inline void end(void) {
    OK(zeModuleDestroy(module));
    OK(zeContextDestroy(context));
}

static inline void *on_device(size_t bytes) {
    ze_device_mem_alloc_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC};
    void *address = NULL;
    OK(zeMemAllocDevice(context, &desc, bytes, 0, device, &address));
    return address;
}

static inline void *on_host(size_t bytes) {
    ze_host_mem_alloc_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_HOST_MEM_ALLOC_DESC};
    void *address = NULL;
    OK(zeMemAllocHost(context, &desc, bytes, 0, &address));
    return address;
}

static inline void *shared(size_t bytes) {
    ze_device_mem_alloc_desc_t there = {.stype = ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC};
    ze_host_mem_alloc_desc_t here = {.stype = ZE_STRUCTURE_TYPE_HOST_MEM_ALLOC_DESC};
    void *address = NULL;
    OK(zeMemAllocShared(context, &there, &here, bytes, 0, device, &address));
    return address;
}

// The kernel `fcsp_work`: takes `iters` times 10 ns and adds to the counter.
static inline ze_kernel_handle_t work(uint32_t iters, void *counter, uint64_t add) {
    ze_kernel_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_KERNEL_DESC, .pKernelName = "fcsp_work"};
    ze_kernel_handle_t kernel;
    OK(zeKernelCreate(module, &desc, &kernel));
    OK(zeKernelSetGroupSize(kernel, 32, 1, 1));
    OK(zeKernelSetArgumentValue(kernel, 0, sizeof iters, &iters));
    OK(zeKernelSetArgumentValue(kernel, 1, sizeof counter, &counter));
    OK(zeKernelSetArgumentValue(kernel, 2, sizeof add, &add));
    return kernel;
}

static inline ze_command_queue_handle_t queue(void) {
    ze_command_queue_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC};
    desc.mode = ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS;
    ze_command_queue_handle_t queue;
    OK(zeCommandQueueCreate(context, device, &desc, &queue));
    return queue;
}

static inline ze_command_list_handle_t list(void) {
    ze_command_list_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_COMMAND_LIST_DESC};
    ze_command_list_handle_t list;
    OK(zeCommandListCreate(context, device, &desc, &list));
    return list;
}

static inline ze_command_list_handle_t immediate(ze_command_queue_mode_t mode) {
    ze_command_queue_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC, .mode = mode};
    ze_command_list_handle_t list;
    OK(zeCommandListCreateImmediate(context, device, &desc, &list));
    return list;
}

static inline ze_event_pool_handle_t pool(uint32_t count, ze_event_pool_flags_t flags) {
    ze_event_pool_desc_t desc = {
        .stype = ZE_STRUCTURE_TYPE_EVENT_POOL_DESC,
        .flags = ZE_EVENT_POOL_FLAG_HOST_VISIBLE | flags,
        .count = count,
    };
    ze_event_pool_handle_t pool;
    OK(zeEventPoolCreate(context, &desc, 1, &device, &pool));
    return pool;
}

static inline ze_event_handle_t event(ze_event_pool_handle_t pool, uint32_t index) {
    ze_event_desc_t desc = {
        .stype = ZE_STRUCTURE_TYPE_EVENT_DESC,
        .index = index,
        .signal = ZE_EVENT_SCOPE_FLAG_HOST,
        .wait = ZE_EVENT_SCOPE_FLAG_HOST,
    };
    ze_event_handle_t event;
    OK(zeEventCreate(pool, &desc, &event));
    return event;
}
