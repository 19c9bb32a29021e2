// Rotations of the heads at the start of a row by the angles of its position.

// `angles` counts on from the end of the usual table into that of long texts. `sign` is 1 for the
// model's way and -1 for cotangents.
KERNEL(turn,
       (const Real *x, Real *out, const int *angles, const Real *cosines, const Real *sines,
        const Real *long_cosines, const Real *long_sines, Size positions, Size width, Size heads,
        Size dim, Size planes, Size pairs_neighbours, double sign)) {
    const Real *row = x + (Size)blockIdx.x * width;
    Real *turned = out + (Size)blockIdx.x * width;
    Size angle = angles[blockIdx.x];
    bool is_long = long_cosines && angle >= positions;
    const Real *cosine = is_long ? long_cosines + (angle - positions) * planes
                                 : cosines + angle * planes;
    const Real *sine = is_long ? long_sines + (angle - positions) * planes
                               : sines + angle * planes;
    FOR_EACH_COLUMN(column, width) {
        Size entry = column % dim;
        if (column >= heads * dim || entry >= 2 * planes) {
            turned[column] = row[column];
            continue;
        }
        Size plane = pairs_neighbours ? entry / 2 : entry % planes;
        bool is_first = pairs_neighbours ? entry % 2 == 0 : entry < planes;
        Size other = pairs_neighbours ? (is_first ? column + 1 : column - 1)
                                      : (is_first ? column + planes : column - planes);
        Real along = row[column] * cosine[plane];
        Real across = row[other] * ((Real)sign * sine[plane]);
        turned[column] = is_first ? along - across : along + across;
    }
}
