// The load program in HIP, for AMD devices: modes of fcsp-load with its options, as far as they are needed, and its records
// (hw-tests/src/record.rs). It knows nothing of FCSP.

#include "memory.h"
#include "submit.h"
#include "watch.h"

// Submits work as fast as it can be submitted, a bounded time ahead of the device, to several streams in turn.
static u64 saturate(const Gpu &gpu, const Options &options, Scale scale, const Streams &streams, const Frame &session) {
    Submitter submitter(gpu, streams, scale, options);
    std::vector<Work> works;
    for (double us : options.numbers("kernel-us", "250")) works.emplace_back(us, scale.iters_per_us);
    bool by_count = options.given.count("depth");
    u64 limit = by_count ? u64(options.number("depth", 1)) : u64(options.number("ahead-ms", 50) * 1e6) / streams.handles.size();
    std::vector<Throttle> throttles;
    std::vector<Graph> graphs;
    for (auto stream : streams.handles) {
        throttles.emplace_back(streams.plain(stream), limit);
        if (!submitter.is_graph()) continue;
        std::vector<Work> kernels;
        for (size_t i = 0; i < size_t(options.number("graph-kernels", 20)); ++i) kernels.push_back(works[i % works.size()]);
        graphs.push_back(submitter.graph(kernels));
    }
    u64 launches = 0;
    for (; !session.over(); ++launches) {
        size_t lane = launches % streams.handles.size();
        Work work = works[launches % works.size()];
        u64 nominal_ns = work.nominal_ns;
        if (submitter.is_graph()) nominal_ns = submitter.submit(streams.handles[lane], graphs[lane]);
        else submitter.kernel(streams.handles[lane], work);
        throttles[lane].submitted(by_count ? 1 : nominal_ns);
    }
    return launches;
}

// A program like a decoder: each step launches many small kernels, or a graph of them, after work of the CPU, and waits for
// the result.
static void decode(const Gpu &gpu, const Options &options, Scale scale, const Streams &streams) {
    Submitter submitter(gpu, streams, scale, options);
    Work work(options.number("kernel-us", 10), scale.iters_per_us);
    size_t kernels = size_t(options.number("kernels", 150));
    u64 cpu_ns = u64(options.number("cpu-us", 25) * 1000), launches = 0, from_ns = 0, last_ns = 0;
    Graph graph;
    if (submitter.is_graph()) graph = submitter.graph(std::vector<Work>(kernels, work));
    std::vector<u64> latencies;
    Frame session("decode", gpu, options, scale);
    while (!session.over()) {
        u64 began = now_ns();
        if (submitter.is_graph()) {
            spin_ns(cpu_ns);
            submitter.submit(streams.handles[0], graph);
            ++launches;
        }
        for (size_t i = 0; !submitter.is_graph() && i < kernels; ++i, ++launches) {
            spin_ns(cpu_ns);
            submitter.kernel(streams.handles[i % streams.handles.size()], work);
        }
        streams.wait();
        last_ns = now_ns();
        if (began < session.warm_ns) continue;
        if (!from_ns) from_ns = began;
        latencies.push_back(last_ns - began);
    }
    double rate = from_ns ? double(latencies.size()) * 1e9 / double(last_ns - from_ns) : 0;
    session.finish(launches, "{\"mode\":\"decode\",\"steps_per_s\":" + std::to_string(rate) +
                                 ",\"latency\":" + quantiles(latencies) + "}");
}

// One kernel at a time, each waited for.
static void pingpong(const Gpu &gpu, const Options &options, Scale scale, const Streams &streams) {
    Submitter submitter(gpu, streams, scale, options);
    Work work(options.number("kernel-us", 100), scale.iters_per_us);
    Graph graph;
    if (submitter.is_graph()) graph = submitter.graph({work});
    std::vector<u64> latencies;
    Frame session("pingpong", gpu, options, scale);
    u64 launches = 0;
    for (; !session.over(); ++launches) {
        hipStream_t stream = streams.handles[launches % streams.handles.size()];
        u64 began = now_ns();
        if (submitter.is_graph()) submitter.submit(stream, graph);
        else submitter.kernel(stream, work);
        OK(hipStreamSynchronize(streams.plain(stream)));
        if (began >= session.warm_ns) latencies.push_back(now_ns() - began);
    }
    session.finish(launches, "{\"mode\":\"pingpong\",\"latency\":" + quantiles(latencies) + "}");
}

// Samples the device's memory without a context of its own.
static void observe(const Options &options) {
    Watch smi(options);
    u64 first = smi.used();
    Frame session("watch", smi.shown(), options);
    session.finish(0, watch(options, session, first, [&] { return smi.used(); }));
}

int main(int count, char **arguments) {
    std::string mode = count > 1 ? arguments[1] : "";
    Options options(count, arguments, OPTIONS);
    if (mode == "watch") {
        observe(options);
        return 0;
    }
    Gpu gpu(options);
    if (mode == "calibrate") {
        calibrate(gpu, options);
    } else if (mode == "saturate") {
        Scale scale = settle(gpu, options);
        Streams streams(options);
        Frame session("saturate", gpu, options, scale);
        session.finish(saturate(gpu, options, scale, streams, session), "{\"mode\":\"saturate\"}");
    } else if (mode == "decode") {
        decode(gpu, options, settle(gpu, options), Streams(options));
    } else if (mode == "pingpong") {
        pingpong(gpu, options, settle(gpu, options), Streams(options));
    } else if (mode == "hog") {
        Scale scale = settle(gpu, options);
        Streams streams(options);
        Frame session("hog", gpu, options, scale);
        std::string outcome = eat(options);
        session.finish(saturate(gpu, options, scale, streams, session), outcome);
    } else if (mode == "alloc-race") {
        Frame session("alloc-race", gpu, options, {0, 0});
        std::string outcome = Race(options, session).run();
        session.finish(0, outcome);
    } else if (mode == "idle") {
        void *held = nullptr;
        if (u64 bytes = options.bytes("bytes", 0)) OK(hipMalloc(&held, bytes));
        Frame session("idle", gpu, options, {0, 0});
        sleep_until(session.end_ns);
        session.finish(0, "{\"mode\":\"idle\"}");
    } else {
        fail("usage", "fcsp-load-hip calibrate|saturate|decode|pingpong|hog|alloc-race|idle|watch [--option value]...");
    }
}
