//! The directory of a store: that only one process uses it, whose it is, and how files are made in it.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

#[cfg(unix)]
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::error::StoreError;

/// The file that tells people which process has the store open. It is locked itself only if a directory cannot be locked.
pub(super) const LOCK: &str = "lock";

/// A directory to which only this process writes, until this value is dropped.
pub(super) struct Directory {
    path: PathBuf,
    identity: Identity,
    /// The user and the group that everything in it is given to, if they are not those of this process.
    #[cfg(unix)]
    owner: Option<(u32, u32)>,
    /// The handle through which its files are opened. If the directory is moved, nothing is written into another one in its place.
    #[cfg(unix)]
    handle: File,
    /// The directory itself, or the file `lock` in it.
    _locked: File,
}

/// Identifies a file independently of its name. This is possible on Unix only.
#[cfg(unix)]
pub(super) type Identity = (u64, u64);
#[cfg(not(unix))]
pub(super) type Identity = ();

pub(super) fn identity(metadata: &Metadata) -> Identity {
    #[cfg(unix)]
    return (std::os::unix::fs::MetadataExt::dev(metadata), std::os::unix::fs::MetadataExt::ino(metadata));
    #[cfg(not(unix))]
    let _ = metadata;
}

/// Checks that a name still belongs to this file, and that the file was not removed, moved or replaced.
///
/// # Errors
/// Returns an error that says what has happened, and what to do.
pub(super) fn check_in_place(path: &Path, identity: Identity) -> io::Result<()> {
    let gone = || {
        io::Error::other(format!(
            "{} was removed, moved or replaced while the store was open: put it back, or restart the application",
            path.display()
        ))
    };
    match fs::symlink_metadata(path) {
        Ok(metadata) if self::identity(&metadata) == identity => Ok(()),
        Ok(_) => Err(gone()),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Err(gone()),
            _ => Err(io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
        },
    }
}

impl Directory {
    /// Locks the directory, and makes it if it does not exist.
    ///
    /// # Errors
    /// Returns an error if another process uses it, or if it cannot be made or locked.
    pub(super) fn take(path: &Path) -> Result<Directory, StoreError> {
        let made = make_dir(path).and_then(|()| path.canonicalize());
        let path = made.map_err(|error| failed(path, "the directory cannot be made", &error))?;
        let cannot = |error: io::Error| failed(&path, "its lock cannot be taken", &error);
        #[cfg(unix)]
        let handle = File::open(&path).map_err(cannot)?;
        #[cfg(unix)]
        let (metadata, to_lock) = (handle.metadata().map_err(cannot)?, Some(&handle));
        #[cfg(not(unix))]
        let (metadata, to_lock) = (fs::metadata(&path).map_err(cannot)?, None);
        let locked = lock(&path, to_lock).map_err(cannot)?.ok_or_else(|| in_use(&path))?;
        let directory = Directory {
            identity: identity(&metadata),
            #[cfg(unix)]
            owner: other_owner(&metadata),
            #[cfg(unix)]
            handle,
            _locked: locked,
            path: path.clone(),
        };
        directory.check_in_place().map_err(cannot)?;
        directory.sign().map_err(cannot)?;
        #[cfg(unix)]
        warn_of_others(&path, &metadata);
        Ok(directory)
    }

    /// Writes into the file `lock` which process has the store open.
    fn sign(&self) -> io::Result<()> {
        let mut lock = match self.create(LOCK) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.open(LOCK)?,
            lock => lock?,
        };
        // it is only for people, so a failure is no reason not to open the store
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", this_process()));
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens an existing file of the store for writing.
    pub(super) fn open(&self, name: &str) -> io::Result<File> {
        self.private(name, self.open_with(name, false))
    }

    /// Makes a file of the store, which must not exist.
    pub(super) fn create(&self, name: &str) -> io::Result<File> {
        self.private(name, self.open_with(name, true))
    }

    fn private(&self, name: &str, file: io::Result<File>) -> io::Result<File> {
        let file = file.map_err(|error| if is_link(&error) { planted(name) } else { error })?;
        #[cfg(unix)]
        self.keep_private(name, &file)?;
        Ok(file)
    }

    /// Opens a file, but never through a link.
    #[cfg(unix)]
    fn open_with(&self, name: &str, is_new: bool) -> io::Result<File> {
        let new = if is_new { OFlags::CREATE | OFlags::EXCL } else { OFlags::empty() };
        let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | new;
        Ok(rustix::fs::openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR)?.into())
    }

    #[cfg(not(unix))]
    fn open_with(&self, name: &str, is_new: bool) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(is_new).open(self.join(name))
    }

    /// Removes a file of the store, if it exists.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        #[cfg(unix)]
        let removed = rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()).map_err(io::Error::from);
        #[cfg(not(unix))]
        let removed = fs::remove_file(self.join(name));
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Replaces a file of the store by another one.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        #[cfg(unix)]
        return Ok(rustix::fs::renameat(&self.handle, from, &self.handle, to)?);
        #[cfg(not(unix))]
        fs::rename(self.join(from), self.join(to))
    }

    /// Gives a file to the owner of the directory, and closes it to all others. Not every file system can do that.
    #[cfg(unix)]
    fn keep_private(&self, name: &str, file: &File) -> io::Result<()> {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, fchown};
        let metadata = file.metadata()?;
        // a file that has another name elsewhere must not be changed, least of all by root
        if !metadata.is_file() || metadata.nlink() > 1 {
            return Err(planted(name));
        }
        if let Some((user, group)) = self.owner.filter(|(user, _)| *user != metadata.uid())
            && let Err(error) = fchown(file, Some(user), Some(group))
        {
            tracing::warn!(target: "cloakroom", %error, path = %self.join(name).display(),
                "a file cannot be given to the owner of its directory, user {user}");
        }
        if metadata.mode() & 0o077 != 0 {
            // if the file system cannot do this, only the mode of the directory keeps others out
            let _ = file.set_permissions(fs::Permissions::from_mode(0o600));
        }
        Ok(())
    }

    /// Makes a directory inside this one.
    pub(super) fn make(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.join(name);
        make_dir(&path)?;
        #[cfg(unix)]
        if let Some((user, group)) = self.owner {
            // if this is not possible, the log says so for each file in it
            let _ = std::os::unix::fs::lchown(&path, Some(user), Some(group));
        }
        Ok(path)
    }

    /// Copies a file of the store, if it exists, into a directory that was [made](Directory::make) in the store's.
    pub(super) fn copy(&self, name: &str, into: &str) -> io::Result<()> {
        match File::open(self.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            from => io::copy(&mut from?, &mut self.create(&format!("{into}/{name}"))?).map(|_| ()),
        }
    }

    /// Checks that the directory is still where it was when it was opened.
    pub(super) fn check_in_place(&self) -> io::Result<()> {
        check_in_place(&self.path, self.identity)
    }

    /// Syncs the names in the directory to the disk. It is opened by its own name, because without that name nobody finds the files.
    pub(super) fn sync(&self) -> io::Result<()> {
        // on other systems a directory cannot be opened as a file, and does not have to be synced
        if cfg!(unix) { File::open(&self.path)?.sync_all() } else { Ok(()) }
    }
}

/// Returns true if a file was not opened because its name is a link.
fn is_link(error: &io::Error) -> bool {
    cfg!(unix) && error.raw_os_error() == Some(LINK)
}

#[cfg(unix)]
const LINK: i32 = rustix::io::Errno::LOOP.raw_os_error();
#[cfg(not(unix))]
const LINK: i32 = 0;

fn planted(name: &str) -> io::Error {
    io::Error::other(format!(
        "{name} is not a file of the store, but a link or something else that somebody has put there. Nothing was written \
         to it. Remove it, and make sure that nobody else may write to the directory"
    ))
}

fn make_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Locks the directory for this process. Returns `None` if another process has locked it.
///
/// The directory itself is locked, because a file in it can be removed, and then two processes would each have a lock.
fn lock(path: &Path, directory: Option<&File>) -> io::Result<Option<File>> {
    if let Some(directory) = directory {
        match directory.try_lock() {
            Ok(()) => return directory.try_clone().map(Some),
            Err(TryLockError::WouldBlock) => return Ok(None),
            // some file systems can only lock files
            Err(TryLockError::Error(_)) => {}
        }
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
    }
    let file = options.open(path.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Keeps every process from writing to the directory until the returned file is dropped. Writes nothing into it.
///
/// # Errors
/// Returns an error if a process uses the directory, or if it cannot be locked.
pub(super) fn lock_against_writers(path: &Path) -> Result<File, StoreError> {
    let file = File::open(if cfg!(unix) { path.to_owned() } else { path.join(LOCK) });
    let file = file.map_err(|error| failed(path, "its lock cannot be taken", &error))?;
    match file.try_lock_shared() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(in_use(path)),
        Err(TryLockError::Error(error)) => Err(failed(path, "its lock cannot be taken", &error)),
    }
}

fn in_use(path: &Path) -> StoreError {
    let store = format!("the session store in {}", path.display());
    if cfg!(unix) && File::open(path).is_ok_and(|directory| directory.try_lock_shared().is_ok()) {
        return StoreError::new(format!(
            "{store} is being moved by another process: wait until that process has ended"
        ));
    }
    let owner = fs::read_to_string(path.join(LOCK)).unwrap_or_default();
    let by = if owner.is_empty() { String::new() } else { format!(", {}", owner.trim_end()) };
    StoreError::new(format!(
        "{store} is in use by another process{by}. Only one process at a time can use it: stop the other process first, or use \
         another directory"
    ))
}

/// Returns what other processes are told about this one. In a container the number of a process is not the number that is seen from
/// outside, but the name of the host is the container's.
fn this_process() -> String {
    let number = std::process::id();
    #[cfg(unix)]
    return format!(
        "process {number} on host {} (if that is a container, it is the number inside the container)",
        rustix::system::uname().nodename().to_string_lossy()
    );
    #[cfg(not(unix))]
    format!("process {number}")
}

/// Returns the user and the group to whom root gives the files that it writes, because they have to read them afterwards.
#[cfg(unix)]
fn other_owner(metadata: &Metadata) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    let is_others = rustix::process::geteuid().is_root() && metadata.uid() != 0;
    is_others.then(|| (metadata.uid(), metadata.gid()))
}

#[cfg(unix)]
fn warn_of_others(path: &Path, metadata: &Metadata) {
    use std::os::unix::fs::MetadataExt as _;
    let (path, mode, owner) = (path.display(), metadata.mode() & 0o7777, metadata.uid());
    if mode & 0o077 != 0 {
        tracing::warn!(target: "cloakroom", %path, mode = format!("{mode:o}"),
            "the directory of the session store is open to other users of this machine: chmod 700 closes it");
    }
    let user = rustix::process::geteuid();
    if owner != user.as_raw() && owner != 0 && !user.is_root() {
        tracing::warn!(target: "cloakroom", %path, owner, user = user.as_raw(),
            "the directory of the session store belongs to another user, who can read and change all sessions: use a \
             directory of this process's own user");
    }
}

/// Makes the error of a directory: what could not be done, why, and whose rights are missing if that is the reason.
pub(super) fn failed(dir: &Path, what: &str, error: &io::Error) -> StoreError {
    let rights = match error.kind() {
        #[cfg(unix)]
        io::ErrorKind::PermissionDenied => format!(". {}", missing_rights(dir)),
        _ => String::new(),
    };
    StoreError::new(format!("the session store in {}: {what}: {error}{rights}", dir.display()))
}

/// Returns which user may use this directory.
#[cfg(unix)]
pub(super) fn missing_rights(dir: &Path) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let user = rustix::process::geteuid().as_raw();
    let Ok(owner) = fs::metadata(dir).map(|metadata| metadata.uid()) else {
        return format!("This process runs as user {user}, who may not read that directory");
    };
    if owner != user {
        return format!(
            "The directory belongs to user {owner}, and this process runs as user {user}: run it as that user \
             (sudo -u '#{owner}' ...)"
        );
    }
    let is_others = |entry: &fs::DirEntry| entry.metadata().is_ok_and(|metadata| metadata.uid() != user);
    match fs::read_dir(dir).ok().and_then(|entries| entries.flatten().find(is_others)) {
        Some(entry) => format!(
            "{} in it belongs to another user: sudo chown -R {user} '{}'",
            entry.file_name().display(),
            dir.display()
        ),
        None => format!("This process runs as user {user}"),
    }
}
