// What the load program does but for Level Zero itself: modes of fcsp-load (calibrate, saturate, hog, alloc-race, watch, idle) with
// its options, as far as they are needed. It knows nothing of FCSP. `Gpu` is load.cpp's, with what common/session.hpp asks of
// it, and
//
//   WAYS, take(way, bytes, place), give(way, place), room()      memory, in each of so many ways; what is left
//   mark(which), wait(which)                                     two places in the queue that can be waited for
#pragma once

#include "../common/memory.hpp"
#include "../common/session.hpp"
#include <random>

// Submits work as fast as it can be submitted, a bounded time ahead of the device.
template <typename Gpu>
static u64 saturate(const Gpu &gpu, const Options &options, Scale scale, const Session<Gpu> &session) {
    double kernel_us = options.number("kernel-us", 250);
    u64 ahead_ns = u64(options.number("ahead-ms", 50) * 1e6), kernel_ns = u64(kernel_us * 1000);
    unsigned iters = unsigned(std::max(1.0, kernel_us * scale.iters_per_us));
    // Half of what may be in flight between two marks.
    u64 batch = std::max<u64>(1, ahead_ns / 2 / kernel_ns), launches = 0;
    for (u64 round = 0; !session.over(); ++round) {
        for (u64 i = 0; i < batch && !session.over(); ++i, ++launches) gpu.launch(scale.blocks, iters, kernel_ns);
        gpu.mark(round % 2);
        if (round > 0) gpu.wait((round + 1) % 2);
    }
    return launches;
}

// Allocates and frees against the limit, in every way that memory is had.
template <typename Gpu>
static std::string race(const Gpu &gpu, const Options &options, const Session<Gpu> &session) {
    struct Held {
        void *place;
        u64 bytes;
        unsigned way;
    };
    std::mt19937_64 random(u64(options.number("seed", 1)));
    u64 most = options.bytes("bytes", 256 << 20), allocations = 0, refusals = 0, own = 0, own_peak = 0, checks = 0;
    Ledger *ledger = Ledger::open(options.text("ledger", "ledger"));
    std::vector<Held> held;
    auto release = [&] {
        size_t which = random() % held.size();
        Held given_up = held[which];
        held[which] = held.back();
        held.pop_back();
        own -= given_up.bytes;
        ledger->held.fetch_sub(given_up.bytes);
        gpu.give(given_up.way, given_up.place);
    };
    while (!session.over()) {
        // More requests than frees, so that the limit is met again and again.
        if (held.empty() || random() % 10 < 6) {
            Held wanted = {nullptr, 1 + random() % most, unsigned(random() % Gpu::WAYS)};
            if (gpu.take(wanted.way, wanted.bytes, &wanted.place)) {
                ++allocations;
                own += wanted.bytes;
                own_peak = std::max(own_peak, own);
                ledger->add(wanted.bytes);
                held.push_back(wanted);
            } else {
                ++refusals;
                for (size_t keep = held.size() / 2; held.size() > keep;) release();
            }
        } else {
            release();
        }
        if ((allocations + refusals) % 16 == 0) {
            Room room = gpu.room();
            if (room.free > room.total) fail("memory", "more is free than there is");
            ++checks;
        }
    }
    while (!held.empty()) release();
    char text[256];
    std::snprintf(text, sizeof text,
                  "{\"mode\":\"alloc_race\",\"allocations\":%llu,\"refusals\":%llu,\"own_peak_bytes\":%llu,"
                  "\"ledger_peak_bytes\":%llu,\"info_checks\":%llu}",
                  allocations, refusals, own_peak, u64(ledger->peak.load()), checks);
    return text;
}

// The whole program.
template <typename Gpu> static int run(int count, char **arguments) {
    std::string mode = count > 1 ? arguments[1] : "";
    // Latencies, which have a warm-up, are none of these modes'.
    Options options(count, arguments,
                    {"--device", "--seconds", "--start-at", "--sample-ms", "--warmup-ms", "--iters-per-us", "--blocks", "--kernel-us",
                     "--ahead-ms", "--bytes", "--piece", "--ledger", "--seed", "--repetitions", "--queue"});
    Gpu gpu(options);
    if (mode == "calibrate") {
        calibrate(gpu, options);
    } else if (mode == "saturate") {
        Scale scale = settle(gpu, options);
        Session<Gpu> session("saturate", gpu, options, scale);
        session.finish(saturate(gpu, options, scale, session), "{\"mode\":\"saturate\"}");
    } else if (mode == "hog") {
        Scale scale = settle(gpu, options);
        Session<Gpu> session("hog", gpu, options, scale);
        std::vector<void *> held;
        auto ask = [&](u64 bytes) {
            void *place = nullptr;
            bool got = gpu.take(0, bytes, &place);
            if (got) held.push_back(place);
            return got;
        };
        auto release = [&] {
            gpu.give(0, held.back());
            held.pop_back();
        };
        std::string outcome = overeat(options, ask, release, [&] { return gpu.room(); });
        session.finish(saturate(gpu, options, scale, session), outcome);
    } else if (mode == "alloc-race") {
        Session<Gpu> session("alloc-race", gpu, options, {0, 0});
        std::string outcome = race(gpu, options, session);
        session.finish(0, outcome);
    } else if (mode == "watch") {
        Session<Gpu> session("watch", gpu, options, {0, 0});
        auto used = [&] {
            Room room = gpu.room();
            return room.total - room.free;
        };
        std::string outcome = watch(options, session, used(), used);
        session.finish(0, outcome);
    } else if (mode == "idle") {
        Session<Gpu> session("idle", gpu, options, {0, 0});
        sleep_until(session.end_ns);
        session.finish(0, "{\"mode\":\"idle\"}");
    } else {
        fail("usage", "calibrate|saturate|hog|alloc-race|watch|idle [--option value]...");
    }
    return 0;
}
