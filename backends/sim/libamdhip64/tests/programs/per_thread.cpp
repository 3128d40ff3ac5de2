// Compiled with -fgpu-default-stream=per-thread: launches and copies go to the thread's own stream.
#include "check.h"
#include <thread>

int main() {
    u64 *counter = new_counter();
    // A stream that nothing opens holds back the legacy stream, and only that.
    hipStream_t blocked;
    OK(hipStreamCreate(&blocked));
    unsigned *word;
    OK(hipExtMallocWithFlags(reinterpret_cast<void **>(&word), 8, hipMallocSignalMemory));
    OK(hipMemset(word, 0, 8));
    OK(hipStreamWaitValue32(blocked, word, 1, hipStreamWaitValueGte, 0xffffffff));
    fcsp_work<<<1, 64, 0, blocked>>>(100, counter, 1000);

    auto work = [&] {
        for (int i = 0; i < 10; ++i) fcsp_work<<<1, 64>>>(100, counter, 1);
        OK(hipStreamSynchronize(hipStreamPerThread));
        HOLDS(hipStreamQuery(hipStreamPerThread) == hipSuccess);
    };
    std::thread other(work);
    work();
    other.join();
    HOLDS(read_counter(counter) == 20);
    HOLDS(hipStreamQuery(blocked) == hipErrorNotReady);

    hipStream_t opener;
    OK(hipStreamCreateWithFlags(&opener, hipStreamNonBlocking));
    OK(hipStreamWriteValue32(opener, word, 1, 0));
    OK(hipStreamSynchronize(blocked));
    HOLDS(read_counter(counter) == 1020);

    // A word of the program's own that it has registered opens a stream as well.
    alignas(4096) static unsigned words[1024];
    OK(hipHostRegister(words, sizeof words, hipHostRegisterMapped));
    OK(hipStreamWaitValue32(blocked, words, 3, hipStreamWaitValueEq, 0xffffffff));
    fcsp_work<<<1, 64, 0, blocked>>>(100, counter, 1);
    HOLDS(hipStreamQuery(blocked) == hipErrorNotReady);
    __atomic_store_n(words, 3, __ATOMIC_RELEASE);
    OK(hipStreamSynchronize(blocked));
    HOLDS(read_counter(counter) == 1021);
    OK(hipStreamWriteValue32(blocked, words, 9, 0));
    OK(hipStreamSynchronize(blocked));
    HOLDS(__atomic_load_n(words, __ATOMIC_ACQUIRE) == 9);
    OK(hipHostUnregister(words));
    std::puts("done");
}
