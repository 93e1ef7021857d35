//! How the simulated card runs kernels: in which order, and when what is asynchronous takes effect.

use std::str::FromStr;

use crate::error::{Error, Result};

/// In which order the card lets threads and blocks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// From the first thread and block to the last.
    Forward,
    /// From the last to the first.
    Reverse,
    /// Shuffled anew for each step, from this seed.
    Random(u64),
}

/// When asynchronous copies take effect: the two ends of what a real card may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copies {
    /// As soon as they are asked for.
    Early,
    /// When they are waited for; until then their destination holds NaN.
    Late,
}

/// When a warpgroup's matrix operations read their factors; their sums hold NaN until the wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matrices {
    /// As soon as the whole warpgroup has asked for them.
    Early,
    /// When they are waited for.
    Late,
}

/// How the card runs kernels. A sound kernel gives the same under every schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// Of threads and of blocks.
    pub order: Order,
    /// Of asynchronous copies.
    pub copies: Copies,
    /// Of a warpgroup's matrix operations.
    pub matrices: Matrices,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule {
            order: Order::Forward,
            copies: Copies::Early,
            matrices: Matrices::Early,
        }
    }
}

impl Schedule {
    /// The twelve schedules that tests go through: three orders, copies and matrix operations early
    /// and late.
    pub fn all() -> Vec<Schedule> {
        Schedule::seeded(1)
    }

    /// The same with another seed of the random order.
    pub fn seeded(seed: u64) -> Vec<Schedule> {
        let mut all = Vec::new();
        for order in [Order::Forward, Order::Reverse, Order::Random(seed)] {
            for copies in [Copies::Early, Copies::Late] {
                for matrices in [Matrices::Early, Matrices::Late] {
                    // Each kind of order meets its own seed.
                    let order = match order {
                        Order::Random(_) => Order::Random(seed + all.len() as u64 % 4),
                        other => other,
                    };
                    all.push(Schedule {
                        order,
                        copies,
                        matrices,
                    });
                }
            }
        }
        all
    }
}

impl FromStr for Order {
    type Err = Error;

    /// `fwd`, `rev` or `rand:SEED`.
    fn from_str(text: &str) -> Result<Order> {
        match text.split_once(':') {
            None if text == "fwd" => Ok(Order::Forward),
            None if text == "rev" => Ok(Order::Reverse),
            Some(("rand", seed)) if seed.parse::<u64>().is_ok() => {
                Ok(Order::Random(seed.parse().unwrap_or_default()))
            }
            _ => Err(Error::input(format!("an order of threads is not {text:?}"))
                .mend("give fwd, rev or rand:SEED")),
        }
    }
}

impl FromStr for Copies {
    type Err = Error;

    /// `early` or `late`.
    fn from_str(text: &str) -> Result<Copies> {
        match text {
            "early" => Ok(Copies::Early),
            "late" => Ok(Copies::Late),
            _ => Err(Error::input(format!("copies are not {text:?}")).mend("give early or late")),
        }
    }
}

impl FromStr for Matrices {
    type Err = Error;

    /// `early` or `late`.
    fn from_str(text: &str) -> Result<Matrices> {
        match text {
            "early" => Ok(Matrices::Early),
            "late" => Ok(Matrices::Late),
            _ => Err(Error::input(format!("matrix operations are not {text:?}"))
                .mend("give early or late")),
        }
    }
}

/// [`Schedule`] as the library takes it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct RawSchedule {
    order: u32,
    late_copies: u32,
    late_matrices: u32,
    seed: u64,
}

impl From<Schedule> for RawSchedule {
    fn from(schedule: Schedule) -> Self {
        let (order, seed) = match schedule.order {
            Order::Forward => (0, 0),
            Order::Reverse => (1, 0),
            Order::Random(seed) => (2, seed),
        };
        RawSchedule {
            order,
            late_copies: u32::from(schedule.copies == Copies::Late),
            late_matrices: u32::from(schedule.matrices == Matrices::Late),
            seed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules_are_read_from_words() {
        assert_eq!("rand:7".parse::<Order>().unwrap(), Order::Random(7));
        assert_eq!("rev".parse::<Order>().unwrap(), Order::Reverse);
        assert_eq!("late".parse::<Copies>().unwrap(), Copies::Late);
        assert_eq!("early".parse::<Matrices>().unwrap(), Matrices::Early);
        for wrong in ["", "rand", "rand:", "rand:-1", "fwd:1", "forward"] {
            assert!(wrong.parse::<Order>().is_err(), "{wrong}");
        }
        assert!("later".parse::<Copies>().is_err() && "".parse::<Matrices>().is_err());
        for all in [Schedule::all(), Schedule::seeded(5)] {
            assert_eq!(all.len(), 12);
            assert!(all.iter().enumerate().all(|(i, s)| !all[..i].contains(s)));
        }
        assert_eq!(Schedule::all()[0], Schedule::default());
    }
}
