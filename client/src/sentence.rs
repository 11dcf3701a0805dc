//! What a person is told, when a call ends or something fails.

use visavis_proto::wire::control::EndReason;

/// How something ended, as a program sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Done,
    /// The call was not taken.
    NotTaken,
    /// The call was lost.
    Lost,
}

/// As the beginning of a sentence.
pub fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// One plain sentence, and how a program should see it.
pub fn ended(reason: EndReason, peer: &str) -> (String, Outcome) {
    let lost = Outcome::Lost;
    let not_taken = Outcome::NotTaken;
    match reason {
        EndReason::HungUp => ("You hung up.".to_owned(), Outcome::Done),
        EndReason::PeerHungUp => (format!("{peer} hung up."), Outcome::Done),
        EndReason::Declined => (format!("The call with {peer} was declined."), not_taken),
        EndReason::Cancelled => (format!("The call with {peer} was cancelled before it was answered."), not_taken),
        EndReason::Busy => (format!("{peer} is in another call: try again later."), not_taken),
        EndReason::TimedOut => (format!("Nobody answered the call with {peer}."), not_taken),
        EndReason::AnsweredElsewhere => {
            (format!("The call with {peer} was answered on another of your devices."), not_taken)
        }
        EndReason::DeclinedElsewhere => {
            (format!("The call with {peer} was declined on another of your devices."), not_taken)
        }
        EndReason::CallerLost => (format!("{peer} called, but lost the connection before you answered."), not_taken),
        EndReason::PeerLost => {
            (format!("{peer} could not be reached any more: their connection was lost for too long."), lost)
        }
        EndReason::Offline => (format!("{peer} is not online: they will see that you called."), not_taken),
        EndReason::UnknownPerson => {
            (format!("There is nobody called {peer} at this relay (visavis people shows who is)."), not_taken)
        }
        EndReason::Merged => (format!("You and {peer} called each other: this goes on as one call."), Outcome::Done),
        EndReason::RelayDraining => {
            ("The relay is being shut down by its operator: try again in a few minutes.".to_owned(), lost)
        }
        EndReason::Yourself => ("You cannot call yourself.".to_owned(), not_taken),
        EndReason::AlreadyInCall => ("You are in a call already: hang it up first.".to_owned(), not_taken),
        EndReason::RelayLost => (
            "The call was lost: the relay, or the connection to it, failed. Call again once you are connected."
                .to_owned(),
            lost,
        ),
        EndReason::Revoked => (
            "This device was shut out of the relay, which ended the call: ask its operator, or join it again."
                .to_owned(),
            lost,
        ),
        EndReason::PeerRevoked => (
            format!(
                "{peer} was shut out of the relay, which ended the call: ask {peer} or the relay's operator why."
            ),
            lost,
        ),
        EndReason::Unspecified => ("The call ended.".to_owned(), lost),
    }
}

/// `text` without what it advises for the command line. That stands in parentheses of its own, which begin with the name of
/// a program of ours or with the flag that is meant: "join it first (visavis join LINK --name YOU)".
pub fn in_window(text: &str) -> String {
    let (mut shown, mut rest) = (String::new(), text);
    while let Some(begin) = [" (visavis", " (--"].iter().filter_map(|mark| rest.find(mark)).min() {
        let Some(length) = rest[begin..].find(')') else { break };
        shown.push_str(&rest[..begin]);
        rest = &rest[begin + length + 1..];
    }
    shown + rest
}

/// An error with its causes, leaving out those that it names itself.
pub fn explain(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |text, cause| match text.contains(&cause) {
        true => text,
        false if text.is_empty() => cause,
        false => format!("{text}: {cause}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_gives_no_advice_for_the_command_line() {
        for (text, shown) in [
            ("join it first (visavis join LINK --name YOU)", "join it first"),
            (
                "ask for a link (visavis-relay invite), or say who you are (--existing): do",
                "ask for a link, or say who you are: do",
            ),
            ("it refused (bad key) and said so (visavis", "it refused (bad key) and said so (visavis"),
        ] {
            assert_eq!(in_window(text), shown);
        }
        for reason in (0..40).filter_map(|reason| EndReason::try_from(reason).ok()) {
            let shown = in_window(&ended(reason, "bob").0);
            assert!(!shown.contains("visavis") && !shown.contains("--"), "{shown}");
        }
    }
}
