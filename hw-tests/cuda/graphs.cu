// CUDA graphs: captured, built, changed, with memory of their own and with conditions.

#include "common.cuh"

static cudaStream_t stream() {
    cudaStream_t stream;
    CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
}

static uint32_t *zeroed() {
    uint32_t *memory;
    CHECK(cudaMalloc(&memory, BYTES));
    CHECK(cudaMemset(memory, 0, BYTES));
    // The streams here do not wait for the default stream.
    CHECK(cudaDeviceSynchronize());
    return memory;
}

// Launches a graph some times and destroys it.
static void launch(cudaGraph_t graph, cudaStream_t in, int times) {
    cudaGraphExec_t executable;
    CHECK(cudaGraphInstantiate(&executable, graph, 0));
    CHECK(cudaGraphUpload(executable, in));
    for (int i = 0; i < times; ++i) {
        CHECK(cudaGraphLaunch(executable, in));
    }
    CHECK(cudaStreamSynchronize(in));
    CHECK(cudaGraphExecDestroy(executable));
}

static cudaGraph_t capture(cudaStream_t in, uint32_t *memory, uint32_t what, int kernels) {
    cudaGraph_t graph;
    CHECK(cudaStreamBeginCapture(in, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < kernels; ++i) {
        add<<<BLOCKS, THREADS, 0, in>>>(memory, COUNT, what);
    }
    CHECK(cudaStreamEndCapture(in, &graph));
    return graph;
}

static uint64_t captured() {
    cudaStream_t in = stream();
    uint32_t *memory = zeroed();
    cudaGraph_t graph = capture(in, memory, 3, 20), twin;
    CHECK(cudaGraphClone(&twin, graph));
    launch(graph, in, 5);
    launch(twin, in, 2);
    uint64_t sum = sum_up(memory);
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaGraphDestroy(twin));
    CHECK(cudaFree(memory));
    CHECK(cudaStreamDestroy(in));
    return sum;
}

static uint64_t captured_across_streams() {
    cudaStream_t first = stream(), second = stream();
    cudaEvent_t forked, joined;
    CHECK(cudaEventCreateWithFlags(&forked, cudaEventDisableTiming));
    CHECK(cudaEventCreateWithFlags(&joined, cudaEventDisableTiming));
    uint32_t *a = zeroed(), *b = zeroed();
    CHECK(cudaStreamBeginCapture(first, cudaStreamCaptureModeGlobal));
    CHECK(cudaEventRecord(forked, first));
    CHECK(cudaStreamWaitEvent(second, forked, 0));
    add<<<BLOCKS, THREADS, 0, first>>>(a, COUNT, 1);
    add<<<BLOCKS, THREADS, 0, second>>>(b, COUNT, 2);
    CHECK(cudaEventRecord(joined, second));
    CHECK(cudaStreamWaitEvent(first, joined, 0));
    CHECK(cudaMemcpyAsync(a, b, BYTES / 2, cudaMemcpyDeviceToDevice, first));
    cudaGraph_t graph;
    CHECK(cudaStreamEndCapture(first, &graph));
    launch(graph, first, 3);
    uint64_t sum = sum_up(a) ^ sum_up(b);
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaFree(a));
    CHECK(cudaFree(b));
    return sum;
}

static uint64_t memory_nodes() {
    cudaStream_t in = stream();
    uint32_t *out = zeroed();
    cudaGraph_t graph;
    CHECK(cudaGraphCreate(&graph, 0));
    cudaMemAllocNodeParams allocation = {};
    allocation.poolProps.allocType = cudaMemAllocationTypePinned;
    allocation.poolProps.location.type = cudaMemLocationTypeDevice;
    allocation.bytesize = BYTES;
    cudaGraphNode_t allocate, write, copy, release;
    CHECK(cudaGraphAddMemAllocNode(&allocate, graph, nullptr, 0, &allocation));
    uint32_t seed = 21;
    size_t count = COUNT;
    void *arguments[] = {&allocation.dptr, &count, &seed};
    cudaKernelNodeParams kernel = {};
    kernel.func = reinterpret_cast<void *>(fill);
    kernel.gridDim = dim3(BLOCKS);
    kernel.blockDim = dim3(THREADS);
    kernel.kernelParams = arguments;
    CHECK(cudaGraphAddKernelNode(&write, graph, &allocate, 1, &kernel));
    CHECK(cudaGraphAddMemcpyNode1D(&copy, graph, &write, 1, out, allocation.dptr, BYTES, cudaMemcpyDeviceToDevice));
    CHECK(cudaGraphAddMemFreeNode(&release, graph, &copy, 1, allocation.dptr));
    launch(graph, in, 4);
    uint64_t sum = sum_up(out);
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaDeviceGraphMemTrim(0));
    CHECK(cudaFree(out));
    return sum;
}

static uint64_t captured_allocation() {
    cudaStream_t in = stream();
    uint32_t *out = zeroed(), *inside;
    CHECK(cudaStreamBeginCapture(in, cudaStreamCaptureModeThreadLocal));
    CHECK(cudaMallocAsync(&inside, BYTES, in));
    fill<<<BLOCKS, THREADS, 0, in>>>(inside, COUNT, 22);
    CHECK(cudaMemcpyAsync(out, inside, BYTES, cudaMemcpyDeviceToDevice, in));
    CHECK(cudaFreeAsync(inside, in));
    cudaGraph_t graph;
    CHECK(cudaStreamEndCapture(in, &graph));
    launch(graph, in, 4);
    uint64_t sum = sum_up(out);
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaFree(out));
    return sum;
}

static uint64_t updated() {
    cudaStream_t in = stream();
    uint32_t *memory = zeroed();
    cudaGraph_t first = capture(in, memory, 1, 4), second = capture(in, memory, 100, 4);
    cudaGraphExec_t executable;
    CHECK(cudaGraphInstantiate(&executable, first, 0));
    CHECK(cudaGraphLaunch(executable, in));
    cudaGraphExecUpdateResultInfo outcome = {};
    CHECK(cudaGraphExecUpdate(executable, second, &outcome));
    CHECK(cudaGraphLaunch(executable, in));
    // One node alone, of the graph it came from.
    size_t nodes_count = 1;
    cudaGraphNode_t node;
    CHECK(cudaGraphGetRootNodes(second, &node, &nodes_count));
    cudaKernelNodeParams kernel = {};
    CHECK(cudaGraphKernelNodeGetParams(node, &kernel));
    size_t count = COUNT / 2;
    uint32_t what = 10000;
    void *arguments[] = {&memory, &count, &what};
    kernel.kernelParams = arguments;
    CHECK(cudaGraphExecKernelNodeSetParams(executable, node, &kernel));
    CHECK(cudaGraphLaunch(executable, in));
    CHECK(cudaStreamSynchronize(in));
    uint64_t sum = sum_up(memory);
    CHECK(cudaGraphExecDestroy(executable));
    CHECK(cudaGraphDestroy(first));
    CHECK(cudaGraphDestroy(second));
    CHECK(cudaFree(memory));
    return sum;
}

static uint64_t with_child() {
    cudaStream_t in = stream();
    uint32_t *memory = zeroed();
    cudaGraph_t inner = capture(in, memory, 5, 3), outer;
    cudaGraphNode_t first, second;
    CHECK(cudaGraphCreate(&outer, 0));
    CHECK(cudaGraphAddChildGraphNode(&first, outer, nullptr, 0, inner));
    CHECK(cudaGraphAddChildGraphNode(&second, outer, &first, 1, inner));
    launch(outer, in, 2);
    uint64_t sum = sum_up(memory);
    CHECK(cudaGraphDestroy(outer));
    CHECK(cudaGraphDestroy(inner));
    CHECK(cudaFree(memory));
    return sum;
}

static void CUDART_CB count_on_host(void *counter) { ++*static_cast<uint32_t *>(counter); }

static uint64_t with_host_node() {
    cudaStream_t in = stream();
    uint32_t *memory = zeroed();
    static uint32_t counter = 0;
    CHECK(cudaStreamBeginCapture(in, cudaStreamCaptureModeThreadLocal));
    add<<<BLOCKS, THREADS, 0, in>>>(memory, COUNT, 1);
    CHECK(cudaLaunchHostFunc(in, count_on_host, &counter));
    CHECK(cudaMemsetAsync(memory, 0x11, BYTES / 2, in));
    cudaGraph_t graph;
    CHECK(cudaStreamEndCapture(in, &graph));
    launch(graph, in, 6);
    uint64_t sum = sum_up(memory) + counter;
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaFree(memory));
    return sum;
}

// Adds, and says whether the loop goes on.
static __global__ void turn(uint32_t *memory, cudaGraphConditionalHandle condition, uint32_t until) {
    memory[0] += 1;
    cudaGraphSetConditional(condition, memory[0] < until ? 1 : 0);
}

static uint64_t conditional(cudaGraphConditionalNodeType type) {
    cudaStream_t in = stream();
    uint32_t *memory = zeroed();
    cudaGraph_t graph;
    CHECK(cudaGraphCreate(&graph, 0));
    cudaGraphConditionalHandle condition;
    CHECK(cudaGraphConditionalHandleCreate(&condition, graph, 1, cudaGraphCondAssignDefault));
    cudaGraphNodeParams parameters = {};
    parameters.type = cudaGraphNodeTypeConditional;
    parameters.conditional.handle = condition;
    parameters.conditional.type = type;
    parameters.conditional.size = 1;
    cudaGraphNode_t node;
    CHECK(cudaGraphAddNode(&node, graph, nullptr, nullptr, 0, &parameters));
    cudaGraph_t body = parameters.conditional.phGraph_out[0];
    CHECK(cudaStreamBeginCaptureToGraph(in, body, nullptr, nullptr, 0, cudaStreamCaptureModeThreadLocal));
    add<<<BLOCKS, THREADS, 0, in>>>(memory + 1, COUNT - 1, 7);
    turn<<<1, 1, 0, in>>>(memory, condition, 10);
    CHECK(cudaStreamEndCapture(in, nullptr));
    launch(graph, in, 2);
    uint64_t sum = sum_up(memory);
    CHECK(cudaGraphDestroy(graph));
    CHECK(cudaFree(memory));
    return sum;
}

int main() {
    return run_families({
        {"captured graph", captured},
        {"graph across streams", captured_across_streams},
        {"graph memory nodes", memory_nodes},
        {"graph captured allocation", captured_allocation},
        {"graph update", updated},
        {"graph child", with_child},
        {"graph host node", with_host_node},
        {"graph conditional if", [] { return conditional(cudaGraphCondTypeIf); }},
        {"graph conditional while", [] { return conditional(cudaGraphCondTypeWhile); }},
    });
}
