/* A stand-in for libnvidia-ml.so.1 that plays the scenario named in the environment.
 *
 * It implements NVML's own interface (names, structs, error codes), so a test takes the way that a
 * real driver takes: dlopen, ctypes, every call. The scenario is the first line of the file that
 * FAKE_NVML_FILE names (read at every call, so a test can change it while a process runs), else the
 * value of FAKE_NVML. Compiled with -DOLD_DRIVER, calls that a driver of 2018 lacks are left out.
 * What its GPUs do meanwhile are the other lines of the file, see fake_nvml_lines.h.
 */
#include "fake_nvml_lines.h"

enum {
    OK = 0,
    UNINITIALIZED = 1,
    INVALID_ARGUMENT = 2,
    NOT_SUPPORTED = 3,
    NO_PERMISSION = 4,
    NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7,
    DRIVER_NOT_LOADED = 9,
    GPU_IS_LOST = 15,
    RESET_REQUIRED = 16,
    OPERATING_SYSTEM = 17,
    VERSION_MISMATCH = 18,
    UNKNOWN = 999,
};

#define MIB (1ULL << 20)
#define MAX_GPUS 8
#define MAX_SLICES 7

struct gpu {
    const char *name;
    unsigned long long memory, used;
    int major, minor;
    int can_mig, slices; /* slices > 0: MIG mode is on */
    unsigned long long slice_memory;
    int handle_error; /* answer to the request for this GPU's handle */
    int field_error;  /* answer to every question but name and memory */
};

#define T4 {.name = "Tesla T4", .memory = 15360 * MIB, .major = 7, .minor = 5}
#define L4 {.name = "NVIDIA L4", .memory = 23034 * MIB, .major = 8, .minor = 9}
#define A100_40 {.name = "NVIDIA A100-SXM4-40GB", .memory = 40960 * MIB, .major = 8, .can_mig = 1}
#define A100_80 {.name = "NVIDIA A100-SXM4-80GB", .memory = 81920 * MIB, .major = 8, .can_mig = 1}
#define H100 {.name = "NVIDIA H100 80GB HBM3", .memory = 81559 * MIB, .major = 9, .can_mig = 1}
#define G4 {.name = "NVIDIA RTX PRO 6000 Blackwell Server Edition", .memory = 97887 * MIB, .major = 12}

struct scenario {
    const char *name;
    int init_error, hang;
    unsigned int count;
    struct gpu gpus[MAX_GPUS];
};

static const struct scenario scenarios[] = {
    {.name = "none"},
    {.name = "t4", .count = 1, .gpus = {T4}},
    {.name = "l4", .count = 1, .gpus = {L4}},
    {.name = "a100-40", .count = 1, .gpus = {A100_40}},
    {.name = "a100-80", .count = 1, .gpus = {A100_80}},
    {.name = "h100", .count = 1, .gpus = {H100}},
    {.name = "g4", .count = 1, .gpus = {G4}},
    {.name = "p100",
     .count = 1,
     .gpus = {{.name = "Tesla P100-PCIE-16GB", .memory = 16280 * MIB, .major = 6}}},
    {.name = "two-t4", .count = 2, .gpus = {T4, T4}},
    {.name = "eight-l4", .count = 8, .gpus = {L4, L4, L4, L4, L4, L4, L4, L4}},
    {.name = "t4-and-a100", .count = 2, .gpus = {T4, A100_40}},
    {.name = "unlisted",
     .count = 1,
     .gpus = {{.name = "NVIDIA Future GPU X1", .memory = 65536 * MIB, .major = 13}}},
    {.name = "mig",
     .count = 1,
     .gpus = {{.name = "NVIDIA A100-SXM4-40GB", .memory = 40960 * MIB, .major = 8, .can_mig = 1,
               .slices = 2, .slice_memory = 19968 * MIB}}},
    {.name = "gpu-lost", .count = 1, .gpus = {{.name = "Tesla T4", .handle_error = GPU_IS_LOST}}},
    {.name = "t4-and-lost", .count = 2, .gpus = {T4, {.name = "Tesla T4", .handle_error = GPU_IS_LOST}}},
    {.name = "not-supported",
     .count = 1,
     .gpus = {{.name = "Tesla T4", .memory = 15360 * MIB, .major = 7, .minor = 5,
               .field_error = NOT_SUPPORTED}}},
    {.name = "no-memory-figure", .count = 1, .gpus = {{.name = "Tesla T4", .major = 7, .minor = 5}}},
    {.name = "no-name", .count = 1, .gpus = {{.memory = 15360 * MIB, .major = 7, .minor = 5}}},
    {.name = "busy-t4",
     .count = 1,
     .gpus = {{.name = "Tesla T4", .memory = 15360 * MIB, .used = 9000 * MIB, .major = 7, .minor = 5}}},
    {.name = "no-permission", .init_error = NO_PERMISSION},
    {.name = "driver-not-loaded", .init_error = DRIVER_NOT_LOADED},
    {.name = "blocked-by-os", .init_error = OPERATING_SYSTEM},
    {.name = "driver-mismatch", .init_error = VERSION_MISMATCH},
    {.name = "hang", .hang = 1},
};

static int initialised;
static int lost[MAX_GPUS]; /* a GPU that was lost stays lost until NVML is started anew */

static const struct scenario *playing(void) {
    static char line[128];
    const char *name = getenv("FAKE_NVML"), *path = getenv("FAKE_NVML_FILE");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file) {
        if (fgets(line, sizeof line, file)) line[strcspn(line, "\n")] = 0, name = line;
        fclose(file);
    }
    for (size_t i = 0; name && i < sizeof scenarios / sizeof *scenarios; i++)
        if (!strcmp(scenarios[i].name, name)) return &scenarios[i];
    fprintf(stderr, "fake_nvml: no scenario named %s\n", name ? name : "(nothing)");
    abort();
}

/* Handles are small numbers: GPU i is i + 1, its slice s is (s + 1) * 100 + i + 1. */
static const struct gpu *gpu_of(void *handle) { return &playing()->gpus[((size_t)handle) % 100 - 1]; }
static int is_slice(void *handle) { return (size_t)handle > 100; }

static int handle_error(void *handle) {
    size_t index = (size_t)handle % 100 - 1;
    int error = playing()->gpus[index].handle_error;
    if (error == GPU_IS_LOST) lost[index] = 1;
    return lost[index] ? GPU_IS_LOST : error;
}

#define ANSWER_FROM(handle)                       \
    const struct gpu *gpu = gpu_of(handle);       \
    if (!initialised) return UNINITIALIZED;       \
    if (handle_error(handle)) return handle_error(handle)

#define ASKED(handle, key)                                     \
    ANSWER_FROM(handle);                                       \
    if (gpu->field_error) return gpu->field_error;             \
    if (trouble(handle, key)) return trouble(handle, key)

static int copy(char *to, unsigned int size, const char *text) {
    if (strlen(text) >= size) return INSUFFICIENT_SIZE;
    strcpy(to, text);
    return OK;
}

/* --- library and system ------------------------------------------------------------------- */

int nvmlInitWithFlags(unsigned int flags) {
    (void)flags;
    while (playing()->hang) pause();
    if (playing()->init_error) return playing()->init_error;
    if (!initialised) memset(lost, 0, sizeof lost);
    initialised = 1;
    return OK;
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void) {
    initialised = 0;
    return OK;
}

const char *nvmlErrorString(int code) {
    switch (code) {
    case OK: return "Success";
    case NOT_SUPPORTED: return "Not Supported";
    case NO_PERMISSION: return "Insufficient Permissions";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case GPU_IS_LOST: return "GPU is lost";
    case VERSION_MISMATCH: return "Driver/library version mismatch";
    default: return "Unknown Error";
    }
}

#ifdef OLD_DRIVER
#define DRIVER "410.104"
#else
#define DRIVER "580.82.07"
#endif

int nvmlSystemGetDriverVersion(char *text, unsigned int size) {
    return initialised ? copy(text, size, DRIVER) : UNINITIALIZED;
}

int nvmlSystemGetNVMLVersion(char *text, unsigned int size) {
    return initialised ? copy(text, size, "13." DRIVER) : UNINITIALIZED;
}

int nvmlSystemGetCudaDriverVersion(int *version) {
    if (!initialised) return UNINITIALIZED;
    *version = 12080;
    return OK;
}

#ifndef OLD_DRIVER
int nvmlSystemGetCudaDriverVersion_v2(int *version) { return nvmlSystemGetCudaDriverVersion(version); }
#endif

int nvmlDeviceGetCount_v2(unsigned int *count) {
    if (!initialised) return UNINITIALIZED;
    *count = playing()->count;
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **handle) {
    if (!initialised) return UNINITIALIZED;
    if (index >= playing()->count) return INVALID_ARGUMENT;
    *handle = (void *)(size_t)(index + 1);
    return handle_error(*handle);
}

/* --- one GPU ------------------------------------------------------------------------------ */

int nvmlDeviceGetName(void *handle, char *text, unsigned int size) {
    ANSWER_FROM(handle);
    return gpu->name ? copy(text, size, gpu->name) : UNKNOWN;
}

int nvmlDeviceGetIndex(void *handle, unsigned int *index) {
    *index = (size_t)handle % 100 - 1;
    return OK;
}

int nvmlDeviceGetUUID(void *handle, char *text, unsigned int size) {
    ANSWER_FROM(handle);
    char uuid[64];
    snprintf(uuid, sizeof uuid, "%s-00000000-0000-4000-8000-%012zu", is_slice(handle) ? "MIG" : "GPU",
             (size_t)handle);
    return gpu->field_error ? gpu->field_error : copy(text, size, uuid);
}

struct memory {
    unsigned long long total, free, used;
};

int nvmlDeviceGetMemoryInfo(void *handle, struct memory *memory) {
    ANSWER_FROM(handle);
    memory->total = is_slice(handle) ? gpu->slice_memory : gpu->memory;
    if (!memory->total) return NOT_SUPPORTED;
    if (trouble(handle, "used")) return trouble(handle, "used");
    memory->used = is_slice(handle) ? 0 : figure(handle, "used", gpu->used);
    memory->free = memory->total - memory->used;
    return OK;
}

int nvmlDeviceGetCudaComputeCapability(void *handle, int *major, int *minor) {
    ANSWER_FROM(handle);
    *major = gpu->major;
    *minor = gpu->minor;
    return gpu->field_error;
}

struct utilization {
    unsigned int gpu, memory;
};

int nvmlDeviceGetUtilizationRates(void *handle, struct utilization *rates) {
    ASKED(handle, "polled");
    if (gpu->slices) return NOT_SUPPORTED;
    rates->gpu = figure(handle, "polled", gpu->used ? 87 : 0);
    rates->memory = rates->gpu ? 40 : 0;
    return OK;
}

int nvmlDeviceGetPowerUsage(void *handle, unsigned int *milliwatts) {
    ASKED(handle, "power");
    *milliwatts = figure(handle, "power", gpu->used ? 68500 : 9500);
    return OK;
}

int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *millijoules) {
    ASKED(handle, "energy");
    *millijoules = figure(handle, "energy", 123456789);
    return OK;
}

/* --- buffers of the driver ------------------------------------------------------------------ */

enum { UTILISATION_SAMPLES = 1, UNSIGNED_INT = 1 };

struct sample {
    unsigned long long at;
    union {
        unsigned int figure;
        unsigned long long widest;
    } value;
};

int nvmlDeviceGetSamples(void *handle, int type, unsigned long long since, int *kind, unsigned int *count,
                         struct sample *samples) {
    static unsigned long long found[MOST_ROWS][6];
    ASKED(handle, "samples");
    if (gpu->slices || type != UTILISATION_SAMPLES) return NOT_SUPPORTED;
    unsigned int held = rows(handle, "samples", 2, since, found);
    if (!held) return NOT_FOUND;
    *kind = UNSIGNED_INT;
    if (samples && *count < held) held = *count;
    for (unsigned int i = 0; samples && i < held; i++)
        samples[i] = (struct sample){found[i][0], {found[i][1]}};
    *count = held;
    return OK;
}

struct use {
    unsigned int pid;
    unsigned long long at;
    unsigned int sm, memory, encoder, decoder;
};

int nvmlDeviceGetProcessUtilization(void *handle, struct use *uses, unsigned int *count,
                                    unsigned long long since) {
    static unsigned long long found[MOST_ROWS][6];
    ASKED(handle, "uses");
    if (gpu->slices) return NOT_SUPPORTED;
    unsigned int held = rows(handle, "uses", 6, since, found), room = *count;
    if (!held) return NOT_FOUND;
    *count = held;
    if (!uses || room < held) return INSUFFICIENT_SIZE;
    for (unsigned int i = 0; i < held; i++)
        uses[i] = (struct use){found[i][1], found[i][0], found[i][2], found[i][3], found[i][4], found[i][5]};
    return OK;
}

/* --- processes ---------------------------------------------------------------------------- */

struct process_v2 {
    unsigned int pid;
    unsigned long long used;
    unsigned int gpu_instance, compute_instance;
};

static int processes(void *handle, unsigned int *count, struct process_v2 *found) {
    ASKED(handle, "pids");
    unsigned int room = *count;
    static unsigned long long rows[MOST_ROWS][2];
    int running = pids(handle, rows);
    if (running >= 0) {
        *count = running;
        for (int i = 0; i < running && (unsigned)running <= room; i++)
            found[i] = (struct process_v2){rows[i][0], rows[i][1], UINT_MAX, UINT_MAX};
        return (unsigned)running > room ? INSUFFICIENT_SIZE : OK;
    }
    *count = gpu->used ? 2 : 0;
    if (room < *count) return INSUFFICIENT_SIZE;
    if (!*count) return OK;
    found[0] = (struct process_v2){4242, gpu->used, UINT_MAX, UINT_MAX};
    found[1] = (struct process_v2){4343, NOT_AVAILABLE, UINT_MAX, UINT_MAX};
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v2(void *handle, unsigned int *count, struct process_v2 *found) {
    return processes(handle, count, found);
}

#ifndef OLD_DRIVER

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned int *count, struct process_v2 *found) {
    return processes(handle, count, found);
}

struct memory_v2 {
    unsigned int version;
    unsigned long long total, reserved, free, used;
};

int nvmlDeviceGetMemoryInfo_v2(void *handle, struct memory_v2 *memory) {
    struct memory plain;
    int error = nvmlDeviceGetMemoryInfo(handle, &plain);
    memory->total = plain.total;
    memory->reserved = 0;
    memory->free = plain.free;
    memory->used = plain.used;
    return error;
}

/* --- MIG ---------------------------------------------------------------------------------- */

int nvmlDeviceGetMigMode(void *handle, unsigned int *current, unsigned int *pending) {
    ANSWER_FROM(handle);
    if (!gpu->can_mig) return NOT_SUPPORTED;
    *current = *pending = gpu->slices > 0;
    return gpu->field_error;
}

int nvmlDeviceGetMaxMigDeviceCount(void *handle, unsigned int *count) {
    ANSWER_FROM(handle);
    *count = gpu->can_mig ? MAX_SLICES : 0;
    return OK;
}

int nvmlDeviceGetMigDeviceHandleByIndex(void *handle, unsigned int index, void **slice) {
    ANSWER_FROM(handle);
    if (!gpu->can_mig) return NOT_SUPPORTED;
    if ((int)index >= gpu->slices) return NOT_FOUND;
    *slice = (void *)((index + 1) * 100 + (size_t)handle);
    return OK;
}

int nvmlDeviceIsMigDeviceHandle(void *handle, unsigned int *answer) {
    *answer = is_slice(handle);
    return OK;
}

#endif
