//! A parsed expression: nodes in the order they are computed, the whole last.
//!
//! Every node is a number or one number per token, and its operands stand before it. [`Tree::push`]
//! refuses whatever would break that, so evaluation has nothing left to check.

use std::fmt;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    shapes: Vec<Shape>,
}

/// Place of a node in its tree.
pub(super) type NodeId = usize;

/// What a node's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One number.
    Scalar,
    /// One number per token of the vocabulary.
    Vector,
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Node {
    /// A literal, zero or positive.
    Number(f64),
    /// One number per token.
    Quantity(Quantity),
    /// The number of one token.
    At { vector: NodeId, token: TokenRef },
    /// A function of one operand, token by token.
    Unary { op: Unary, operand: NodeId },
    /// A function of two operands, token by token; a number is the same for all tokens.
    Binary {
        op: Binary,
        left: NodeId,
        right: NodeId,
    },
    /// One number made of one a token.
    Reduce { op: Reduce, vector: NodeId },
}

/// Defines an enum whose variants have names in the language.
macro_rules! named {
    ($(#[$doc:meta])* $type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum $type { $($variant),+ }

        impl $type {
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant),+];

            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

named! {
    /// What a step offers, one number per token.
    Quantity {
        Logits = "logits",
        LogP = "logp",
        P = "p",
        ContrastLogits = "contrast_logits",
        ContrastLogP = "contrast_logp",
        ContrastP = "contrast_p",
    }
}
named! {
    /// A function of one operand.
    Unary { Negate = "-", Exp = "exp", Log = "log", Sqrt = "sqrt", Abs = "abs" }
}
named! {
    /// A function of two operands.
    Binary {
        Add = "+",
        Subtract = "-",
        Multiply = "*",
        Divide = "/",
        Power = "^",
        Min = "min",
        Max = "max",
    }
}
named! {
    /// What makes one number of many.
    Reduce { Sum = "sum", Mean = "mean", Min = "min", Max = "max" }
}

impl Quantity {
    /// Returns whether it belongs to the contrast.
    pub(super) fn is_of_contrast(self) -> bool {
        matches!(
            self,
            Self::ContrastLogits | Self::ContrastLogP | Self::ContrastP
        )
    }
}

/// A token an expression speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenRef {
    /// The produced token.
    Target,
    /// The contrast's token.
    Contrast,
    /// The token with this id.
    Id(usize),
}

impl Tree {
    pub(super) fn new() -> Self {
        Self {
            nodes: Vec::new(),
            shapes: Vec::new(),
        }
    }

    /// Adds a node whose operands are there. Fails with what is wrong with their shapes.
    pub(super) fn push(&mut self, node: Node) -> Result<NodeId, String> {
        let shape = match node {
            Node::Number(_) => Shape::Scalar,
            Node::Quantity(_) => Shape::Vector,
            Node::At { vector, .. } => {
                self.expect_vector(vector, "only what has one number per token can be indexed")?;
                Shape::Scalar
            }
            Node::Unary { operand, .. } => self.shapes[operand],
            Node::Binary { left, right, .. } => match (self.shapes[left], self.shapes[right]) {
                (Shape::Scalar, Shape::Scalar) => Shape::Scalar,
                _ => Shape::Vector,
            },
            Node::Reduce { op, vector } => {
                let reason = format!("`{}` of one operand needs one number per token", op.name());
                self.expect_vector(vector, &reason)?;
                Shape::Scalar
            }
        };
        self.nodes.push(node);
        self.shapes.push(shape);
        Ok(self.nodes.len() - 1)
    }

    fn expect_vector(&self, node: NodeId, reason: &str) -> Result<(), String> {
        match self.shapes[node] {
            Shape::Vector => Ok(()),
            Shape::Scalar => Err(format!("{reason}, this is a single number")),
        }
    }

    /// Returns the nodes, operands before what they are operands of.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns what the value of `node` looks like.
    pub(super) fn shape(&self, node: NodeId) -> Shape {
        self.shapes[node]
    }

    /// Returns the last node: the whole expression.
    pub(super) fn root(&self) -> NodeId {
        self.nodes.len() - 1
    }

    /// Returns whether the value depends on what the step is contrasted with.
    pub(super) fn reads_contrast(&self) -> bool {
        self.nodes.iter().any(|node| match node {
            Node::Quantity(quantity) => quantity.is_of_contrast(),
            Node::At { token, .. } => *token == TokenRef::Contrast,
            _ => false,
        })
    }

    /// Returns whether the value depends on the step at all.
    pub(super) fn reads_step(&self) -> bool {
        let mut nodes = self.nodes.iter();
        nodes.any(|node| matches!(node, Node::Quantity(_)))
    }

    /// Returns how tightly the outermost operation of `node` binds.
    fn binding(&self, node: NodeId) -> u8 {
        match self.nodes[node] {
            Node::Binary { op, .. } => match op {
                Binary::Add | Binary::Subtract => 1,
                Binary::Multiply | Binary::Divide => 2,
                Binary::Power => 4,
                Binary::Min | Binary::Max => 5,
            },
            Node::Unary {
                op: Unary::Negate, ..
            } => 3,
            _ => 5,
        }
    }

    fn print(&self, node: NodeId, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binding = self.binding(node);
        match self.nodes[node] {
            Node::Number(value) => write!(f, "{value}"),
            Node::Quantity(quantity) => f.write_str(quantity.name()),
            Node::At { vector, token } => {
                self.print_operand(vector, 5, f)?;
                match token {
                    TokenRef::Target => f.write_str("[target]"),
                    TokenRef::Contrast => f.write_str("[contrast]"),
                    TokenRef::Id(id) => write!(f, "[{id}]"),
                }
            }
            Node::Unary {
                op: Unary::Negate,
                operand,
            } => {
                f.write_str("-")?;
                self.print_operand(operand, binding, f)
            }
            Node::Unary { op, operand } => self.print_call(op.name(), &[operand], f),
            Node::Reduce { op, vector } => self.print_call(op.name(), &[vector], f),
            Node::Binary {
                op: op @ (Binary::Min | Binary::Max),
                left,
                right,
            } => self.print_call(op.name(), &[left, right], f),
            Node::Binary { op, left, right } => {
                // Powers are read from the right, and their exponents may be negated bare.
                let (at_left, at_right) = match op {
                    Binary::Power => (5, 3),
                    _ => (binding, binding + 1),
                };
                self.print_operand(left, at_left, f)?;
                write!(f, " {} ", op.name())?;
                self.print_operand(right, at_right, f)
            }
        }
    }

    fn print_call(
        &self,
        name: &str,
        operands: &[NodeId],
        f: &mut fmt::Formatter<'_>,
    ) -> fmt::Result {
        write!(f, "{name}(")?;
        for (index, &operand) in operands.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            self.print(operand, f)?;
        }
        f.write_str(")")
    }

    /// Prints an operand, in parentheses if it binds less tightly than `needed`.
    fn print_operand(&self, node: NodeId, needed: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.binding(node) >= needed {
            return self.print(node, f);
        }
        f.write_str("(")?;
        self.print(node, f)?;
        f.write_str(")")
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.print(self.root(), f)
    }
}
