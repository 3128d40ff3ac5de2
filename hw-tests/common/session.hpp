// How long the work kernel of a load program takes, and the frame of its modes, with the records of hw-tests/src/record.rs.
// `Gpu` is the vendor's part, with
//
//   device, multiprocessors, wave_blocks, attach_ns, total_bytes, counter      what it is, and what its work has credited
//   BLOCK_THREADS                                                              threads of each block of work
//   launch(blocks, iters, add), finish()                                       work, and a wait for all of it
#pragma once

#include "program.hpp"
#include <atomic>
#include <thread>
#include <unistd.h>

struct Scale {
    double iters_per_us;
    unsigned blocks;
};

template <typename Gpu> static u64 elapsed_ns(const Gpu &gpu, unsigned blocks, unsigned iters, unsigned count) {
    u64 began = now_ns();
    for (unsigned i = 0; i < count; ++i) gpu.launch(blocks, iters, 0);
    gpu.finish();
    return now_ns() - began;
}

// Rounds per microsecond of the whole, idle device: the slope between two lengths, median of several.
template <typename Gpu> static double measure(const Gpu &gpu, unsigned blocks, unsigned repetitions) {
    unsigned iters = 256;
    while (elapsed_ns(gpu, blocks, iters, 1) < 250'000 && iters < 1u << 30) iters *= 2;
    u64 one = elapsed_ns(gpu, blocks, iters, 1);
    unsigned count = unsigned(std::min<u64>(500, std::max<u64>(1, 30'000'000 / std::max<u64>(one, 1))));
    elapsed_ns(gpu, blocks, iters, count);
    std::vector<double> runs;
    for (unsigned i = 0; i < repetitions; ++i) {
        u64 lesser = elapsed_ns(gpu, blocks, iters, count), greater = elapsed_ns(gpu, blocks, iters * 2, count);
        if (greater <= lesser) fail("calibration", "twice the work took no longer: the device is not idle");
        runs.push_back(double(iters) * count / double(greater - lesser) * 1000.0);
    }
    std::sort(runs.begin(), runs.end());
    return runs[runs.size() / 2];
}

template <typename Gpu> static Scale settle(const Gpu &gpu, const Options &options) {
    unsigned blocks = unsigned(options.number("blocks", gpu.wave_blocks));
    double rate = options.number("iters-per-us", 0);
    return {rate > 0 ? rate : measure(gpu, blocks, 3), blocks};
}

// The mode that tells how fast the device is, and how long its calls take.
template <typename Gpu> static void calibrate(const Gpu &gpu, const Options &options) {
    double rate = measure(gpu, gpu.wave_blocks, unsigned(options.number("repetitions", 9)));
    u64 launches = 0, trips = 0;
    constexpr unsigned TIMES = 200;
    for (unsigned i = 0; i < TIMES; ++i) {
        u64 began = now_ns();
        gpu.launch(1, 1, 0);
        launches += now_ns() - began;
        gpu.finish();
        trips += now_ns() - began;
    }
    line(true,
         "{\"device\":%s,\"iters_per_us\":%g,\"iters_per_us_runs\":[%g],\"launch_ns\":%llu,\"round_trip_ns\":%llu,"
         "\"grid_blocks\":%u,\"block_threads\":%u,\"multiprocessors\":%u}",
         gpu.device.c_str(), rate, rate, launches / TIMES, trips / TIMES, gpu.wave_blocks, Gpu::BLOCK_THREADS,
         gpu.multiprocessors);
}

// The frame of every other mode: says that it is ready, begins with the others, samples the counter, reports.
template <typename Gpu> struct Session {
    // None where the program has no context, and no counter to sample.
    const Gpu *gpu;
    // Latencies before `warm_ns` are not counted.
    u64 start_ns, end_ns, warm_ns;
    std::atomic<bool> stop{false};
    std::thread sampler;

    Session(const char *mode, const Gpu &gpu, const Options &options, Scale scale) : gpu(&gpu) {
        gpu.finish();
        begin(mode, options, gpu.device, scale, gpu.attach_ns, gpu.total_bytes);
    }
    // Of a program without a context.
    Session(const char *mode, const std::string &device, const Options &options) : gpu(nullptr) {
        begin(mode, options, device, {0, 0}, 0, 0);
    }

    void begin(const char *mode, const Options &options, const std::string &device, Scale scale, u64 attach_ns, u64 total_bytes) {
        line(true,
             "{\"record\":\"header\",\"mode\":\"%s\",\"pid\":%d,\"device\":%s,\"attach_ns\":%llu,\"context_ns\":0,"
             "\"iters_per_us\":%g,\"grid_blocks\":%u,\"total_bytes\":%llu}",
             mode, int(getpid()), device.c_str(), attach_ns, scale.iters_per_us, scale.blocks, total_bytes);
        u64 wanted = 0;
        if (options.text("start-at", "now") == "stdin") {
            u64 unix_ms = 0;
            if (std::scanf("%llu", &unix_ms) != 1) fail("stdin", "expected Unix milliseconds");
            timespec wall;
            clock_gettime(CLOCK_REALTIME, &wall);
            long long ahead = (long long)(unix_ms)*1'000'000 - ((long long)(wall.tv_sec) * 1'000'000'000 + wall.tv_nsec);
            wanted = now_ns() + ahead;
            if (ahead > 0) sleep_until(wanted);
        }
        start_ns = now_ns();
        line(false, "{\"record\":\"start\",\"t_ns\":%llu,\"late_ns\":%llu}", start_ns,
             wanted && start_ns > wanted ? start_ns - wanted : 0ull);
        end_ns = start_ns + u64(options.number("seconds", 5) * 1e9);
        warm_ns = start_ns + u64(options.number("warmup-ms", 500) * 1e6);
        u64 period = u64(options.number("sample-ms", 10) * 1e6);
        if (period > 0 && gpu) sampler = std::thread([this, period] { sample(period); });
    }

    void sample(u64 period) {
        u64 due = start_ns, flushed = start_ns;
        for (bool last = false; !last;) {
            last = stop.load();
            u64 now = now_ns();
            bool flush = now >= flushed + 50'000'000;
            if (flush) flushed = now;
            line(flush, "{\"record\":\"sample\",\"t_ns\":%llu,\"work_ns\":%llu}", now, u64(*gpu->counter));
            // Late samples are skipped, not bunched.
            due += period * ((now - std::min(now, due)) / period + 1);
            if (!last) sleep_until(due);
        }
    }

    bool over() const { return now_ns() >= end_ns; }

    void finish(u64 launches, const std::string &outcome) {
        u64 ended = now_ns(), drained = 0, work = 0;
        if (gpu) {
            gpu->finish();
            drained = now_ns() - ended;
            work = *gpu->counter;
        }
        stop = true;
        if (sampler.joinable()) sampler.join();
        line(true,
             "{\"record\":\"summary\",\"start_ns\":%llu,\"end_ns\":%llu,\"drain_ns\":%llu,\"work_ns\":%llu,\"launches\":%llu,"
             "\"outcome\":%s}",
             start_ns, ended, drained, work, launches, outcome.c_str());
    }
};
