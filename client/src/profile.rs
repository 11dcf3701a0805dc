//! A person's folder on this machine: which relay, who they are there, and this device's key.
//!
//! ```text
//! profile/profile.toml   the relay's link (pinned, without invite), name, account key, device name
//! profile/profile.new    the same while a join is under way, or after one that was interrupted
//! profile/device.key     this device's private key, PKCS #8, readable by its owner only
//! ```
//!
//! Joining writes `profile.new` and then `device.key`, both down to the disk, before the relay hears of the device;
//! once it is registered there is only a rename left. So a full disk costs no invite, and after a crash the relay can be
//! asked whether the key that is kept here is registered.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use visavis_proto::{hex, ids::AccountKey, wire::link::Link};

use crate::identity::{self, Key};

/// Why a profile could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none yet.
    #[error(
        "there is no profile in {}: join a relay first (visavis join LINK --name YOU), or name another folder with \
         --profile",
        .0.display()
    )]
    Missing(PathBuf),
    /// There is one already.
    #[error(
        "{} holds the profile of {name} already: name another folder with --profile, or move this one away if it is no \
         longer needed",
        folder.display()
    )]
    Exists {
        /// Where.
        folder: PathBuf,
        /// Whose.
        name: String,
    },
    /// A join was interrupted before it was known whether the relay had registered the device.
    #[error(
        "joining was interrupted, and {} does not tell whether the relay has registered this device: join again with the \
         same link, name and password, which asks it (the same visavis join)",
        .0.display()
    )]
    Unfinished(PathBuf),
    /// Another process is joining there.
    #[error("another visavis join is under way in {}: let it end first, or name another folder with --profile", .0.display())]
    UnderWay(PathBuf),
    /// The system refused.
    #[error("cannot {action} {}: {source}. {}", path.display(), advice(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is not a profile.
    #[error("{} is damaged: {reason}. Restore it from a copy, or move the folder away and join again", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// An enrolled device.
#[derive(Debug)]
pub struct Profile {
    /// The relay, pinned.
    pub link: Link,
    /// The person's name there.
    pub name: String,
    /// Their account key.
    pub account: AccountKey,
    /// What this device is called.
    pub device_name: String,
    /// This device's key.
    pub device: Arc<Key>,
}

/// `profile.toml`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    relay: String,
    name: String,
    account_key: String,
    device_name: String,
}

impl Profile {
    /// Reads the profile of `folder`.
    ///
    /// # Errors
    ///
    /// Any [`Error`] but [`Error::Exists`].
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(PROFILE_FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let unfinished = folder.join(JOINING_FILE).exists();
                let folder = folder.to_owned();
                return Err(if unfinished { Error::Unfinished(folder) } else { Error::Missing(folder) });
            }
            other => other.map_err(|source| Error::Io { action: "read", path: path.clone(), source })?,
        };
        Self::parse(&text, path, load_key(&folder.join(KEY_FILE)))
    }

    fn parse(bytes: &[u8], path: PathBuf, device: Result<Key, Error>) -> Result<Self, Error> {
        let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
        let text = str::from_utf8(bytes).map_err(|error| damaged(format!("it is not text ({error})")))?;
        let file: File = toml::from_str(text).map_err(|error| damaged(error.message().to_owned()))?;
        let link = file.relay.parse().map_err(|error| damaged(format!("relay: {error}")))?;
        let account = hex::decode(&file.account_key).map(AccountKey);
        let account = account.ok_or_else(|| damaged("account_key: not 64 hexadecimal digits".into()))?;
        Ok(Self { link, name: file.name, account, device_name: file.device_name, device: Arc::new(device?) })
    }

    fn to_text(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(&File {
            relay: self.link.without_token().to_string(),
            name: self.name.clone(),
            account_key: self.account.to_hex(),
            device_name: self.device_name.clone(),
        })
    }

    /// Deletes the profile of a device that the relay no longer lets in.
    ///
    /// # Errors
    ///
    /// [`Error::Io`].
    pub fn delete(self, folder: &Path) -> Result<(), Error> {
        // The key last: without it the profile would count as damaged.
        for name in [PROFILE_FILE, KEY_FILE] {
            let path = folder.join(name);
            fs::remove_file(&path).map_err(|source| Error::Io { action: "delete", path, source })?;
        }
        Ok(())
    }
}

/// What a folder holds for somebody who wants to join.
#[derive(Debug)]
pub enum Place {
    /// Nothing; a profile can be written to it.
    Vacant,
    /// A join that was interrupted.
    Unfinished(Box<Joining>),
    /// A profile.
    Taken(Box<Profile>),
}

/// Looks, before anybody types a password, whether a profile can be written to `folder`. Leaves nothing behind.
///
/// # Errors
///
/// [`Error::Damaged`] if it holds the remains of a profile, [`Error::UnderWay`] if somebody is joining there,
/// [`Error::Io`] if it cannot be made or written to.
pub fn inspect(folder: &Path) -> Result<Place, Error> {
    if let Some(joining) = Joining::find(folder)? {
        return Ok(Place::Unfinished(Box::new(joining)));
    }
    match Profile::load(folder) {
        Ok(profile) => return Ok(Place::Taken(Box::new(profile))),
        Err(Error::Missing(_)) if folder.join(KEY_FILE).exists() => {
            let reason = format!("it is missing beside {KEY_FILE}");
            return Err(Error::Damaged { path: folder.join(PROFILE_FILE), reason });
        }
        // The attempt to write says better what is wrong with the folder.
        Err(Error::Missing(_)) => {}
        Err(Error::Io { .. }) if !folder.join(PROFILE_FILE).exists() => {}
        // What is damaged may still be repaired, so it is not written over.
        Err(error) => return Err(error),
    }
    let probe = Traces { folders: make_folders(folder)?, files: vec![folder.join(".probe")] };
    // As much as a profile needs, so that a full disk is noticed.
    fs::File::create(&probe.files[0])
        .and_then(|mut file| file.write_all(&[0; 4_096]).and_then(|()| file.sync_all()))
        .map_err(|source| Error::Io { action: "write to", path: folder.to_owned(), source })?;
    Ok(Place::Vacant)
}

/// A profile that is on the disk in full, but does not count until the relay has registered its device. Dropping it
/// takes it back.
#[derive(Debug)]
pub struct Joining {
    /// What it will be.
    pub profile: Profile,
    folder: PathBuf,
    traces: Traces,
    /// Locked for as long as this lives, so that nobody else joins in the same folder.
    _file: fs::File,
}

impl Joining {
    /// Writes all of `profile` to `folder`, down to the disk. A profile there stays as it is until [`Self::commit`].
    ///
    /// # Errors
    ///
    /// [`Error::Io`], [`Error::UnderWay`]; the folder is then as it was.
    pub fn begin(folder: &Path, profile: Profile) -> Result<Self, Error> {
        let path = folder.join(JOINING_FILE);
        let text =
            profile.to_text().map_err(|error| Error::Damaged { path: path.clone(), reason: error.to_string() })?;
        let mut traces = Traces { folders: make_folders(folder)?, files: Vec::new() };
        let mut file = match create_private(&path) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::UnderWay(folder.to_owned()));
            }
            other => other?,
        };
        traces.files.push(path.clone());
        lock(&file, folder)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|source| Error::Io { action: "write", path, source })?;
        // Second, so that a key never stands without the word that it is not registered yet. A device that joins again
        // has its key already.
        let key = folder.join(KEY_FILE);
        if !key.exists() {
            traces.files.push(key.clone());
            write_private(&key, profile.device.pkcs8())?;
        }
        sync_folder(folder)?;
        Ok(Self { profile, folder: folder.to_owned(), traces, _file: file })
    }

    /// What an interrupted join left, if it went as far as the relay. What it left before that is taken away.
    fn find(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(JOINING_FILE);
        // Whatever else is wrong with the folder is found out by who writes to it.
        let Ok(mut file) = fs::File::open(&path) else { return Ok(None) };
        lock(&file, folder)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text).map_err(|source| Error::Io { action: "read", path: path.clone(), source })?;
        let mut files = vec![path.clone()];
        if !folder.join(PROFILE_FILE).exists() {
            files.push(folder.join(KEY_FILE));
        }
        let traces = Traces { folders: Vec::new(), files };
        match Profile::parse(&text, path, load_key(&folder.join(KEY_FILE))) {
            Ok(profile) => Ok(Some(Self { profile, folder: folder.to_owned(), traces, _file: file })),
            // Written in part only: the relay has never heard of it.
            Err(Error::Damaged { .. }) => Ok(None),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                traces.keep();
                Err(error)
            }
        }
    }

    /// The device is registered: from now on this is the folder's profile.
    ///
    /// # Errors
    ///
    /// [`Error::Io`]; the join can then be finished by another one.
    pub fn commit(self) -> Result<Profile, Error> {
        self.traces.keep();
        let path = self.folder.join(PROFILE_FILE);
        fs::rename(self.folder.join(JOINING_FILE), &path).map_err(|source| Error::Io {
            action: "write",
            path,
            source,
        })?;
        sync_folder(&self.folder)?;
        Ok(self.profile)
    }

    /// Whether the device is registered is not known: another join finds out.
    pub fn keep(self) {
        self.traces.keep();
    }
}

/// Files and folders that are removed again when this is dropped.
#[derive(Debug)]
struct Traces {
    /// Outermost first. Those that somebody has put something in stay.
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

impl Traces {
    fn keep(mut self) {
        self.folders.clear();
        self.files.clear();
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        // Last come, first gone: a key never stands alone. What cannot be removed cannot be helped here.
        for file in self.files.iter().rev() {
            let _ = fs::remove_file(file);
        }
        for folder in self.folders.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Where the profile lies unless `--profile` says otherwise.
pub fn default_folder() -> PathBuf {
    let from = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    from("XDG_CONFIG_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".config")))
        .or_else(|| from("APPDATA"))
        .unwrap_or_else(|| PathBuf::from("."))
        .join("visavis")
}

const PROFILE_FILE: &str = "profile.toml";
const KEY_FILE: &str = "device.key";
const JOINING_FILE: &str = "profile.new";

/// What to do about the system's refusal.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "Free some space there, or name another folder with --profile, and try again"
        }
        io::ErrorKind::ReadOnlyFilesystem => "Nothing can be written there: name another folder with --profile",
        _ => "Check that the folder exists and belongs to you, or name another one with --profile",
    }
}

/// Makes the folder of a profile, and what it lies in, where it is not there.
///
/// # Errors
///
/// [`Error::Io`].
pub fn make_folder(folder: &Path) -> Result<(), Error> {
    make_folders(folder).map(drop)
}

/// Makes `folder` and what it lies in; answers those that were not there, outermost first.
fn make_folders(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut made: Vec<PathBuf> = folder
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
        .map(Path::to_owned)
        .collect();
    made.reverse();
    let traces = Traces { folders: made.clone(), files: Vec::new() };
    fs::create_dir_all(folder).map_err(|source| Error::Io { action: "make", path: folder.to_owned(), source })?;
    traces.keep();
    Ok(made)
}

fn lock(file: &fs::File, folder: &Path) -> Result<(), Error> {
    match file.try_lock() {
        Err(fs::TryLockError::WouldBlock) => Err(Error::UnderWay(folder.to_owned())),
        // Some network folders have no locks.
        Ok(()) | Err(fs::TryLockError::Error(_)) => Ok(()),
    }
}

/// A new name in a folder survives a power cut only once the folder itself has been written.
fn sync_folder(folder: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| Error::Io {
        action: "write to",
        path: folder.to_owned(),
        source,
    })?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

fn load_key(path: &Path) -> Result<Key, Error> {
    let bytes = fs::read(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
    Key::from_pkcs8(&bytes)
        .map_err(|error: identity::Error| Error::Damaged { path: path.to_owned(), reason: error.to_string() })
}

/// A new file that only its owner can read.
fn create_private(path: &Path) -> Result<fs::File, Error> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|source| Error::Io { action: "write", path: path.to_owned(), source })
}

/// Writes a new file down to the disk.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = create_private(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(|source| Error::Io {
        action: "write",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        Profile {
            link: "visavis://h:1/#&t=00112233445566778899aabbccddeeff".parse().expect("link"),
            name: "alice".into(),
            account: AccountKey([7; 32]),
            device_name: "laptop".into(),
            device: Arc::new(Key::generate().expect("randomness")),
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .expect("folder")
            .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_was_committed_is_loaded_and_damage_is_named() {
        let parent = tempfile::tempdir().expect("temporary folder");
        let folder = parent.path().join("a/b");
        assert!(matches!(Profile::load(&folder), Err(Error::Missing(_))));
        assert!(matches!(inspect(&folder), Ok(Place::Vacant)));
        assert!(names(parent.path()).is_empty(), "looking leaves nothing behind");
        let profile = profile();
        let public = profile.device.public();
        Joining::begin(&folder, profile).expect("written").commit().expect("renamed");
        assert_eq!(names(&folder), [KEY_FILE, PROFILE_FILE]);
        let loaded = Profile::load(&folder).expect("loaded");
        assert_eq!(
            (loaded.name.as_str(), loaded.account, loaded.device.public()),
            ("alice", AccountKey([7; 32]), public)
        );
        assert_eq!(loaded.link.token, None, "an invite is used once and not kept");
        assert!(matches!(inspect(&folder), Ok(Place::Taken(_))));
        for (name, damage) in
            [(KEY_FILE, &b"x"[..]), (PROFILE_FILE, b"name = 3"), (PROFILE_FILE, &[0xff, 0xfe]), (PROFILE_FILE, b"")]
        {
            let path = folder.join(name);
            let whole = fs::read(&path).expect("there");
            fs::write(&path, damage).expect("written");
            assert!(matches!(Profile::load(&folder), Err(Error::Damaged { .. })), "{name}");
            assert!(matches!(inspect(&folder), Err(Error::Damaged { .. })), "{name}");
            fs::write(&path, whole).expect("written");
        }
        loaded.delete(&folder).expect("deleted");
        assert!(matches!(inspect(&folder), Ok(Place::Vacant)));
    }

    #[test]
    fn a_join_that_fails_leaves_nothing_and_one_that_is_interrupted_all() {
        let parent = tempfile::tempdir().expect("temporary folder");
        let folder = parent.path().join("a/b");
        let joining = Joining::begin(&folder, profile()).expect("written");
        assert!(matches!(inspect(&folder), Err(Error::UnderWay(_))), "two at a time");
        drop(joining);
        assert!(names(parent.path()).is_empty());

        let began = profile();
        let public = began.device.public();
        Joining::begin(&folder, began).expect("written").keep();
        assert!(matches!(Profile::load(&folder), Err(Error::Unfinished(_))));
        let Ok(Place::Unfinished(joining)) = inspect(&folder) else { panic!("forgotten") };
        joining.commit().expect("renamed");
        assert_eq!(Profile::load(&folder).expect("loaded").device.public(), public);

        // A device that joins again keeps its profile if that fails.
        let again = Profile::load(&folder).expect("loaded");
        drop(Joining::begin(&folder, again).expect("written"));
        assert_eq!(names(&folder), [KEY_FILE, PROFILE_FILE]);
        Joining::begin(&folder, Profile::load(&folder).expect("loaded")).expect("written").keep();
        let Ok(Place::Unfinished(joining)) = inspect(&folder) else { panic!("forgotten") };
        drop(joining);
        assert_eq!(Profile::load(&folder).expect("loaded").device.public(), public);
    }

    #[test]
    fn what_was_cut_off_before_the_relay_heard_of_it_is_taken_away() {
        let parent = tempfile::tempdir().expect("temporary folder");
        let folder = parent.path();
        for (torn, length) in [(JOINING_FILE, 0), (JOINING_FILE, 30), (KEY_FILE, 0), (KEY_FILE, 30)] {
            Joining::begin(folder, profile()).expect("written").keep();
            let path = folder.join(torn);
            let whole = fs::read(&path).expect("there");
            fs::write(&path, &whole[..length]).expect("written");
            assert!(matches!(inspect(folder), Ok(Place::Vacant)), "{torn}, {length}");
            assert!(names(folder).is_empty(), "{torn}, {length}");
        }
    }
}
