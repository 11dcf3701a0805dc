//! The state that the engine begins with.

use visavis_proto::wire::link::Link;

use super::{
    engine::Options,
    state::{Access, Notice, State},
};
use crate::{
    profile::{self, Profile},
    sentence::{capitalised, in_window},
};

/// Whoever has a profile goes straight in.
pub(super) fn begin(options: &Options) -> (State, Option<Profile>) {
    let notice = options.notice.clone();
    match Profile::load(&options.folder) {
        Ok(profile) => {
            let notice = notice.or_else(|| options.link.as_deref().and_then(|link| opened(link, &profile)));
            (State { access: member(&profile), notice, ..State::default() }, Some(profile))
        }
        Err(profile::Error::Missing(_)) => (State { notice, ..State::default() }, None),
        Err(error) => (
            State { notice: Some(Notice::problem(capitalised(&in_window(&error.to_string())))), ..State::default() },
            None,
        ),
    }
}

/// What becomes of a link that somebody opens who is at a relay already.
pub(super) fn opened(link: &str, profile: &Profile) -> Option<Notice> {
    let link: Link = link.parse().ok()?;
    let Profile { name, link: Link { host, .. }, .. } = profile;
    Some(if link.without_token() == profile.link {
        Notice::info(format!("You have joined {host} already, as {name}."))
    } else {
        Notice::problem(format!(
            "You are at {host} already, as {name}: to be at {} as well, start visavis with the link and with --profile \
             and another folder.",
            link.host
        ))
    })
}

pub(super) fn member(profile: &Profile) -> Access {
    Access::Member {
        name: profile.name.clone(),
        host: profile.link.host.clone(),
        link: profile.link.without_token().to_string(),
    }
}
