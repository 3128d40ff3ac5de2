// The load program in Level Zero, for Intel devices: what it does is in frame.hpp.
//
// `--queue immediate` (the default) appends to an immediate list, as SYCL and PyTorch do; `--queue regular` executes a list
// that is recorded once as often as it is needed. Compiled with -DOPENED it opens the loader and looks its functions up in
// place of being linked to it; with -DCARRIED it calls by tables, as a program does that carries the loader within itself.

#include "frame.hpp"
#include "work.spv.h"
#include <dlfcn.h>
#include <level_zero/ze_api.h>
#include <level_zero/zes_api.h>

#if defined(OPENED)
static void *function(const char *name) {
    static void *loader = dlopen("libze_loader.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!loader) fail("libze_loader.so.1", dlerror());
    void *found = dlsym(loader, name);
    if (!found) fail(name, "is not in the loader");
    return found;
}
#define ZE(name) (*[] { static auto found = reinterpret_cast<decltype(&name)>(function(#name)); return found; }())
#elif defined(CARRIED)
#include "tables.hpp"
#else
#define ZE(name) name
#endif

static void check(ze_result_t code, const char *call) {
    if (code == ZE_RESULT_SUCCESS) return;
    char text[32];
    std::snprintf(text, sizeof text, "0x%x", unsigned(code));
    fail(call, text);
}
#define OK(name, ...) check(ZE(name)(__VA_ARGS__), #name)

struct Gpu {
    static constexpr unsigned BLOCK_THREADS = 256, WAYS = 2;
    std::string device;
    unsigned multiprocessors = 0, wave_blocks = 0;
    u64 attach_ns = 0, total_bytes = 0;
    volatile u64 *counter = nullptr;

    ze_device_handle_t gpu = nullptr;
    ze_context_handle_t context = nullptr;
    ze_api_version_t version = {};
    ze_kernel_handle_t kernel = nullptr;
    // One of both: an immediate list, or a queue with a list for work and one for each mark.
    ze_command_list_handle_t now = nullptr;
    ze_command_queue_handle_t queue = nullptr;
    ze_command_list_handle_t recorded = nullptr, marking[2] = {};
    // What the list holds.
    mutable unsigned blocks_held = 0, iters_held = 0;
    mutable u64 add_held = 0;
    // Two marks, and the end of everything.
    ze_event_handle_t events[3] = {};

    explicit Gpu(const Options &options) {
        // Free memory is Sysman's to tell.
        setenv("ZES_ENABLE_SYSMAN", "1", 1);
        u64 began = now_ns();
        OK(zeInit, 0);
        choose(unsigned(options.number("device", 0)));
        void *host = nullptr;
        ze_host_mem_alloc_desc_t memory = {};
        memory.stype = ZE_STRUCTURE_TYPE_HOST_MEM_ALLOC_DESC;
        OK(zeMemAllocHost, context, &memory, sizeof(u64), 0, &host);
        counter = static_cast<volatile u64 *>(host);
        *counter = 0;
        load();
        make_events();
        if (options.text("queue", "immediate") == "regular") make_queue();
        else make_immediate();
        attach_ns = now_ns() - began;
        describe();
    }

    void choose(unsigned wanted) {
        uint32_t count = 16;
        ze_driver_handle_t drivers[16];
        OK(zeDriverGet, &count, drivers);
        for (uint32_t i = 0, seen = 0; i < count; ++i) {
            uint32_t devices = 16;
            ze_device_handle_t found[16];
            OK(zeDeviceGet, drivers[i], &devices, found);
            for (uint32_t j = 0; j < devices; ++j) {
                ze_device_properties_t properties = {};
                properties.stype = ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES;
                OK(zeDeviceGetProperties, found[j], &properties);
                if (properties.type != ZE_DEVICE_TYPE_GPU || seen++ != wanted) continue;
                gpu = found[j];
                ze_context_desc_t desc = {};
                desc.stype = ZE_STRUCTURE_TYPE_CONTEXT_DESC;
                OK(zeContextCreate, drivers[i], &desc, &context);
                OK(zeDriverGetApiVersion, drivers[i], &version);
                return;
            }
        }
        fail("--device", "there is no such GPU");
    }

    void load() {
        ze_module_desc_t code = {};
        code.stype = ZE_STRUCTURE_TYPE_MODULE_DESC;
        code.format = ZE_MODULE_FORMAT_IL_SPIRV;
        code.inputSize = work_spv_len;
        code.pInputModule = work_spv;
        ze_module_handle_t module = nullptr;
        OK(zeModuleCreate, context, gpu, &code, &module, nullptr);
        ze_kernel_desc_t desc = {};
        desc.stype = ZE_STRUCTURE_TYPE_KERNEL_DESC;
        desc.pKernelName = "fcsp_work";
        OK(zeKernelCreate, module, &desc, &kernel);
        OK(zeKernelSetGroupSize, kernel, BLOCK_THREADS, 1, 1);
        void *place = const_cast<u64 *>(counter);
        OK(zeKernelSetArgumentValue, kernel, 1, sizeof place, &place);
    }

    void make_events() {
        ze_event_pool_desc_t desc = {};
        desc.stype = ZE_STRUCTURE_TYPE_EVENT_POOL_DESC;
        desc.flags = ZE_EVENT_POOL_FLAG_HOST_VISIBLE;
        desc.count = 3;
        ze_event_pool_handle_t pool = nullptr;
        OK(zeEventPoolCreate, context, &desc, 1, &gpu, &pool);
        for (uint32_t i = 0; i < 3; ++i) {
            ze_event_desc_t event = {};
            event.stype = ZE_STRUCTURE_TYPE_EVENT_DESC;
            event.index = i;
            event.signal = event.wait = ZE_EVENT_SCOPE_FLAG_HOST;
            OK(zeEventCreate, pool, &event, &events[i]);
        }
    }

    void make_immediate() {
        ze_command_queue_desc_t desc = {};
        desc.stype = ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC;
        desc.mode = ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS;
        OK(zeCommandListCreateImmediate, context, gpu, &desc, &now);
    }

    void make_queue() {
        ze_command_queue_desc_t desc = {};
        desc.stype = ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC;
        desc.mode = ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS;
        OK(zeCommandQueueCreate, context, gpu, &desc, &queue);
        ze_command_list_desc_t list = {};
        list.stype = ZE_STRUCTURE_TYPE_COMMAND_LIST_DESC;
        OK(zeCommandListCreate, context, gpu, &list, &recorded);
        for (int i = 0; i < 2; ++i) {
            OK(zeCommandListCreate, context, gpu, &list, &marking[i]);
            OK(zeCommandListAppendBarrier, marking[i], events[i], 0, nullptr);
            OK(zeCommandListClose, marking[i]);
        }
    }

    void describe() {
        ze_device_properties_t properties = {};
        properties.stype = ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES;
        OK(zeDeviceGetProperties, gpu, &properties);
        multiprocessors = properties.numSlices * properties.numSubslicesPerSlice;
        unsigned wave_threads =
            multiprocessors * properties.numEUsPerSubslice * properties.numThreadsPerEU * properties.physicalEUSimdWidth;
        wave_blocks = std::max(1u, wave_threads / BLOCK_THREADS);
        total_bytes = room().total;
        device = described(properties.name, int(version));
    }

    void append(ze_command_list_handle_t list, unsigned blocks, unsigned iters, u64 add) const {
        OK(zeKernelSetArgumentValue, kernel, 0, sizeof iters, &iters);
        OK(zeKernelSetArgumentValue, kernel, 2, sizeof add, &add);
        ze_group_count_t count = {blocks, 1, 1};
        OK(zeCommandListAppendLaunchKernel, list, kernel, &count, nullptr, 0, nullptr);
        // Work follows work, as in other interfaces.
        OK(zeCommandListAppendBarrier, list, nullptr, 0, nullptr);
    }

    void launch(unsigned blocks, unsigned iters, u64 add) const {
        if (now) return append(now, blocks, iters, add);
        if (blocks != blocks_held || iters != iters_held || add != add_held) {
            finish();
            OK(zeCommandListReset, recorded);
            append(recorded, blocks, iters, add);
            OK(zeCommandListClose, recorded);
            blocks_held = blocks, iters_held = iters, add_held = add;
        }
        execute(recorded);
    }

    void execute(ze_command_list_handle_t list) const { OK(zeCommandQueueExecuteCommandLists, queue, 1, &list, nullptr); }

    void finish() const {
        if (queue) {
            OK(zeCommandQueueSynchronize, queue, UINT64_MAX);
            return;
        }
        OK(zeEventHostReset, events[2]);
        OK(zeCommandListAppendBarrier, now, events[2], 0, nullptr);
        wait(2);
    }

    void mark(size_t which) const {
        OK(zeEventHostReset, events[which]);
        if (queue) execute(marking[which]);
        else OK(zeCommandListAppendBarrier, now, events[which], 0, nullptr);
    }
    void wait(size_t which) const { OK(zeEventHostSynchronize, events[which], UINT64_MAX); }

    bool take(unsigned way, u64 bytes, void **place) const {
        ze_device_mem_alloc_desc_t there = {};
        there.stype = ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC;
        ze_host_mem_alloc_desc_t here = {};
        here.stype = ZE_STRUCTURE_TYPE_HOST_MEM_ALLOC_DESC;
        ze_result_t code = way == 0 ? ZE(zeMemAllocDevice)(context, &there, bytes, 0, gpu, place)
                                    : ZE(zeMemAllocShared)(context, &there, &here, bytes, 0, gpu, place);
        if (code == ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY) return false;
        check(code, "allocation");
        return true;
    }
    void give(unsigned, void *place) const { OK(zeMemFree, context, place); }

    Room room() const {
        auto managed = reinterpret_cast<zes_device_handle_t>(gpu);
        uint32_t count = 16;
        zes_mem_handle_t memories[16];
        OK(zesDeviceEnumMemoryModules, managed, &count, memories);
        Room sum = {0, 0};
        for (uint32_t i = 0; i < count; ++i) {
            zes_mem_state_t state = {};
            state.stype = ZES_STRUCTURE_TYPE_MEM_STATE;
            OK(zesMemoryGetState, memories[i], &state);
            sum.free += state.free, sum.total += state.size;
        }
        return sum;
    }
};

int main(int count, char **arguments) { return run<Gpu>(count, arguments); }
