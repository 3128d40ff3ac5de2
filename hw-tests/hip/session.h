// The frame of every mode: says that it is ready, begins with the others, samples the counter, reports.
#pragma once

#include "gpu.h"

struct Session {
    // None where the program has no context, and no counter to sample.
    const Gpu *gpu;
    // Latencies before `warm_ns` are not counted.
    u64 start_ns, end_ns, warm_ns;
    std::atomic<bool> stop{false};
    std::thread sampler;

    Session(const char *mode, const Gpu &gpu, const Options &options, Scale scale) : gpu(&gpu) {
        OK(hipDeviceSynchronize());
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
            OK(hipDeviceSynchronize());
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
