//! What goes wrong in a worker.

/// What went wrong in a worker, for people, with the driver's status if it was the driver's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What happened.
    pub(crate) message: String,
    /// The driver's own number for it.
    pub(crate) status: Option<u32>,
    /// What that number means, where a worker has to know.
    pub(crate) refusal: Option<Refusal>,
    /// Whether something is not there that would be needed, so that nothing went wrong.
    pub(crate) lacking: bool,
}

/// Refusals that programs are prepared for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no memory.
    OutOfMemory,
    /// A launch has a shape that the device cannot have.
    Shape,
}

impl Trouble {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            status: None,
            refusal: None,
            lacking: false,
        }
    }

    /// Something that is needed is not here.
    pub(crate) fn lacking(message: impl Into<String>) -> Self {
        Self {
            lacking: true,
            ..Self::new(message)
        }
    }

    /// A function of the driver refused.
    pub(crate) fn of(function: &str, name: &str, status: u32, refusal: Option<Refusal>) -> Self {
        Self {
            message: format!("{function} failed with {name} ({status})"),
            status: Some(status),
            refusal,
            lacking: false,
        }
    }

    /// Whether the driver refused memory.
    pub(crate) fn is_out_of_memory(&self) -> bool {
        self.refusal == Some(Refusal::OutOfMemory)
    }
}
