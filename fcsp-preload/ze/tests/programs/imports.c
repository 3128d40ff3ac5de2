// Memory of one process in another is charged once.
#include "asks.h"
#include <sys/wait.h>
#include <unistd.h>

static void child(void) {
    ze_ipc_mem_handle_t handle;
    CHECK(read(0, &handle, sizeof handle) == sizeof handle);
    begin();
    void *own = on_device(1);
    uint64_t before = free_bytes();
    void *theirs = NULL;
    OK(zeMemOpenIpcHandle(context, device, handle, 0, &theirs));
    CHECK(free_bytes() == before);
    OK(zeMemCloseIpcHandle(context, theirs));
    CHECK(free_bytes() == before);
    OK(zeMemFree(context, own));
    end();
}

int main(int argc, char **argv) {
    if (argc > 1) {
        child();
        return 0;
    }
    int both[2];
    CHECK(pipe(both) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(both[0], 0);
        close(both[1]);
        execl(argv[0], argv[0], "child", NULL);
        _exit(9);
    }
    begin();
    void *memory = on_device(100 * MIB);
    ze_ipc_mem_handle_t handle;
    OK(zeMemGetIpcHandle(context, memory, &handle));
    CHECK(write(both[1], &handle, sizeof handle) == sizeof handle);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    OK(zeMemFree(context, memory));
    end();
    return 0;
}
