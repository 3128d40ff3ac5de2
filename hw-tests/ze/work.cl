// Every work item does the same fixed amount of dependent arithmetic, as in fcsp-load/work.ptx; then the first credits `add`
// to a counter in memory of the host. Simulated devices know this kernel by its name and parameters.
//
// work.spv.h is this, for programs that have no compiler (optimized, the translator orders blocks as no validator takes
// them; the driver optimizes). To make it anew:
//
//   clang-15 -c -target spir64 -O0 -cl-std=CL2.0 -emit-llvm -o work.bc work.cl
//   llvm-spirv-15 --spirv-max-version=1.2 work.bc -o work.spv
//   xxd -i work.spv > work.spv.h
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable

kernel void fcsp_work(uint iters, global ulong *counter, ulong add) {
    float x = get_local_id(0);
    for (uint i = 0; i < iters; ++i)
        x = fma(x, 0.99902f, 0.001f);
    // x stays positive, so this store never happens; it keeps the loop from being optimized away.
    if (x < 0.0f)
        *counter = (ulong)x;
    if (get_global_id(0) == 0 && counter)
        atom_add(counter, add);
}
