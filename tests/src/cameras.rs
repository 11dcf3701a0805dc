//! A folder that stands in for a machine with cameras: what `v4l2-pretend` shows to a program that it is loaded into.

use std::{
    ffi::OsStr,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::Context;
use tempfile::TempDir;
use visavis_codec::Picture;

use crate::real::{binary, pretending_library};

/// A machine with cameras.
#[derive(Debug)]
pub struct Machine {
    folder: TempDir,
    library: PathBuf,
}

impl Machine {
    /// A machine without a camera.
    ///
    /// # Errors
    ///
    /// If programs or library have not been built, or there is no folder.
    pub fn new() -> anyhow::Result<Self> {
        let (folder, library) = (tempfile::tempdir()?, pretending_library("v4l2-pretend")?);
        let machine = Self { folder, library };
        fs::create_dir_all(machine.nodes())?;
        // In the place of the client's program, for whoever starts helpers by a path.
        let script = format!(
            "#!/bin/sh\nVISAVIS_PRETEND='{}' LD_PRELOAD='{}' exec '{}' \"$@\"\n",
            machine.folder.path().display(),
            machine.library.display(),
            binary("visavis")?.display(),
        );
        fs::write(machine.program(), script)?;
        fs::set_permissions(machine.program(), fs::Permissions::from_mode(0o755))?;
        Ok(machine)
    }

    /// The client's program on this machine.
    pub fn program(&self) -> PathBuf {
        self.folder.path().join("visavis")
    }

    /// Where its device nodes lie.
    pub fn nodes(&self) -> PathBuf {
        self.folder.path().join("dev")
    }

    /// What puts a process onto this machine.
    pub fn environment(&self) -> [(&str, &OsStr); 2] {
        [("VISAVIS_PRETEND", self.folder.path().as_os_str()), ("LD_PRELOAD", self.library.as_os_str())]
    }

    /// Plugs camera `number` in, which is called `Camera NUMBER`, or changes the one that is. The lines of the
    /// description are those of `v4l2-pretend`.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn plug(&self, number: u32, description: &str) -> anyhow::Result<()> {
        let name = format!("Camera {number}");
        let node = self.folder.path().join(format!("sys/class/video4linux/video{number}"));
        if !node.exists() {
            fs::create_dir_all(&node)?;
            fs::write(node.join("name"), format!("{name}\n"))?;
            fs::write(node.join("index"), "0\n")?;
            symlink(format!("../../../1-{number}:1.0"), node.join("device"))?;
        }
        // In one step: half a description is no camera.
        let new = self.folder.path().join("new");
        fs::write(&new, format!("name = {name}\ndriver = uvcvideo\nbus = usb-{number}\n{description}\n"))?;
        fs::rename(new, self.node(number)).context("no camera was plugged in")
    }

    /// Unplugs it.
    ///
    /// # Errors
    ///
    /// If it was not there.
    pub fn unplug(&self, number: u32) -> anyhow::Result<()> {
        fs::remove_file(self.node(number)).context("no camera was unplugged")
    }

    fn node(&self, number: u32) -> PathBuf {
        Path::new(&self.nodes()).join(format!("video{number}"))
    }
}

/// The frame number that a pretended camera draws, if this is a picture of its in its own size.
pub fn number(picture: &Picture) -> Option<u32> {
    let (width, chroma_width) = (picture.width as usize, picture.chroma_width() as usize);
    // Left and right ends of the third row of chroma; JPEG and RGB clip the extremes.
    let (u, v) = (&picture.u[chroma_width * 2..chroma_width * 3], &picture.v[chroma_width * 2..chroma_width * 3]);
    let near = |value: u8, wanted: u8| value.abs_diff(wanted) < 30;
    let coloured =
        near(u[2], 90) && near(v[2], 170) && near(u[chroma_width - 3], 170) && near(v[chroma_width - 3], 90);
    let bit = |bit: usize| u32::from(picture.y[4 * width + bit * 8 + 4] > 125) << bit;
    coloured.then(|| (0..16).map(bit).sum())
}

/// Whether this is what is shown while there is no picture: it has no colour, coding aside, and is not black.
pub fn is_placeholder(picture: &Picture) -> bool {
    picture.u.iter().chain(&picture.v).all(|chroma| chroma.abs_diff(128) < 12) && picture.y.iter().all(|y| *y > 25)
}
