//! The list of people as it is shown: who is there first, then by name; a search narrows it.

use std::collections::BTreeMap;

use visavis_proto::wire::control::{Person, fold_name};

/// Where a person is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whereabouts {
    /// Reachable.
    Online,
    /// Reachable, but talking.
    InCall,
    /// Not reachable.
    Offline,
}

/// Where a person is.
pub const fn whereabouts(person: &Person) -> Whereabouts {
    match (person.online, person.in_call) {
        (true, false) => Whereabouts::Online,
        (true, true) => Whereabouts::InCall,
        (false, _) => Whereabouts::Offline,
    }
}

/// Those whose name contains `search` (any case; words in any order), reachable ones first, then by name.
pub fn listed<'a>(people: &'a BTreeMap<String, Person>, search: &str) -> Vec<&'a Person> {
    let search = fold_name(search);
    let found = |name: &str| search.split_whitespace().all(|word| name.contains(word));
    let mut list: Vec<(&String, &Person)> = people.iter().filter(|(name, _)| found(name)).collect();
    list.sort_by_key(|(name, person)| (!person.online, *name));
    list.into_iter().map(|(_, person)| person).collect()
}

/// Presence as a person says it.
pub fn describe(person: &Person, now_ms: u64) -> String {
    match (whereabouts(person), person.last_seen_ms) {
        (Whereabouts::Online, _) => "online".to_owned(),
        (Whereabouts::InCall, _) => "in a call".to_owned(),
        (Whereabouts::Offline, 0) => "offline".to_owned(),
        (Whereabouts::Offline, last) => match now_ms.saturating_sub(last) / 1_000 {
            0..60 => "last seen just now".to_owned(),
            seconds => format!("last seen {} ago", duration(seconds)),
        },
    }
}

/// Seconds as people say them.
pub fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_there_comes_first_and_a_search_narrows() {
        let person = |name: &str, online| Person { name: name.into(), online, ..Person::default() };
        let people = [person("Zoe Ann", true), person("Ann", false), person("bob", true)];
        let people = people.into_iter().map(|person| (fold_name(&person.name), person)).collect();
        let names = |search| listed(&people, search).iter().map(|person| person.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(""), ["bob", "Zoe Ann", "Ann"]);
        assert_eq!(names("ANN"), ["Zoe Ann", "Ann"]);
        assert_eq!(names("ann zo"), ["Zoe Ann"]);
        assert!(names("carol").is_empty());
    }
}
