//! Voices of espeak-ng.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::ensure;

/// Half a minute of speech in a wav file in `folder`, spoken by espeak-ng; `loudness` is 100 for full scale.
///
/// # Errors
///
/// If it cannot be spoken.
pub fn speech(folder: &Path, voice: &str, loudness: u32) -> anyhow::Result<PathBuf> {
    const TEXT: &str = "The north wind and the sun were disputing which was the stronger, when a traveller came along \
         wrapped in a warm cloak. They agreed that the one who first succeeded in making the traveller take his cloak \
         off should be considered stronger than the other. Then the north wind blew as hard as he could, but the more \
         he blew, the more closely did the traveller fold his cloak around him.";
    let path = folder.join(format!("{voice}.wav"));
    let mut espeak = Command::new("espeak-ng");
    espeak.args(["-v", voice, "-a", &loudness.to_string(), "-w"]).arg(&path).arg(TEXT);
    ensure!(espeak.status()?.success(), "espeak-ng failed");
    Ok(path)
}
