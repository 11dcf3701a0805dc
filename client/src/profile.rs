//! A person's folder on this machine: which relay, who they are there, and this device's key.
//!
//! ```text
//! profile/profile.toml   the relay's link (pinned, without invite), name, account key, device name
//! profile/device.key     this device's private key, PKCS #8, readable by its owner only
//! ```

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use visavis_proto::{ids::AccountKey, wire::link::Link};

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
    #[error("{} holds the profile of {name} already: name another folder with --profile", folder.display())]
    Exists {
        /// Where.
        folder: PathBuf,
        /// Whose.
        name: String,
    },
    /// The system refused.
    #[error("cannot {action} {}: {source}. Check that the folder exists and belongs to you", path.display())]
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
    pub device: Key,
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
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::Missing(folder.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(Error::Damaged { path, reason: error.to_string() });
            }
            other => other.map_err(|source| Error::Io { action: "read", path: path.clone(), source })?,
        };
        let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
        let file: File = toml::from_str(&text).map_err(|error| damaged(error.message().to_owned()))?;
        let link = file.relay.parse().map_err(|error| damaged(format!("relay: {error}")))?;
        let account = parse_key(&file.account_key).ok_or_else(|| damaged("account_key: not 64 hex digits".into()))?;
        let device = load_key(&folder.join(KEY_FILE))?;
        Ok(Self { link, name: file.name, account, device_name: file.device_name, device })
    }

    /// Writes a new profile; `folder` must not hold one.
    ///
    /// # Errors
    ///
    /// [`Error::Exists`] or [`Error::Io`].
    pub fn save(&self, folder: &Path) -> Result<(), Error> {
        let file = File {
            relay: self.link.without_token().to_string(),
            name: self.name.clone(),
            account_key: self.account.to_hex(),
            device_name: self.device_name.clone(),
        };
        let path = folder.join(PROFILE_FILE);
        let text = toml::to_string(&file)
            .map_err(|error| Error::Damaged { path: path.clone(), reason: error.to_string() })?;
        write_private(&folder.join(KEY_FILE), self.device.pkcs8())?;
        write_private(&path, text.as_bytes())
    }
}

/// Checks before anybody types a password that a profile can be written to `folder`.
///
/// # Errors
///
/// [`Error::Exists`] if it holds one, [`Error::Damaged`] if it holds the remains of one, [`Error::Io`] if it cannot be made or written to.
pub fn prepare(folder: &Path) -> Result<(), Error> {
    match Profile::load(folder) {
        Ok(profile) => return Err(Error::Exists { folder: folder.to_owned(), name: profile.name }),
        Err(Error::Missing(_)) if folder.join(KEY_FILE).exists() => {
            let reason = format!("it is missing beside {KEY_FILE}");
            return Err(Error::Damaged { path: folder.join(PROFILE_FILE), reason });
        }
        Err(Error::Missing(_)) => {}
        // What is damaged may still be repaired, so it is not written over.
        Err(error @ Error::Damaged { .. }) => return Err(error),
        // The attempt to write says it better.
        Err(_) => {}
    }
    let io = |action| move |source| Error::Io { action, path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(io("make"))?;
    let probe = folder.join(".probe");
    fs::write(&probe, b"").and_then(|()| fs::remove_file(&probe)).map_err(io("write to"))
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

fn load_key(path: &Path) -> Result<Key, Error> {
    let bytes = fs::read(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
    Key::from_pkcs8(&bytes)
        .map_err(|error: identity::Error| Error::Damaged { path: path.to_owned(), reason: error.to_string() })
}

/// Writes beside and renames, so that a crash leaves the old file or the new one, readable by its owner only.
fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path))
        .map_err(|source| Error::Io { action: "write", path: path.to_owned(), source })
}

fn parse_key(digits: &str) -> Option<AccountKey> {
    let mut key = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(AccountKey(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded_and_damage_is_named() {
        let folder = tempfile::tempdir().expect("temporary folder");
        assert!(matches!(Profile::load(folder.path()), Err(Error::Missing(_))));
        prepare(folder.path()).expect("writable");
        let device = Key::generate().expect("randomness");
        let public = device.public();
        let link = "visavis://h:1/#&t=00112233445566778899aabbccddeeff".parse().expect("link");
        let profile = Profile {
            link,
            name: "alice".into(),
            account: AccountKey([7; 32]),
            device_name: "laptop".into(),
            device,
        };
        profile.save(folder.path()).expect("saved");
        let loaded = Profile::load(folder.path()).expect("loaded");
        assert_eq!(
            (loaded.name.as_str(), loaded.account, loaded.device.public()),
            ("alice", AccountKey([7; 32]), public)
        );
        assert_eq!(loaded.link.token, None, "an invite is used once and not kept");
        assert!(matches!(prepare(folder.path()), Err(Error::Exists { .. })));
        fs::write(folder.path().join(KEY_FILE), b"x").expect("written");
        assert!(matches!(Profile::load(folder.path()), Err(Error::Damaged { .. })));
        fs::write(folder.path().join(PROFILE_FILE), "name = 3").expect("written");
        assert!(matches!(Profile::load(folder.path()), Err(Error::Damaged { .. })));
    }
}
