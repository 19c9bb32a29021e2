// Rows reduced to numbers, in double precision. The numbers of the reductions are those of `kind`
// in `reduction.rs`.

enum Reduction { FIRST, VNORM, MEAN, SUM, PROD, MIN, MAX, ABSMAX };

DEVICE double size_of(double value) { return value != value ? 0 : fabs(value); }

// Those that pick or multiply entries go through them one after the other, in one thread.
DEVICE double reduced_in_order(const Real *row, const int *entries, Size count, Size kind) {
    double reduced = (double)row[entries[0]];
    for (Size index = 1; index < count; index++) {
        double value = (double)row[entries[index]];
        bool is_better = value != value && reduced == reduced;
        switch (kind) {
        case PROD: reduced *= value; break;
        case MIN: reduced = value < reduced || is_better ? value : reduced; break;
        case MAX: reduced = value > reduced || is_better ? value : reduced; break;
        case ABSMAX: reduced = size_of(value) > size_of(reduced) ? value : reduced; break;
        default: break;
        }
    }
    return reduced;
}

// What an entry adds to the sum of a norm of an order that is neither 2 nor infinite.
DEVICE double size_to_order(double value, double order) {
    if (order == 0) return value != 0;
    double size = fabs(value);
    return order == 1 ? size : pow(size, order);
}

KERNEL(reduce,
       (const Real *x, const int *entries, double *out, Size axis, Size count, Size kind,
        double order, Size is_infinite)) {
    const Real *row = x + (Size)blockIdx.x * axis;
    double reduced;
    if (kind == VNORM && is_infinite) {
        double largest = 0;
        FOR_EACH_COLUMN(index, count) {
            double size = fabs((double)row[entries[index]]);
            largest = size > largest ? size : largest;
        }
        reduced = block_max(largest);
    } else if (kind == VNORM) {
        double sum = 0;
        FOR_EACH_COLUMN(index, count) {
            double value = (double)row[entries[index]];
            sum += order == 2 ? value * value : size_to_order(value, order);
        }
        sum = block_sum(sum);
        reduced = order == 2 ? sqrt(sum) : order == 0 || order == 1 ? sum : pow(sum, 1 / order);
    } else if (kind == MEAN || kind == SUM) {
        double sum = 0;
        FOR_EACH_COLUMN(index, count) sum += (double)row[entries[index]];
        sum = block_sum(sum);
        reduced = kind == MEAN ? sum / (double)count : sum;
    } else {
        if (threadIdx.x != 0) return;
        reduced = reduced_in_order(row, entries, count, kind);
    }
    if (threadIdx.x == 0) out[blockIdx.x] = reduced;
}

// The sum of each row.
KERNEL(sum_rows, (const Real *x, double *out, Size width)) {
    double sum = 0;
    FOR_EACH_COLUMN(column, width) sum += (double)x[(Size)blockIdx.x * width + column];
    sum = block_sum(sum);
    if (threadIdx.x == 0) out[blockIdx.x] = sum;
}

// The cosine distance of two rows, or the length of their difference.
KERNEL(distances,
       (const Real *a, const Real *b, double *out, Size width, Size is_cosine,
        double smallest_norm)) {
    Size first = (Size)blockIdx.x * width;
    double dot = 0, of_a = 0, of_b = 0, between = 0;
    FOR_EACH_COLUMN(column, width) {
        double left = (double)a[first + column], right = (double)b[first + column];
        dot += left * right;
        of_a += left * left;
        of_b += right * right;
        between += (left - right) * (left - right);
    }
    dot = block_sum(dot);
    of_a = sqrt(block_sum(of_a));
    of_b = sqrt(block_sum(of_b));
    between = sqrt(block_sum(between));
    of_a = of_a < smallest_norm ? smallest_norm : of_a;
    of_b = of_b < smallest_norm ? smallest_norm : of_b;
    if (threadIdx.x == 0) out[blockIdx.x] = is_cosine ? 1 - dot / (of_a * of_b) : between;
}

// The largest distance of an entry of a row from the same entry of another.
KERNEL(largest_distances, (const Real *a, const Real *b, double *out, Size width)) {
    Size first = (Size)blockIdx.x * width;
    double largest = 0;
    FOR_EACH_COLUMN(column, width) {
        double distance = fabs((double)(a[first + column] - b[first + column]));
        largest = distance > largest ? distance : largest;
    }
    largest = block_max(largest);
    if (threadIdx.x == 0) out[blockIdx.x] = largest;
}

// The cosine of the angle between a row of `a` and a row of `b`, which has `others` rows.
KERNEL(cosines, (const Real *a, const Real *b, double *out, Size width, Size others)) {
    const Real *left = a + (Size)blockIdx.x / others * width;
    const Real *right = b + (Size)blockIdx.x % others * width;
    double dot = 0, of_left = 0, of_right = 0;
    FOR_EACH_COLUMN(column, width) {
        dot += (double)left[column] * (double)right[column];
        of_left += (double)left[column] * (double)left[column];
        of_right += (double)right[column] * (double)right[column];
    }
    dot = block_sum(dot);
    double lengths = sqrt(block_sum(of_left)) * sqrt(block_sum(of_right));
    if (threadIdx.x == 0) out[blockIdx.x] = lengths > 0 ? dot / lengths : 0;
}

// The inner product of row i of `a` with row places[i] of `b`.
KERNEL(dot_rows, (const Real *a, const Real *b, const int *places, double *out, Size width)) {
    const Real *left = a + (Size)blockIdx.x * width;
    const Real *right = b + (Size)places[blockIdx.x] * width;
    double dot = 0;
    FOR_EACH_COLUMN(column, width) dot += (double)left[column] * (double)right[column];
    dot = block_sum(dot);
    if (threadIdx.x == 0) out[blockIdx.x] = dot;
}
