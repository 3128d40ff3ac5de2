// Takes memory and gives it back, again and again, until a second is over: says how often it got some and was refused.
#include "asks.h"

enum { HELD = 16 };

int main(int argc, char **argv) {
    unsigned seed = atoi(argv[argc - 1]);
    begin();
    // What the driver takes for each process is there before any of them takes more.
    void *first = on_device(1);
    puts("ready");
    fflush(stdout);
    CHECK(getchar() != EOF);
    void *held[HELD] = {NULL};
    unsigned got = 0, refused = 0;
    uint64_t until_ns = now_ns() + 1000000000;
    while (now_ns() < until_ns) {
        int at = rand_r(&seed) % HELD;
        if (held[at]) {
            OK(zeMemFree(context, held[at]));
            held[at] = NULL;
            continue;
        }
        ze_device_mem_alloc_desc_t desc = {.stype = ZE_STRUCTURE_TYPE_DEVICE_MEM_ALLOC_DESC};
        size_t bytes = (rand_r(&seed) % 64 + 1) * MIB;
        ze_result_t code = zeMemAllocDevice(context, &desc, bytes, 0, device, &held[at]);
        CHECK(code == ZE_RESULT_SUCCESS || code == ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY);
        code ? refused++ : got++;
        if (code)
            held[at] = NULL;
    }
    for (int i = 0; i < HELD; i++)
        if (held[i])
            OK(zeMemFree(context, held[i]));
    OK(zeMemFree(context, first));
    printf("%u %u\n", got, refused);
    end();
    return 0;
}
