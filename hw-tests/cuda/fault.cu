// One small kernel, for tools that look at programs. With an argument it writes past the end of its memory.

#include "common.cuh"

int main(int argc, char **) {
    uint32_t *memory;
    size_t count = 1024;
    if (cudaMalloc(&memory, count * sizeof(uint32_t)) != cudaSuccess) {
        return 2;
    }
    fill<<<1, 32>>>(memory, count + (argc > 1 ? 1 : 0), 1);
    cudaDeviceSynchronize();
    cudaFree(memory);
    return 0;
}
