//! Why there is no figure.

/// What stood in the way of a measurement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The run is to end.
    #[error("interrupted")]
    Interrupted,
    /// It cannot be measured here or of this system.
    #[error("{0}")]
    NotRun(String),
    /// A tenant crashed or said something else than it should, or what was found is wrong.
    #[error("{0}")]
    Failed(String),
    /// A tenant said nothing for so long that it was killed.
    #[error("{0}")]
    Hung(String),
}

impl Failure {
    pub(crate) fn not_run(reason: impl Into<String>) -> Self {
        Self::NotRun(reason.into())
    }

    pub(crate) fn failed(reason: impl Into<String>) -> Self {
        Self::Failed(reason.into())
    }
}
