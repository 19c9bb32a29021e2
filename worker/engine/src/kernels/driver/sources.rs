//! The sources of the kernels, as one program per precision.

use candle_core::DType;

/// The files of the program, in an order in which each uses only those before it.
const FILES: [(&str, &str); 7] = [
    ("prelude.cu", include_str!("../device/prelude.cu")),
    ("rows.cu", include_str!("../device/rows.cu")),
    ("activation.cu", include_str!("../device/activation.cu")),
    ("norm.cu", include_str!("../device/norm.cu")),
    ("rotary.cu", include_str!("../device/rotary.cu")),
    ("reduction.cu", include_str!("../device/reduction.cu")),
    ("attention.cu", include_str!("../device/attention.cu")),
];

/// Returns the program that computes in `precision`, single or double. What a compiler says about it
/// names the files.
pub(in crate::kernels) fn program(precision: DType) -> String {
    let real = match precision {
        DType::F64 => "double",
        _ => "float",
    };
    let files = FILES.iter();
    let files = files.map(|(name, text)| format!("#line 1 \"{name}\"\n{text}"));
    format!("#define REAL {real}\n{}", files.collect::<String>())
}
