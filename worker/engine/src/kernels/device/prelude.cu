// What every kernel shares.
//
// A kernel's grid runs over rows, its block over the columns of a row. A loop over columns starts
// at `threadIdx.x` and steps by `blockDim.x`, and threads exchange numbers through the functions
// `block_…` alone. So a block of one thread computes the same, up to the order of sums, and the
// sources compile as C++, where a test runs one block after the other.
//
// `REAL` is the precision, `float` or `double`. Every parameter of a kernel is eight bytes wide: an
// address, a `Size`, or a `double`.

typedef REAL Real;
typedef long long Size;
typedef unsigned short Half;

#ifdef __CUDACC__

#define KERNEL(name, parameters) extern "C" __global__ void name parameters
#define DEVICE static __device__ inline

// Threads of a block at most; a power of two, so that sums can be halved.
#define MOST_THREADS 256

#else

#include <cmath>
#include <cstring>
#include <utility>

#define KERNEL(name, parameters)                                                        \
    static void name parameters;                                                        \
    extern "C" void emulate_##name(Size blocks, void **arguments) {                     \
        emulate(name, blocks, arguments);                                               \
    }                                                                                   \
    static void name parameters
#define DEVICE static inline

struct Index {
    unsigned x;
};

static thread_local Index blockIdx = {0};
static const Index threadIdx = {0};
static const Index blockDim = {1};

template <typename... Parameters, size_t... Places>
static void emulate_with(void (*kernel)(Parameters...), Size blocks, void **arguments,
                         std::index_sequence<Places...>) {
    for (Size block = 0; block < blocks; block++) {
        blockIdx.x = (unsigned)block;
        kernel(*(Parameters *)arguments[Places]...);
    }
}

template <typename... Parameters>
static void emulate(void (*kernel)(Parameters...), Size blocks, void **arguments) {
    emulate_with(kernel, blocks, arguments, std::index_sequence_for<Parameters...>());
}

using std::copysign;
using std::erfc;
using std::exp;
using std::fabs;
using std::log1p;
using std::pow;
using std::sqrt;
using std::tanh;

#endif

// Returns the sum of every thread's `value`, to every thread. Numbers are added in an order that
// depends on the width of the block alone.
DEVICE double block_sum(double value) {
#ifdef __CUDACC__
    __shared__ double parts[MOST_THREADS];
    parts[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
        __syncthreads();
    }
    value = parts[0];
    // The next sum of the same block writes to the same place.
    __syncthreads();
#endif
    return value;
}

// Returns the largest of every thread's `value`, to every thread.
DEVICE double block_max(double value) {
#ifdef __CUDACC__
    __shared__ double parts[MOST_THREADS];
    parts[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        if (threadIdx.x < half && parts[threadIdx.x + half] > parts[threadIdx.x]) {
            parts[threadIdx.x] = parts[threadIdx.x + half];
        }
        __syncthreads();
    }
    value = parts[0];
    __syncthreads();
#endif
    return value;
}

// Lets every thread of the block see what the others have written.
DEVICE void block_wait() {
#ifdef __CUDACC__
    __syncthreads();
#endif
}

// Elements of a block where an operation has no rows.
#define ELEMENTS_PER_BLOCK 4096

// Runs the statement that follows for every `index` of this block's share of `count` elements.
#define FOR_EACH_ELEMENT(index, count)                                                  \
    for (Size index = (Size)blockIdx.x * ELEMENTS_PER_BLOCK + threadIdx.x;              \
         index < ((Size)blockIdx.x + 1) * ELEMENTS_PER_BLOCK && index < (count);        \
         index += blockDim.x)

// Runs the statement that follows for every `column` of `width`.
#define FOR_EACH_COLUMN(column, width)                                                  \
    for (Size column = threadIdx.x; column < (width); column += blockDim.x)
