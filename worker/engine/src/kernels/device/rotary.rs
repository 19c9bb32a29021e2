//! Rotations of rows on a device.

use candle_core::Error;

use super::array::Array;
use crate::error::Result;
use crate::kernels::turn::{Direction, Pairing, Turn};

/// Returns `x` with the heads at the start of every row turned.
pub(in crate::kernels) fn turn(x: &Array, turn: &Turn) -> Result<Array> {
    let (rows, width) = x.shape().dims2()?;
    let device = x.device();
    let out = Array::unwritten(device, (rows, width), x.dtype())?;
    let long = turn.long.as_ref();
    let long =
        long.map(|table| Ok::<_, Error>([table.cosines.on(device)?, table.sines.on(device)?]));
    let long = long.transpose()?;
    let sign = match turn.direction {
        Direction::Forward => 1.0,
        Direction::Backward => -1.0,
    };
    let angles = turn.angles.on(device)?;
    let cosines = turn.usual.cosines.on(device)?;
    let sines = turn.usual.sines.on(device)?;
    let arguments = [
        x.into(),
        (&out).into(),
        (&angles).into(),
        (&cosines).into(),
        (&sines).into(),
        long.as_ref().map(|[cosines, _]| cosines).into(),
        long.as_ref().map(|[_, sines]| sines).into(),
        turn.usual.positions.into(),
        width.into(),
        turn.heads.into(),
        turn.head_dim.into(),
        turn.planes.into(),
        (turn.pairing == Pairing::Neighbours).into(),
        sign.into(),
    ];
    device.launch("turn", x.dtype(), rows, arguments)?;
    Ok(out)
}
