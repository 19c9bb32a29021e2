//! The backward pass of attention on a device.
//!
//! The cotangents of the scores of an explained token need as much memory as its weights, so tokens
//! are taken some after the other.

use std::ops::Range;

use super::layout::Layout;
use crate::error::Result;
use crate::kernels::attention::trace::{
    AttentionCotangents, AttentionTrace, ExplainedQueries, num_key_rows,
};
use crate::kernels::device::array::Array;

/// Most cotangents of scores at once: 512 MiB in single precision. A single token may have more.
const MOST_SCORES: usize = 1 << 27;

/// Fields of a `Token` in `attention.cu`.
type TokenRecord = [u64; 12];

/// Pulls `dmixed` back to queries, keys and values.
pub(in crate::kernels) fn vjp(
    saved: &AttentionTrace,
    explained: &[ExplainedQueries],
    dmixed: &Array,
) -> Result<AttentionCotangents> {
    let (device, heads) = (dmixed.device(), saved.heads);
    let layout = Layout::of_trace(device, saved)?;
    let tokens = Tokens::new(saved, explained);
    let (width, kv_width) = (heads.queries * heads.dim, 2 * heads.keys * heads.dim);
    let dqueries = Array::unwritten(device, (tokens.of_query.len(), width), layout.dtype)?;
    let dkv = Array::unwritten(device, (tokens.of_key.len(), kv_width), layout.dtype)?;
    let mask = saved
        .mask
        .as_ref()
        .map(|mask| mask.on(device))
        .transpose()?;
    let pass = Pass {
        layout: &layout,
        records: Array::from_slice(device, &tokens.records)?,
        of_query: Array::from_slice(device, &tokens.of_query)?,
        of_key: Array::from_slice(device, &tokens.of_key)?,
        weights: saved.weights.on(device)?,
        mask,
        dmixed,
    };
    for chunk in &tokens.chunks {
        saved.stop.check()?;
        let dscores = Array::unwritten(device, chunk.scores, layout.dtype)?;
        pass.pull_back_scores(chunk, heads.queries, &dscores)?;
        pass.pull_back_queries(chunk, heads.queries, &dscores, &dqueries)?;
        pass.pull_back_keys(chunk, heads.keys, &dscores, &dkv)?;
    }
    Ok(AttentionCotangents {
        queries: dqueries.into(),
        keys_and_values: dkv.into(),
    })
}

/// The explained tokens of a backward pass.
struct Tokens {
    records: Vec<TokenRecord>,
    /// The token of each cotangent row of queries, and of keys and values.
    of_query: Vec<i32>,
    of_key: Vec<i32>,
    chunks: Vec<Chunk>,
}

/// Tokens whose cotangents of scores exist at the same time.
struct Chunk {
    /// Rows of the cotangents of queries, and of those of keys and values.
    queries: Range<usize>,
    keys: Range<usize>,
    /// How many cotangents of scores there are.
    scores: usize,
}

impl Tokens {
    fn new(saved: &AttentionTrace, explained: &[ExplainedQueries]) -> Self {
        let heads = saved.heads;
        let mut tokens = Self {
            records: Vec::with_capacity(explained.len()),
            of_query: Vec::new(),
            of_key: Vec::new(),
            chunks: Vec::new(),
        };
        for (index, token) in explained.iter().enumerate() {
            let sequence = &saved.sequences[token.sequence];
            let earlier = sequence.num_earlier(heads);
            let num_rows = num_key_rows(heads, sequence, token);
            let (num_queries, num_keys) = (token.positions.len(), earlier + num_rows);
            let first = [tokens.of_query.len(), tokens.of_key.len()];
            tokens.of_query.extend(vec![index as i32; num_queries]);
            tokens.of_key.extend(vec![index as i32; num_rows]);
            let scores = tokens.add_to_chunk(first, heads.queries * num_queries * num_keys);
            let total = sequence.keys.len();
            let fields = [
                sequence.queries.start + token.positions.start,
                first[0],
                earlier + token.positions.start,
                num_queries,
                sequence.keys.start,
                num_keys,
                earlier,
                sequence.first_weight + token.positions.start * total,
                total,
                sequence.queries.len() * total,
                first[1],
                scores,
            ];
            tokens.records.push(fields.map(|field| field as u64));
        }
        tokens
    }

    /// Adds the token that was counted last, whose rows start at `first`, to the last chunk, or to a
    /// new one. Returns where its cotangents of scores start there.
    fn add_to_chunk(&mut self, first: [usize; 2], scores: usize) -> usize {
        let fits = |chunk: &Chunk| chunk.scores + scores <= MOST_SCORES;
        if !self.chunks.last().is_some_and(fits) {
            self.chunks.push(Chunk {
                queries: first[0]..first[0],
                keys: first[1]..first[1],
                scores: 0,
            });
        }
        let mut start = 0;
        if let Some(chunk) = self.chunks.last_mut() {
            start = chunk.scores;
            chunk.scores += scores;
            chunk.queries.end = self.of_query.len();
            chunk.keys.end = self.of_key.len();
        }
        start
    }
}

/// What the launches of a backward pass share.
struct Pass<'a> {
    layout: &'a Layout,
    records: Array,
    of_query: Array,
    of_key: Array,
    weights: Array,
    mask: Option<Array>,
    dmixed: &'a Array,
}

impl Pass<'_> {
    fn pull_back_scores(&self, chunk: &Chunk, heads: usize, dscores: &Array) -> Result<()> {
        let arguments = [
            (&self.records).into(),
            (&self.of_query).into(),
            self.layout.record().into(),
            (&self.weights).into(),
            self.mask.as_ref().into(),
            self.dmixed.into(),
            chunk.queries.start.into(),
            dscores.into(),
        ];
        let blocks = chunk.queries.len() * heads;
        let device = self.dmixed.device();
        device.launch("attention_scores_vjp", self.layout.dtype, blocks, arguments)
    }

    fn pull_back_queries(
        &self,
        chunk: &Chunk,
        heads: usize,
        dscores: &Array,
        dqueries: &Array,
    ) -> Result<()> {
        let arguments = [
            (&self.records).into(),
            (&self.of_query).into(),
            self.layout.record().into(),
            dscores.into(),
            chunk.queries.start.into(),
            dqueries.into(),
        ];
        let blocks = chunk.queries.len() * heads;
        let device = self.dmixed.device();
        device.launch(
            "attention_queries_vjp",
            self.layout.dtype,
            blocks,
            arguments,
        )
    }

    fn pull_back_keys(
        &self,
        chunk: &Chunk,
        key_heads: usize,
        dscores: &Array,
        dkv: &Array,
    ) -> Result<()> {
        let arguments = [
            (&self.records).into(),
            (&self.of_key).into(),
            self.layout.record().into(),
            (&self.weights).into(),
            self.mask.as_ref().into(),
            self.dmixed.into(),
            dscores.into(),
            chunk.keys.start.into(),
            dkv.into(),
        ];
        let blocks = chunk.keys.len() * key_heads;
        let device = self.dmixed.device();
        device.launch("attention_keys_vjp", self.layout.dtype, blocks, arguments)
    }
}
