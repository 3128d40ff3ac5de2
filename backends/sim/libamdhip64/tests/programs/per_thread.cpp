// Compiled with -fgpu-default-stream=per-thread: launches and copies go to the thread's own stream.
#include "check.h"
#include <chrono>
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
    // Words are compared without regard to the sign, and the mask says which bits count.
    auto passes = [&](unsigned word, unsigned value, unsigned flags, unsigned mask) {
        __atomic_store_n(words, word, __ATOMIC_RELEASE);
        OK(hipStreamWaitValue32(blocked, words, value, flags, mask));
        fcsp_work<<<1, 64, 0, blocked>>>(100, counter, 1);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        bool passed = hipStreamQuery(blocked) == hipSuccess;
        // Whatever it waits for is there.
        __atomic_store_n(words, flags == hipStreamWaitValueEq ? value : ~0u, __ATOMIC_RELEASE);
        if (flags == hipStreamWaitValueNor) __atomic_store_n(words, 0u, __ATOMIC_RELEASE);
        OK(hipStreamSynchronize(blocked));
        return passed;
    };
    HOLDS(passes(0x90000000, 2, hipStreamWaitValueGte, ~0u));
    HOLDS(!passes(2, 0x90000000, hipStreamWaitValueGte, ~0u));
    HOLDS(!passes(0xff00, 2, hipStreamWaitValueGte, 0xff));
    HOLDS(passes(0xff02, 2, hipStreamWaitValueEq, 0xff));
    HOLDS(!passes(0x100, 0x101, hipStreamWaitValueAnd, 1));
    HOLDS(!passes(0xffff0001, 2, hipStreamWaitValueNor, 3));
    OK(hipHostUnregister(words));
    std::puts("done");
}
