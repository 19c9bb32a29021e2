//! The value of an expression at a step, and its gradient in reverse mode.
//!
//! The forward pass keeps every node's value. The backward pass goes from the last node to the
//! first: each node propagates its cotangent to its operands, and the quantities at the leaves
//! propagate theirs to the logits.

use super::super::{Prediction, Slopes, Step};
use super::tree::{Binary, Node, NodeId, Quantity, Reduce, TokenRef, Tree, Unary};

/// A single number, or one per token of the vocabulary.
#[derive(Debug, Clone)]
enum Value {
    Scalar(f64),
    Vector(Vec<f64>),
}

impl Value {
    /// Returns the number of token `index`; a scalar is the same for every token.
    fn at(&self, index: usize) -> f64 {
        match self {
            Self::Scalar(value) => *value,
            Self::Vector(values) => values[index],
        }
    }

    fn scalar(&self) -> f64 {
        self.at(0)
    }

    /// Returns the numbers: a scalar has one, a vector one per token.
    fn numbers(&self) -> &[f64] {
        match self {
            Self::Scalar(value) => std::slice::from_ref(value),
            Self::Vector(values) => values,
        }
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        match self {
            Self::Scalar(value) => Self::Scalar(f(*value)),
            Self::Vector(values) => Self::Vector(values.iter().copied().map(f).collect()),
        }
    }

    /// Combines two values token by token; a scalar is the same for every token.
    fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        match (self, other) {
            (Self::Scalar(a), Self::Scalar(b)) => Self::Scalar(f(*a, *b)),
            (Self::Vector(a), b) => {
                let values = a.iter().enumerate().map(|(i, a)| f(*a, b.at(i)));
                Self::Vector(values.collect())
            }
            (a, Self::Vector(b)) => {
                let values = b.iter().map(|b| f(a.scalar(), *b));
                Self::Vector(values.collect())
            }
        }
    }

    /// Adds `other` to `self`, whose shape is kept: a scalar is increased by the sum of a vector.
    fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Scalar(sum), other) => *sum += other.numbers().iter().sum::<f64>(),
            (Self::Vector(sums), other) => {
                for (index, sum) in sums.iter_mut().enumerate() {
                    *sum += other.at(index);
                }
            }
        }
    }
}

/// Returns the value of `tree` at `step`.
pub(super) fn value(tree: &Tree, step: &Step<'_>) -> f64 {
    values(tree, step)[tree.root()].scalar()
}

/// Adds the gradient of the value of `tree` at `step` to `slopes`.
pub(super) fn add_gradient(tree: &Tree, step: &Step<'_>, slopes: &mut Slopes) {
    let values = values(tree, step);
    let mut cotangents: Vec<_> = values.iter().map(|value| value.map(|_| 0.0)).collect();
    cotangents[tree.root()] = Value::Scalar(1.0);
    let mut backward = Backward {
        tree,
        step,
        values: &values,
        cotangents,
    };
    for node in (0..tree.nodes().len()).rev() {
        backward.hand_on(node, slopes);
    }
}

fn values(tree: &Tree, step: &Step<'_>) -> Vec<Value> {
    let mut values: Vec<Value> = Vec::with_capacity(tree.nodes().len());
    for node in tree.nodes() {
        let value = match *node {
            Node::Number(value) => Value::Scalar(value),
            Node::Quantity(quantity) => Value::Vector(read(quantity, step)),
            Node::At { vector, token } => Value::Scalar(token_at(&values[vector], token, step)),
            Node::Unary { op, operand } => values[operand].map(unary(op)),
            Node::Binary { op, left, right } => values[left].zip(&values[right], binary(op)),
            Node::Reduce { op, vector } => Value::Scalar(reduce(op, values[vector].numbers())),
        };
        values.push(value);
    }
    values
}

fn prediction<'s, 'a>(quantity: Quantity, step: &'s Step<'a>) -> &'s Prediction<'a> {
    if quantity.is_of_contrast() {
        step.contrast()
    } else {
        step.prediction()
    }
}

fn read(quantity: Quantity, step: &Step<'_>) -> Vec<f64> {
    let prediction = prediction(quantity, step);
    match quantity {
        Quantity::Logits | Quantity::ContrastLogits => prediction.logits().to_vec(),
        Quantity::P | Quantity::ContrastP => prediction.probabilities().to_vec(),
        Quantity::LogP | Quantity::ContrastLogP => {
            let normalizer = prediction.log_normalizer();
            prediction.logits().iter().map(|z| z - normalizer).collect()
        }
    }
}

fn id(token: TokenRef, step: &Step<'_>) -> usize {
    match token {
        TokenRef::Target => step.target,
        TokenRef::Contrast => step.contrast_target(),
        TokenRef::Id(id) => id,
    }
}

/// Returns the number of a token; NaN if the vocabulary does not have the token.
fn token_at(value: &Value, token: TokenRef, step: &Step<'_>) -> f64 {
    let numbers = value.numbers().get(id(token, step));
    numbers.copied().unwrap_or(f64::NAN)
}

fn unary(op: Unary) -> fn(f64) -> f64 {
    match op {
        Unary::Negate => |x| -x,
        Unary::Exp => f64::exp,
        Unary::Log => f64::ln,
        Unary::Sqrt => f64::sqrt,
        Unary::Abs => f64::abs,
    }
}

fn binary(op: Binary) -> fn(f64, f64) -> f64 {
    match op {
        Binary::Add => |a, b| a + b,
        Binary::Subtract => |a, b| a - b,
        Binary::Multiply => |a, b| a * b,
        Binary::Divide => |a, b| a / b,
        Binary::Power => f64::powf,
        Binary::Min => |a, b| if b < a { b } else { a },
        Binary::Max => |a, b| if b > a { b } else { a },
    }
}

fn reduce(op: Reduce, values: &[f64]) -> f64 {
    match op {
        Reduce::Sum => values.iter().sum(),
        Reduce::Mean => values.iter().sum::<f64>() / values.len() as f64,
        Reduce::Min | Reduce::Max => values[extreme(op, values)],
    }
}

/// Returns the index of the smallest or largest value; the first one if several are equal.
fn extreme(op: Reduce, values: &[f64]) -> usize {
    let is_better = |a: f64, b: f64| match op {
        Reduce::Min => a < b,
        _ => a > b,
    };
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if is_better(*value, values[best]) {
            best = index;
        }
    }
    best
}

/// A backward pass in progress.
struct Backward<'a> {
    tree: &'a Tree,
    step: &'a Step<'a>,
    values: &'a [Value],
    /// The cotangents so far. Those of the current node and of all later nodes are complete.
    cotangents: Vec<Value>,
}

impl Backward<'_> {
    /// Propagates the cotangent of `node` to its operands, or to the logits.
    fn hand_on(&mut self, node: NodeId, slopes: &mut Slopes) {
        let cotangent = self.cotangents[node].clone();
        match self.tree.nodes()[node] {
            Node::Number(_) => {}
            Node::Quantity(quantity) => {
                let Value::Vector(cotangent) = cotangent else {
                    return;
                };
                self.hand_to_logits(quantity, &cotangent, slopes);
            }
            Node::At { vector, token } => {
                self.hand_to_token(vector, token, cotangent.scalar(), slopes);
            }
            Node::Unary { op, operand } => {
                let (x, y) = (&self.values[operand], &self.values[node]);
                let slope = x.zip(y, unary_slope(op));
                let handed = cotangent.zip(&slope, |c, s| c * s);
                self.cotangents[operand].add(&handed);
            }
            Node::Binary { op, left, right } => {
                let (a, b) = (&self.values[left], &self.values[right]);
                let (at_left, at_right) = binary_slopes(op);
                let to_left = cotangent.zip(&a.zip(b, at_left), |c, s| c * s);
                // The derivative with respect to the exponent contains the logarithm of the base,
                // which may not exist. A constant exponent does not need it.
                let to_right = (!matches!(self.tree.nodes()[right], Node::Number(_)))
                    .then(|| cotangent.zip(&a.zip(b, at_right), |c, s| c * s));
                self.cotangents[left].add(&to_left);
                if let Some(to_right) = to_right {
                    self.cotangents[right].add(&to_right);
                }
            }
            Node::Reduce { op, vector } => self.hand_to_all(op, vector, cotangent.scalar()),
        }
    }

    fn hand_to_all(&mut self, op: Reduce, vector: NodeId, cotangent: f64) {
        let values = self.values[vector].numbers();
        let share = match op {
            Reduce::Sum => Value::Scalar(cotangent),
            Reduce::Mean => Value::Scalar(cotangent / values.len() as f64),
            Reduce::Min | Reduce::Max => {
                let mut only = vec![0.0; values.len()];
                only[extreme(op, values)] = cotangent;
                Value::Vector(only)
            }
        };
        self.cotangents[vector].add(&share);
    }

    /// Propagates a cotangent to one token of `vector`. For a quantity it goes straight to the
    /// logits, with formulas that stay accurate where a probability is nearly 1.
    fn hand_to_token(
        &mut self,
        vector: NodeId,
        token: TokenRef,
        cotangent: f64,
        slopes: &mut Slopes,
    ) {
        let token = id(token, self.step);
        if token >= self.values[vector].numbers().len() {
            return;
        }
        if let Node::Quantity(quantity) = self.tree.nodes()[vector] {
            let prediction = prediction(quantity, self.step);
            let slopes = side(quantity, slopes);
            match quantity {
                Quantity::Logits | Quantity::ContrastLogits => slopes[token] += cotangent,
                Quantity::P | Quantity::ContrastP => {
                    prediction.add_probability_slope(token, cotangent, slopes);
                }
                Quantity::LogP | Quantity::ContrastLogP => {
                    prediction.add_log_probability_slope(token, cotangent, slopes);
                }
            }
        } else if let Value::Vector(cotangents) = &mut self.cotangents[vector] {
            cotangents[token] += cotangent;
        }
    }

    /// Propagates a quantity's cotangents `g` to the logits: as `g` for logits, `g − p Σg` for
    /// log-probabilities and `p (g − Σ g p)` for probabilities.
    fn hand_to_logits(&self, quantity: Quantity, cotangents: &[f64], slopes: &mut Slopes) {
        let probabilities = prediction(quantity, self.step).probabilities();
        let both = || cotangents.iter().zip(probabilities);
        let slopes = side(quantity, slopes).iter_mut();
        match quantity {
            Quantity::Logits | Quantity::ContrastLogits => {
                slopes.zip(cotangents).for_each(|(slope, g)| *slope += g);
            }
            Quantity::LogP | Quantity::ContrastLogP => {
                let sum: f64 = cotangents.iter().sum();
                slopes
                    .zip(both())
                    .for_each(|(slope, (g, p))| *slope += g - p * sum);
            }
            Quantity::P | Quantity::ContrastP => {
                let mean: f64 = both().map(|(g, p)| g * p).sum();
                slopes
                    .zip(both())
                    .for_each(|(slope, (g, p))| *slope += p * (g - mean));
            }
        }
    }
}

/// Returns the slopes of the logits that `quantity` is computed from.
fn side(quantity: Quantity, slopes: &mut Slopes) -> &mut [f64] {
    if quantity.is_of_contrast() {
        slopes.contrast_logits()
    } else {
        slopes.logits()
    }
}

/// Returns the derivative of a function of one operand, as a function of the operand and the value.
fn unary_slope(op: Unary) -> fn(f64, f64) -> f64 {
    match op {
        Unary::Negate => |_, _| -1.0,
        Unary::Exp => |_, y| y,
        Unary::Log => |x, _| 1.0 / x,
        Unary::Sqrt => |_, y| 0.5 / y,
        Unary::Abs => |x, _| {
            if x == 0.0 { 0.0 } else { x.signum() }
        },
    }
}

type Slope = fn(f64, f64) -> f64;

/// Returns the derivatives of a function of two operands, with respect to the left and the right
/// one.
fn binary_slopes(op: Binary) -> (Slope, Slope) {
    match op {
        Binary::Add => (|_, _| 1.0, |_, _| 1.0),
        Binary::Subtract => (|_, _| 1.0, |_, _| -1.0),
        Binary::Multiply => (|_, b| b, |a, _| a),
        Binary::Divide => (|_, b| 1.0 / b, |a, b| -a / (b * b)),
        Binary::Power => (
            |a, b| if b == 0.0 { 0.0 } else { b * a.powf(b - 1.0) },
            |a, b| a.powf(b) * a.ln(),
        ),
        Binary::Min => (
            |a, b| f64::from(u8::from(b >= a)),
            |a, b| f64::from(u8::from(b < a)),
        ),
        Binary::Max => (
            |a, b| f64::from(u8::from(b <= a)),
            |a, b| f64::from(u8::from(b > a)),
        ),
    }
}
