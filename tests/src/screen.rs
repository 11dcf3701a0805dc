//! A screen of its own for a window under test: Xvfb, xdotool's keyboard and mouse, and what is seen, read from Xvfb's memory.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use x11rb::{
    connection::Connection,
    protocol::xproto::{ClientMessageEvent, ConnectionExt, CreateWindowAux, EventMask, WindowClass},
    rust_connection::RustConnection,
};

use crate::real::{PATIENCE, Process};

/// A window over all others. The server takes it away with its connection.
#[derive(Debug)]
pub struct Cover(#[expect(dead_code, reason = "its drop takes the window away")] RustConnection);

/// A running Xvfb, ended when dropped.
#[derive(Debug)]
pub struct Screen {
    _server: Process,
    /// What `DISPLAY` is set to.
    pub display: String,
    framebuffer: PathBuf,
    _folder: tempfile::TempDir,
}

/// What a window under test needs and this machine lacks, by name.
pub fn missing() -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = |program: &&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let drivers = ["/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
    let has_driver = |folder: &&str| fs::read_dir(folder).is_ok_and(|mut files| files.next().is_some());
    ["Xvfb", "xdotool"]
        .into_iter()
        .find(|program| !on_path(program))
        .or_else(|| (!drivers.iter().any(has_driver)).then_some("a Vulkan driver (mesa-vulkan-drivers)"))
}

impl Screen {
    /// Starts Xvfb with a number that is free, and one screen of this size in pixels.
    ///
    /// # Errors
    ///
    /// If it does not come up.
    pub fn start(width: u32, height: u32) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-nolisten", "tcp", "-noreset"]);
        command.args(["-screen", "0", &format!("{width}x{height}x24"), "-fbdir"]).arg(folder.path());
        let mut server = Process::start("Xvfb", &mut command)?;
        let number: u32 = server.wait_until(PATIENCE, |line| line.trim().parse().ok())?;
        let framebuffer = folder.path().join("Xvfb_screen0");
        Ok(Self { _server: server, display: format!(":{number}"), framebuffer, _folder: folder })
    }

    /// Waits for a window whose title holds `name`, and gives it the keyboard.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn focus(&self, name: &str) -> anyhow::Result<()> {
        self.xdotool(&["search", "--sync", "--onlyvisible", "--name", name, "windowfocus", "--sync"])
    }

    /// Presses keys, by the names that xdotool has for them, one after another.
    ///
    /// # Errors
    ///
    /// If xdotool fails.
    pub fn press(&self, keys: &[&str]) -> anyhow::Result<()> {
        keys.iter().try_for_each(|key| self.xdotool(&["key", key]))
    }

    /// Types text.
    ///
    /// # Errors
    ///
    /// If xdotool fails.
    pub fn write(&self, text: &str) -> anyhow::Result<()> {
        self.xdotool(&["type", "--delay", "8", text])
    }

    /// Clicks this place of the window whose title holds `name`, in pixels from its upper left corner.
    ///
    /// # Errors
    ///
    /// If there is no such window.
    pub fn click(&self, name: &str, [x, y]: [u32; 2]) -> anyhow::Result<()> {
        let (x, y) = (x.to_string(), y.to_string());
        let window = ["search", "--onlyvisible", "--name", name];
        self.xdotool(&[&window[..], &["mousemove", "--window", "%1", &x, &y, "click", "1"]].concat())
    }

    /// Runs xdotool on this screen.
    ///
    /// # Errors
    ///
    /// If it fails or hangs.
    pub fn xdotool(&self, arguments: &[&str]) -> anyhow::Result<()> {
        self.ask(arguments).map(drop)
    }

    /// How many windows are seen whose titles hold `name`.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn windows(&self, name: &str) -> anyhow::Result<usize> {
        Ok(self.ask(&["search", "--onlyvisible", "--name", name])?.len())
    }

    /// Asks a window to close, as a desktop does whose button for that is clicked.
    ///
    /// # Errors
    ///
    /// If the screen does not answer.
    pub fn ask_to_close(&self, window: u32) -> anyhow::Result<()> {
        let (connection, _) = x11rb::connect(Some(&self.display))?;
        let atom = |name: &str| anyhow::Ok(connection.intern_atom(false, name.as_bytes())?.reply()?.atom);
        let data = [atom("WM_DELETE_WINDOW")?, x11rb::CURRENT_TIME, 0, 0, 0];
        let message = ClientMessageEvent::new(32, window, atom("WM_PROTOCOLS")?, data);
        connection.send_event(false, window, EventMask::NO_EVENT, message)?;
        // Answered once all before it is done.
        connection.get_input_focus()?.reply()?;
        Ok(())
    }

    /// Covers the screen with a window of its own, until that is dropped.
    ///
    /// # Errors
    ///
    /// If the screen gives none.
    pub fn cover(&self) -> anyhow::Result<Cover> {
        let (connection, number) = x11rb::connect(Some(&self.display))?;
        let screen = &connection.setup().roots[number];
        let window = connection.generate_id()?;
        let look = CreateWindowAux::new().background_pixel(screen.white_pixel).override_redirect(1);
        let (depth, visual) = (x11rb::COPY_DEPTH_FROM_PARENT, x11rb::COPY_FROM_PARENT);
        let (width, height) = (screen.width_in_pixels, screen.height_in_pixels);
        let (root, class) = (screen.root, WindowClass::INPUT_OUTPUT);
        connection.create_window(depth, window, root, 0, 0, width, height, 0, class, visual, &look)?;
        connection.map_window(window)?.check()?;
        Ok(Cover(connection))
    }

    /// Runs xdotool and answers its lines.
    fn ask(&self, arguments: &[&str]) -> anyhow::Result<Vec<String>> {
        let mut command = Command::new("xdotool");
        command.args(arguments).env("DISPLAY", &self.display);
        let (status, lines) = Process::start("xdotool", &mut command)?.finish()?;
        ensure!(status.success(), "xdotool {arguments:?} failed: {lines:?}");
        Ok(lines)
    }

    /// What is seen now.
    ///
    /// # Errors
    ///
    /// If Xvfb's memory is not what X Window Dump files look like.
    pub fn look(&self) -> anyhow::Result<Shot> {
        Shot::parse(&fs::read(&self.framebuffer).context("Xvfb keeps no picture")?)
            .context("Xvfb's picture is not understood")
    }
}

/// What was on a screen.
#[derive(Debug, PartialEq, Eq)]
pub struct Shot {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// Red, green and blue, top row first.
    pub pixels: Vec<[u8; 3]>,
}

impl Shot {
    /// Reads X Window Dump format, version 7, 32 bits a pixel, as Xvfb writes it (XWDFile.h of x11proto).
    fn parse(file: &[u8]) -> Option<Self> {
        let field = |index: usize| {
            let bytes = file.get(index * 4..index * 4 + 4)?;
            Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
        };
        let (header, width, height, line, colors) = (field(0)?, field(4)?, field(5)?, field(12)?, field(19)?);
        if field(1)? != 7 || field(11)? != 32 {
            return None;
        }
        // A colour of the map takes 12 bytes.
        let rows = file.get(header + colors * 12..)?.chunks(line).take(height);
        let pixels: Vec<[u8; 3]> =
            rows.flat_map(|row| row.chunks_exact(4).take(width).map(|p| [p[2], p[1], p[0]])).collect();
        (pixels.len() == width * height).then_some(Self { width, height, pixels })
    }

    /// How many colours there are in the middle of it, half as wide and half as high.
    pub fn colors_in_the_middle(&self) -> usize {
        let columns = self.width / 4..self.width * 3 / 4;
        let rows = self.height / 4..self.height * 3 / 4;
        let at = |row: usize| columns.clone().map(move |column| row * self.width + column);
        rows.flat_map(at).map(|index| self.pixels[index]).collect::<BTreeSet<_>>().len()
    }

    /// Writes a PPM file, for people.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn save(&self, path: &Path) -> std::io::Result<()> {
        let mut file = format!("P6\n{} {}\n255\n", self.width, self.height).into_bytes();
        file.extend(self.pixels.iter().flatten());
        fs::write(path, file)
    }
}
