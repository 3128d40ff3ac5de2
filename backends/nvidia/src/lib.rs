//! GpuBackend for NVIDIA devices.
