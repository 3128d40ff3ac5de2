// Keeps the device busy for so many milliseconds and prints how many kernels of 0.2 ms it finished.
#include "check.h"
#include <chrono>

int main(int, char **argv) {
    auto wanted = std::chrono::milliseconds(std::atoi(argv[1]));
    bool masked = argv[2][0] == 'm';
    u64 *counter = new_counter();
    hipStream_t stream;
    if (masked) {
        unsigned mask[4] = {0xffffffff, 0xfffff, 0, 0};
        OK(hipExtStreamCreateWithCUMask(&stream, 4, mask));
    } else {
        OK(hipStreamCreate(&stream));
    }
    auto begin = std::chrono::steady_clock::now();
    u64 submitted = 0;
    while (std::chrono::steady_clock::now() - begin < wanted) {
        for (int i = 0; i < 20; ++i) fcsp_work<<<1, 64, 0, stream>>>(20000, counter, 1);
        submitted += 20;
        OK(hipStreamSynchronize(stream));
    }
    auto took = std::chrono::steady_clock::now() - begin;
    HOLDS(read_counter(counter) == submitted);
    double seconds = std::chrono::duration<double>(took).count();
    std::printf("%.1f\n", double(submitted) / seconds);
}
