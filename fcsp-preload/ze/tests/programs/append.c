// Appends short kernels to an immediate list that nobody holds back: says how long a call takes, tenths of nanoseconds.
#include "asks.h"
#include <unistd.h>

int main(int argc, char **argv) {
    CHECK(argc > 1);
    int appends = atoi(argv[1]);
    begin();
    uint64_t *counter = shared(64);
    ze_kernel_handle_t kernel = work(1, counter, 1);
    ze_group_count_t one = {1, 1, 1};
    ze_command_list_handle_t now = immediate(ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS);
    OK(zeCommandListAppendLaunchKernel(now, kernel, &one, NULL, 0, NULL));
    uint64_t began = now_ns();
    for (int i = 0; i < appends; i++)
        zeCommandListAppendLaunchKernel(now, kernel, &one, NULL, 0, NULL);
    printf("%llu\n", (unsigned long long)(now_ns() - began) * 10 / appends);
    fflush(stdout);
    // What is under way is of no interest.
    _exit(0);
}
