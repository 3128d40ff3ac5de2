// The load program in HIP, for AMD devices: modes of fcsp-load (calibrate, saturate, hog, alloc-race, idle) with its
// options, as far as they are needed, and its records (hw-tests/src/record.rs). It knows nothing of FCSP.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <hip/hip_runtime.h>
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

#define OK(call)                                                                                                           \
    do {                                                                                                                   \
        hipError_t code = (call);                                                                                          \
        if (code != hipSuccess) fail(#call, hipGetErrorName(code));                                                        \
    } while (0)

[[noreturn]] static void fail(const char *what, const char *why) {
    std::fprintf(stderr, "%s: %s\n", what, why);
    // Without the destructors of threads that still run.
    std::_Exit(1);
}

constexpr unsigned BLOCK_THREADS = 256;

// Every thread does the same fixed amount of dependent arithmetic, as in fcsp-load/work.ptx; then the first credits `add`
// to a counter in memory of the host. Simulated devices know this kernel by its name and parameters.
extern "C" __global__ void fcsp_work(unsigned iters, u64 *counter, u64 add) {
    float x = threadIdx.x;
    for (unsigned i = 0; i < iters; ++i) x = __builtin_fmaf(x, 0.99902f, 0.001f);
    // x stays positive, so this store never happens; it keeps the loop from being optimized away.
    if (x < 0.0f) *counter = x;
    if (threadIdx.x == 0 && blockIdx.x == 0 && counter) __hip_atomic_fetch_add(counter, add, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_SYSTEM);
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
            "--ahead-ms", "--bytes",   "--piece",     "--ledger",    "--seed",      "--repetitions"};
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

struct Gpu {
    std::string device;
    unsigned multiprocessors = 0, wave_blocks = 0;
    u64 attach_ns = 0, total_bytes = 0;
    volatile u64 *counter = nullptr;
    u64 *device_counter = nullptr;
    hipStream_t stream = nullptr;

    explicit Gpu(const Options &options) {
        u64 began = now_ns();
        int ordinal = int(options.number("device", 0));
        OK(hipSetDevice(ordinal));
        OK(hipFree(nullptr));
        void *host = nullptr, *seen = nullptr;
        OK(hipHostMalloc(&host, sizeof(u64), hipHostMallocMapped | hipHostMallocPortable));
        attach_ns = now_ns() - began;
        *static_cast<u64 *>(host) = 0;
        OK(hipHostGetDevicePointer(&seen, host, 0));
        counter = static_cast<volatile u64 *>(host);
        device_counter = static_cast<u64 *>(seen);
        OK(hipStreamCreateWithFlags(&stream, hipStreamNonBlocking));
        char name[256] = "";
        int version = 0, count = 0, blocks = 0;
        OK(hipDeviceGetName(name, sizeof name - 1, ordinal));
        OK(hipRuntimeGetVersion(&version));
        OK(hipDeviceGetAttribute(&count, hipDeviceAttributeMultiprocessorCount, ordinal));
        OK(hipOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, fcsp_work, BLOCK_THREADS, 0));
        multiprocessors = unsigned(count);
        wave_blocks = multiprocessors * unsigned(blocks > 0 ? blocks : 1);
        size_t total = 0, free = 0;
        OK(hipMemGetInfo(&free, &total));
        total_bytes = total;
        bool simulated = std::string(name).find("simulated") != std::string::npos;
        // The field has CUDA's name; here it is HIP's version.
        device = std::string("{\"name\":\"") + name + "\",\"cuda_version\":" + std::to_string(version) +
                 ",\"driver_version\":null,\"simulated\":" + (simulated ? "true" : "false") + "}";
    }

    void launch(unsigned blocks, unsigned iters, u64 add) const {
        fcsp_work<<<dim3(blocks), dim3(BLOCK_THREADS), 0, stream>>>(iters, device_counter, add);
        OK(hipGetLastError());
    }
};

struct Scale {
    double iters_per_us;
    unsigned blocks;
};

static u64 elapsed_ns(const Gpu &gpu, unsigned blocks, unsigned iters, unsigned count) {
    u64 began = now_ns();
    for (unsigned i = 0; i < count; ++i) gpu.launch(blocks, iters, 0);
    OK(hipStreamSynchronize(gpu.stream));
    return now_ns() - began;
}

// Rounds per microsecond of the whole, idle device: the slope between two lengths, median of several.
static double measure(const Gpu &gpu, unsigned blocks, unsigned repetitions) {
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

static Scale settle(const Gpu &gpu, const Options &options) {
    unsigned blocks = unsigned(options.number("blocks", gpu.wave_blocks));
    double rate = options.number("iters-per-us", 0);
    return {rate > 0 ? rate : measure(gpu, blocks, 3), blocks};
}

// The frame of every mode: says that it is ready, begins with the others, samples the counter, reports.
struct Session {
    const Gpu &gpu;
    u64 start_ns, end_ns;
    std::atomic<bool> stop{false};
    std::thread sampler;

    Session(const char *mode, const Gpu &gpu, const Options &options, Scale scale) : gpu(gpu) {
        OK(hipDeviceSynchronize());
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
        OK(hipDeviceSynchronize());
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
static u64 saturate(const Gpu &gpu, const Options &options, Scale scale, const Session &session) {
    double kernel_us = options.number("kernel-us", 250);
    u64 ahead_ns = u64(options.number("ahead-ms", 50) * 1e6), kernel_ns = u64(kernel_us * 1000);
    unsigned iters = unsigned(std::max(1.0, kernel_us * scale.iters_per_us));
    // Half of what may be in flight between two marks.
    u64 batch = std::max<u64>(1, ahead_ns / 2 / kernel_ns), launches = 0;
    hipEvent_t marks[2];
    for (auto &mark : marks) OK(hipEventCreateWithFlags(&mark, hipEventDisableTiming));
    for (u64 round = 0; !session.over(); ++round) {
        for (u64 i = 0; i < batch && !session.over(); ++i, ++launches) gpu.launch(scale.blocks, iters, kernel_ns);
        OK(hipEventRecord(marks[round % 2], gpu.stream));
        if (round > 0) OK(hipEventSynchronize(marks[(round + 1) % 2]));
    }
    return launches;
}

static bool granted(hipError_t code) {
    if (code == hipSuccess) return true;
    // The program's own last error: nobody else is to find it.
    (void)hipGetLastError();
    if (code != hipErrorOutOfMemory) fail("allocation", hipGetErrorName(code));
    return false;
}

// Allocates until refused, frees one piece, and tries that piece again. Holds the rest.
static std::string overeat(const Options &options) {
    u64 asked = options.bytes("bytes", 0), piece = options.bytes("piece", 256 << 20), got = 0;
    std::vector<void *> held;
    bool refused = false, recovered = false;
    while (got < asked && !refused) {
        u64 bytes = std::min(piece, asked - got);
        void *place = nullptr;
        if (granted(hipMalloc(&place, bytes))) {
            got += bytes;
            held.push_back(place);
        } else {
            refused = true;
        }
    }
    size_t free = 0, total = 0;
    OK(hipMemGetInfo(&free, &total));
    if (refused && !held.empty()) {
        OK(hipFree(held.back()));
        recovered = granted(hipMalloc(&held.back(), piece));
    }
    char text[512];
    std::snprintf(text, sizeof text,
                  "{\"mode\":\"hog\",\"asked_bytes\":%llu,\"granted_bytes\":%llu,\"refused\":%s,\"total_bytes\":%llu,"
                  "\"free_at_refusal_bytes\":%llu,\"recovered\":%s}",
                  asked, got, refused ? "true" : "false", u64(total), u64(free), recovered ? "true" : "false");
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
static std::string race(const Gpu &gpu, const Options &options, const Session &session) {
    struct Held {
        void *place;
        u64 bytes;
        bool from_pool;
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
        OK(given_up.from_pool ? hipFreeAsync(given_up.place, gpu.stream) : hipFree(given_up.place));
    };
    while (!session.over()) {
        // More requests than frees, so that the limit is met again and again.
        if (held.empty() || random() % 10 < 6) {
            unsigned way = random() % 3;
            Held wanted = {nullptr, 1 + random() % most, way == 2};
            hipError_t code = way == 0   ? hipMalloc(&wanted.place, wanted.bytes)
                              : way == 1 ? hipMallocManaged(&wanted.place, wanted.bytes, hipMemAttachGlobal)
                                         : hipMallocAsync(&wanted.place, wanted.bytes, gpu.stream);
            if (granted(code)) {
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
            size_t free = 0, total = 0;
            OK(hipMemGetInfo(&free, &total));
            if (free > total) fail("hipMemGetInfo", "more is free than there is");
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

static void calibrate(const Gpu &gpu, const Options &options) {
    double rate = measure(gpu, gpu.wave_blocks, unsigned(options.number("repetitions", 9)));
    u64 launches = 0, trips = 0;
    constexpr unsigned TIMES = 200;
    for (unsigned i = 0; i < TIMES; ++i) {
        u64 began = now_ns();
        gpu.launch(1, 1, 0);
        launches += now_ns() - began;
        OK(hipStreamSynchronize(gpu.stream));
        trips += now_ns() - began;
    }
    line(true,
         "{\"device\":%s,\"iters_per_us\":%g,\"iters_per_us_runs\":[%g],\"launch_ns\":%llu,\"round_trip_ns\":%llu,"
         "\"grid_blocks\":%u,\"block_threads\":%u,\"multiprocessors\":%u}",
         gpu.device.c_str(), rate, rate, launches / TIMES, trips / TIMES, gpu.wave_blocks, BLOCK_THREADS,
         gpu.multiprocessors);
}

int main(int count, char **arguments) {
    std::string mode = count > 1 ? arguments[1] : "";
    Options options(count, arguments);
    Gpu gpu(options);
    if (mode == "calibrate") {
        calibrate(gpu, options);
    } else if (mode == "saturate") {
        Scale scale = settle(gpu, options);
        Session session("saturate", gpu, options, scale);
        session.finish(saturate(gpu, options, scale, session), "{\"mode\":\"saturate\"}");
    } else if (mode == "hog") {
        Scale scale = settle(gpu, options);
        Session session("hog", gpu, options, scale);
        std::string outcome = overeat(options);
        session.finish(saturate(gpu, options, scale, session), outcome);
    } else if (mode == "alloc-race") {
        Session session("alloc-race", gpu, options, {0, 0});
        std::string outcome = race(gpu, options, session);
        session.finish(0, outcome);
    } else if (mode == "idle") {
        Session session("idle", gpu, options, {0, 0});
        sleep_until(session.end_ns);
        session.finish(0, "{\"mode\":\"idle\"}");
    } else {
        fail("usage", "fcsp-load-hip calibrate|saturate|hog|alloc-race|idle [--option value]...");
    }
}
