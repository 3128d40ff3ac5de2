// Textures and surfaces over arrays, levels of mipmaps, layers and linear memory.

#include "common.cuh"

constexpr int WIDTH = 128;
constexpr int HEIGHT = 64;

static __global__ void sample(cudaTextureObject_t texture, float *out) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    out[y * WIDTH + x] = tex2D<float>(texture, x + 0.25f, y + 0.75f);
}

static __global__ void sample_level(cudaTextureObject_t texture, float *out, float level) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    out[y * WIDTH + x] = tex2DLod<float>(texture, (x + 0.5f) / WIDTH, (y + 0.5f) / HEIGHT, level);
}

static __global__ void sample_layer(cudaTextureObject_t texture, float *out, int layer) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    out[y * WIDTH + x] = tex2DLayered<float>(texture, x + 0.5f, y + 0.5f, layer);
}

static __global__ void write_surface(cudaSurfaceObject_t surface) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y;
    surf2Dwrite(float(x * 3 + y * 5), surface, x * int(sizeof(float)), y);
}

static std::vector<float> image(uint32_t seed, int width = WIDTH, int height = HEIGHT) {
    std::vector<float> pixels(size_t(width) * height);
    for (size_t i = 0; i < pixels.size(); ++i) {
        pixels[i] = float(mix(uint32_t(i), seed) & 0xff);
    }
    return pixels;
}

static dim3 grid() { return dim3(WIDTH / 32, HEIGHT); }

static cudaTextureDesc description(cudaTextureFilterMode filter) {
    cudaTextureDesc texture = {};
    texture.addressMode[0] = texture.addressMode[1] = cudaAddressModeClamp;
    texture.filterMode = filter;
    texture.readMode = cudaReadModeElementType;
    return texture;
}

// Runs a kernel that writes an image, and reads it.
template <typename Launch> static uint64_t image_of(Launch launch) {
    float *out;
    CHECK(cudaMalloc(&out, WIDTH * HEIGHT * sizeof(float)));
    launch(out);
    CHECK(cudaGetLastError());
    uint64_t sum = sum_up(out, WIDTH * HEIGHT);
    CHECK(cudaFree(out));
    return sum;
}

static void upload(cudaArray_t array, const std::vector<float> &pixels, int width, int height) {
    const size_t row = width * sizeof(float);
    CHECK(cudaMemcpy2DToArray(array, 0, 0, pixels.data(), row, row, height, cudaMemcpyHostToDevice));
}

static uint64_t from_array() {
    cudaArray_t array;
    cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
    CHECK(cudaMallocArray(&array, &format, WIDTH, HEIGHT));
    upload(array, image(1), WIDTH, HEIGHT);
    cudaResourceDesc resource = {};
    resource.resType = cudaResourceTypeArray;
    resource.res.array.array = array;
    cudaTextureDesc texture_description = description(cudaFilterModeLinear);
    cudaTextureObject_t texture;
    CHECK(cudaCreateTextureObject(&texture, &resource, &texture_description, nullptr));
    uint64_t sum = image_of([&](float *out) { sample<<<grid(), 32>>>(texture, out); });
    CHECK(cudaDestroyTextureObject(texture));
    CHECK(cudaFreeArray(array));
    return sum;
}

static uint64_t from_pitched() {
    float *memory;
    size_t pitch;
    CHECK(cudaMallocPitch(&memory, &pitch, WIDTH * sizeof(float), HEIGHT));
    std::vector<float> pixels = image(2);
    const size_t row = WIDTH * sizeof(float);
    CHECK(cudaMemcpy2D(memory, pitch, pixels.data(), row, row, HEIGHT, cudaMemcpyHostToDevice));
    cudaResourceDesc resource = {};
    resource.resType = cudaResourceTypePitch2D;
    resource.res.pitch2D.devPtr = memory;
    resource.res.pitch2D.desc = cudaCreateChannelDesc<float>();
    resource.res.pitch2D.width = WIDTH;
    resource.res.pitch2D.height = HEIGHT;
    resource.res.pitch2D.pitchInBytes = pitch;
    cudaTextureDesc texture_description = description(cudaFilterModePoint);
    cudaTextureObject_t texture;
    CHECK(cudaCreateTextureObject(&texture, &resource, &texture_description, nullptr));
    uint64_t sum = image_of([&](float *out) { sample<<<grid(), 32>>>(texture, out); });
    CHECK(cudaDestroyTextureObject(texture));
    CHECK(cudaFree(memory));
    return sum;
}

static uint64_t from_levels() {
    constexpr unsigned LEVELS = 4;
    cudaMipmappedArray_t array;
    cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
    CHECK(cudaMallocMipmappedArray(&array, &format, make_cudaExtent(WIDTH, HEIGHT, 0), LEVELS));
    for (unsigned level = 0; level < LEVELS; ++level) {
        cudaArray_t part;
        CHECK(cudaGetMipmappedArrayLevel(&part, array, level));
        upload(part, image(level, WIDTH >> level, HEIGHT >> level), WIDTH >> level, HEIGHT >> level);
    }
    cudaResourceDesc resource = {};
    resource.resType = cudaResourceTypeMipmappedArray;
    resource.res.mipmap.mipmap = array;
    cudaTextureDesc texture_description = description(cudaFilterModeLinear);
    texture_description.normalizedCoords = 1;
    texture_description.mipmapFilterMode = cudaFilterModeLinear;
    texture_description.maxMipmapLevelClamp = float(LEVELS - 1);
    cudaTextureObject_t texture;
    CHECK(cudaCreateTextureObject(&texture, &resource, &texture_description, nullptr));
    uint64_t sum = image_of([&](float *out) { sample_level<<<grid(), 32>>>(texture, out, 1.5f); });
    CHECK(cudaDestroyTextureObject(texture));
    CHECK(cudaFreeMipmappedArray(array));
    return sum;
}

static uint64_t from_layers() {
    constexpr int LAYERS = 3;
    cudaArray_t array;
    cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
    CHECK(cudaMalloc3DArray(&array, &format, make_cudaExtent(WIDTH, HEIGHT, LAYERS), cudaArrayLayered));
    std::vector<float> pixels = image(3, WIDTH, HEIGHT * LAYERS);
    cudaMemcpy3DParms copy = {};
    copy.srcPtr = make_cudaPitchedPtr(pixels.data(), WIDTH * sizeof(float), WIDTH, HEIGHT);
    copy.dstArray = array;
    copy.extent = make_cudaExtent(WIDTH, HEIGHT, LAYERS);
    copy.kind = cudaMemcpyHostToDevice;
    CHECK(cudaMemcpy3D(&copy));
    cudaResourceDesc resource = {};
    resource.resType = cudaResourceTypeArray;
    resource.res.array.array = array;
    cudaTextureDesc texture_description = description(cudaFilterModePoint);
    cudaTextureObject_t texture;
    CHECK(cudaCreateTextureObject(&texture, &resource, &texture_description, nullptr));
    uint64_t sum = image_of([&](float *out) { sample_layer<<<grid(), 32>>>(texture, out, 2); });
    CHECK(cudaDestroyTextureObject(texture));
    CHECK(cudaFreeArray(array));
    return sum;
}

static uint64_t to_surface() {
    cudaArray_t array;
    cudaChannelFormatDesc format = cudaCreateChannelDesc<float>();
    CHECK(cudaMallocArray(&array, &format, WIDTH, HEIGHT, cudaArraySurfaceLoadStore));
    cudaResourceDesc resource = {};
    resource.resType = cudaResourceTypeArray;
    resource.res.array.array = array;
    cudaSurfaceObject_t surface;
    CHECK(cudaCreateSurfaceObject(&surface, &resource));
    write_surface<<<grid(), 32>>>(surface);
    CHECK(cudaDeviceSynchronize());
    std::vector<float> pixels(WIDTH * HEIGHT);
    const size_t row = WIDTH * sizeof(float);
    CHECK(cudaMemcpy2DFromArray(pixels.data(), row, array, 0, 0, row, HEIGHT, cudaMemcpyDeviceToHost));
    CHECK(cudaDestroySurfaceObject(surface));
    CHECK(cudaFreeArray(array));
    Checksum sum;
    sum.vector(pixels);
    return sum.value;
}

int main() {
    return run_families({
        {"texture of an array", from_array},
        {"texture of pitched memory", from_pitched},
        {"texture of a mipmapped array", from_levels},
        {"texture of a layered array", from_layers},
        {"surface of an array", to_surface},
    });
}
