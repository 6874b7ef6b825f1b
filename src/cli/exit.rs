//! How the program ends.

use shardback::error::{Error, NoCuda};

/// An argument of the command line itself that makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongArgument(pub(super) String);

/// The exit codes; wrong usage that clap finds is 2 as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Done,
    Failed,
    WrongUsage,
    Interrupted,
}

impl Exit {
    /// What the process exits with.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::WrongUsage => 2,
            Self::Interrupted => 130,
        }
    }

    /// The exit that an error leads to.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        if error.is::<WrongArgument>() {
            return Self::WrongUsage;
        }
        match error.downcast_ref::<Error>() {
            Some(Error::Interrupted) => Self::Interrupted,
            Some(Error::Option { .. } | Error::Address { .. } | Error::NoCuda(NoCuda::NotBuilt)) => Self::WrongUsage,
            _ => Self::Failed,
        }
    }
}
