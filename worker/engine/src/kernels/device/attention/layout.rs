//! What all blocks of an attention share, and the launches of its forward pass.

use candle_core::DType;

use crate::error::Result;
use crate::kernels::attention::trace::{Attention, AttentionTrace, Columns, Heads};
use crate::kernels::device::array::Array;
use crate::kernels::device::handle::Device;
use crate::kernels::score_bias::ScoreBias;

/// Fields of a `Query` in `attention.cu`.
pub(super) type QueryRecord = [u64; 6];

/// What all blocks of an attention share.
pub(super) struct Layout {
    pub(super) dtype: DType,
    heads: Heads,
    /// The record, a `Layout` of `attention.cu`.
    record: Array,
    /// The projections and the bias, which the record knows by address.
    _kept: (Vec<Array>, Option<Array>),
}

impl Layout {
    /// Lays out an attention that is to be computed.
    pub(super) fn new(device: &Device, attention: &Attention<'_>) -> Result<Self> {
        let projections = &attention.projections;
        let columns = [&projections.queries, &projections.keys, &projections.values];
        let keys = attention.sequences.iter().map(|s| s.keys.len());
        let bias = attention
            .bias
            .map(|bias| Bias::new(device, bias, attention.heads, keys.max().unwrap_or(0)));
        Self::make(device, attention.heads, columns, bias.transpose()?)
    }

    /// Lays out an attention that was computed. Its scores are needed only where they are capped,
    /// and a bias is added after that.
    pub(super) fn of_trace(device: &Device, trace: &AttentionTrace) -> Result<Self> {
        let columns = [&trace.queries, &trace.keys, &trace.values];
        Self::make(device, trace.heads, columns, None)
    }

    fn make(
        device: &Device,
        heads: Heads,
        columns: [&Columns; 3],
        bias: Option<Bias>,
    ) -> Result<Self> {
        let rows = columns.map(|columns| columns.rows.on(device));
        let rows = rows.into_iter().collect::<Result<Vec<_>>>()?;
        let mut fields = vec![
            heads.queries as u64,
            heads.keys as u64,
            heads.dim as u64,
            heads.causal.into(),
            heads.window.unwrap_or(0) as u64,
            heads.scale.to_bits(),
            heads.softcap.unwrap_or(0.0).to_bits(),
        ];
        for (columns, rows) in columns.into_iter().zip(&rows) {
            let (_, width) = rows.shape().dims2()?;
            fields.extend([rows.address().0, width as u64, columns.column as u64]);
        }
        fields.extend(bias.as_ref().map_or([0; 4], Bias::fields));
        Ok(Self {
            dtype: columns[1].rows.dtype(),
            heads,
            record: Array::from_slice(device, &fields)?,
            _kept: (rows, bias.map(|bias| bias.values)),
        })
    }

    /// Returns the record.
    pub(super) fn record(&self) -> &Array {
        &self.record
    }

    /// Reserves the mixed values. `[query rows, heads · dim]`
    pub(super) fn unwritten_mixed(&self, attention: &Attention<'_>) -> Result<Array> {
        let (rows, _) = attention.projections.queries.rows.dims2()?;
        let shape = (rows, self.heads.queries * self.heads.dim);
        Array::unwritten(self.record.device(), shape, self.dtype)
    }

    /// Writes the weights of `queries`. Returns the records on the device.
    pub(super) fn weigh(&self, queries: &[QueryRecord], weights: &Array) -> Result<Array> {
        let device = self.record.device();
        let records = Array::from_slice(device, queries)?;
        let arguments = [(&records).into(), (&self.record).into(), weights.into()];
        let blocks = queries.len() * self.heads.queries;
        device.launch("attention_weights", self.dtype, blocks, arguments)?;
        Ok(records)
    }

    /// Mixes the values of queries, given by their records and how many they are.
    pub(super) fn mix(
        &self,
        (records, count): (&Array, usize),
        weights: &Array,
        mask: Option<&Array>,
        mixed: &Array,
    ) -> Result<()> {
        let arguments = [
            records.into(),
            (&self.record).into(),
            weights.into(),
            mask.into(),
            mixed.into(),
        ];
        let blocks = count * self.heads.queries;
        let device = self.record.device();
        device.launch("attention_mix", self.dtype, blocks, arguments)
    }
}

/// A bias of the scores on a device.
struct Bias {
    values: Array,
    /// Numbers per head.
    width: usize,
    /// Largest distance that counts, if the bias is one of distances.
    reach: Option<usize>,
}

impl Bias {
    /// Copies a bias for at most `keys` keys.
    fn new(device: &Device, bias: &ScoreBias, heads: Heads, keys: usize) -> Result<Self> {
        Ok(match bias {
            ScoreBias::ByKey(slopes) => {
                let of_head = |head| (0..keys).map(move |key| slopes.at(head, key));
                let values: Vec<_> = (0..heads.queries).flat_map(of_head).collect();
                Self {
                    values: Array::from_slice(device, &values)?,
                    width: keys,
                    reach: None,
                }
            }
            ScoreBias::ByDistance { values, reach } => Self {
                values: Array::from_slice(device, values)?,
                width: 2 * reach + 1,
                reach: Some(*reach),
            },
        })
    }

    fn fields(&self) -> [u64; 4] {
        let reach = self.reach.unwrap_or(0) as u64;
        let by_distance = self.reach.is_some().into();
        [
            self.values.address().0,
            self.width as u64,
            by_distance,
            reach,
        ]
    }
}
