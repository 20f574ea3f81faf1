//! `cloakroom export`: all sessions, one line of JSON for each.

use std::io::{BufWriter, Write as _};

use clap::Args;
use cloakroom::store::operate::Save as _;

use crate::failure::Failure;
use crate::fill::LifetimeFlags;
use crate::opened::Opened;
use crate::pace::ScanFlags;
use crate::store_flags::StoreFlags;
use crate::survey::Survey;
use crate::terminal::{self, Many};

/// The lines contain everything in the sessions, and the hashes of their secrets. A hash opens no session, but with plain tokens the
/// ids do. If you keep the lines in a file, encrypt it.
#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    lifetime: LifetimeFlags,
    #[command(flatten)]
    scan: ScanFlags,
    #[command(flatten)]
    store: StoreFlags,
}

/// Prints the sessions on stdout, and their number on stderr.
///
/// # Errors
/// Returns an error if the store is not available. The lines that were printed before are complete.
pub(crate) async fn run(mut flags: Flags) -> Result<(), Failure> {
    flags.store.redis.be_patient();
    let opened = flags.lifetime.applied_to(Opened::to_look(&flags.store).await?);
    let mut survey = Survey::with_bar(&opened, &flags.scan).await;
    let mut stdout = BufWriter::new(std::io::stdout().lock());
    let mut exported = 0;
    while let Some(ids) = survey.ids().await? {
        for saved in opened.store.save(&ids, &opened.terms).await?.into_iter().flatten() {
            writeln!(stdout, "{}", saved.to_json())?;
            exported += 1;
        }
        stdout.flush()?;
    }
    survey.finish();
    survey.remark_on_others();
    terminal::remark(format_args!("exported {}", Many(exported, "session")));
    Ok(())
}
