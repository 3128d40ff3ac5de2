// What a program under a quota asks: the simulated driver's own test programs have the rest.
#include "common.h"
#include <level_zero/zes_api.h>

#define MIB ((uint64_t)1 << 20)

static inline uint64_t number(const char *variable) {
    const char *text = getenv(variable);
    CHECK(text != NULL);
    return strtoull(text, NULL, 10);
}

static inline zes_mem_state_t memory_state(zes_device_handle_t of) {
    uint32_t count = 1;
    zes_mem_handle_t memory;
    OK(zesDeviceEnumMemoryModules(of, &count, &memory));
    CHECK(count == 1);
    zes_mem_state_t state = {.stype = ZES_STRUCTURE_TYPE_MEM_STATE};
    OK(zesMemoryGetState(memory, &state));
    return state;
}

static inline uint64_t free_bytes(void) { return memory_state((zes_device_handle_t)device).free; }
