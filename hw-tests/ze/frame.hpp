// What the load program does but for Level Zero itself: modes of fcsp-load (calibrate, saturate, hog, alloc-race, watch, idle) with
// its options, as far as they are needed, and its records (hw-tests/src/record.rs). It knows nothing of FCSP. `Gpu` is
// load.cpp's, with
//
//   device, multiprocessors, wave_blocks, attach_ns, total_bytes, counter      what it is, and what its work has credited
//   BLOCK_THREADS, WAYS                                                        constants
//   launch(blocks, iters, add), finish()                                       work, and a wait for all of it
//   mark(which), wait(which)                                                   two places in the queue that can be waited for
//   take(way, bytes, place), give(way, place), room()                          memory, in each of so many ways; what is left
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>
#include <vector>

using u64 = unsigned long long;

[[noreturn]] static void fail(const char *what, const char *why) {
    std::fprintf(stderr, "%s: %s\n", what, why);
    // Without the destructors of threads that still run.
    std::_Exit(1);
}

static u64 now_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return u64(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

static void sleep_until(u64 due_ns) {
    timespec due = {time_t(due_ns / 1'000'000'000), long(due_ns % 1'000'000'000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr) != 0) {}
}

// `--name value`, all of them.
struct Options {
    std::map<std::string, std::string> given;

    // What is not known would change what is measured. Latencies, which have a warm-up, are none of these modes'.
    static const std::set<std::string> &known() {
        static const std::set<std::string> names = {
            "--device",   "--seconds", "--start-at",  "--sample-ms", "--warmup-ms", "--iters-per-us", "--blocks", "--kernel-us",
            "--ahead-ms", "--bytes",   "--piece",     "--ledger",    "--seed",      "--repetitions",
            "--queue"};
        return names;
    }

    Options(int count, char **arguments) {
        for (int i = 2; i < count; i += 2) {
            std::string name = arguments[i];
            if (!known().count(name) || i + 1 == count) fail(arguments[i], "is no option of this program, or lacks its value");
            given[name.substr(2)] = arguments[i + 1];
        }
    }
    std::string text(const char *name, const char *otherwise) const {
        auto found = given.find(name);
        return found == given.end() ? otherwise : found->second;
    }
    double number(const char *name, double otherwise) const {
        auto found = given.find(name);
        return found == given.end() ? otherwise : std::strtod(found->second.c_str(), nullptr);
    }
    // Bytes, exactly.
    u64 bytes(const char *name, u64 otherwise) const {
        auto found = given.find(name);
        return found == given.end() ? otherwise : std::strtoull(found->second.c_str(), nullptr, 10);
    }
};

// Lines of records; the reader gets them whole.
static std::mutex output;
template <typename... Values> static void line(bool flush, const char *format, Values... values) {
    std::lock_guard<std::mutex> guard(output);
    std::printf(format, values...);
    std::putchar('\n');
    if (flush) std::fflush(stdout);
}

// Memory that is left, of all there is.
struct Room {
    u64 free, total;
};

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

// The frame of every mode: says that it is ready, begins with the others, samples the counter, reports.
template <typename Gpu> struct Session {
    const Gpu &gpu;
    u64 start_ns, end_ns;
    std::atomic<bool> stop{false};
    std::thread sampler;

    Session(const char *mode, const Gpu &gpu, const Options &options, Scale scale) : gpu(gpu) {
        gpu.finish();
        line(true,
             "{\"record\":\"header\",\"mode\":\"%s\",\"pid\":%d,\"device\":%s,\"attach_ns\":%llu,\"context_ns\":0,"
             "\"iters_per_us\":%g,\"grid_blocks\":%u,\"total_bytes\":%llu}",
             mode, int(getpid()), gpu.device.c_str(), gpu.attach_ns, scale.iters_per_us, scale.blocks, gpu.total_bytes);
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
        u64 period = u64(options.number("sample-ms", 2) * 1e6);
        if (period > 0) sampler = std::thread([this, period] { sample(period); });
    }

    void sample(u64 period) {
        u64 due = start_ns, flushed = start_ns;
        for (bool last = false; !last;) {
            last = stop.load();
            u64 now = now_ns();
            bool flush = now >= flushed + 50'000'000;
            if (flush) flushed = now;
            line(flush, "{\"record\":\"sample\",\"t_ns\":%llu,\"work_ns\":%llu}", now, u64(*gpu.counter));
            // Late samples are skipped, not bunched.
            due += period * ((now - std::min(now, due)) / period + 1);
            if (!last) sleep_until(due);
        }
    }

    bool over() const { return now_ns() >= end_ns; }

    void finish(u64 launches, const std::string &outcome) {
        u64 ended = now_ns();
        gpu.finish();
        u64 drained = now_ns() - ended;
        stop = true;
        if (sampler.joinable()) sampler.join();
        line(true,
             "{\"record\":\"summary\",\"start_ns\":%llu,\"end_ns\":%llu,\"drain_ns\":%llu,\"work_ns\":%llu,\"launches\":%llu,"
             "\"outcome\":%s}",
             start_ns, ended, drained, u64(*gpu.counter), launches, outcome.c_str());
    }
};

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

// Allocates until refused, frees one piece, and tries that piece again. Holds the rest.
template <typename Gpu> static std::string overeat(const Gpu &gpu, const Options &options) {
    u64 asked = options.bytes("bytes", 0), piece = options.bytes("piece", 256 << 20), got = 0;
    std::vector<void *> held;
    bool refused = false, recovered = false;
    while (got < asked && !refused) {
        u64 bytes = std::min(piece, asked - got);
        void *place = nullptr;
        if (gpu.take(0, bytes, &place)) {
            got += bytes;
            held.push_back(place);
        } else {
            refused = true;
        }
    }
    Room room = gpu.room();
    if (refused && !held.empty()) {
        gpu.give(0, held.back());
        recovered = gpu.take(0, piece, &held.back());
    }
    char text[512];
    std::snprintf(text, sizeof text,
                  "{\"mode\":\"hog\",\"asked_bytes\":%llu,\"granted_bytes\":%llu,\"refused\":%s,\"total_bytes\":%llu,"
                  "\"free_at_refusal_bytes\":%llu,\"recovered\":%s}",
                  asked, got, refused ? "true" : "false", room.total, room.free, recovered ? "true" : "false");
    return text;
}

// The two words of hw-tests/src/ledger.rs: added to after an allocation, subtracted from before a free.
struct Ledger {
    std::atomic<u64> held, peak;

    static Ledger *open(const std::string &path) {
        int file = ::open(path.c_str(), O_RDWR | O_CREAT, 0666);
        if (file < 0 || ftruncate(file, sizeof(Ledger)) != 0) fail(path.c_str(), "cannot be opened");
        void *place = mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (place == MAP_FAILED) fail(path.c_str(), "cannot be mapped");
        return static_cast<Ledger *>(place);
    }
    void add(u64 bytes) {
        u64 now = held.fetch_add(bytes) + bytes, before = peak.load();
        while (now > before && !peak.compare_exchange_weak(before, now)) {}
    }
};

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

// Tells what everybody has of the device's memory, as whoever is no tenant sees it.
template <typename Gpu>
static std::string watch(const Gpu &gpu, const Options &options, const Session<Gpu> &session) {
    auto used = [&] {
        Room room = gpu.room();
        return room.total - room.free;
    };
    u64 start = used(), peak = start, reads = 0, period = u64(options.number("sample-ms", 10) * 1e6);
    for (u64 due = session.start_ns; !session.over(); due += period) {
        u64 bytes = used();
        line(true, "{\"record\":\"device_memory\",\"t_ns\":%llu,\"used_bytes\":%llu}", now_ns(), bytes);
        peak = std::max(peak, bytes), ++reads;
        sleep_until(due + period);
    }
    char text[256];
    std::snprintf(text, sizeof text,
                  "{\"mode\":\"watch\",\"first_bytes\":%llu,\"start_bytes\":%llu,\"peak_bytes\":%llu,\"reads\":%llu}",
                  start, start, peak, reads);
    return text;
}

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

// The whole program.
template <typename Gpu> static int run(int count, char **arguments) {
    std::string mode = count > 1 ? arguments[1] : "";
    Options options(count, arguments);
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
        std::string outcome = overeat(gpu, options);
        session.finish(saturate(gpu, options, scale, session), outcome);
    } else if (mode == "alloc-race") {
        Session<Gpu> session("alloc-race", gpu, options, {0, 0});
        std::string outcome = race(gpu, options, session);
        session.finish(0, outcome);
    } else if (mode == "watch") {
        Session<Gpu> session("watch", gpu, options, {0, 0});
        std::string outcome = watch(gpu, options, session);
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
