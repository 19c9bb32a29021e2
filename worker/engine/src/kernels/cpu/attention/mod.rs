//! Attention in main memory: a task per sequence in the forward pass, per explained token in the
//! backward pass.

mod columns;
mod forward;
mod head_rows;
mod mix;
mod unkept;

mod backward;
mod removal;
mod weights;

pub(in crate::kernels) use backward::vjp;
pub(in crate::kernels) use forward::forward;
pub(in crate::kernels) use mix::mix_masked;
pub(in crate::kernels) use removal::remove_values;
pub(in crate::kernels) use unkept::forward_unkept;
pub(in crate::kernels) use weights::weights_of_query;
