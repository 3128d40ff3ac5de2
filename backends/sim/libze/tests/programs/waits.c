// Waiting on memory and writing it, by the names that Intel's driver knows.
#include "common.h"
#include <sys/mman.h>

typedef struct {
    uint32_t action, scope;
} wait_desc_t;
typedef struct {
    uint32_t scope;
} write_desc_t;

static void *function(const char *name) {
    void *address = NULL;
    OK(zeDriverGetExtensionFunctionAddress(driver, name, &address));
    return address;
}

static ze_event_handle_t last;

// Waits for all in an immediate list, for so long.
static ze_result_t finish(ze_command_list_handle_t list, uint64_t timeout_ns) {
    OK(zeCommandListAppendSignalEvent(list, last));
    ze_result_t code = zeEventHostSynchronize(last, timeout_ns);
    if (code == ZE_RESULT_SUCCESS)
        OK(zeEventHostReset(last));
    return code;
}

int main(void) {
    begin();
    ze_event_pool_handle_t events = pool(1, 0);
    last = event(events, 0);
    ze_result_t (*wait)(ze_command_list_handle_t, wait_desc_t *, void *, uint32_t, ze_event_handle_t) =
        function("zexCommandListAppendWaitOnMemory");
    ze_result_t (*write)(ze_command_list_handle_t, write_desc_t *, void *, uint64_t) =
        function("zexCommandListAppendWriteToMemory");
    ze_result_t (*import)(ze_driver_handle_t, void *, size_t) = function("zexDriverImportExternalPointer");
    ze_result_t (*release)(ze_driver_handle_t, void *) = function("zexDriverReleaseImportedPointer");
    wait_desc_t at_least = {1 << 3, 1 << 2};
    write_desc_t to_host = {1 << 2};
    volatile uint32_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    ze_command_list_handle_t now = immediate(ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS);

    // Memory that the driver does not know is copied: nobody sees what is written.
    OK(write(now, &to_host, (void *)&page[2], 7));
    OK(finish(now, UINT64_MAX));
    CHECK(page[2] == 0);

    OK(import(driver, (void *)page, 4096));
    OK(write(now, &to_host, (void *)&page[2], 7));
    OK(finish(now, UINT64_MAX));
    CHECK(page[2] == 7 && page[3] == 0);
    IS(ZE_RESULT_ERROR_UNSUPPORTED_ALIGNMENT, write(now, &to_host, (void *)&page[3], 7));

    OK(wait(now, &at_least, (void *)&page[0], 5, NULL));
    OK(write(now, &to_host, (void *)&page[2], 8));
    page[0] = 4;
    IS(ZE_RESULT_NOT_READY, finish(now, 2000000));
    CHECK(page[2] == 7);
    __atomic_store_n(&page[0], 6, __ATOMIC_RELEASE);
    OK(zeEventHostSynchronize(last, UINT64_MAX));
    CHECK(page[2] == 8);

    // Recorded once, in the order of a queue.
    ze_command_queue_handle_t q = queue();
    ze_command_list_handle_t l = list();
    uint64_t *counter = shared(sizeof *counter);
    *counter = 0;
    ze_kernel_handle_t kernel = work(100000, counter, 1);
    ze_group_count_t one = {1, 1, 1};
    OK(wait(l, &at_least, (void *)&page[0], 10, NULL));
    OK(zeCommandListAppendLaunchKernel(l, kernel, &one, NULL, 0, NULL));
    OK(write(l, &to_host, (void *)&page[2], 9));
    OK(zeCommandListClose(l));
    OK(zeCommandQueueExecuteCommandLists(q, 1, &l, NULL));
    IS(ZE_RESULT_NOT_READY, zeCommandQueueSynchronize(q, 2000000));
    CHECK(*counter == 0);
    __atomic_store_n(&page[0], 10, __ATOMIC_RELEASE);
    OK(zeCommandQueueSynchronize(q, UINT64_MAX));
    CHECK(*counter == 1 && page[2] == 9);
    OK(release(driver, (void *)page));

    OK(zeEventDestroy(last));
    OK(zeEventPoolDestroy(events));
    OK(zeCommandListDestroy(l));
    OK(zeCommandListDestroy(now));
    OK(zeCommandQueueDestroy(q));
    OK(zeKernelDestroy(kernel));
    OK(zeMemFree(context, counter));
    end();
    return 0;
}
