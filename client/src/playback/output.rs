//! The files that a command is to write, checked before it begins, so that a wrong place is told before anybody's
//! telephone rings. Nothing in them changes by that: they are emptied when there is something to write.

use std::{
    fs::{self, File, FileType, Metadata, OpenOptions},
    io,
    path::{Path, PathBuf},
};

/// A file that an option names.
#[derive(Debug, Clone)]
pub struct Named {
    /// The option, as a person types it.
    pub option: &'static str,
    /// The file.
    pub path: PathBuf,
}

impl Named {
    /// The file `path` of `option`.
    pub fn new(option: &'static str, path: &Path) -> Self {
        Self { option, path: path.to_owned() }
    }
}

/// Why a file is not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system does not allow it.
    #[error(
        "cannot write {option} to {}: {source}. Check that the folder exists, is writable and has room",
        path.display()
    )]
    Unwritable {
        /// Whose file.
        option: &'static str,
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is a pipe or a socket, which could keep the call waiting.
    #[error("cannot write {option} to {}: it is a pipe or a socket. Name a file", path.display())]
    NoFile {
        /// Whose file.
        option: &'static str,
        /// Which.
        path: PathBuf,
    },
    /// Another option names the same file.
    #[error(
        "{option} and {other} name the same file, {}: it would be overwritten. Choose another place for {option}",
        path.display()
    )]
    Same {
        /// Whose output.
        option: &'static str,
        /// Who reads or writes it too.
        other: &'static str,
        /// Which file, as `option` names it.
        path: PathBuf,
    },
}

/// Checks that `outputs` can be written, and that each is a file of its own and none of `inputs`, however it is named:
/// links are followed. Leaves everything as it was: a file that exists is not changed, one that does not is made and
/// removed again. Devices, such as `/dev/null`, may serve several outputs. Inputs that cannot be looked at are left out,
/// since whoever reads them will tell.
///
/// # Errors
///
/// Any [`Error`], with every file as it was.
pub fn check(inputs: &[Named], outputs: &[Named]) -> Result<(), Error> {
    let mut seen = Vec::new();
    for Named { option, path } in inputs {
        if let Ok(about) = fs::metadata(path)
            && let Ok(Some(identity)) = identity(path, &about)
        {
            seen.push((*option, identity));
        }
    }
    let mut made = Made(Vec::new());
    for Named { option, path } in outputs {
        let about = made.open(path).map_err(|source| match source {
            Refusal::NoFile => Error::NoFile { option, path: path.clone() },
            Refusal::Io(source) => Error::Unwritable { option, path: path.clone(), source },
        })?;
        let identity = identity(path, &about).map_err(|source| {
            let path = path.clone();
            Error::Unwritable { option, path, source }
        })?;
        let Some(identity) = identity else { continue };
        if let Some((other, _)) = seen.iter().find(|(_, taken)| *taken == identity) {
            return Err(Error::Same { option, other, path: path.clone() });
        }
        seen.push((option, identity));
    }
    Ok(())
}

/// Files that were made to see whether they can be; removed again at the end.
struct Made(Vec<PathBuf>);

enum Refusal {
    NoFile,
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Made {
    /// Opens a file for writing without changing what is in it, and answers what it is.
    fn open(&mut self, path: &Path) -> Result<Metadata, Refusal> {
        let before = fs::metadata(path);
        if before.as_ref().is_ok_and(|about| waits(about.file_type())) {
            // Opening it would wait for somebody at the other end.
            return Err(Refusal::NoFile);
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        if before.is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            // What is removed is the file, not a link that led there.
            self.0.push(fs::canonicalize(path)?);
        }
        Ok(file.metadata()?)
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for path in &self.0 {
            // Somebody else may have written to it meanwhile.
            if fs::metadata(path).is_ok_and(|about| about.len() == 0) {
                // An empty file that stays does no harm.
                let _ = fs::remove_file(path);
            }
        }
    }
}

/// Whether opening such a thing waits for somebody else.
#[cfg(unix)]
fn waits(kind: FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    kind.is_fifo() || kind.is_socket()
}

#[cfg(not(unix))]
fn waits(_kind: FileType) -> bool {
    false
}

/// What tells a file from every other, by whatever name; `None` for what is not a file.
#[cfg(unix)]
fn identity(_path: &Path, about: &Metadata) -> io::Result<Option<(u64, u64)>> {
    use std::os::unix::fs::MetadataExt;
    Ok(about.is_file().then(|| (about.dev(), about.ino())))
}

#[cfg(not(unix))]
fn identity(path: &Path, about: &Metadata) -> io::Result<Option<PathBuf>> {
    if about.is_file() { fs::canonicalize(path).map(Some) } else { Ok(None) }
}

/// Empties the file at `path`, or makes it, for what is to be written.
///
/// # Errors
///
/// Whatever the system says.
pub fn begin(path: &Path) -> io::Result<File> {
    File::create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    #[test]
    fn checking_changes_nothing_and_leaves_nothing_behind() {
        let folder = folder();
        let (old, new) = (folder.path().join("old.json"), folder.path().join("new.json"));
        fs::write(&old, "precious").expect("written");
        let missing = folder.path().join("missing/new.json");
        let report = |path: &Path| Named::new("--report", path);
        let stats = |path: &Path| Named::new("--stats", path);
        check(&[], &[report(&old), stats(&new)]).expect("both can be written");
        let refused = check(&[], &[report(&old), stats(&new), report(&missing)]).expect_err("no folder").to_string();
        assert!(refused.contains("--report") && refused.contains("Check that the folder exists"), "{refused}");
        assert_eq!(fs::read(&old).expect("still there"), b"precious");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "something was left");
    }

    #[cfg(unix)]
    #[test]
    fn the_same_file_is_found_under_every_name() {
        use std::os::unix::fs::symlink;
        let folder = folder();
        let place = |name: &str| folder.path().join(name);
        fs::write(place("clip.y4m"), "precious").expect("written");
        symlink(place("clip.y4m"), place("link")).expect("a link");
        fs::hard_link(place("clip.y4m"), place("hard")).expect("a hard link");
        symlink(place("new"), place("dangling")).expect("a link");
        let clip = Named::new("--video", &place("clip.y4m"));
        for name in ["clip.y4m", "./clip.y4m", "link", "hard"] {
            let output = Named::new("--record-video", &place(name));
            let refused = check(std::slice::from_ref(&clip), &[output]).expect_err("the same").to_string();
            assert!(refused.starts_with("--record-video and --video name the same file"), "{refused}");
        }
        // Neither is there yet.
        let outputs = [Named::new("--stats", &place("new")), Named::new("--report", &place("./dangling"))];
        let refused = check(&[clip], &outputs).expect_err("the same").to_string();
        assert!(refused.starts_with("--report and --stats name the same file"), "{refused}");
        assert_eq!(fs::read(place("clip.y4m")).expect("still there"), b"precious");
        assert!(!place("new").exists() && place("dangling").is_symlink());
        let null = |option| Named::new(option, Path::new("/dev/null"));
        check(&[], &[null("--stats"), null("--report")]).expect("a device takes everything");
    }
}
