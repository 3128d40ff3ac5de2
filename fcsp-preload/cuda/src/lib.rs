//! libfcsp-cuda.so: the CUDA preload library.
