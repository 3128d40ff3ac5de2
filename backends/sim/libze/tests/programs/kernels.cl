// What a program of its own might have: arguments of all kinds.
struct big {
    float a[12];
};

kernel void saxpy(global float *y, global const float *x, float a, ulong n) {
    size_t i = get_global_id(0);
    if (i < n)
        y[i] += a * x[i];
}

kernel void by_value(struct big b, global float *o, local float *scratch, int3 v) {
    scratch[0] = b.a[2];
    o[0] = scratch[0] + v.x;
}
