//! The cookie that a sound server expects from whoever connects.
//!
//! PulseAudio and PipeWire hang up on a client whose cookie is not [`LENGTH`] bytes long, even where they let everybody
//! of the same user in without looking at it. libpulse makes one when it finds none; cpal's PulseAudio host sends an
//! empty one, so that on a system where no program has used libpulse before nothing would be heard. So it is made here,
//! where libpulse would make it, unless one of the places that cpal's host looks at has one.

use std::{
    env,
    fs::{DirBuilder, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
};

/// Bytes of a cookie: `PA_NATIVE_COOKIE_LENGTH` of PulseAudio's protocol.
const LENGTH: usize = 256;

/// Makes a cookie if there is none. Without one bare devices are used, as on a system without a sound server.
pub fn provide() {
    if let Err(error) = make_missing(env::home_dir(), env::var_os("PULSE_COOKIE").map(PathBuf::from)) {
        tracing::warn!(%error, "the sound server's cookie cannot be written");
    }
}

fn make_missing(home: Option<PathBuf>, elsewhere: Option<PathBuf>) -> io::Result<()> {
    let Some(home) = home else { return Ok(()) };
    let folder = home.join(".config/pulse");
    let cookie = folder.join("cookie");
    if cookie.exists() || home.join(".pulse-cookie").exists() || elsewhere.is_some_and(|cookie| cookie.exists()) {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    // Whole or not at all: another program may look for it now.
    let written = folder.join(format!("cookie.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&written)?;
    file.write_all(&std::array::from_fn::<u8, LENGTH, _>(|_| rand::random()))?;
    std::fs::rename(written, cookie)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn one_is_made_where_there_is_none_and_no_other_is_touched() -> io::Result<()> {
        let home = tempfile::tempdir()?;
        let cookie = home.path().join(".config/pulse/cookie");
        make_missing(Some(home.path().to_owned()), None)?;
        let made = std::fs::read(&cookie)?;
        assert_eq!((made.len(), cookie.metadata()?.mode() & 0o777), (LENGTH, 0o600));
        make_missing(Some(home.path().to_owned()), None)?;
        assert_eq!(std::fs::read(&cookie)?, made);
        assert_eq!(std::fs::read_dir(home.path().join(".config/pulse"))?.count(), 1);
        Ok(())
    }

    #[test]
    fn a_cookie_elsewhere_is_enough() -> io::Result<()> {
        let home = tempfile::tempdir()?;
        let elsewhere = home.path().join("elsewhere");
        std::fs::write(&elsewhere, [1; LENGTH])?;
        make_missing(Some(home.path().to_owned()), Some(elsewhere))?;
        assert!(!home.path().join(".config").exists());
        make_missing(None, None)
    }
}
