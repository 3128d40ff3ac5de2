// Immediate lists: every append submits, and a synchronous one waits.
#include "common.h"

int main(void) {
    begin();
    uint64_t *counter = shared(sizeof *counter);
    *counter = 0;
    ze_kernel_handle_t kernel = work(100000, counter, 1);
    ze_command_list_handle_t waits = immediate(ZE_COMMAND_QUEUE_MODE_SYNCHRONOUS);
    ze_command_list_handle_t runs = immediate(ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS);
    ze_event_pool_handle_t events = pool(4, 0);
    ze_event_handle_t first = event(events, 0), last = event(events, 3);
    ze_group_count_t one = {1, 1, 1};

    uint64_t began_ns = now_ns();
    OK(zeCommandListAppendLaunchKernel(waits, kernel, &one, NULL, 0, NULL));
    CHECK(*counter == 1 && now_ns() - began_ns >= 980000);

    OK(zeCommandListAppendLaunchKernel(runs, kernel, &one, first, 0, NULL));
    OK(zeCommandListAppendBarrier(runs, NULL, 0, NULL));
    OK(zeCommandListAppendLaunchCooperativeKernel(runs, kernel, &one, NULL, 1, &first));
    OK(zeCommandListAppendSignalEvent(runs, last));
    OK(zeEventHostSynchronize(last, UINT64_MAX));
    CHECK(*counter == 3);

    // Across two lists, in the order of events and not of appends.
    OK(zeEventHostReset(first));
    OK(zeEventHostReset(last));
    OK(zeCommandListAppendWaitOnEvents(runs, 1, &first));
    OK(zeCommandListAppendLaunchKernel(runs, kernel, &one, last, 0, NULL));
    OK(zeCommandListAppendLaunchKernel(waits, kernel, &one, NULL, 0, NULL));
    CHECK(*counter == 4);
    IS(ZE_RESULT_NOT_READY, zeEventQueryStatus(last));
    OK(zeEventHostSignal(first));
    OK(zeEventHostSynchronize(last, UINT64_MAX));
    CHECK(*counter == 5);

    // Sizes that stand in memory.
    ze_group_count_t *groups = on_host(sizeof *groups);
    *groups = one;
    OK(zeCommandListAppendLaunchKernelIndirect(waits, kernel, groups, NULL, 0, NULL));
    CHECK(*counter == 6);
    // Other kernels compute nothing.
    ze_kernel_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_KERNEL_DESC, .pKernelName = "something"};
    ze_kernel_handle_t something;
    OK(zeKernelCreate(module, &desc, &something));
    OK(zeCommandListAppendLaunchKernel(waits, something, &one, NULL, 0, NULL));
    desc.pKernelName = "nothing";
    ze_kernel_handle_t nothing;
    IS(ZE_RESULT_ERROR_INVALID_KERNEL_NAME, zeKernelCreate(module, &desc, &nothing));
    CHECK(*counter == 6);

    OK(zeKernelDestroy(something));
    OK(zeCommandListDestroy(runs));
    OK(zeCommandListDestroy(waits));
    OK(zeEventDestroy(first));
    OK(zeEventDestroy(last));
    OK(zeEventPoolDestroy(events));
    OK(zeKernelDestroy(kernel));
    OK(zeMemFree(context, groups));
    OK(zeMemFree(context, counter));
    end();
    return 0;
}
