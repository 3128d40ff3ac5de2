"""Three workers, one after the other, each with the device for itself; started as the argument says."""

import ctypes
import multiprocessing
import sys

MIB = 1 << 20


def work(_):
    cuda = ctypes.CDLL("libcuda.so.1")
    context = ctypes.c_void_p()
    assert cuda.cuInit(0) == 0
    assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 0) == 0
    assert cuda.cuCtxSetCurrent(context) == 0
    address = ctypes.c_uint64()
    granted = cuda.cuMemAlloc_v2(ctypes.byref(address), ctypes.c_size_t(100 * MIB))
    over = cuda.cuMemAlloc_v2(ctypes.byref(ctypes.c_uint64()), ctypes.c_size_t(900 * MIB))
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    assert cuda.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)) == 0
    return f"worker: granted={granted} over={over} total={total.value // MIB}"


if __name__ == "__main__":
    ways = multiprocessing.get_context(sys.argv[1])
    for _ in range(3):
        with ways.Pool(1) as pool:
            print(pool.map(work, [0])[0])
            pool.close()
            pool.join()
