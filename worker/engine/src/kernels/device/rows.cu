// Rows moved and combined, and numbers converted.

DEVICE float float_of_bits(unsigned bits) {
#ifdef __CUDACC__
    return __uint_as_float(bits);
#else
    float number;
    std::memcpy(&number, &bits, sizeof number);
    return number;
#endif
}

// Widens a number of half precision without the headers of any library.
DEVICE float widened(Half half, bool is_brain) {
    unsigned bits = half;
    if (is_brain) return float_of_bits(bits << 16);
    unsigned sign = (bits & 0x8000u) << 16;
    unsigned exponent = (bits >> 10) & 0x1fu;
    unsigned fraction = bits & 0x3ffu;
    if (exponent == 0) {
        // Zero, or a number too small for a leading one: multiples of 2^-24, which are exact.
        float size = (float)fraction * 5.9604644775390625e-8f;
        return sign ? -size : size;
    }
    exponent = exponent == 0x1fu ? 0xffu : exponent + 112u;
    return float_of_bits(sign | (exponent << 23) | (fraction << 13));
}

KERNEL(gather, (const Real *x, const int *indices, Real *out, Size width)) {
    const Real *row = x + (Size)indices[blockIdx.x] * width;
    FOR_EACH_COLUMN(column, width) out[(Size)blockIdx.x * width + column] = row[column];
}

KERNEL(gather_halves,
       (const Half *table, const int *indices, Real *out, Size width, Size is_brain)) {
    const Half *row = table + (Size)indices[blockIdx.x] * width;
    FOR_EACH_COLUMN(column, width) {
        out[(Size)blockIdx.x * width + column] = (Real)widened(row[column], is_brain != 0);
    }
}

KERNEL(widen, (const Half *halves, Real *out, Size count, Size is_brain)) {
    FOR_EACH_ELEMENT(index, count) out[index] = (Real)widened(halves[index], is_brain != 0);
}

KERNEL(from_single, (const float *x, Real *out, Size count)) {
    FOR_EACH_ELEMENT(index, count) out[index] = (Real)x[index];
}

KERNEL(from_double, (const double *x, Real *out, Size count)) {
    FOR_EACH_ELEMENT(index, count) out[index] = (Real)x[index];
}

// No row is named twice, so threads never add to the same number.
KERNEL(add_at, (Real *out, const Real *added, const int *indices, Size width)) {
    Real *row = out + (Size)indices[blockIdx.x] * width;
    FOR_EACH_COLUMN(column, width) row[column] += added[(Size)blockIdx.x * width + column];
}

KERNEL(add, (const Real *a, const Real *b, Real *out, Size count)) {
    FOR_EACH_ELEMENT(index, count) out[index] = a[index] + b[index];
}

KERNEL(subtract, (const Real *a, const Real *b, Real *out, Size count)) {
    FOR_EACH_ELEMENT(index, count) out[index] = a[index] - b[index];
}

KERNEL(multiply, (const Real *a, const Real *b, Real *out, Size count)) {
    FOR_EACH_ELEMENT(index, count) out[index] = a[index] * b[index];
}

KERNEL(at_share_of_way, (const Real *a, const Real *b, Real *out, Size count, double alpha)) {
    FOR_EACH_ELEMENT(index, count) out[index] = a[index] + (b[index] - a[index]) * (Real)alpha;
}

KERNEL(add_scaled, (const Real *sum, const Real *b, Real *out, Size count, double scale)) {
    FOR_EACH_ELEMENT(index, count) out[index] = sum[index] + (Real)scale * b[index];
}

KERNEL(scale, (const Real *x, Real *out, Size count, double scale)) {
    FOR_EACH_ELEMENT(index, count) out[index] = x[index] * (Real)scale;
}

KERNEL(add_number, (const Real *x, Real *out, Size count, double number)) {
    FOR_EACH_ELEMENT(index, count) out[index] = x[index] + (Real)number;
}

KERNEL(fill, (Real *out, Size count, double number)) {
    FOR_EACH_ELEMENT(index, count) out[index] = (Real)number;
}

KERNEL(absolute, (const Real *x, Real *out, Size count)) {
    FOR_EACH_ELEMENT(index, count) out[index] = fabs(x[index]);
}

KERNEL(scale_each, (const Real *x, const double *factors, Real *out, Size width)) {
    Real factor = (Real)factors[blockIdx.x];
    Size first = (Size)blockIdx.x * width;
    FOR_EACH_COLUMN(column, width) out[first + column] = x[first + column] * factor;
}

KERNEL(choose, (const int *is_first, const Real *a, const Real *b, Real *out, Size width)) {
    const Real *from = is_first[blockIdx.x] ? a : b;
    Size first = (Size)blockIdx.x * width;
    FOR_EACH_COLUMN(column, width) out[first + column] = from[first + column];
}

// Adds a bias, one entry per column, to every row of a product, in place.
KERNEL(add_bias, (Real *out, const Real *bias, Size width)) {
    FOR_EACH_COLUMN(column, width) out[(Size)blockIdx.x * width + column] += bias[column];
}

// Copies `width` columns of every row from one matrix to another.
KERNEL(copy_columns,
       (const Real *from, Size from_width, Size from_column, Real *to, Size to_width,
        Size to_column, Size width)) {
    const Real *source = from + (Size)blockIdx.x * from_width + from_column;
    Real *target = to + (Size)blockIdx.x * to_width + to_column;
    FOR_EACH_COLUMN(column, width) target[column] = source[column];
}
