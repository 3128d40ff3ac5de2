// Executes one list again and again, and appends to an immediate one: kernels of 10 us, so many of each. Says how many times
// they ran, and waits to be looked at. With `watch` it waits for what it appended by looking at what that writes.
#include "asks.h"
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    CHECK(argc > 2);
    int executions = atoi(argv[1]), appends = atoi(argv[2]);
    begin();
    uint64_t *counter = shared(64);
    *counter = 0;
    ze_kernel_handle_t kernel = work(1000, counter, 1);
    ze_group_count_t one = {1, 1, 1};
    ze_command_queue_handle_t q = queue();
    ze_command_list_handle_t l = list(), now = immediate(ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS);
    OK(zeCommandListAppendLaunchKernel(l, kernel, &one, NULL, 0, NULL));
    OK(zeCommandListClose(l));
    for (int i = 0; i < executions; i++)
        OK(zeCommandQueueExecuteCommandLists(q, 1, &l, NULL));
    OK(zeCommandQueueSynchronize(q, UINT64_MAX));
    ze_event_pool_handle_t events = pool(1, 0);
    ze_event_handle_t last = event(events, 0);
    for (int i = 0; i < appends; i++)
        OK(zeCommandListAppendLaunchKernel(now, kernel, &one, i == appends - 1 ? last : NULL, 0, NULL));
    if (argc > 3 && strcmp(argv[3], "watch") == 0) {
        while (*(volatile uint64_t *)counter < (uint64_t)(executions + appends))
            usleep(1000);
    } else {
        if (appends > 0)
            OK(zeEventHostSynchronize(last, UINT64_MAX));
        // Not work: a list that only copies a little.
        OK(zeCommandListReset(l));
        OK(zeCommandListAppendMemoryFill(l, counter + 1, counter, 8, 8, NULL, 0, NULL));
        OK(zeCommandListClose(l));
        OK(zeCommandQueueExecuteCommandLists(q, 1, &l, NULL));
        OK(zeCommandQueueSynchronize(q, UINT64_MAX));
    }
    printf("%llu\n", (unsigned long long)*counter);
    fflush(stdout);
    CHECK(getchar() == EOF);
    OK(zeEventDestroy(last));
    OK(zeEventPoolDestroy(events));
    OK(zeCommandListDestroy(now));
    OK(zeCommandListDestroy(l));
    OK(zeCommandQueueDestroy(q));
    OK(zeKernelDestroy(kernel));
    OK(zeMemFree(context, counter));
    end();
    return 0;
}
