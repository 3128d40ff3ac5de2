// Graphs: captured, built, instantiated, launched, changed.
#include "check.h"

static void host_part(void *data) { *static_cast<int *>(data) += 1; }

int main() {
    u64 *counter = new_counter();
    hipStream_t stream, side;
    OK(hipStreamCreate(&stream));
    OK(hipStreamCreate(&side));
    hipEvent_t fork, join;
    OK(hipEventCreateWithFlags(&fork, hipEventDisableTiming));
    OK(hipEventCreateWithFlags(&join, hipEventDisableTiming));
    int calls = 0;

    OK(hipStreamBeginCapture(stream, hipStreamCaptureModeGlobal));
    fcsp_work<<<1, 64, 0, stream>>>(10, counter, 1);
    OK(hipEventRecord(fork, stream));
    OK(hipStreamWaitEvent(side, fork, 0));
    fcsp_work<<<1, 64, 0, side>>>(10, counter, 10);
    OK(hipEventRecord(join, side));
    OK(hipStreamWaitEvent(stream, join, 0));
    hipStreamCaptureStatus status;
    OK(hipStreamIsCapturing(stream, &status));
    HOLDS(status == hipStreamCaptureStatusActive);
    hipGraph_t graph;
    OK(hipStreamEndCapture(stream, &graph));
    size_t nodes = 0;
    OK(hipGraphGetNodes(graph, nullptr, &nodes));
    HOLDS(nodes == 2);
    HOLDS(read_counter(counter) == 0);

    hipGraphExec_t exec;
    OK(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
    for (int i = 0; i < 5; ++i) OK(hipGraphLaunch(exec, stream));
    OK(hipStreamSynchronize(stream));
    HOLDS(read_counter(counter) == 55);

    // The same form with other arguments.
    OK(hipStreamBeginCapture(stream, hipStreamCaptureModeGlobal));
    fcsp_work<<<1, 64, 0, stream>>>(10, counter, 100);
    fcsp_work<<<1, 64, 0, stream>>>(10, counter, 1000);
    hipGraph_t other;
    OK(hipStreamEndCapture(stream, &other));
    hipGraphExecUpdateResult result;
    hipGraphNode_t node;
    OK(hipGraphExecUpdate(exec, other, &node, &result));
    HOLDS(result == hipGraphExecUpdateSuccess);
    OK(hipGraphLaunch(exec, stream));
    OK(hipStreamSynchronize(stream));
    HOLDS(read_counter(counter) == 1155);
    OK(hipGraphExecDestroy(exec));
    OK(hipGraphDestroy(other));
    OK(hipGraphDestroy(graph));

    // Node by node.
    hipGraphNode_t fill, kernel, copy;
    OK(hipGraphCreate(&graph, 0));
    hipMemsetParams zero = {};
    zero.dst = counter;
    zero.elementSize = 1;
    zero.width = sizeof *counter;
    zero.height = 1;
    OK(hipGraphAddMemsetNode(&fill, graph, nullptr, 0, &zero));
    unsigned iters = 10;
    u64 add = 77, out = 0;
    void *args[] = {&iters, &counter, &add};
    hipKernelNodeParams params = {};
    params.func = reinterpret_cast<void *>(fcsp_work);
    params.gridDim = dim3(1);
    params.blockDim = dim3(64);
    params.kernelParams = args;
    OK(hipGraphAddKernelNode(&kernel, graph, &fill, 1, &params));
    OK(hipGraphAddMemcpyNode1D(&copy, graph, &kernel, 1, &out, counter, sizeof out, hipMemcpyDeviceToHost));
    hipKernelNodeParams told = {};
    OK(hipGraphKernelNodeGetParams(kernel, &told));
    HOLDS(told.func == params.func && told.gridDim.x == 1 && told.blockDim.x == 64);
    hipHostNodeParams host = {host_part, &calls};
    hipGraphNode_t last;
    OK(hipGraphAddHostNode(&last, graph, &copy, 1, &host));
    OK(hipGraphInstantiate(&exec, graph, nullptr, nullptr, 0));
    OK(hipGraphLaunch(exec, stream));
    OK(hipStreamSynchronize(stream));
    HOLDS(out == 77 && calls == 1);
    add = 78;
    OK(hipGraphExecKernelNodeSetParams(exec, kernel, &params));
    OK(hipGraphLaunch(exec, stream));
    OK(hipStreamSynchronize(stream));
    HOLDS(out == 78);
    OK(hipGraphExecDestroy(exec));
    OK(hipGraphDestroy(graph));
    std::puts("done");
}
