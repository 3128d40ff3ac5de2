// Memory of one process used by another: legacy handles, physical memory and pools by file descriptor.
// The helper is this program again, started anew before anything of CUDA, and told over a socket.

#include "common.cuh"

#include <cstring>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

// What goes over the socket; a descriptor may come with it.
struct Message {
    enum Kind { Legacy, Physical, Pool, External, Quit } kind;
    size_t bytes;
    cudaIpcMemHandle_t memory;
    cudaIpcEventHandle_t event;
    cudaMemPoolPtrExportData pointer;
};

struct Reply {
    bool ok;
    uint64_t sum;
    char reason[200];
};

static void send_message(int to, const Message &message, int file) {
    iovec part = {const_cast<Message *>(&message), sizeof message};
    char room[CMSG_SPACE(sizeof(int))] = {};
    msghdr header = {};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    if (file >= 0) {
        header.msg_control = room;
        header.msg_controllen = sizeof room;
        cmsghdr *control = CMSG_FIRSTHDR(&header);
        control->cmsg_level = SOL_SOCKET;
        control->cmsg_type = SCM_RIGHTS;
        control->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(control), &file, sizeof file);
    }
    expect(sendmsg(to, &header, 0) == ssize_t(sizeof message), "a message is sent");
}

static bool receive_message(int from, Message &message, int &file) {
    iovec part = {&message, sizeof message};
    char room[CMSG_SPACE(sizeof(int))] = {};
    msghdr header = {};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = room;
    header.msg_controllen = sizeof room;
    if (recvmsg(from, &header, MSG_WAITALL) != ssize_t(sizeof message)) {
        return false;
    }
    file = -1;
    if (cmsghdr *control = CMSG_FIRSTHDR(&header)) {
        std::memcpy(&file, CMSG_DATA(control), sizeof file);
    }
    return true;
}

static void allow(CUdeviceptr at, size_t bytes) {
    CUmemAccessDesc access = {};
    access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    CHECK(cuMemSetAccess(at, bytes, &access, 1));
}

// Reads what is there and adds 1 to every word.
static uint64_t use(void *memory) {
    uint64_t sum = sum_up(memory);
    add<<<BLOCKS, THREADS>>>(static_cast<uint32_t *>(memory), COUNT, 1);
    CHECK(cudaDeviceSynchronize());
    return sum;
}

static uint64_t use_physical(const Message &message, int file) {
    CUmemGenericAllocationHandle handle;
    CUdeviceptr range;
    CHECK(cuMemImportFromShareableHandle(&handle, reinterpret_cast<void *>(intptr_t(file)),
                                         CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR));
    CHECK(cuMemAddressReserve(&range, message.bytes, 0, 0, 0));
    CHECK(cuMemMap(range, message.bytes, 0, handle, 0));
    allow(range, message.bytes);
    uint64_t sum = use(reinterpret_cast<void *>(range));
    CHECK(cuMemUnmap(range, message.bytes));
    CHECK(cuMemRelease(handle));
    CHECK(cuMemAddressFree(range, message.bytes));
    return sum;
}

static uint64_t use_external(const Message &message, int file) {
    cudaExternalMemoryHandleDesc wanted = {};
    wanted.type = cudaExternalMemoryHandleTypeOpaqueFd;
    wanted.handle.fd = file;
    wanted.size = message.bytes;
    cudaExternalMemory_t external;
    CHECK(cudaImportExternalMemory(&external, &wanted));
    cudaExternalMemoryBufferDesc buffer = {};
    buffer.size = message.bytes;
    void *memory;
    CHECK(cudaExternalMemoryGetMappedBuffer(&memory, external, &buffer));
    uint64_t sum = use(memory);
    CHECK(cudaFree(memory));
    CHECK(cudaDestroyExternalMemory(external));
    return sum;
}

static uint64_t use_pool(const Message &message, int file) {
    cudaMemPool_t pool;
    CHECK(cudaMemPoolImportFromShareableHandle(&pool, reinterpret_cast<void *>(intptr_t(file)),
                                               cudaMemHandleTypePosixFileDescriptor, 0));
    cudaMemAccessDesc access = {};
    access.location.type = cudaMemLocationTypeDevice;
    CHECK(cudaMemPoolGetAccess(&access.flags, pool, &access.location));
    if (access.flags != cudaMemAccessFlagsProtReadWrite) {
        access.flags = cudaMemAccessFlagsProtReadWrite;
        CHECK(cudaMemPoolSetAccess(pool, &access, 1));
    }
    void *memory;
    cudaMemPoolPtrExportData pointer = message.pointer;
    CHECK(cudaMemPoolImportPointer(&memory, pool, &pointer));
    uint64_t sum = use(memory);
    CHECK(cudaFree(memory));
    CHECK(cudaMemPoolDestroy(pool));
    return sum;
}

static uint64_t use_legacy(const Message &message) {
    void *memory;
    cudaEvent_t event;
    CHECK(cudaIpcOpenMemHandle(&memory, message.memory, cudaIpcMemLazyEnablePeerAccess));
    CHECK(cudaIpcOpenEventHandle(&event, message.event));
    CHECK(cudaStreamWaitEvent(nullptr, event, 0));
    uint64_t sum = use(memory);
    CHECK(cudaEventDestroy(event));
    CHECK(cudaIpcCloseMemHandle(memory));
    return sum;
}

static int help(int socket) {
    Message message;
    int file;
    while (receive_message(socket, message, file) && message.kind != Message::Quit) {
        Reply reply = {};
        try {
            CHECK(cudaSetDevice(0));
            CHECK(cudaFree(nullptr));
            switch (message.kind) {
            case Message::Legacy: reply.sum = use_legacy(message); break;
            case Message::Physical: reply.sum = use_physical(message, file); break;
            case Message::Pool: reply.sum = use_pool(message, file); break;
            default: reply.sum = use_external(message, file); break;
            }
            reply.ok = true;
        } catch (const Failure &failure) {
            std::snprintf(reply.reason, sizeof reply.reason, "in the helper, %s", failure.text.c_str());
        }
        if (write(socket, &reply, sizeof reply) != ssize_t(sizeof reply)) {
            return 1;
        }
    }
    return 0;
}

static int helper;

static uint64_t ask(const Message &message, int file) {
    send_message(helper, message, file);
    Reply reply;
    expect(recv(helper, &reply, sizeof reply, MSG_WAITALL) == ssize_t(sizeof reply), "the helper answers");
    if (!reply.ok) {
        throw Failure{reply.reason};
    }
    return reply.sum;
}

static uint64_t legacy() {
    void *memory;
    cudaEvent_t event;
    CHECK(cudaMalloc(&memory, BYTES));
    CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventInterprocess));
    Message message = {};
    message.kind = Message::Legacy;
    CHECK(cudaIpcGetMemHandle(&message.memory, memory));
    CHECK(cudaIpcGetEventHandle(&message.event, event));
    fill<<<BLOCKS, THREADS>>>(static_cast<uint32_t *>(memory), COUNT, 31);
    CHECK(cudaEventRecord(event, nullptr));
    uint64_t sum = ask(message, -1);
    sum ^= sum_up(memory) * 3;
    CHECK(cudaEventDestroy(event));
    CHECK(cudaFree(memory));
    return sum;
}

static uint64_t physical(Message::Kind kind) {
    CHECK(cudaFree(nullptr));
    CUmemAllocationProp wanted = {};
    wanted.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    wanted.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    wanted.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
    size_t granularity;
    CHECK(cuMemGetAllocationGranularity(&granularity, &wanted, CU_MEM_ALLOC_GRANULARITY_MINIMUM));
    Message message = {};
    message.kind = kind;
    message.bytes = (BYTES + granularity - 1) / granularity * granularity;
    CUmemGenericAllocationHandle handle;
    CUdeviceptr range;
    int file;
    CHECK(cuMemCreate(&handle, message.bytes, &wanted, 0));
    CHECK(cuMemAddressReserve(&range, message.bytes, 0, 0, 0));
    CHECK(cuMemMap(range, message.bytes, 0, handle, 0));
    allow(range, message.bytes);
    void *memory = reinterpret_cast<void *>(range);
    uint64_t sum = fill_and_sum(memory, 32);
    CHECK(cuMemExportToShareableHandle(&file, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0));
    sum ^= ask(message, file) * 3;
    sum ^= sum_up(memory) * 5;
    close(file);
    CHECK(cuMemUnmap(range, message.bytes));
    CHECK(cuMemRelease(handle));
    CHECK(cuMemAddressFree(range, message.bytes));
    return sum;
}

static uint64_t pool() {
    cudaMemPoolProps wanted = {};
    wanted.allocType = cudaMemAllocationTypePinned;
    wanted.location.type = cudaMemLocationTypeDevice;
    wanted.handleTypes = cudaMemHandleTypePosixFileDescriptor;
    cudaMemPool_t pool;
    void *memory;
    int file;
    CHECK(cudaMemPoolCreate(&pool, &wanted));
    CHECK(cudaMallocFromPoolAsync(&memory, BYTES, pool, nullptr));
    uint64_t sum = fill_and_sum(memory, 33);
    Message message = {};
    message.kind = Message::Pool;
    CHECK(cudaMemPoolExportToShareableHandle(&file, pool, cudaMemHandleTypePosixFileDescriptor, 0));
    CHECK(cudaMemPoolExportPointer(&message.pointer, memory));
    sum ^= ask(message, file) * 3;
    sum ^= sum_up(memory) * 5;
    close(file);
    CHECK(cudaFreeAsync(memory, nullptr));
    CHECK(cudaDeviceSynchronize());
    CHECK(cudaMemPoolDestroy(pool));
    return sum;
}

int main(int argc, char **argv) {
    if (argc > 1) {
        return help(std::atoi(argv[1]));
    }
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) {
        return 1;
    }
    pid_t child = fork();
    if (child == 0) {
        close(sockets[0]);
        std::string socket = std::to_string(sockets[1]);
        execl("/proc/self/exe", argv[0], socket.c_str(), static_cast<char *>(nullptr));
        _exit(1);
    }
    close(sockets[1]);
    helper = sockets[0];
    int status = run_families({
        {"legacy handle and event", legacy},
        {"physical memory by descriptor", [] { return physical(Message::Physical); }},
        {"pool by descriptor", pool},
        {"external memory by descriptor", [] { return physical(Message::External); }},
    });
    close(helper);
    int ended;
    waitpid(child, &ended, 0);
    return status | ended;
}
