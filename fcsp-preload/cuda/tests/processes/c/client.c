/* A CUDA program that does one thing, says what it saw, and ends. It loads the driver itself, or with -DLINKED is
 * linked to it. Every scenario prints lines of "name=value". */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

typedef int (*init_fn)(unsigned);
typedef int (*count_fn)(int *);
typedef int (*retain_fn)(void **, int);
typedef int (*device_fn)(int);
typedef int (*set_fn)(void *);
typedef int (*create_fn)(void **, unsigned, int);
typedef int (*alloc_fn)(uint64_t *, size_t);
typedef int (*free_fn)(uint64_t);
typedef int (*info_fn)(size_t *, size_t *);
typedef int (*total_fn)(size_t *, int);
typedef int (*uuid_fn)(unsigned char *, int);
typedef int (*proc_fn)(const char *, void **, int, uint64_t, int *);
typedef int (*table_fn)(const void **, const unsigned char *);
typedef int (*void_fn)(void);

#ifdef LINKED
extern int cuInit(unsigned), cuDevicePrimaryCtxRetain(void **, int), cuCtxSetCurrent(void *);
extern int cuMemAlloc_v2(uint64_t *, size_t), cuMemFree_v2(uint64_t), cuMemGetInfo_v2(size_t *, size_t *);
#endif

static void *driver;

static void open_driver(void) {
    driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!driver) fprintf(stderr, "%s\n", dlerror()), exit(3);
}

static void *find(const char *name) {
    void *found = dlsym(driver, name);
    if (!found) fprintf(stderr, "%s is missing\n", name), exit(4);
    return found;
}
#define CU(type, name) ((type)find(#name))

/* Initialises and makes the primary context of a device current. */
static int start_on(int device) {
    void *context = NULL;
    int code = CU(init_fn, cuInit)(0);
    if (!code) code = CU(retain_fn, cuDevicePrimaryCtxRetain)(&context, device);
    if (!code) code = CU(set_fn, cuCtxSetCurrent)(context);
    return code;
}

/* What a device of 1 GiB grants: a little, and not 900 MiB. */
static void say_limits(const char *who) {
    uint64_t small = 0, large = 0;
    size_t free_bytes = 0, total = 0;
    int granted = CU(alloc_fn, cuMemAlloc_v2)(&small, 100 * MIB);
    int over = CU(alloc_fn, cuMemAlloc_v2)(&large, 900 * MIB);
    CU(info_fn, cuMemGetInfo_v2)(&free_bytes, &total);
    int freed = granted ? granted : CU(free_fn, cuMemFree_v2)(small);
    printf("%s: granted=%d over=%d total=%zu freed=%d\n", who, granted, over, total / MIB, freed);
    fflush(stdout);
}

static void limits(void) {
    open_driver();
    if (start_on(0)) exit(5);
    say_limits("program");
}

static int reap(pid_t pid) {
    int status = 0;
    while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR) {}
    /* A program that is refused looks for what the dead held once in 10 ms. */
    usleep(20000);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void fork_before(void) {
    open_driver();
    pid_t pid = fork();
    if (start_on(0)) _exit(5);
    say_limits(pid ? "parent" : "child");
    if (!pid) _exit(0);
    printf("child ended with %d\n", reap(pid));
}

static void fork_after_exit(void) {
    limits();
    pid_t pid = fork();
    if (!pid) _exit(7);
    printf("child ended with %d\n", reap(pid));
    say_limits("parent");
}

static void fork_after_use(void) {
    limits();
    pid_t pid = fork();
    if (!pid) {
        uint64_t address = 0;
        void *context = NULL;
        int init = CU(init_fn, cuInit)(0);
        int retain = CU(retain_fn, cuDevicePrimaryCtxRetain)(&context, 0);
        int alloc = CU(alloc_fn, cuMemAlloc_v2)(&address, MIB);
        printf("child: init=%d retain=%d alloc=%d\n", init, retain, alloc);
        fflush(stdout);
        _exit(0);
    }
    printf("child ended with %d\n", reap(pid));
    say_limits("parent");
}

static void fork_after_exec(void) {
    limits();
    pid_t pid = fork();
    if (!pid) {
        execl("/proc/self/exe", "client", "limits", NULL);
        _exit(9);
    }
    printf("child ended with %d\n", reap(pid));
    say_limits("parent");
}

static void exec_after(void) {
    limits();
    execl("/proc/self/exe", "client", "limits", NULL);
    _exit(9);
}

static void raw_clone_before(void) {
    open_driver();
    pid_t pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (start_on(0)) _exit(5);
    say_limits(pid ? "parent" : "child");
    if (!pid) _exit(0);
    printf("child ended with %d\n", reap(pid));
}

/* A child that the C library does not know of, and that starts another program. */
static void raw_clone_after(void) {
    limits();
    pid_t pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (!pid) {
        execl("/proc/self/exe", "client", "limits", NULL);
        _exit(9);
    }
    printf("child ended with %d\n", reap(pid));
    say_limits("parent");
}

#define THREADS 64
static void *context;

static void *thread(void *unused) {
    long failures = 0;
    failures += CU(set_fn, cuCtxSetCurrent)(context) != 0;
    for (int i = 0; i < 50; i++) {
        uint64_t address = 0;
        failures += CU(alloc_fn, cuMemAlloc_v2)(&address, 2 * MIB) != 0;
        failures += CU(free_fn, cuMemFree_v2)(address) != 0;
    }
    return (void *)failures;
}

static void threads(void) {
    open_driver();
    if (start_on(0)) exit(5);
    CU(retain_fn, cuDevicePrimaryCtxRetain)(&context, 0);
    pthread_t all[THREADS];
    long failures = 0;
    for (int i = 0; i < THREADS; i++) pthread_create(&all[i], NULL, thread, NULL);
    for (int i = 0; i < THREADS; i++) {
        void *one = NULL;
        pthread_join(all[i], &one);
        failures += (long)one;
    }
    printf("failures=%ld\n", failures);
    say_limits("program");
}

/* What each visible device is, and what it grants: 900 MiB or not. */
static void devices(void) {
    int count = 0;
    open_driver();
    int code = CU(init_fn, cuInit)(0);
    if (!code) CU(count_fn, cuDeviceGetCount)(&count);
    printf("init=%d count=%d\n", code, count);
    for (int device = 0; device < count; device++) {
        unsigned char uuid[16];
        size_t total = 0;
        uint64_t address = 0;
        CU(uuid_fn, cuDeviceGetUuid_v2)(uuid, device);
        CU(total_fn, cuDeviceTotalMem_v2)(&total, device);
        if (start_on(device)) exit(5);
        int code = CU(alloc_fn, cuMemAlloc_v2)(&address, 900 * MIB);
        printf("%02x%02x%02x%02x: total=%zu large=%d\n", uuid[0], uuid[1], uuid[2], uuid[3], total / MIB, code);
    }
}

static void contexts(void) {
    void *one = NULL, *two = NULL;
    uint64_t address = 0;
    open_driver();
    CU(init_fn, cuInit)(0);
    int first = CU(create_fn, cuCtxCreate_v2)(&one, 0, 0);
    int fits = CU(alloc_fn, cuMemAlloc_v2)(&address, 400 * MIB);
    int second = CU(create_fn, cuCtxCreate_v2)(&two, 0, 0);
    int shared = CU(alloc_fn, cuMemAlloc_v2)(&address, 200 * MIB);
    CU(set_fn, cuCtxSetCurrent)(one);
    int in_first = CU(alloc_fn, cuMemAlloc_v2)(&address, 200 * MIB);
    CU(set_fn, cuCtxSetCurrent)(two);
    int ended = CU(set_fn, cuCtxDestroy_v2)(one);
    int after = CU(alloc_fn, cuMemAlloc_v2)(&address, 200 * MIB);
    printf("first=%d fits=%d second=%d shared=%d in_first=%d ended=%d after=%d\n", first, fits, second, shared, in_first,
           ended, after);
}

/* Which of some functions there are, by either way of looking. */
static void functions(void) {
    static const char *names[] = {"cuMemAlloc", "cuMemCreate", "cuMemAllocAsync", "cuMemAllocManaged", "cuGraphLaunch"};
    static const char *symbols[] = {"cuMemAlloc_v2", "cuMemCreate", "cuMemAllocAsync", "cuMemAllocManaged",
                                    "cuGraphLaunch"};
    open_driver();
    CU(init_fn, cuInit)(0);
    proc_fn look_up = (proc_fn)find("cuGetProcAddress_v2");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *found = NULL;
        int status = -1, code = look_up(names[i], &found, 13000, 0, &status);
        printf("%s: dlsym=%d code=%d status=%d found=%d default=%d\n", names[i], dlsym(driver, symbols[i]) != NULL, code,
               status, found != NULL, dlsym(RTLD_DEFAULT, symbols[i]) != NULL);
    }
    void *nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (nvml)
        printf("nvml: info=%d v2=%d\n", dlsym(nvml, "nvmlDeviceGetMemoryInfo") != NULL,
               dlsym(nvml, "nvmlDeviceGetMemoryInfo_v2") != NULL);
}

static void export_table(void) {
    static const unsigned char id[16] = {0x6b, 0xd5, 0xfb, 0x6c, 0x5b, 0xf4, 0xe7, 0x4a,
                                         0x89, 0x87, 0xd9, 0x39, 0x12, 0xfd, 0x9d, 0xf9};
    const void *table = (void *)1;
    open_driver();
    CU(init_fn, cuInit)(0);
    int code = CU(table_fn, cuGetExportTable)(&table, id);
    Dl_info info = {0};
    dladdr(find("cuGetExportTable"), &info);
    const char *file = info.dli_fname ? strrchr(info.dli_fname, '/') : NULL;
    printf("code=%d table=%p null=%d of=%s\n", code, table, CU(table_fn, cuGetExportTable)(&table, NULL),
           file ? file + 1 : "?");
}

/* Calls before cuInit, as programs make them by mistake. */
static void too_early(void) {
    void *made = NULL;
    uint64_t address = 0;
    open_driver();
    int retain = CU(retain_fn, cuDevicePrimaryCtxRetain)(&made, 0);
    int create = CU(create_fn, cuCtxCreate_v2)(&made, 0, 0);
    int alloc = CU(alloc_fn, cuMemAlloc_v2)(&address, MIB);
    CU(init_fn, cuInit)(0);
    int nobody = CU(retain_fn, cuDevicePrimaryCtxRetain)(&made, 9);
    printf("retain=%d create=%d alloc=%d nobody=%d\n", retain, create, alloc, nobody);
    if (start_on(0)) exit(5);
    say_limits("program");
}

static void other_namespace(void) {
    driver = dlmopen(LM_ID_NEWLM, "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!driver) fprintf(stderr, "%s\n", dlerror()), exit(3);
    if (start_on(0)) exit(5);
    say_limits("program");
}

static void deep_bind(void) {
    driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (start_on(0)) exit(5);
    say_limits("program");
    /* A library that is linked to the driver and bound deeply. */
    void *plugin = dlopen("libplugin.so", RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    if (!plugin) fprintf(stderr, "%s\n", dlerror()), exit(3);
    printf("plugin: over=%d\n", ((int (*)(size_t))dlsym(plugin, "plugin_alloc"))(900 * MIB));
}

#ifdef LINKED
static void linked(void) {
    void *made = NULL;
    uint64_t small = 0, large = 0;
    size_t free_bytes = 0, total = 0;
    if (cuInit(0) || cuDevicePrimaryCtxRetain(&made, 0) || cuCtxSetCurrent(made)) exit(5);
    int granted = cuMemAlloc_v2(&small, 100 * MIB), over = cuMemAlloc_v2(&large, 900 * MIB);
    cuMemGetInfo_v2(&free_bytes, &total);
    printf("program: granted=%d over=%d total=%zu freed=%d\n", granted, over, total / MIB, cuMemFree_v2(small));
}
#endif

/* Prints what a tool that sits beside us counted. */
static void beside(void) {
    limits();
    int (*counted)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "tool_counted");
    printf("tool counted=%d\n", counted && counted() > 0);
}

/* Finds its allocator by the driver's lookup, and that in the global scope. */
static void profiled(void) {
    driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
    if (start_on(0)) exit(5);
    proc_fn look_up = (proc_fn)dlsym(RTLD_DEFAULT, "cuGetProcAddress_v2");
    uint64_t small = 0, large = 0;
    size_t free_bytes = 0, total = 0;
    void *alloc = NULL;
    int status = 0;
    look_up("cuMemAlloc", &alloc, 13000, 0, &status);
    int granted = ((alloc_fn)alloc)(&small, 100 * MIB), over = ((alloc_fn)alloc)(&large, 900 * MIB);
    CU(info_fn, cuMemGetInfo_v2)(&free_bytes, &total);
    printf("program: granted=%d over=%d total=%zu freed=%d\n", granted, over, total / MIB,
           CU(free_fn, cuMemFree_v2)(small));
    int (*counted)(void) = (int (*)(void))dlsym(RTLD_DEFAULT, "tool_counted");
    printf("tool counted=%d\n", counted && counted() > 0);
}

static int in_use(const sigset_t *mask) {
    int count = 0;
    for (int signal = 1; signal < 65; signal++) count += sigismember(mask, signal) == 1;
    return count;
}

static void manners(void) {
    struct sigaction action;
    sigset_t mask;
    umask(027);
    limits();
    int touched = 0;
    for (int signal = 1; signal < 65; signal++)
        if (!sigaction(signal, NULL, &action) && action.sa_handler != SIG_DFL && signal != SIGPIPE) touched++;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    mode_t before = umask(027);
    printf("handlers=%d blocked=%d umask=%o\n", touched, in_use(&mask), before);
    /* A signal of the program's own reaches the program's thread, in whichever state ours are. */
    signal(SIGUSR1, SIG_IGN);
    printf("kill=%d\n", kill(getpid(), SIGUSR1));
}

static void close_others(void) {
    for (int fd = 3; fd < 1024; fd++) close(fd);
}

static void closes_before(void) {
    open_driver();
    close_others();
    if (start_on(0)) exit(5);
    say_limits("program");
}

static void closes_after(void) {
    limits();
    close_others();
    /* Descriptors it opens now get the numbers of those that were closed, and are its own. */
    int own = open("/dev/null", O_WRONLY);
    say_limits("again");
    printf("own=%d\n", write(own, "x", 1) == 1 && fcntl(own, F_GETFD) >= 0);
}

static int count_threads(void) {
    char line[256];
    int threads = -1;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) sscanf(line, "Threads: %d", &threads);
    if (status) fclose(status);
    return threads;
}

static void *sleeps(void *unused) {
    pause();
    return unused;
}

/* How often the thread that makes the first context sleeps in it, in a process that has another thread. */
static void first_context(void) {
    void *context = NULL;
    struct rusage before, after;
    pthread_t other;
    open_driver();
    pthread_create(&other, NULL, sleeps, NULL);
    if (CU(init_fn, cuInit)(0)) exit(5);
    retain_fn retain = CU(retain_fn, cuDevicePrimaryCtxRetain);
    getrusage(RUSAGE_THREAD, &before);
    if (retain(&context, 0)) exit(5);
    getrusage(RUSAGE_THREAD, &after);
    printf("slept=%ld\n", after.ru_nvcsw - before.ru_nvcsw);
}

/* A thousand times from nothing to a context and back. */
static void cycles(void) {
    int failures = 0, threads_before = 0;
    open_driver();
    for (int i = 0; i < 1000; i++) {
        uint64_t address = 0;
        failures += start_on(0) != 0;
        failures += CU(alloc_fn, cuMemAlloc_v2)(&address, 300 * MIB) != 0;
        failures += CU(device_fn, cuDevicePrimaryCtxRelease_v2)(0) != 0;
        if (i == 10) {
            usleep(500000); /* a thread that finds no management library ends some time after a context came */
            threads_before = count_threads();
        }
    }
    printf("failures=%d threads=%d\n", failures, count_threads() - threads_before);
    if (start_on(0)) exit(5);
    say_limits("program");
}

int main(int argc, char **argv) {
    static const struct { const char *name; void (*run)(void); } scenarios[] = {
        {"limits", limits}, {"fork_before", fork_before}, {"fork_after_exit", fork_after_exit},
        {"fork_after_use", fork_after_use}, {"fork_after_exec", fork_after_exec}, {"exec_after", exec_after},
        {"raw_clone_before", raw_clone_before}, {"raw_clone_after", raw_clone_after}, {"threads", threads},
        {"devices", devices}, {"contexts", contexts}, {"functions", functions}, {"export_table", export_table},
        {"too_early", too_early}, {"other_namespace", other_namespace}, {"deep_bind", deep_bind}, {"beside", beside}, {"profiled", profiled},
        {"manners", manners}, {"closes_before", closes_before}, {"closes_after", closes_after}, {"cycles", cycles},
        {"first_context", first_context},
#ifdef LINKED
        {"linked", linked},
#endif
    };
    for (size_t i = 0; argc == 2 && i < sizeof scenarios / sizeof *scenarios; i++)
        if (!strcmp(argv[1], scenarios[i].name)) return scenarios[i].run(), 0;
    return 2;
}
