// Where work goes and how: streams, launch calls, graphs.
#pragma once

#include "gpu.h"
#include <dlfcn.h>
#include <hip/hip_ext.h>

// Functions of the runtime, found in the way that `--resolve` names: as the program is linked, by `dlsym`, or by the
// runtime's own lookup where it has one.
struct Found {
    std::string how;

    explicit Found(const Options &options) : how(options.text("resolve", "linked")) {
        if (how != "linked" && how != "dlsym" && how != "procaddr") fail(how.c_str(), "is none of linked, dlsym, procaddr");
    }

    // Null if the runtime has no function of that name.
    template <typename F> F function(const char *name) const {
        using Lookup = hipError_t (*)(const char *, void **, int, uint64_t, void *);
        auto lookup = how == "procaddr" ? Lookup(dlsym(RTLD_DEFAULT, "hipGetProcAddress")) : nullptr;
        void *found = nullptr;
        int version = 0;
        OK(hipRuntimeGetVersion(&version));
        if (lookup && lookup(name, &found, version / 100000, 0, nullptr) != hipSuccess) found = nullptr;
        if (!lookup) found = dlsym(RTLD_DEFAULT, name);
        return F(found);
    }
};

// The streams a mode submits to, in turn.
struct Streams {
    std::vector<hipStream_t> handles;
    // Whether the null stream is meant to be the thread's own: calls by the names that end in `_spt`.
    bool per_thread = false;

    explicit Streams(const Options &options) {
        std::string kind = options.text("stream", "created");
        auto created = [&](int count) {
            for (int i = 0; i < count; ++i) handles.push_back(create());
        };
        if (kind == "created") created(1);
        else if (kind == "default") handles = {nullptr};
        else if (kind == "per-thread") per_thread = true, handles = {nullptr};
        else if (kind == "per-thread-handle") handles = {hipStreamPerThread};
        else if (kind.rfind("multi:", 0) == 0 && std::atoi(kind.c_str() + 6) > 0) created(std::atoi(kind.c_str() + 6));
        else fail(kind.c_str(), "is none of created, default, per-thread, per-thread-handle, multi:<count>");
    }
    static hipStream_t create() {
        hipStream_t stream;
        OK(hipStreamCreateWithFlags(&stream, hipStreamNonBlocking));
        return stream;
    }
    // As functions without such a name know it.
    hipStream_t plain(hipStream_t stream) const { return per_thread ? hipStreamPerThread : stream; }
    void wait() const {
        for (auto stream : handles) OK(hipStreamSynchronize(plain(stream)));
    }
};

// A kernel that keeps the whole device busy for a known time.
struct Work {
    unsigned iters;
    u64 nominal_ns;

    Work(double us, double iters_per_us) : iters(unsigned(std::max(1.0, us * iters_per_us + 0.5))) {
        // From the rounded count, so that rounding does not become an error of the counter.
        nominal_ns = u64(iters / iters_per_us * 1000 + 0.5);
    }
};

using Launch = hipError_t (*)(const void *, dim3, dim3, void **, size_t, hipStream_t);
using LaunchCooperative = hipError_t (*)(const void *, dim3, dim3, void **, unsigned, hipStream_t);
using LaunchGraph = hipError_t (*)(hipGraphExec_t, hipStream_t);

// An instantiated graph, and what it may become by an update.
struct Graph {
    hipGraphExec_t exec = nullptr;
    struct Form {
        hipGraph_t graph;
        u64 nominal_ns;
    };
    std::vector<Form> forms;
    size_t launches = 0;
};

struct Submitter {
    const Gpu &gpu;
    const Streams &streams;
    Scale scale;
    std::string api;
    Launch launch = hipLaunchKernel;
    LaunchCooperative cooperative = hipLaunchCooperativeKernel;
    LaunchGraph launch_graph = hipGraphLaunch;
    // Whether launches look as the compiler translates `<<<>>>`.
    bool as_compiled;

    Submitter(const Gpu &gpu, const Streams &streams, Scale scale, const Options &options)
        : gpu(gpu), streams(streams), scale(scale), api(options.text("api", "launch")) {
        static const std::set<std::string> known = {"launch", "launch-ex", "cooperative", "graph", "graph-update"};
        if (!known.count(api)) fail(api.c_str(), "is none of launch, launch-ex, cooperative, graph, graph-update");
        Found found(options);
        as_compiled = found.how == "linked" && !streams.per_thread;
        if (as_compiled) return;
        bool own = streams.per_thread;
        launch = found.function<Launch>(own ? "hipLaunchKernel_spt" : "hipLaunchKernel");
        cooperative = found.function<LaunchCooperative>(own ? "hipLaunchCooperativeKernel_spt" : "hipLaunchCooperativeKernel");
        launch_graph = found.function<LaunchGraph>(own ? "hipGraphLaunch_spt" : "hipGraphLaunch");
        // Before 5.3 it had no such name for graphs: then the stream is named.
        if (own && !launch_graph) launch_graph = [](hipGraphExec_t exec, hipStream_t) { return hipGraphLaunch(exec, hipStreamPerThread); };
        if (!launch || !cooperative || !launch_graph) fail("the runtime", "lacks a function to launch with");
    }
    bool is_graph() const { return api == "graph" || api == "graph-update"; }

    // One kernel; for graphs an ordinary launch, to be captured.
    void kernel(hipStream_t stream, Work work) const {
        u64 *counter = gpu.device_counter;
        dim3 grid(scale.blocks), block(Gpu::BLOCK_THREADS);
        void *arguments[] = {&work.iters, &counter, &work.nominal_ns};
        auto function = reinterpret_cast<const void *>(fcsp_work);
        if (api == "launch-ex") {
            OK(hipExtLaunchKernel(function, grid, block, arguments, 0, streams.plain(stream), nullptr, nullptr, 0));
        } else if (api == "cooperative") {
            OK(cooperative(function, grid, block, arguments, 0, stream));
        } else if (as_compiled || is_graph()) {
            fcsp_work<<<grid, block, 0, stream>>>(work.iters, counter, work.nominal_ns);
            OK(hipGetLastError());
        } else {
            OK(launch(function, grid, block, arguments, 0, stream));
        }
    }

    Graph::Form capture(const std::vector<Work> &works) const {
        // The null stream cannot be captured, so capture takes a stream of its own.
        hipStream_t stream = Streams::create();
        Graph::Form form = {nullptr, 0};
        OK(hipStreamBeginCapture(stream, hipStreamCaptureModeThreadLocal));
        for (auto work : works) kernel(stream, work), form.nominal_ns += work.nominal_ns;
        OK(hipStreamEndCapture(stream, &form.graph));
        OK(hipStreamDestroy(stream));
        return form;
    }
    Graph graph(const std::vector<Work> &works) const {
        Graph graph;
        graph.forms.push_back(capture(works));
        OK(hipGraphInstantiate(&graph.exec, graph.forms[0].graph, nullptr, nullptr, 0));
        if (api == "graph-update") {
            std::vector<Work> halves = works;
            for (auto &work : halves) work = Work(double(work.iters) / 2 / scale.iters_per_us, scale.iters_per_us);
            graph.forms.push_back(capture(halves));
        }
        return graph;
    }
    // Launches a graph, changed before if it has several forms; nominal device time of all its kernels.
    u64 submit(hipStream_t stream, Graph &graph) const {
        auto &form = graph.forms[graph.launches++ % graph.forms.size()];
        if (graph.forms.size() > 1) {
            hipGraphNode_t node = nullptr;
            hipGraphExecUpdateResult what;
            OK(hipGraphExecUpdate(graph.exec, form.graph, &node, &what));
        }
        OK(launch_graph(graph.exec, stream));
        return form.nominal_ns;
    }
};

// Keeps a stream a bounded amount of work, or of submissions, ahead of the device.
struct Throttle {
    hipStream_t stream;
    u64 half, since = 0, marked = 0;
    hipEvent_t marks[2];

    Throttle(hipStream_t stream, u64 limit) : stream(stream), half(std::max<u64>(1, limit / 2)) {
        for (auto &mark : marks) OK(hipEventCreateWithFlags(&mark, hipEventDisableTiming));
    }
    void submitted(u64 amount) {
        since += amount;
        if (since < half) return;
        since = 0;
        OK(hipEventRecord(marks[marked % 2], stream));
        if (marked > 0) OK(hipEventSynchronize(marks[(marked + 1) % 2]));
        ++marked;
    }
};
