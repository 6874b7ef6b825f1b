//! How the program ends.

use std::process::ExitCode;

use shardback::error::{Error, NoCuda};

/// The exit codes; wrong usage that clap finds is 2 as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Done,
    Failed,
    WrongUsage,
    Interrupted,
}

impl Exit {
    /// The exit that an error leads to.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        match error.downcast_ref::<Error>() {
            Some(Error::Interrupted) => Self::Interrupted,
            Some(Error::Option { .. } | Error::Address { .. } | Error::NoCuda(NoCuda::NotBuilt)) => Self::WrongUsage,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::WrongUsage => 2,
            Exit::Interrupted => 130,
        })
    }
}
