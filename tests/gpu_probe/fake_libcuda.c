// A made-up libcuda: enough of the driver to see what the caller asks of it, and none of a card.
//
//   FAKE_FAIL=cuInit=100,cuMemAlloc_v2=2   functions that refuse, with their codes
//   FAKE_VERSION=12080  FAKE_COUNT=0  FAKE_ARCH=75  FAKE_MEMORY=4096
//   FAKE_LOG=file                          a line for each call that changes something
//
// Work is queued and runs as late as the interface allows: a copy reads its host memory when the
// stream or an event after it is waited for, not when it is asked for. All streams are one queue,
// which is one of the orders that a card may choose. Memory that is not page-locked is read at
// once, as the driver does. With FAKE_HEADER defined, NVIDIA's own cuda.h checks the signatures.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef FAKE_HEADER
#include <cuda.h>
#else
typedef int CUresult, CUdevice, CUdevice_attribute, CUfunction_attribute;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;
typedef int CUstreamCaptureMode;
typedef struct {
  unsigned id;
  char pad[4];
  union {
    char pad[64];
    struct {
      unsigned x, y, z;
    } clusterDim;
  } value;
} CUlaunchAttribute;
typedef struct {
  unsigned gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
  CUstream hStream;
  CUlaunchAttribute *attrs;
  unsigned numAttrs;
} CUlaunchConfig;
typedef struct {
  _Alignas(128) unsigned long long opaque[16];
} CUtensorMap;
typedef unsigned CUtensorMapDataType, CUtensorMapInterleave, CUtensorMapSwizzle, CUtensorMapL2promotion,
    CUtensorMapFloatOOBfill;
typedef uint32_t cuuint32_t;
typedef unsigned long long cuuint64_t;
#endif

static void say(const char *name, const char *rest) {
  const char *path = getenv("FAKE_LOG");
  FILE *log = path ? fopen(path, "a") : NULL;
  if (!log) return;
  fprintf(log, "%s%s%s\n", name, *rest ? " " : "", rest);
  fclose(log);
}
#define SAY(...)                                    \
  do {                                              \
    char rest[512];                                 \
    snprintf(rest, sizeof rest, __VA_ARGS__);       \
    say(__func__, rest);                            \
  } while (0)

static long number(const char *name, long otherwise) {
  const char *text = getenv(name);
  return text && *text ? atol(text) : otherwise;
}

// The code that FAKE_FAIL gives a function, or 0.
static int refusal(const char *name) {
  const char *at = getenv("FAKE_FAIL");
  size_t length = strlen(name);
  for (; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
    if (!strncmp(at, name, length) && at[length] == '=') return atoi(at + length + 1);
  return 0;
}
#define MAY_FAIL                                    \
  do {                                              \
    int code = refusal(__func__);                   \
    if (code) return (CUresult)code;                \
  } while (0)

// --- Errors, devices, contexts ---

CUresult cuGetErrorName(CUresult code, const char **name) {
  switch ((int)code) {
    case 1: *name = "CUDA_ERROR_INVALID_VALUE"; break;
    case 2: *name = "CUDA_ERROR_OUT_OF_MEMORY"; break;
    case 500: *name = "CUDA_ERROR_NOT_FOUND"; break;
    case 719: *name = "CUDA_ERROR_LAUNCH_FAILED"; break;
    case 900: *name = "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"; break;
    case 901: *name = "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"; break;
    case 802: *name = "CUDA_ERROR_SYSTEM_NOT_READY"; break;
    default: *name = NULL; return (CUresult)1;
  }
  return (CUresult)0;
}
CUresult cuGetErrorString(CUresult code, const char **words) {
  *words = code == 719 ? "unspecified launch failure" : NULL;
  return (CUresult)(*words ? 0 : 1);
}
CUresult cuDriverGetVersion(int *version) {
  MAY_FAIL;
  *version = (int)number("FAKE_VERSION", 13000);
  return (CUresult)0;
}
CUresult cuInit(unsigned flags) {
  MAY_FAIL;
  SAY("%u", flags);
  return (CUresult)0;
}
CUresult cuDeviceGetCount(int *count) {
  MAY_FAIL;
  *count = (int)number("FAKE_COUNT", 2);
  return (CUresult)0;
}
CUresult cuDeviceGet(CUdevice *device, int ordinal) {
  MAY_FAIL;
  *device = 40 + ordinal;
  return (CUresult)0;
}
CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
  MAY_FAIL;
  snprintf(name, (size_t)length, "Made-up %d", device);
  return (CUresult)0;
}
CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute which, CUdevice device) {
  MAY_FAIL;
  (void)device;
  int arch = (int)number("FAKE_ARCH", 90);
  switch ((int)which) {
    case 16: *value = 132; return (CUresult)0;
    case 75: *value = arch / 10; return (CUresult)0;
    case 76: *value = arch % 10; return (CUresult)0;
    case 97: *value = 232448; return (CUresult)0;
    default: return (CUresult)1;
  }
}
static size_t memory_of_card(void) { return (size_t)number("FAKE_MEMORY", 64 << 20); }
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
  MAY_FAIL;
  (void)device;
  *bytes = memory_of_card();
  return (CUresult)0;
}
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device) {
  MAY_FAIL;
  SAY("%d", device);
  *context = (CUcontext)(uintptr_t)(0x1000 + device);
  return (CUresult)0;
}
CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  SAY("%d", device);
  return (CUresult)0;
}
static __thread CUcontext current;
CUresult cuCtxSetCurrent(CUcontext context) {
  MAY_FAIL;
  current = context;
  return (CUresult)0;
}
// What the driver answers when no context is current.
#define NEEDS_CONTEXT                               \
  do {                                              \
    if (!current) return (CUresult)201;             \
    MAY_FAIL;                                       \
  } while (0)

// --- The queue ---

typedef struct {
  int kind;  // 'h' upload, 'd' download, 'c' copy, 'm' fill, 'e' event, 'k' kernel
  void *to;
  const void *from;
  size_t bytes;
  unsigned char args[64];
} Work;
static Work queue[4096];
static unsigned long first, last;

static void run(const Work *w) {
  switch (w->kind) {
    case 'h': case 'd': case 'c': memcpy(w->to, w->from, w->bytes); break;
    case 'm': memset(w->to, w->args[0], w->bytes); break;
    case 'k': {  // fake_fill(float* to, float value, int count)
      float *to;
      float value;
      int count;
      memcpy(&to, w->args, 8);
      memcpy(&value, w->args + 8, 4);
      memcpy(&count, w->args + 12, 4);
      for (int i = 0; i < count; ++i) to[i] = value;
    }
  }
}
static void run_until(unsigned long end) {
  for (; first < end && first < last; ++first) run(&queue[first % 4096]);
}
// The stream that is captured, and what was put on it; the work of every graph.
static CUstream captured;
static int broken;
typedef struct {
  Work work[64];
  int count;
} Graph;
static Graph graphs[8], *taken_down;
static void add(CUstream stream, Work work) {
  if (captured && stream == captured) {
    if (taken_down->count < 64) taken_down->work[taken_down->count++] = work;
    return;
  }
  if (last - first == 4096) run_until(first + 1);
  queue[last++ % 4096] = work;
}
// What may not be done while this thread captures: the driver refuses it, and the capture is lost.
#define NOT_IN_CAPTURE                              \
  do {                                              \
    if (captured) {                                 \
      broken = 1;                                   \
      return (CUresult)900;                         \
    }                                               \
  } while (0)

// --- Memory ---

static size_t used;
static unsigned allocations;
CUresult cuMemAlloc_v2(CUdeviceptr *at, size_t bytes) {
  NEEDS_CONTEXT;
  NOT_IN_CAPTURE;
  if (!bytes) return (CUresult)1;
  size_t whole = (bytes + 255) / 256 * 256;
  if (whole > memory_of_card() - used) return (CUresult)2;
  unsigned char *block = aligned_alloc(256, whole + 256);
  memset(block, 0xcd, whole + 256);
  memcpy(block, &whole, sizeof whole);
  used += whole;
  ++allocations;
  *at = (CUdeviceptr)(uintptr_t)(block + 256);
  SAY("%zu", bytes);
  return (CUresult)0;
}
CUresult cuMemFree_v2(CUdeviceptr at) {
  NEEDS_CONTEXT;
  NOT_IN_CAPTURE;
  run_until(last);  // as the driver: freeing waits for the card
  unsigned char *block = (unsigned char *)(uintptr_t)at - 256;
  size_t whole;
  memcpy(&whole, block, sizeof whole);
  used -= whole;
  free(block);
  SAY("left %u", --allocations);
  return (CUresult)0;
}
CUresult cuMemGetInfo_v2(size_t *left, size_t *total) {
  NEEDS_CONTEXT;
  *total = memory_of_card();
  *left = *total - used;
  return (CUresult)0;
}
static struct {
  unsigned char *at;
  size_t bytes;
} locked[16];
CUresult cuMemHostAlloc(void **at, size_t bytes, unsigned flags) {
  NEEDS_CONTEXT;
  for (int i = 0; i < 16; ++i)
    if (!locked[i].at) {
      *at = locked[i].at = malloc(bytes);
      locked[i].bytes = bytes;
      SAY("%zu %u", bytes, flags);
      return (CUresult)0;
    }
  return (CUresult)2;
}
CUresult cuMemFreeHost(void *at) {
  MAY_FAIL;
  for (int i = 0; i < 16; ++i)
    if (locked[i].at == at) {
      locked[i].at = NULL;
      free(at);
      SAY("%s", "");
      return (CUresult)0;
    }
  return (CUresult)1;
}
static int is_locked(const void *at, size_t bytes) {
  const unsigned char *p = at;
  for (int i = 0; i < 16; ++i)
    if (locked[i].at && p >= locked[i].at && p + bytes <= locked[i].at + locked[i].bytes) return 1;
  return 0;
}
CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
  NEEDS_CONTEXT;
  int late = is_locked(from, bytes);
  SAY("%zu stream %lu %s", bytes, (unsigned long)(uintptr_t)stream, late ? "late" : "at once");
  if (!late) NOT_IN_CAPTURE;
  if (!late) run_until(last);
  add(stream, (Work){.kind = 'h', .to = (void *)(uintptr_t)to, .from = from, .bytes = bytes});
  if (!late) run_until(last);
  return (CUresult)0;
}
CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
  NEEDS_CONTEXT;
  SAY("%zu stream %lu", bytes, (unsigned long)(uintptr_t)stream);
  add(stream, (Work){.kind = 'd', .to = to, .from = (void *)(uintptr_t)from, .bytes = bytes});
  return (CUresult)0;
}
CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
  NEEDS_CONTEXT;
  SAY("%zu stream %lu", bytes, (unsigned long)(uintptr_t)stream);
  add(stream, (Work){.kind = 'c', .to = (void *)(uintptr_t)to, .from = (void *)(uintptr_t)from, .bytes = bytes});
  return (CUresult)0;
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, CUstream stream) {
  NEEDS_CONTEXT;
  SAY("%d %zu stream %lu", value, bytes, (unsigned long)(uintptr_t)stream);
  add(stream, (Work){.kind = 'm', .to = (void *)(uintptr_t)to, .bytes = bytes, .args = {value}});
  return (CUresult)0;
}

// --- Streams and events ---

static uintptr_t streams, events;
static unsigned long marks[4096];
CUresult cuStreamCreate(CUstream *stream, unsigned flags) {
  NEEDS_CONTEXT;
  *stream = (CUstream)++streams;
  SAY("%u", flags);
  return (CUresult)0;
}
CUresult cuStreamDestroy_v2(CUstream stream) {
  MAY_FAIL;
  SAY("%lu", (unsigned long)(uintptr_t)stream);
  return (CUresult)0;
}
CUresult cuStreamSynchronize(CUstream stream) {
  NEEDS_CONTEXT;
  NOT_IN_CAPTURE;
  (void)stream;
  run_until(last);
  return (CUresult)0;
}
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags) {
  NEEDS_CONTEXT;
  unsigned long s = (uintptr_t)stream, e = (uintptr_t)event;
  SAY("stream %lu event %lu %u", s, e, flags);
  return (CUresult)0;
}
CUresult cuEventCreate(CUevent *event, unsigned flags) {
  NEEDS_CONTEXT;
  if (events == 4095) return (CUresult)2;
  *event = (CUevent)++events;
  SAY("%u", flags);
  return (CUresult)0;
}
CUresult cuEventDestroy_v2(CUevent event) {
  SAY("%lu", (unsigned long)(uintptr_t)event);
  return (CUresult)0;
}
CUresult cuEventRecord(CUevent event, CUstream stream) {
  NEEDS_CONTEXT;
  SAY("event %lu stream %lu", (unsigned long)(uintptr_t)event, (unsigned long)(uintptr_t)stream);
  add(stream, (Work){.kind = 'e'});
  marks[(uintptr_t)event] = last;
  return (CUresult)0;
}
CUresult cuEventQuery(CUevent event) {
  NEEDS_CONTEXT;
  NOT_IN_CAPTURE;
  return (CUresult)(first >= marks[(uintptr_t)event] ? 0 : 600);
}
CUresult cuEventSynchronize(CUevent event) {
  NEEDS_CONTEXT;
  NOT_IN_CAPTURE;
  run_until(marks[(uintptr_t)event]);
  return (CUresult)0;
}

CUresult cuEventElapsedTime_v2(float *milliseconds, CUevent from, CUevent to) {
  NEEDS_CONTEXT;
  if (first < marks[(uintptr_t)from] || first < marks[(uintptr_t)to]) return (CUresult)600;
  *milliseconds = 2.5f * (float)((long)marks[(uintptr_t)to] - (long)marks[(uintptr_t)from]);
  return (CUresult)0;
}

// --- Graphs ---

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode) {
  NEEDS_CONTEXT;
  SAY("stream %lu mode %d", (unsigned long)(uintptr_t)stream, (int)mode);
  for (taken_down = graphs; taken_down->count; ++taken_down) {
  }
  captured = stream;
  broken = 0;
  return (CUresult)0;
}
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
  NEEDS_CONTEXT;
  if (stream != captured) return (CUresult)1;
  captured = NULL;
  SAY("%d pieces", taken_down->count);
  *graph = broken ? NULL : (CUgraph)taken_down;
  if (broken) taken_down->count = 0;
  return (CUresult)(broken ? 901 : 0);
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec *ready, CUgraph graph, unsigned long long flags) {
  NEEDS_CONTEXT;
  SAY("%llu", flags);
  *ready = (CUgraphExec)graph;
  return (CUresult)0;
}
CUresult cuGraphLaunch(CUgraphExec ready, CUstream stream) {
  NEEDS_CONTEXT;
  SAY("stream %lu", (unsigned long)(uintptr_t)stream);
  for (int i = 0; i < ((Graph *)ready)->count; ++i) add(stream, ((Graph *)ready)->work[i]);
  return (CUresult)0;
}
CUresult cuGraphExecDestroy(CUgraphExec ready) {
  MAY_FAIL;
  ((Graph *)ready)->count = 0;
  SAY("%s", "");
  return (CUresult)0;
}
CUresult cuGraphDestroy(CUgraph graph) {
  (void)graph;
  MAY_FAIL;
  SAY("%s", "");
  return (CUresult)0;
}

// --- Modules and kernels ---

static const struct {
  const char *name;
  size_t sizes[4];
} kernels[] = {{"fake_fill", {8, 4, 4}}, {"fake_none", {0}}};

CUresult cuModuleLoadData(CUmodule *module, const void *image) {
  NEEDS_CONTEXT;
  NOT_IN_CAPTURE;
  *module = (CUmodule)image;
  SAY("%.8s", (const char *)image);
  return (CUresult)0;
}
CUresult cuModuleUnload(CUmodule module) {
  SAY("%.8s", (const char *)module);
  return (CUresult)0;
}
CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  NEEDS_CONTEXT;
  (void)module;
  SAY("%s", name);
  for (uintptr_t i = 0; i < 2; ++i)
    if (!strcmp(kernels[i].name, name)) {
      *function = (CUfunction)(i + 1);
      return (CUresult)0;
    }
  return (CUresult)500;
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute which, int value) {
  NEEDS_CONTEXT;
  SAY("%s %d %d", kernels[(uintptr_t)function - 1].name, (int)which, value);
  return (CUresult)0;
}
CUresult cuFuncGetParamInfo(CUfunction function, size_t index, size_t *offset, size_t *size) {
  NEEDS_CONTEXT;
  const size_t *sizes = kernels[(uintptr_t)function - 1].sizes;
  *offset = 0;
  for (size_t i = 0; i < index && sizes[i]; ++i) *offset += sizes[i];
  *size = sizes[index];
  return (CUresult)(*size ? 0 : 1);
}
CUresult cuLaunchKernelEx(const CUlaunchConfig *how, CUfunction function, void **args, void **extra) {
  NEEDS_CONTEXT;
  const char *name = kernels[(uintptr_t)function - 1].name;
  const size_t *sizes = kernels[(uintptr_t)function - 1].sizes;
  char cluster[64] = "";
  if (how->numAttrs)
    snprintf(cluster, sizeof cluster, " attribute %u: %u %u %u", (unsigned)how->attrs[0].id,
             how->attrs[0].value.clusterDim.x, how->attrs[0].value.clusterDim.y,
             how->attrs[0].value.clusterDim.z);
  Work work = {.kind = 'k'};
  size_t at = 0;
  char values[160] = "";
  for (size_t i = 0; sizes[i]; at += sizes[i++]) {
    memcpy(work.args + at, args[i], sizes[i]);
    if (i) {  // the first is an address, another one each time
      int value;
      memcpy(&value, args[i], 4);
      snprintf(values + strlen(values), 32, " %08x", (unsigned)value);
    }
  }
  SAY("%s grid %u %u %u block %u %u %u shared %u stream %lu%s args%s%s", name, how->gridDimX,
      how->gridDimY, how->gridDimZ, how->blockDimX, how->blockDimY, how->blockDimZ,
      how->sharedMemBytes, (unsigned long)(uintptr_t)how->hStream, cluster, values,
      extra ? " extra" : "");
  if (!strcmp(name, "fake_fill")) add(how->hStream, work);
  return (CUresult)0;
}

// --- Tensor maps ---

// Of each array its elements, so that a reader past the end shows.
static void list(char *to, size_t room, const void *from, unsigned count, unsigned bytes) {
  for (unsigned i = 0; i < count; ++i) {
    long long value = bytes == 8 ? ((const long long *)from)[i] : ((const int *)from)[i];
    size_t used = strlen(to);
    snprintf(to + used, room - used, "%s%lld", i ? "," : "", value);
  }
}
CUresult cuTensorMapEncodeTiled(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *address,
                                const cuuint64_t *dims, const cuuint64_t *strides, const cuuint32_t *box,
                                const cuuint32_t *steps, CUtensorMapInterleave interleave,
                                CUtensorMapSwizzle swizzle, CUtensorMapL2promotion promotion,
                                CUtensorMapFloatOOBfill fill) {
  MAY_FAIL;
  char d[64] = "", s[64] = "", b[64] = "", e[64] = "";
  list(d, 64, dims, rank, 8), list(s, 64, strides, rank - 1, 8), list(b, 64, box, rank, 4), list(e, 64, steps, rank, 4);
  SAY("type %u at %lx dims %s strides %s box %s steps %s modes %u %u %u %u aligned %lu", (unsigned)type,
      (unsigned long)(uintptr_t)address, d, s, b, e, (unsigned)interleave, (unsigned)swizzle, (unsigned)promotion,
      (unsigned)fill, (unsigned long)((uintptr_t)map % 128));
  memset(map, 7, sizeof *map);
  return (CUresult)0;
}
CUresult cuTensorMapEncodeIm2col(CUtensorMap *map, CUtensorMapDataType type, cuuint32_t rank, void *address,
                                 const cuuint64_t *dims, const cuuint64_t *strides, const int *lower,
                                 const int *upper, cuuint32_t channels, cuuint32_t pixels, const cuuint32_t *steps,
                                 CUtensorMapInterleave interleave, CUtensorMapSwizzle swizzle,
                                 CUtensorMapL2promotion promotion, CUtensorMapFloatOOBfill fill) {
  MAY_FAIL;
  char d[64] = "", s[64] = "", l[64] = "", u[64] = "", e[64] = "";
  list(d, 64, dims, rank, 8), list(s, 64, strides, rank - 1, 8), list(l, 64, lower, rank - 2, 4);
  list(u, 64, upper, rank - 2, 4), list(e, 64, steps, rank, 4);
  SAY("type %u at %lx dims %s strides %s corners %s %s channels %u pixels %u steps %s modes %u %u %u %u",
      (unsigned)type, (unsigned long)(uintptr_t)address, d, s, l, u, channels, pixels, e, (unsigned)interleave,
      (unsigned)swizzle, (unsigned)promotion, (unsigned)fill);
  memset(map, 8, sizeof *map);
  return (CUresult)0;
}
