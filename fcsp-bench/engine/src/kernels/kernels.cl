// What the benchmark computes with on Intel's devices: kernels.cu in OpenCL C, as far as that can say it. kernels.spv is this,
// made by `cargo xtask codegen`; Intel's driver compiles it for the device that is there. What each kernel is for stands in
// kernels.cu.
//
// There is no fcsp_chase, since OpenCL C has no clock that a kernel could read, and no fcsp_stamped: Level Zero tells by events
// when a kernel began and ended.
//
// Simulated devices know `fcsp_work` and `fcsp_read` by their names and parameters.
#pragma OPENCL EXTENSION cl_khr_int64_base_atomics : enable

void credit(global ulong *counter, ulong add) {
    if (get_global_id(0) == 0 && counter) {
        atom_add(counter, add);
    }
}

kernel void fcsp_work(uint iters, global ulong *counter, ulong add) {
    float x = get_local_id(0);
    for (uint round = 0; round < iters; ++round) {
        x = fma(x, 0.999f, 0.001f);
    }
    // x stays positive, so this never happens; it keeps the loop from being optimized away.
    if (x < 0.0f) {
        *counter = 0;
    }
    credit(counter, add);
}

kernel void fcsp_read(uint iters, global ulong *counter, ulong add, global const char *from, ulong bytes) {
    const ulong threads = (ulong)get_global_size(0);
    const ulong stride = threads * sizeof(uint4) % bytes;
    ulong at = (ulong)get_global_id(0) * sizeof(uint4) % bytes;
    uint found = 0;
#pragma unroll 8
    for (uint round = 0; round < iters; ++round) {
        const uint4 value = __builtin_nontemporal_load((global const uint4 *)(from + at));
        found ^= value.x ^ value.y ^ value.z ^ value.w;
        at += stride;
        if (at >= bytes) {
            at -= bytes;
        }
    }
    // The buffer is all zero, so this never happens; it keeps the reads from being optimized away.
    if (found) {
        *counter = 0;
    }
    credit(counter, add);
}

kernel void fcsp_write(global ulong *at, ulong value) {
    *at = value;
}

#define HEAD_DIM 64
#define TILE 32
__attribute__((reqd_work_group_size(128, 1, 1)))
kernel void fcsp_attention(global const float *q, global const float *k, global const float *v, global float *out, uint rows) {
    local float keys[TILE][HEAD_DIM];
    local float values[TILE][HEAD_DIM];
    const ulong head = (ulong)get_group_id(1) * rows * HEAD_DIM;
    const uint row = get_global_id(0);
    float query[HEAD_DIM], sum[HEAD_DIM];
    for (int d = 0; d < HEAD_DIM; ++d) {
        query[d] = q[head + (ulong)row * HEAD_DIM + d] * 0.125f;
        sum[d] = 0.0f;
    }
    float largest = -1e30f, weights = 0.0f;
    for (uint tile = 0; tile < rows; tile += TILE) {
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint i = get_local_id(0); i < TILE * HEAD_DIM; i += get_local_size(0)) {
            keys[i / HEAD_DIM][i % HEAD_DIM] = k[head + (ulong)tile * HEAD_DIM + i];
            values[i / HEAD_DIM][i % HEAD_DIM] = v[head + (ulong)tile * HEAD_DIM + i];
        }
        barrier(CLK_LOCAL_MEM_FENCE);
        for (int j = 0; j < TILE; ++j) {
            float score = 0.0f;
#pragma unroll
            for (int d = 0; d < HEAD_DIM; ++d) {
                score = fma(query[d], keys[j][d], score);
            }
            const float above = fmax(largest, score);
            const float shrink = native_exp(largest - above), weight = native_exp(score - above);
            largest = above;
            weights = weights * shrink + weight;
#pragma unroll
            for (int d = 0; d < HEAD_DIM; ++d) {
                sum[d] = fma(weight, values[j][d], sum[d] * shrink);
            }
        }
    }
    for (int d = 0; d < HEAD_DIM; ++d) {
        out[head + (ulong)row * HEAD_DIM + d] = sum[d] / weights;
    }
}
