//! CUDA driver and NVML bindings generated from the vendor headers.
