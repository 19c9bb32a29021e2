// Attention of sequences of different lengths.
//
// The grid runs over queries (or, for the cotangents of keys and values, over keys) and heads: block
// `row · heads + head`.

// Where a query reads and writes; made by `attention.rs`.
struct Query {
    // Its row among the queries.
    Size row;
    // Its position among the keys.
    Size position;
    // The first of its sequence's rows of keys, and how many there are.
    Size first_key, keys;
    // Its weights of head 0, and how far those of the next head lie behind.
    Size weights, head_stride;
};

// The columns of heads inside rows of projections.
struct Columns {
    const Real *rows;
    Size width, column;
};

// What all blocks of a launch share; made by `attention.rs`.
struct Layout {
    Size query_heads, key_heads, dim;
    Size is_causal;
    // How many keys a query sees, its own included; 0 for all.
    Size window;
    double scale;
    // 0 for none.
    double soft_cap;
    Columns queries, keys, values;
    // What is added to scores, `width` numbers a head: one per key, or one per distance from −reach
    // to reach. Null for nothing.
    const double *bias;
    Size bias_width, is_by_distance, reach;
};

DEVICE const Real *head_of(const Columns *columns, Size row, Size head, Size dim) {
    return columns->rows + row * columns->width + columns->column + head * dim;
}

DEVICE Real dot(const Real *a, const Real *b, Size count) {
    Real sum = 0;
    for (Size index = 0; index < count; index++) sum += a[index] * b[index];
    return sum;
}

DEVICE Size first_seen(const Layout *layout, Size position) {
    Size end = position + 1;
    return layout->window && end > layout->window ? end - layout->window : 0;
}

DEVICE Size end_seen(const Layout *layout, Size position, Size keys) {
    return layout->is_causal ? position + 1 : keys;
}

DEVICE double bias_of(const Layout *layout, Size head, Size position, Size key) {
    if (!layout->bias) return 0;
    const double *bias = layout->bias + head * layout->bias_width;
    if (!layout->is_by_distance) return bias[key];
    Size index = key + layout->reach - position, last = 2 * layout->reach;
    return bias[index < 0 ? 0 : index > last ? last : index];
}

// Writes the weights of a query of a head: scores, softmax, and zeros for what it does not see.
KERNEL(attention_weights,
       (const Query *queries_of, const Layout *layout,
        Real *weights)) {
    Query query = queries_of[blockIdx.x / layout->query_heads];
    Size head = blockIdx.x % layout->query_heads;
    Size key_head = head / (layout->query_heads / layout->key_heads);
    Real *row = weights + query.weights + head * query.head_stride;
    const Real *q = head_of(&layout->queries, query.row, head, layout->dim);
    Size first = first_seen(layout, query.position);
    Size end = end_seen(layout, query.position, query.keys);
    double largest = -1.7976931348623157e308;
    FOR_EACH_COLUMN(key, query.keys) {
        Real score = 0;
        if (key >= first && key < end) {
            const Real *k =
                head_of(&layout->keys, query.first_key + key, key_head, layout->dim);
            score = (Real)layout->scale * dot(q, k, layout->dim);
            if (layout->soft_cap != 0) score = soft_capped(score, layout->soft_cap);
            score += (Real)bias_of(layout, head, query.position, key);
            largest = score > largest ? (double)score : largest;
        }
        row[key] = score;
    }
    largest = block_max(largest);
    double sum = 0;
    FOR_EACH_COLUMN(key, query.keys) {
        bool is_seen = key >= first && key < end;
        row[key] = is_seen ? exp(row[key] - (Real)largest) : (Real)0;
        sum += (double)row[key];
    }
    Real scale = (Real)(1 / block_sum(sum));
    FOR_EACH_COLUMN(key, end) row[key] *= scale;
}

// Mixes the values of a query of a head by its weights, times their mask if there is one.
KERNEL(attention_mix,
       (const Query *queries_of, const Layout *layout,
        const Real *weights, const Real *mask, Real *mixed)) {
    Query query = queries_of[blockIdx.x / layout->query_heads];
    Size head = blockIdx.x % layout->query_heads;
    Size key_head = head / (layout->query_heads / layout->key_heads);
    Size place = query.weights + head * query.head_stride;
    Size first = first_seen(layout, query.position);
    Size end = end_seen(layout, query.position, query.keys);
    Real *out = mixed + query.row * layout->query_heads * layout->dim + head * layout->dim;
    FOR_EACH_COLUMN(column, layout->dim) {
        Real sum = 0;
        for (Size key = first; key < end; key++) {
            Real weight = weights[place + key];
            if (mask) weight *= mask[place + key];
            const Real *v =
                head_of(&layout->values, query.first_key + key, key_head, layout->dim);
            sum += weight * v[column];
        }
        out[column] = sum;
    }
}

// Where an explained token reads and writes; made by `attention.rs`.
struct Token {
    // Its first query: row of the forward pass, row of the cotangents, position among the keys.
    Size saved_query, query, position;
    Size queries;
    // The keys it sees, and how many of them belong to an earlier pass and get no cotangents.
    Size first_key, keys, earlier;
    // Weights of its first query in head 0, how far those of the next query and of the next head
    // lie behind.
    Size weights, query_stride, head_stride;
    // Its first row of cotangents of keys and values.
    Size key;
    // Its first cotangent of a score, each head `queries · keys` of them.
    Size scores;
};

// Writes the cotangents of the scores of a query of a head.
KERNEL(attention_scores_vjp,
       (const Token *tokens, const int *token_of, const Layout *layout,
        const Real *weights, const Real *mask, const Real *dmixed, Size first_row, Real *dscores)) {
    Size row = first_row + blockIdx.x / layout->query_heads;
    Token token = tokens[token_of[row]];
    Size head = blockIdx.x % layout->query_heads;
    Size key_head = head / (layout->query_heads / layout->key_heads);
    Size query = row - token.query;
    Size place = token.weights + head * token.head_stride + query * token.query_stride;
    Real *out = dscores + token.scores + (head * token.queries + query) * token.keys;
    const Real *own = dmixed + row * layout->query_heads * layout->dim + head * layout->dim;
    double sum = 0;
    FOR_EACH_COLUMN(key, token.keys) {
        Real weight = weights[place + key], slope = 0;
        if (weight != 0) {
            const Real *v =
                head_of(&layout->values, token.first_key + key, key_head, layout->dim);
            slope = dot(own, v, layout->dim);
            if (mask) slope *= mask[place + key];
        }
        out[key] = slope;
        sum += (double)(weight * slope);
    }
    Real mean = (Real)block_sum(sum);
    const Real *q = head_of(&layout->queries, token.saved_query + query, head, layout->dim);
    FOR_EACH_COLUMN(key, token.keys) {
        Real slope = weights[place + key] * (out[key] - mean);
        if (layout->soft_cap != 0 && slope != 0) {
            const Real *k =
                head_of(&layout->keys, token.first_key + key, key_head, layout->dim);
            Real score = (Real)layout->scale * dot(q, k, layout->dim);
            slope *= soft_cap_slope(soft_capped(score, layout->soft_cap), layout->soft_cap);
        }
        out[key] = slope;
    }
}

KERNEL(attention_queries_vjp,
       (const Token *tokens, const int *token_of, const Layout *layout,
        const Real *dscores, Size first_row, Real *dqueries)) {
    Size row = first_row + blockIdx.x / layout->query_heads;
    Token token = tokens[token_of[row]];
    Size head = blockIdx.x % layout->query_heads;
    Size key_head = head / (layout->query_heads / layout->key_heads);
    Size query = row - token.query;
    const Real *slopes = dscores + token.scores + (head * token.queries + query) * token.keys;
    Size end = end_seen(layout, token.position + query, token.keys);
    Real *out = dqueries + row * layout->query_heads * layout->dim + head * layout->dim;
    FOR_EACH_COLUMN(column, layout->dim) {
        Real sum = 0;
        for (Size key = first_seen(layout, token.position + query); key < end; key++) {
            const Real *k =
                head_of(&layout->keys, token.first_key + key, key_head, layout->dim);
            sum += slopes[key] * k[column];
        }
        out[column] = (Real)layout->scale * sum;
    }
}

// Writes the cotangents of one key and one value, of one key head: those of its query heads added up.
KERNEL(attention_keys_vjp,
       (const Token *tokens, const int *token_of_key, const Layout *layout,
        const Real *weights, const Real *mask, const Real *dmixed,
        const Real *dscores, Size first_row, Real *dkeys_and_values)) {
    Size row = first_row + blockIdx.x / layout->key_heads;
    Token token = tokens[token_of_key[row]];
    Size key_head = blockIdx.x % layout->key_heads, group = layout->query_heads / layout->key_heads;
    Size key = token.earlier + row - token.key;
    // Queries before a causal key do not see it.
    Size first = layout->is_causal && key > token.position ? key - token.position : 0;
    Size width = layout->key_heads * layout->dim;
    Real *out = dkeys_and_values + row * 2 * width + key_head * layout->dim;
    FOR_EACH_COLUMN(column, layout->dim) {
        Real of_key = 0, of_value = 0;
        for (Size head = key_head * group; head < (key_head + 1) * group; head++) {
            Size place = token.weights + head * token.head_stride + key;
            const Real *slopes = dscores + token.scores + head * token.queries * token.keys + key;
            for (Size query = first; query < token.queries; query++) {
                Real weight = weights[place + query * token.query_stride];
                if (mask) weight *= mask[place + query * token.query_stride];
                const Real *q =
                    head_of(&layout->queries, token.saved_query + query, head, layout->dim);
                const Real *own = dmixed + (token.query + query) * layout->query_heads * layout->dim +
                                  head * layout->dim;
                of_key += slopes[query * token.keys] * q[column];
                of_value += weight * own[column];
            }
        }
        out[column] = (Real)layout->scale * of_key;
        out[width + column] = of_value;
    }
}

// Where a pair of a query and a key reads; made by `attention.rs`.
struct Pair {
    // Its weight of head 0, how far that of the next head lies behind, and the row of its key.
    Size weight, head_stride, key;
};

// Subtracts what a key adds to a row through the heads `heads_of`, whose outputs are `outputs`.
KERNEL(remove_values,
       (const Pair *pairs, const int *heads_of, const Real *const *outputs, Size num_outputs,
        const Real *weights, const Real *added, Real *out, Size hidden)) {
    Pair pair = pairs[blockIdx.x];
    Size first = (Size)blockIdx.x * hidden;
    FOR_EACH_COLUMN(column, hidden) {
        Real value = added[first + column];
        for (Size index = 0; index < num_outputs; index++) {
            Real weight = weights[pair.weight + heads_of[index] * pair.head_stride];
            value -= weight * outputs[index][pair.key * hidden + column];
        }
        out[first + column] = value;
    }
}

// Copies the weights of one query on its first tokens, a block per head, to
// `[tokens, layers, heads]`.
KERNEL(pick_weights,
       (const Real *weights, const int *heads_of, Real *out, Size first, Size head_stride,
        Size tokens, Size layers, Size layer, Size num_heads)) {
    const Real *row = weights + first + (Size)heads_of[blockIdx.x] * head_stride;
    FOR_EACH_COLUMN(token, tokens) {
        out[(token * layers + layer) * num_heads + blockIdx.x] = row[token];
    }
}
