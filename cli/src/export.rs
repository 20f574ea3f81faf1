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

/// The lines hold all that the sessions hold, and the hashes of their secrets. A hash opens no session, but the rest is
/// confidential; with plain tokens the ids open them. Whoever keeps them in a file should encrypt it.
#[derive(Args)]
pub(crate) struct Flags {
    #[command(flatten)]
    lifetime: LifetimeFlags,
    #[command(flatten)]
    scan: ScanFlags,
    #[command(flatten)]
    store: StoreFlags,
}

/// Prints them on stdout, and on stderr how many they were.
///
/// # Errors
/// When the store is not available. What was printed until then is whole.
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
