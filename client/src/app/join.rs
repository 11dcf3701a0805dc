//! Getting in from the window: what was typed becomes a profile.

use std::path::Path;

use visavis_proto::wire::link::LinkError;

use super::engine::Join;
use crate::{
    join::{self, Joined, Request},
    profile::Profile,
    sentence::{capitalised, explain, in_window},
};

/// Registers or enrols, and keeps the profile. Errors are sentences for the person.
pub(super) async fn enter(folder: &Path, wish: Join) -> Result<Profile, String> {
    let link = wish.link.trim().parse().map_err(|error: LinkError| capitalised(&error.to_string()))?;
    let request = Request { link, name: wish.name.trim().to_owned(), existing: wish.existing, device_name: None };
    match join::join(folder, &request, || Ok(wish.password)).await {
        Ok(Joined::Now(profile) | Joined::Before(profile)) => Ok(profile),
        Err(error) => Err(capitalised(&in_window(&explain(&error)))),
    }
}
