//! `cloakroom key`: makes, lists and removes the API keys of the service.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::failure::Failure;
use crate::serve::keys::{self, Key, KeysFile, Rights};
use crate::terminal::{self, AnswerFlags, Many};
use crate::times;

#[derive(Args)]
pub(crate) struct Flags {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Make a key and print it. It cannot be shown again, because the file has only its hash.
    New(NewFlags),
    /// List the keys, without the keys themselves.
    List(ListFlags),
    /// Remove a key, which is refused as soon as the service reads the file again.
    Remove(RemoveFlags),
}

#[derive(Args)]
struct NewFlags {
    #[command(flatten)]
    file: FileFlag,

    /// Which caller it is for. One name has at most two keys, so that the new one can replace the old one without a pause
    #[arg(long, value_name = "NAME")]
    name: String,

    /// What the caller may do
    #[arg(long, value_enum)]
    rights: Rights,

    #[command(flatten)]
    answer: AnswerFlags,
}

#[derive(Args)]
struct ListFlags {
    #[command(flatten)]
    file: FileFlag,

    #[command(flatten)]
    answer: AnswerFlags,
}

#[derive(Args)]
struct RemoveFlags {
    #[command(flatten)]
    file: FileFlag,

    /// Whose key to remove
    #[arg(long, value_name = "NAME")]
    name: String,

    /// Remove the older one of two keys
    #[arg(long, conflicts_with = "newer")]
    older: bool,

    /// Remove the newer one of two keys
    #[arg(long)]
    newer: bool,
}

#[derive(Args)]
struct FileFlag {
    /// The file with the hashes of the keys
    #[arg(long, value_name = "FILE")]
    keys: PathBuf,
}

/// Does one of the three.
///
/// # Errors
/// Returns an error if the file cannot be read or written, or if the name has too many keys or none.
pub(crate) fn run(flags: &Flags) -> Result<(), Failure> {
    match &flags.task {
        Task::New(flags) => new(flags),
        Task::List(flags) => list(flags),
        Task::Remove(flags) => remove(flags),
    }
}

fn new(flags: &NewFlags) -> Result<(), Failure> {
    let key = keys::change(&flags.file.keys, true, |file| file.add(&flags.name, flags.rights))?;
    if flags.answer.json {
        terminal::json(&json!({ "name": flags.name, "rights": flags.rights, "key": key.expose() }))?;
    } else {
        terminal::line(key.expose())?;
    }
    terminal::remark(format_args!(
        "this key is not shown again. It is valid when the service has read {} again, at its start or a SIGHUP",
        flags.file.keys.display()
    ));
    Ok(())
}

fn list(flags: &ListFlags) -> Result<(), Failure> {
    let file = KeysFile::read(&flags.file.keys)?;
    if flags.answer.json {
        return file.keys.iter().try_for_each(|key| {
            terminal::json(
                &json!({ "name": key.name, "rights": key.rights, "created_at": times::iso(key.created_at.into()) }),
            )
        });
    }
    let row =
        |key: &Key| vec![key.name.clone(), key.rights.name().to_owned(), times::to_the_second(key.created_at.into())];
    terminal::table(&["NAME", "RIGHTS", "CREATED"], &file.keys.iter().map(row).collect::<Vec<_>>())
}

fn remove(flags: &RemoveFlags) -> Result<(), Failure> {
    let left = keys::change(&flags.file.keys, false, |file| {
        let mut keys: Vec<_> = file.of(&flags.name).collect();
        keys.sort_by_key(|key| key.created_at);
        let hash = flags.which(&keys)?.hash;
        file.keys.retain(|key| key.hash != hash);
        Ok(file.of(&flags.name).count() as u64)
    })?;
    terminal::line(format_args!("removed; {} has {} left", flags.name, Many(left, "key")))
}

impl RemoveFlags {
    /// Chooses one of the keys that the name has, the older one first.
    fn which<'a>(&self, keys: &[&'a Key]) -> Result<&'a Key, Failure> {
        match (keys, self.older, self.newer) {
            ([], ..) => Err(Failure::not_found(format!("{} has no key", self.name))),
            ([only], false, false) | ([only, _], true, _) | ([_, only], _, true) => Ok(only),
            ([_], ..) => Err(Failure::failed(format!(
                "{} has only one key: to remove it, leave out --older and --newer",
                self.name
            ))),
            _ => Err(Failure::usage(format!(
                "{} has two keys: give --older or --newer to choose the one to remove",
                self.name
            ))),
        }
    }
}
