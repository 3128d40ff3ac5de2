// What every part of the load program needs of HIP, and what it measures.
#pragma once

#include "../common/session.hpp"
#include <hip/hip_runtime.h>

#define OK(call)                                                                                                           \
    do {                                                                                                                   \
        hipError_t code = (call);                                                                                          \
        if (code != hipSuccess) fail(#call, hipGetErrorName(code));                                                        \
    } while (0)

static void spin_ns(u64 ns) {
    for (u64 until = now_ns() + ns; now_ns() < until;) {}
}

// The options of the program.
static const std::set<std::string> OPTIONS = {
    "--device",   "--seconds",   "--start-at",      "--sample-ms", "--warmup-ms", "--iters-per-us", "--blocks",
    "--resolve",  "--stream",    "--api",           "--graph-kernels", "--kernel-us", "--ahead-ms", "--depth",
    "--kernels",  "--cpu-us",    "--bytes",         "--piece",     "--sizes",     "--family",       "--threads",
    "--ops",      "--ledger",    "--seed",          "--repetitions"};

// Durations as hw-tests/src/stats has them; `null` where there are none.
static std::string quantiles(std::vector<u64> ns) {
    if (ns.empty()) return "null";
    std::sort(ns.begin(), ns.end());
    double sum = 0;
    for (u64 each : ns) sum += double(each);
    auto at = [&](double part) { return ns[std::min(ns.size() - 1, size_t(double(ns.size()) * part))]; };
    char text[256];
    std::snprintf(text, sizeof text,
                  "{\"count\":%zu,\"min_ns\":%llu,\"p50_ns\":%llu,\"p95_ns\":%llu,\"p99_ns\":%llu,\"max_ns\":%llu,"
                  "\"mean_ns\":%.1f}",
                  ns.size(), ns.front(), at(0.5), at(0.95), at(0.99), ns.back(), sum / double(ns.size()));
    return text;
}
