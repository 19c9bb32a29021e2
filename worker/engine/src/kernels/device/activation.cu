// The nonlinearities of feed-forward networks. The numbers of the kinds are those of `kind` in
// `activation.rs`.

enum Activation {
    SILU,
    RELU,
    SQUARED_RELU,
    GELU,
    TANH_GELU,
    TRUNCATED_TANH_GELU,
    QUICK_GELU,
    TANH,
    SIGMOID,
    LINEAR,
    RELU6,
    LEAKY_RELU,
    HARD_SWISH,
    MISH,
    LAPLACE,
    CLIPPED_GELU,
    SQRT_SOFTPLUS,
};

// 2 √(2/π), and the same as BLOOM's code cuts it.
#define TWICE_SQRT_2_OVER_PI 1.5957691216057308
#define TRUNCATED_TWICE_SQRT_2_OVER_PI 1.59576912
#define CUBIC 0.044715
#define SQRT_HALF 0.70710678118654752440
#define INVERSE_SQRT_TAU 0.39894228040143267794
#define LAPLACE_CENTER 0.707107
#define LAPLACE_WIDTH 0.282095

DEVICE Real sigmoid(Real z) {
    // e^-|z| is at most 1, so nothing overflows.
    Real e = exp(-fabs(z));
    Real upper = (Real)1 / ((Real)1 + e);
    return z > 0 ? upper : e * upper;
}

// ln(1 + e^z) without an overflow.
DEVICE Real softplus(Real z) { return (z > 0 ? z : (Real)0) + log1p(exp(-fabs(z))); }

DEVICE Real normal_distribution(Real z) { return (Real)0.5 * erfc(-z * (Real)SQRT_HALF); }

DEVICE Real normal_density(Real z) {
    return (Real)INVERSE_SQRT_TAU * exp((Real)-0.5 * z * z);
}

DEVICE Real clamped(Real z, Real lowest, Real highest) {
    return z < lowest ? lowest : z > highest ? highest : z;
}

// Slope and cubic term of the argument of those that are z · sigmoid(linear · z + cubic · z³).
DEVICE bool is_gate(Size kind, Real *linear, Real *cubic) {
    switch (kind) {
    case SILU: *linear = 1; *cubic = 0; return true;
    case QUICK_GELU: *linear = (Real)1.702; *cubic = 0; return true;
    case TANH_GELU:
        *linear = (Real)TWICE_SQRT_2_OVER_PI;
        *cubic = (Real)(TWICE_SQRT_2_OVER_PI * CUBIC);
        return true;
    case TRUNCATED_TANH_GELU:
        *linear = (Real)TRUNCATED_TWICE_SQRT_2_OVER_PI;
        *cubic = (Real)(TRUNCATED_TWICE_SQRT_2_OVER_PI * CUBIC);
        return true;
    default: return false;
    }
}

DEVICE Real activation_value(Size kind, Real z) {
    Real linear, cubic;
    if (is_gate(kind, &linear, &cubic)) return z * sigmoid(z * (linear + cubic * z * z));
    Real positive = z > 0 ? z : (Real)0;
    switch (kind) {
    case RELU: return positive;
    case SQUARED_RELU: return positive * positive;
    case GELU: return z * normal_distribution(z);
    case TANH: return tanh(z);
    case SIGMOID: return sigmoid(z);
    case RELU6: return clamped(z, 0, 6);
    case LEAKY_RELU: return z < 0 ? (Real)0.01 * z : z;
    case HARD_SWISH: return z * clamped(z + 3, 0, 6) / 6;
    case MISH: return z * tanh(softplus(z));
    case LAPLACE:
        return normal_distribution((z - (Real)LAPLACE_CENTER) / (Real)LAPLACE_WIDTH);
    case CLIPPED_GELU: {
        Real gelu = z * normal_distribution(z);
        return gelu > 10 ? (Real)10 : gelu;
    }
    case SQRT_SOFTPLUS: return sqrt(softplus(z));
    default: return z;
    }
}

DEVICE Real activation_slope(Size kind, Real z) {
    Real linear, cubic;
    if (is_gate(kind, &linear, &cubic)) {
        Real share = sigmoid(z * (linear + cubic * z * z));
        return share * (1 + z * (linear + 3 * cubic * z * z) * (1 - share));
    }
    switch (kind) {
    case RELU: return z > 0;
    case SQUARED_RELU: return z > 0 ? z + z : (Real)0;
    case GELU: return normal_distribution(z) + z * normal_density(z);
    case TANH: return 1 - tanh(z) * tanh(z);
    case SIGMOID: return sigmoid(z) * (1 - sigmoid(z));
    case RELU6: return z > 0 && z < 6;
    case LEAKY_RELU: return z <= 0 ? (Real)0.01 : (Real)1;
    case HARD_SWISH: return z < -3 ? (Real)0 : z <= 3 ? z / 3 + (Real)0.5 : (Real)1;
    case MISH: {
        Real share = tanh(softplus(z));
        return share + z * (1 - share * share) * sigmoid(z);
    }
    case LAPLACE:
        return normal_density((z - (Real)LAPLACE_CENTER) / (Real)LAPLACE_WIDTH) /
               (Real)LAPLACE_WIDTH;
    case CLIPPED_GELU:
        if (z * normal_distribution(z) > 10) return 0;
        return normal_distribution(z) + z * normal_density(z);
    case SQRT_SOFTPLUS: return sigmoid(z) / (2 * sqrt(softplus(z)));
    default: return 1;
    }
}

KERNEL(activate, (const Real *z, Real *values, Real *slopes, Size count, Size kind)) {
    FOR_EACH_ELEMENT(index, count) {
        values[index] = activation_value(kind, z[index]);
        slopes[index] = activation_slope(kind, z[index]);
    }
}

KERNEL(activate_gated, (const Real *z, Real *values, Real *slopes, Size inner, Size kind)) {
    const Real *gate = z + (Size)blockIdx.x * 2 * inner, *up = gate + inner;
    Real *of_gate = slopes + (Size)blockIdx.x * 2 * inner, *of_up = of_gate + inner;
    FOR_EACH_COLUMN(column, inner) {
        Real activated = activation_value(kind, gate[column]);
        values[(Size)blockIdx.x * inner + column] = activated * up[column];
        of_gate[column] = activation_slope(kind, gate[column]) * up[column];
        of_up[column] = activated;
    }
}

// `parts` slopes per inner value: one of a plain network, two of a gated one.
KERNEL(activation_vjp,
       (const Real *da, const Real *slopes, const int *saved_rows, Real *dz, Size inner,
        Size parts)) {
    const Real *own = da + (Size)blockIdx.x * inner;
    const Real *saved = slopes + (Size)saved_rows[blockIdx.x] * parts * inner;
    Real *out = dz + (Size)blockIdx.x * parts * inner;
    FOR_EACH_COLUMN(column, parts * inner) out[column] = own[column % inner] * saved[column];
}

KERNEL(secants,
       (const Real *z, const Real *reference, Real *slopes, Size inner, Size parts, Size kind,
        double smallest_distance)) {
    Size first = (Size)blockIdx.x * parts * inner;
    FOR_EACH_COLUMN(column, inner) {
        Real at = z[first + column], before = reference[first + column];
        Real value = activation_value(kind, at), distance = at - before;
        Real slope = activation_slope(kind, at);
        if (fabs((double)distance) >= smallest_distance) {
            slope = (value - activation_value(kind, before)) / distance;
        }
        if (parts == 2) {
            slope *= z[first + inner + column];
            slopes[first + inner + column] = value;
        }
        slopes[first + column] = slope;
    }
}

// Values beyond ±limit are clipped; their slope is 0, that of the others 1.
KERNEL(clip, (const Real *x, Real *y, Real *slopes, Size count, double limit)) {
    Real highest = (Real)limit, lowest = (Real)-limit;
    FOR_EACH_ELEMENT(index, count) {
        Real value = x[index];
        bool is_clipped = value < lowest || value > highest;
        y[index] = value < lowest ? lowest : value > highest ? highest : value;
        slopes[index] = is_clipped ? (Real)0 : (Real)1;
    }
}

KERNEL(clip_vjp,
       (const Real *dy, const Real *slopes, const int *saved_rows, Real *dx, Size columns,
        Size width, Size first_column)) {
    const Real *saved = slopes + (Size)saved_rows[blockIdx.x] * width + first_column;
    Size first = (Size)blockIdx.x * columns;
    FOR_EACH_COLUMN(column, columns) dx[first + column] = dy[first + column] * saved[column];
}

DEVICE Real soft_capped(Real x, double cap) { return (Real)cap * tanh(x * (Real)(1 / cap)); }

// The slope of a soft cap where its value is `y`.
DEVICE Real soft_cap_slope(Real y, double cap) {
    Real share = y * (Real)(1 / cap);
    return 1 - share * share;
}

KERNEL(soft_cap, (const Real *x, Real *y, Size count, double cap)) {
    FOR_EACH_ELEMENT(index, count) y[index] = soft_capped(x[index], cap);
}

KERNEL(soft_cap_vjp, (const Real *y, const Real *dy, Real *dx, Size count, double cap)) {
    FOR_EACH_ELEMENT(index, count) dx[index] = dy[index] * soft_cap_slope(y[index], cap);
}
