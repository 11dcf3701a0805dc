//! Getting in from the window: a link, a name and a password become a profile.

use std::path::Path;

use visavis_proto::wire::link::Link;

use super::engine::Join;
use crate::profile::Profile;

/// Registers or enrols, and keeps the profile. Errors are sentences for the person.
pub(super) async fn enter(folder: &Path, join: Join) -> Result<Profile, String> {
    let link: Link = join.link.trim().parse().map_err(|error| format!("{error}"))?;
    let _ = (folder, link, join.existing);
    todo!("waits for crate::join")
}
