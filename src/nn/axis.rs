//! Named feature axes: the dimension that growth changes.
//!
//! Every dimension of a parameter says which axis it spans and on which side it stands. A width change
//! is then one rewrite of one axis in every tensor that spans it, and nothing guesses from shapes.

/// A feature axis. Stable for the life of an architecture; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AxisId(pub u32);

/// An axis: the name of the layer that writes it, and its width.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    pub name: String,
    pub width: Width,
}

/// A number of units. An interval only in the checker, after a `when` that may or may not have fired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    pub min: usize,
    pub max: usize,
}

impl Width {
    pub const fn exactly(n: usize) -> Width {
        Width { min: n, max: n }
    }

    pub fn is_exact(self) -> bool {
        self.min == self.max
    }

    /// The width of an axis in a run. Panics on an interval: a run has none.
    pub fn exact(self) -> usize {
        assert!(self.is_exact(), "a running network has exact widths, not {self}");
        self.min
    }

    /// Either of two.
    pub fn join(self, other: Width) -> Width {
        Width { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

impl std::fmt::Display for Width {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_exact() { write!(f, "{}", self.min) } else { write!(f, "{}..{}", self.min, self.max) }
    }
}

/// On which side of a map a dimension stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The units are made here: rows of a weight, a bias, a gain.
    Emits,
    /// The units are read here: columns of a weight.
    Reads,
}

/// One dimension of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    Feature(AxisId, Side),
    /// Kernel taps, or the image positions behind a flatten: copied whole with their feature.
    Fixed(usize),
}
