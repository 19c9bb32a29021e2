//! A parsed expression: its nodes in the order they are computed, the whole expression last.
//!
//! The value of every node is a scalar or a vector with one number per token, and its operands come
//! before it. [`Tree::push`] rejects anything else, so evaluation needs no checks.

use std::fmt;

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    shapes: Vec<Shape>,
}

/// Index of a node in its tree.
pub(super) type NodeId = usize;

/// The shape of a node's value.
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
    /// A literal, which is never negative: the minus sign is an operation.
    Number(f64),
    /// One number per token.
    Quantity(Quantity),
    /// The number of one token.
    At { vector: NodeId, token: TokenRef },
    /// A function of one operand, token by token.
    Unary { op: Unary, operand: NodeId },
    /// A function of two operands, token by token; a scalar operand is the same for all tokens.
    Binary {
        op: Binary,
        left: NodeId,
        right: NodeId,
    },
    /// Reduces a vector to one number.
    Reduce { op: Reduce, vector: NodeId },
}

/// Defines an enum whose variants have names in the expression language.
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
    /// The quantities of a step, with one number per token.
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
    /// A reduction of a vector to one number.
    Reduce { Sum = "sum", Mean = "mean", Min = "min", Max = "max" }
}

impl Quantity {
    /// Returns whether it is a quantity of the contrast.
    pub(super) fn is_of_contrast(self) -> bool {
        matches!(
            self,
            Self::ContrastLogits | Self::ContrastLogP | Self::ContrastP
        )
    }
}

/// A token that an expression refers to.
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

    /// Adds a node whose operands are already in the tree. Fails with a message if their shapes do
    /// not fit.
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

    /// Returns the nodes; operands come before the nodes that use them.
    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Returns the shape of the value of `node`.
    pub(super) fn shape(&self, node: NodeId) -> Shape {
        self.shapes[node]
    }

    /// Returns the last node: the whole expression.
    pub(super) fn root(&self) -> NodeId {
        self.nodes.len() - 1
    }

    /// Returns whether the value depends on the contrast.
    pub(super) fn reads_contrast(&self) -> bool {
        self.nodes.iter().any(|node| match node {
            Node::Quantity(quantity) => quantity.is_of_contrast(),
            Node::At { token, .. } => *token == TokenRef::Contrast,
            _ => false,
        })
    }

    /// Returns whether the value depends on the step at all; a constant has nothing to attribute.
    pub(super) fn reads_step(&self) -> bool {
        let mut nodes = self.nodes.iter();
        nodes.any(|node| matches!(node, Node::Quantity(_)))
    }

    /// Returns the precedence of the outermost operation of `node`.
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
                // Powers associate to the right, and their exponent may be negated without
                // parentheses.
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

    /// Prints an operand, in parentheses if its precedence is below `needed`.
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
