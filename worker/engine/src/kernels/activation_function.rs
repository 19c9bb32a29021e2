//! The nonlinearities of feed-forward networks, by the names of transformers.

/// Distance of two values below which the tangent stands for the line through both. Captum's own
/// limit.
pub(in crate::kernels) const SMALLEST_DISTANCE: f64 = 1e-10;

/// A nonlinearity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// `x · sigmoid(x)`, also called swish.
    Silu,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)²`.
    SquaredRelu,
    /// `x · Φ(x)`, Φ the normal distribution function.
    /// Source: Hendrycks & Gimpel 2016, <https://arxiv.org/abs/1606.08415>.
    Gelu,
    /// `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    TanhGelu,
    /// The same, with √(2/π) cut to 0.79788456.
    TruncatedTanhGelu,
    /// `x · sigmoid(1.702 x)`.
    QuickGelu,
    /// `tanh(x)`.
    Tanh,
    /// `1 / (1 + e^−x)`.
    Sigmoid,
    /// `x`.
    Linear,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x`, and `x / 100` below 0.
    LeakyRelu,
    /// `x · min(max(x + 3, 0), 6) / 6`.
    HardSwish,
    /// `x · tanh(ln(1 + eˣ))`. Source: Misra 2019, <https://arxiv.org/abs/1908.08681>.
    Mish,
    /// `Φ((x − 0.707107) / 0.282095)`. Source: Ma et al. 2022, <https://arxiv.org/abs/2209.10655>.
    Laplace,
    /// `x · Φ(x)`, at most 10.
    ClippedGelu,
    /// `√ln(1 + eˣ)`.
    SqrtSoftplus,
}

impl Activation {
    /// Every activation, for tests that go over all of them.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 17] = [
        Self::Silu,
        Self::Relu,
        Self::SquaredRelu,
        Self::Gelu,
        Self::TanhGelu,
        Self::TruncatedTanhGelu,
        Self::QuickGelu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Linear,
        Self::Relu6,
        Self::LeakyRelu,
        Self::HardSwish,
        Self::Mish,
        Self::Laplace,
        Self::ClippedGelu,
        Self::SqrtSoftplus,
    ];

    /// Returns the activation transformers calls `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "silu" | "swish" => Some(Self::Silu),
            "relu" => Some(Self::Relu),
            "relu2" => Some(Self::SquaredRelu),
            "gelu" | "gelu_python" => Some(Self::Gelu),
            "gelu_new" | "gelu_fast" | "gelu_accurate" | "gelu_pytorch_tanh"
            | "gelu_python_tanh" => Some(Self::TanhGelu),
            "quick_gelu" => Some(Self::QuickGelu),
            "tanh" => Some(Self::Tanh),
            "sigmoid" => Some(Self::Sigmoid),
            "linear" => Some(Self::Linear),
            "relu6" => Some(Self::Relu6),
            "leaky_relu" => Some(Self::LeakyRelu),
            "hardswish" => Some(Self::HardSwish),
            "mish" => Some(Self::Mish),
            "laplace" => Some(Self::Laplace),
            "gelu_10" => Some(Self::ClippedGelu),
            "sqrtsoftplus" => Some(Self::SqrtSoftplus),
            _ => None,
        }
    }
}
