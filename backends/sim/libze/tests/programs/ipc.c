// Memory and events of one process in another: the child finds the handles on its standard input.
#include "common.h"
#include <sys/wait.h>
#include <unistd.h>

struct handles {
    ze_ipc_mem_handle_t memory;
    ze_ipc_event_pool_handle_t events;
};

static int child(void) {
    struct handles handles;
    CHECK(fread(&handles, sizeof handles, 1, stdin) == 1);
    begin();
    void *memory = NULL;
    OK(zeMemOpenIpcHandle(context, device, handles.memory, 0, &memory));
    ze_event_pool_handle_t events;
    OK(zeEventPoolOpenIpcHandle(context, handles.events, &events));
    ze_event_handle_t ready = event(events, 0), done = event(events, 1);
    ze_command_list_handle_t l = immediate(ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS);
    ze_kernel_handle_t kernel = work(1000, memory, 40);
    ze_group_count_t one = {1, 1, 1};
    // The device waits for the other process, and tells it.
    OK(zeCommandListAppendLaunchKernel(l, kernel, &one, done, 1, &ready));
    OK(zeEventHostSynchronize(done, UINT64_MAX));
    OK(zeKernelDestroy(kernel));
    OK(zeCommandListDestroy(l));
    OK(zeEventDestroy(ready));
    OK(zeEventDestroy(done));
    OK(zeEventPoolCloseIpcHandle(events));
    OK(zeMemCloseIpcHandle(context, memory));
    end();
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1)
        return child();
    begin();
    uint64_t *memory = on_device(4096), value = 2;
    struct handles handles;
    OK(zeMemGetIpcHandle(context, memory, &handles.memory));
    ze_event_pool_handle_t events = pool(2, ZE_EVENT_POOL_FLAG_IPC);
    ze_event_handle_t ready = event(events, 0), done = event(events, 1);
    OK(zeEventPoolGetIpcHandle(events, &handles.events));
    int ends[2];
    CHECK(pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        // What the parent initialized is not the child's.
        IS(ZE_RESULT_ERROR_UNINITIALIZED, zeMemFree(context, memory));
        dup2(ends[0], 0);
        close(ends[1]);
        execl(argv[0], argv[0], "child", NULL);
        _exit(127);
    }
    CHECK(write(ends[1], &handles, sizeof handles) == sizeof handles);
    ze_command_list_handle_t l = immediate(ZE_COMMAND_QUEUE_MODE_SYNCHRONOUS);
    OK(zeCommandListAppendMemoryCopy(l, memory, &value, sizeof value, NULL, 0, NULL));
    OK(zeEventHostSignal(ready));
    OK(zeEventHostSynchronize(done, UINT64_MAX));
    OK(zeCommandListAppendMemoryCopy(l, &value, memory, sizeof value, NULL, 0, NULL));
    CHECK(value == 42);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    OK(zeCommandListDestroy(l));
    OK(zeEventDestroy(ready));
    OK(zeEventDestroy(done));
    OK(zeEventPoolDestroy(events));
    OK(zeMemFree(context, memory));
    end();
    return 0;
}
