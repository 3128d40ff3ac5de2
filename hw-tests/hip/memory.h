// Device memory in every way that a program gets it, against the quota.
#pragma once

#include "../common/memory.hpp"
#include "gpu.h"
#include <random>

static bool granted(hipError_t code) {
    if (code == hipSuccess) return true;
    // The program's own last error: nobody else is to find it.
    (void)hipGetLastError();
    if (code != hipErrorOutOfMemory) fail("allocation", hipGetErrorName(code));
    return false;
}

constexpr size_t ROW_TEXELS = 1024, TEXEL_BYTES = 16, PITCH_BYTES = 256;

// Memory that is held.
struct Held {
    std::string family;
    void *place = nullptr;
    u64 bytes = 0;
    hipMemGenericAllocationHandle_t handle = nullptr;
};

// Asks for memory on behalf of one thread.
struct Allocator {
    hipStream_t stream;
    hipMemPool_t pool = nullptr;
    hipMemAllocationProp physical = {};
    size_t granularity = 0;

    explicit Allocator(int device) {
        OK(hipStreamCreateWithFlags(&stream, hipStreamNonBlocking));
        physical.type = hipMemAllocationTypePinned;
        physical.location.type = hipMemLocationTypeDevice;
        physical.location.id = device;
        OK(hipMemGetAllocationGranularity(&granularity, &physical, hipMemAllocationGranularityMinimum));
        hipMemPoolProps properties = {};
        properties.allocType = hipMemAllocationTypePinned;
        properties.location = physical.location;
        OK(hipMemPoolCreate(&pool, &properties));
    }

    // Any answer but success and out of memory ends the program.
    bool ask(const std::string &family, u64 bytes, Held &held) {
        held = {family, nullptr, bytes, nullptr};
        size_t rows = std::max<size_t>(1, bytes / (ROW_TEXELS * TEXEL_BYTES));
        u64 texels = u64(rows) * ROW_TEXELS * TEXEL_BYTES;
        auto format = hipCreateChannelDesc(32, 32, 32, 32, hipChannelFormatKindFloat);
        if (family == "malloc") return granted(hipMalloc(&held.place, bytes));
        if (family == "managed") return granted(hipMallocManaged(&held.place, bytes, hipMemAttachGlobal));
        if (family == "async") return granted(hipMallocAsync(&held.place, bytes, stream));
        if (family == "from-pool") return granted(hipMallocFromPoolAsync(&held.place, bytes, pool, stream));
        if (family == "pitch") {
            size_t pitch = 0, height = std::max<size_t>(1, bytes / 1000);
            bool got = granted(hipMallocPitch(&held.place, &pitch, 1000, height));
            held.bytes = pitch * height;
            return got;
        }
        if (family == "array") {
            held.bytes = texels;
            return granted(hipMallocArray(reinterpret_cast<hipArray **>(&held.place), &format, ROW_TEXELS, rows, 0));
        }
        if (family == "array-3d") {
            held.bytes = texels / rows * std::max<size_t>(1, rows / 4) * 4;
            hipExtent extent = make_hipExtent(ROW_TEXELS, std::max<size_t>(1, rows / 4), 4);
            return granted(hipMalloc3DArray(reinterpret_cast<hipArray **>(&held.place), &format, extent, 0));
        }
        held.bytes = (bytes + granularity - 1) / granularity * granularity;
        if (family == "create" || family == "map") {
            if (!granted(hipMemCreate(&held.handle, held.bytes, &physical, 0))) return false;
            if (family == "create") return true;
            OK(hipMemAddressReserve(&held.place, held.bytes, 0, nullptr, 0));
            OK(hipMemMap(held.place, held.bytes, 0, held.handle, 0));
            return true;
        }
        fail(family.c_str(), "is no way to get memory");
    }
    void release(const Held &held) {
        if (held.family == "async" || held.family == "from-pool") {
            OK(hipFreeAsync(held.place, stream));
        } else if (held.family == "array" || held.family == "array-3d") {
            OK(hipFreeArray(static_cast<hipArray *>(held.place)));
        } else if (held.handle) {
            if (held.place) OK(hipMemUnmap(held.place, held.bytes));
            if (held.place) OK(hipMemAddressFree(held.place, held.bytes));
            OK(hipMemRelease(held.handle));
        } else {
            OK(hipFree(held.place));
        }
    }
};

// Takes memory of one family until refused, and holds it.
static std::string eat(const Options &options) {
    std::string family = options.text("family", "malloc");
    Allocator allocator(int(options.number("device", 0)));
    std::vector<Held> held;
    auto ask = [&](u64 bytes) {
        Held wanted;
        bool got = allocator.ask(family, bytes, wanted);
        if (got) held.push_back(wanted);
        return got;
    };
    auto release = [&] {
        allocator.release(held.back());
        held.pop_back();
        OK(hipStreamSynchronize(allocator.stream));
    };
    auto left = [] {
        size_t free = 0, total = 0;
        OK(hipMemGetInfo(&free, &total));
        return Room{free, total};
    };
    return overeat(options, ask, release, left);
}

// Several threads allocate and free at random until they are refused, and go on.
struct Race {
    const Options &options;
    const Frame &session;
    Ledger *ledger;
    std::vector<std::string> families;
    std::vector<u64> sizes;
    std::atomic<u64> allocations{0}, refusals{0}, held{0}, peak{0}, checks{0};

    Race(const Options &options, const Frame &session) : options(options), session(session) {
        ledger = options.given.count("ledger") ? Ledger::open(options.text("ledger", "")) : nullptr;
        families = options.list("family", "malloc,async,pitch,managed,create,array");
        for (auto &size : options.list("sizes", "4K,1M,16M,256M")) sizes.push_back(Options::size(size));
    }

    void count(u64 bytes) {
        u64 now = held.fetch_add(bytes) + bytes, before = peak.load();
        while (now > before && !peak.compare_exchange_weak(before, now)) {}
        ++allocations;
        if (ledger) ledger->add(bytes);
    }

    void run_thread(u64 thread) {
        int device = int(options.number("device", 0));
        OK(hipSetDevice(device));
        Allocator allocator(device);
        std::mt19937_64 random(u64(options.number("seed", 1)) * 0x10001 + thread);
        std::vector<Held> mine;
        auto release = [&] {
            size_t which = random() % mine.size();
            Held given_up = mine[which];
            mine[which] = mine.back();
            mine.pop_back();
            held -= given_up.bytes;
            if (ledger) ledger->held -= given_up.bytes;
            allocator.release(given_up);
        };
        u64 ops = u64(options.number("ops", 2000));
        for (u64 op = 0; op < ops && !session.over(); ++op) {
            // More requests than frees, so that the limit is met again and again.
            if (mine.empty() || random() % 10 < 6) {
                auto &family = families[random() % families.size()];
                u64 most = sizes[random() % sizes.size()];
                Held wanted;
                if (allocator.ask(family, most - random() % (most / 2 + 1), wanted)) {
                    count(wanted.bytes);
                    mine.push_back(wanted);
                } else {
                    ++refusals;
                    for (size_t keep = mine.size() / 2; mine.size() > keep;) release();
                }
            } else {
                release();
            }
            if (op % 64 == 0) {
                size_t free = 0, total = 0;
                OK(hipMemGetInfo(&free, &total));
                if (free > total) fail("hipMemGetInfo", "more is free than there is");
                ++checks;
            }
        }
        while (!mine.empty()) release();
    }

    std::string run() {
        std::vector<std::thread> threads;
        for (u64 thread = 0; thread < u64(options.number("threads", 8)); ++thread)
            threads.emplace_back([this, thread] { run_thread(thread); });
        for (auto &thread : threads) thread.join();
        std::string together = ledger ? std::to_string(ledger->peak.load()) : "null";
        char text[256];
        std::snprintf(text, sizeof text,
                      "{\"mode\":\"alloc_race\",\"allocations\":%llu,\"refusals\":%llu,\"own_peak_bytes\":%llu,"
                      "\"ledger_peak_bytes\":%s,\"info_checks\":%llu}",
                      allocations.load(), refusals.load(), peak.load(), together.c_str(), checks.load());
        return text;
    }
};
