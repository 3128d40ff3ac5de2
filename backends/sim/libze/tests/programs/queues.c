// A regular list, recorded once and executed many times; fences, events, times.
#include "common.h"

enum { TIMES = 200 };

int main(void) {
    begin();
    uint64_t *counter = shared(sizeof *counter);
    ze_kernel_handle_t kernel = work(1000, counter, 3);
    ze_command_queue_handle_t q = queue();
    ze_command_list_handle_t l = list();
    ze_event_pool_handle_t events = pool(2, ZE_EVENT_POOL_FLAG_KERNEL_TIMESTAMP);
    ze_event_handle_t done = event(events, 0), go = event(events, 1);
    ze_group_count_t one = {1, 1, 1};

    // Arguments are those of the moment the command was recorded.
    OK(zeCommandListAppendLaunchKernel(l, kernel, &one, NULL, 0, NULL));
    uint64_t other = 1000;
    OK(zeKernelSetArgumentValue(kernel, 2, sizeof other, &other));
    IS(ZE_RESULT_ERROR_INVALID_ARGUMENT, zeCommandQueueExecuteCommandLists(q, 1, &l, NULL));
    OK(zeCommandListClose(l));
    IS(ZE_RESULT_ERROR_INVALID_ARGUMENT, zeCommandListAppendBarrier(l, NULL, 0, NULL));

    ze_fence_desc_t unsignalled = {.stype = ZE_STRUCTURE_TYPE_FENCE_DESC};
    ze_fence_handle_t fence;
    OK(zeFenceCreate(q, &unsignalled, &fence));
    IS(ZE_RESULT_NOT_READY, zeFenceQueryStatus(fence));
    uint64_t began_ns = now_ns();
    for (int i = 0; i < TIMES; i++)
        OK(zeCommandQueueExecuteCommandLists(q, 1, &l, i == TIMES - 1 ? fence : NULL));
    OK(zeFenceHostSynchronize(fence, UINT64_MAX));
    uint64_t took_ns = now_ns() - began_ns;
    CHECK(took_ns > TIMES * 9800 && *counter == 3 * TIMES);
    OK(zeFenceReset(fence));
    IS(ZE_RESULT_NOT_READY, zeFenceQueryStatus(fence));
    OK(zeCommandQueueSynchronize(q, UINT64_MAX));

    // A list that waits for the host, and tells it when it is done.
    OK(zeCommandListReset(l));
    uint64_t *stamps = on_host(2 * sizeof *stamps);
    OK(zeCommandListAppendWriteGlobalTimestamp(l, &stamps[0], NULL, 1, &go));
    OK(zeCommandListAppendLaunchKernel(l, kernel, &one, done, 0, NULL));
    OK(zeCommandListAppendWriteGlobalTimestamp(l, &stamps[1], NULL, 1, &done));
    OK(zeCommandListClose(l));
    for (int round = 0; round < 3; round++) {
        *counter = 0;
        OK(zeCommandQueueExecuteCommandLists(q, 1, &l, fence));
        IS(ZE_RESULT_NOT_READY, zeEventHostSynchronize(done, 2000000));
        IS(ZE_RESULT_NOT_READY, zeFenceHostSynchronize(fence, 0));
        IS(ZE_RESULT_NOT_READY, zeCommandQueueSynchronize(q, 0));
        ze_kernel_timestamp_result_t times;
        IS(ZE_RESULT_NOT_READY, zeEventQueryKernelTimestamp(done, &times));
        CHECK(*counter == 0);
        OK(zeEventHostSignal(go));
        OK(zeEventHostSynchronize(done, UINT64_MAX));
        OK(zeEventQueryStatus(done));
        OK(zeFenceHostSynchronize(fence, 10000000000));
        OK(zeFenceReset(fence));
        OK(zeCommandQueueSynchronize(q, UINT64_MAX));
        CHECK(*counter == 1000);
        OK(zeEventQueryKernelTimestamp(done, &times));
        uint64_t kernel_ns = times.global.kernelEnd - times.global.kernelStart;
        CHECK(kernel_ns >= 9800 && kernel_ns < 10000000);
        CHECK(stamps[1] >= stamps[0] + 9000 && times.global.kernelEnd <= stamps[1]);
        OK(zeEventHostReset(go));
        OK(zeEventHostReset(done));
        IS(ZE_RESULT_NOT_READY, zeEventQueryStatus(done));
    }

    // One queue waits for another.
    ze_command_queue_handle_t second = queue();
    ze_command_list_handle_t later = list();
    uint64_t copied = 0;
    OK(zeCommandListAppendMemoryCopy(later, &copied, counter, sizeof copied, NULL, 1, &done));
    OK(zeCommandListAppendEventReset(later, done));
    OK(zeCommandListClose(later));
    *counter = 0;
    OK(zeCommandQueueExecuteCommandLists(second, 1, &later, NULL));
    OK(zeEventHostSignal(go));
    OK(zeCommandQueueExecuteCommandLists(q, 1, &l, NULL));
    OK(zeCommandQueueSynchronize(second, UINT64_MAX));
    CHECK(copied == 1000);
    IS(ZE_RESULT_NOT_READY, zeEventQueryStatus(done));

    OK(zeCommandListDestroy(later));
    OK(zeCommandListDestroy(l));
    OK(zeFenceDestroy(fence));
    OK(zeCommandQueueDestroy(second));
    OK(zeEventDestroy(done));
    OK(zeEventDestroy(go));
    OK(zeEventPoolDestroy(events));
    OK(zeCommandQueueDestroy(q));
    OK(zeKernelDestroy(kernel));
    OK(zeMemFree(context, stamps));
    OK(zeMemFree(context, counter));
    end();
    return 0;
}
