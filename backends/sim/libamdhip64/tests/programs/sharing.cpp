// Two processes and one device: memory that one opens of the other, and who is killed.
#include "check.h"
#include <sys/wait.h>
#include <unistd.h>

int main() {
    int to_child[2], to_parent[2];
    HOLDS(pipe(to_child) == 0 && pipe(to_parent) == 0);
    // Before the first call: a process that has used the device cannot go on in a child.
    pid_t child = fork();
    // Neither waits for its own end of a pipe when the other is gone.
    close(child == 0 ? to_child[1] : to_child[0]);
    close(child == 0 ? to_parent[0] : to_parent[1]);
    if (child == 0) {
        hipIpcMemHandle_t handle;
        HOLDS(read(to_child[0], &handle, sizeof handle) == sizeof handle);
        int *theirs;
        size_t before, after, total;
        OK(hipMemGetInfo(&before, &total));
        OK(hipIpcOpenMemHandle(reinterpret_cast<void **>(&theirs), handle, hipIpcMemLazyEnablePeerAccess));
        OK(hipMemGetInfo(&after, &total));
        // It is the other's.
        HOLDS(before == after);
        int value = 0;
        OK(hipMemcpy(&value, theirs, sizeof value, hipMemcpyDeviceToHost));
        HOLDS(value == 0x01010101);
        OK(hipMemset(theirs, 2, sizeof value));
        OK(hipDeviceSynchronize());
        OK(hipIpcCloseMemHandle(theirs));
        HOLDS(write(to_parent[1], "x", 1) == 1);
        return 0;
    }
    int *ours;
    OK(hipMalloc(reinterpret_cast<void **>(&ours), 4096));
    OK(hipMemset(ours, 1, 4096));
    OK(hipDeviceSynchronize());
    hipIpcMemHandle_t handle;
    OK(hipIpcGetMemHandle(&handle, ours));
    HOLDS(write(to_child[1], &handle, sizeof handle) == sizeof handle);
    char done;
    HOLDS(read(to_parent[0], &done, 1) == 1);
    int value = 0;
    OK(hipMemcpy(&value, ours, sizeof value, hipMemcpyDeviceToHost));
    HOLDS(value == 0x02020202);
    int status = 0;
    HOLDS(waitpid(child, &status, 0) == child && status == 0);
    std::puts("done");
}
