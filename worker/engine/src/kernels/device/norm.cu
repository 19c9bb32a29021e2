// Norms of rows or of the groups in them; a block per group.

// Writes the group without weight and bias, the inverse deviation, and the scaled group.
KERNEL(normalize,
       (const Real *x, const Real *weight, const Real *bias, Real *unit, Real *deviations, Real *y,
        Size group, Size groups, Size is_centered, double epsilon)) {
    Size first = (Size)blockIdx.x * group;
    Size column_of_first = blockIdx.x % groups * group;
    double mean = 0;
    if (is_centered) {
        double sum = 0;
        FOR_EACH_COLUMN(column, group) sum += (double)x[first + column];
        mean = block_sum(sum) / (double)group;
    }
    double squares = 0;
    FOR_EACH_COLUMN(column, group) {
        double distance = (double)x[first + column] - mean;
        squares += distance * distance;
    }
    double variance = block_sum(squares) / (double)group;
    Real scale = (Real)(1 / sqrt(variance + epsilon));
    // Entries far from zero and near each other may differ from their mean by less than its
    // rounding error, so what was rounded off is subtracted, too.
    Real rounded = (Real)mean, rest = (Real)(mean - (double)rounded);
    FOR_EACH_COLUMN(column, group) {
        Real entry = (x[first + column] - rounded - rest) * scale;
        Real scaled = entry * weight[column_of_first + column];
        unit[first + column] = entry;
        y[first + column] = bias ? scaled + bias[column_of_first + column] : scaled;
    }
    if (threadIdx.x == 0) deviations[blockIdx.x] = scale;
}

KERNEL(norm_vjp,
       (const Real *dy, const Real *weight, const Real *unit, const Real *deviations,
        const int *saved_rows, Real *dx, Size group, Size groups, Size is_centered)) {
    Size index = blockIdx.x % groups;
    Size saved = (Size)saved_rows[blockIdx.x / groups] * groups + index;
    const Real *own = dy + (Size)blockIdx.x * group;
    const Real *weights = weight + index * group, *units = unit + saved * group;
    double along = 0, sum = 0;
    FOR_EACH_COLUMN(column, group) {
        Real weighted = own[column] * weights[column];
        along += (double)weighted * (double)units[column];
        sum += (double)weighted;
    }
    Real mean_along = (Real)(block_sum(along) / (double)group);
    Real mean = is_centered ? (Real)(block_sum(sum) / (double)group) : (Real)0;
    FOR_EACH_COLUMN(column, group) {
        Real weighted = own[column] * weights[column];
        dx[(Size)blockIdx.x * group + column] =
            deviations[saved] * (weighted - mean - units[column] * mean_along);
    }
}
