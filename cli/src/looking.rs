//! The flags that every verb shares which looks into a store and answers, and how such a verb opens the store.

use clap::Args;

use crate::failure::Failure;
use crate::opened::Opened;
use crate::pace::ScanFlags;
use crate::store_flags::StoreFlags;
use crate::terminal::AnswerFlags;

/// How to answer, how fast to look, and into which store.
#[derive(Args)]
pub(crate) struct LookFlags {
    #[command(flatten)]
    pub(crate) answer: AnswerFlags,
    #[command(flatten)]
    pub(crate) scan: ScanFlags,
    #[command(flatten)]
    pub(crate) store: StoreFlags,
}

impl LookFlags {
    /// Opens the store to look at it.
    ///
    /// # Errors
    /// Returns an error if there is no store, or it is not available.
    pub(crate) async fn open(&self) -> Result<Opened, Failure> {
        Opened::to_look(&self.store).await
    }
}
