//! How much.

/// One figure, as exact as its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A number that the source already rounded.
    Float(f64),
    /// A whole number of 10^-n units: microjoules, nanoseconds or clock ticks, shown in the base unit without rounding.
    Scaled(i64, u8),
    /// The batch's n-th [`Distribution`], of a histogram or summary family.
    Distribution(u32),
}

impl Value {
    /// The figure as a float, for comparisons and for sums; `None` for a distribution.
    pub fn as_f64(self) -> Option<f64> {
        match self {
            Value::Int(n) => Some(n as f64),
            Value::Float(x) => Some(x),
            Value::Scaled(n, decimals) => Some(n as f64 / 10f64.powi(i32::from(decimals))),
            Value::Distribution(_) => None,
        }
    }
}

impl From<u64> for Value {
    /// Counters above 2^63 exist (wrapped 64-bit hardware counters); they lose exactness, not sign.
    fn from(n: u64) -> Self {
        i64::try_from(n).map_or(Value::Float(n as f64), Value::Int)
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Value::Int(n)
    }
}

impl From<u32> for Value {
    fn from(n: u32) -> Self {
        Value::Int(i64::from(n))
    }
}

impl From<f64> for Value {
    fn from(x: f64) -> Self {
        Value::Float(x)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Value::Int(i64::from(yes))
    }
}

/// A histogram's buckets or a summary's quantiles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution {
    /// Upper bound and cumulative count of each bucket, or quantile and its value; in rising order.
    pub points: Vec<(f64, f64)>,
    /// How many observations, where the source tells.
    pub count: Option<f64>,
    /// Their sum, where the source tells.
    pub sum: Option<f64>,
}
