// Kernels of 1 ms, one list executed again and again; says how long they took, in milliseconds.
#include "common.h"

int main(int argc, char **argv) {
    int kernels = argc > 1 ? atoi(argv[1]) : 100;
    begin();
    ze_kernel_handle_t kernel = work(100000, NULL, 0);
    ze_command_queue_handle_t q = queue();
    ze_command_list_handle_t l = list();
    ze_group_count_t one = {1, 1, 1};
    OK(zeCommandListAppendLaunchKernel(l, kernel, &one, NULL, 0, NULL));
    OK(zeCommandListClose(l));
    // Both are there before either begins.
    puts("ready");
    fflush(stdout);
    CHECK(getchar() != EOF);
    uint64_t began_ns = now_ns();
    for (int i = 0; i < kernels; i++)
        OK(zeCommandQueueExecuteCommandLists(q, 1, &l, NULL));
    OK(zeCommandQueueSynchronize(q, UINT64_MAX));
    printf("%.1f\n", (now_ns() - began_ns) / 1e6);
    OK(zeCommandListDestroy(l));
    OK(zeCommandQueueDestroy(q));
    OK(zeKernelDestroy(kernel));
    end();
    return 0;
}
