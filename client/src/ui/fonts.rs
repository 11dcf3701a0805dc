//! The letters: the system's own, as its other programs show them; egui's where the system has none.
//!
//! Names come in every script and no font has them all: what the first lacks is looked for in the next.

use std::{io, sync::Arc, thread};

use egui::{
    FontData, FontDefinitions, FontFamily,
    epaint::text::{FontTweak, VariationCoords},
};
use fontdb::{Database, Family, Query, Weight};

use super::theme::STRONG;

/// What desktops use for their own windows; the system's choice of a plain font follows.
const PLAIN: [&str; 8] =
    ["Inter", "Adwaita Sans", "Cantarell", "Segoe UI", "SF Pro Text", "Helvetica Neue", "Ubuntu", "Noto Sans"];

/// For what those lack, a list for each script, of which the first that there is is taken: some are large.
const SCRIPTS: [&[&str]; 6] = [
    &["Noto Sans CJK SC", "Noto Sans CJK JP", "PingFang SC", "Microsoft YaHei", "WenQuanYi Micro Hei"],
    &["Noto Sans Arabic", "Geeza Pro"],
    &["Noto Sans Hebrew", "Arial Hebrew"],
    &["Noto Sans Devanagari", "Nirmala UI", "Kohinoor Devanagari"],
    &["Noto Sans Thai", "Leelawadee UI", "Thonburi"],
    &["DejaVu Sans"],
];

/// Letters on their way: files are read while the window and the graphics are opened.
pub struct Coming(thread::JoinHandle<FontDefinitions>);

impl Coming {
    /// Begins to look for them.
    ///
    /// # Errors
    ///
    /// If the system gives no thread.
    pub fn start() -> io::Result<Self> {
        thread::Builder::new().name("visavis-fonts".to_owned()).spawn(definitions).map(Self)
    }

    /// Waits for them.
    pub fn here(self) -> FontDefinitions {
        // A font that no library can read is no reason to show nothing.
        self.0.join().unwrap_or_else(|_| gather(&Database::new()))
    }
}

/// Usual and strong letters. Reads every font's header and some fonts whole.
pub fn definitions() -> FontDefinitions {
    let mut system = Database::new();
    system.load_system_fonts();
    gather(&system)
}

fn gather(system: &Database) -> FontDefinitions {
    let mut fonts = FontDefinitions::default();
    let own = fonts.families.get(&FontFamily::Proportional).cloned().unwrap_or_default();
    let scripts: Vec<String> = SCRIPTS
        .iter()
        .filter_map(|names| {
            let families: Vec<Family<'_>> = names.iter().map(|name| Family::Name(name)).collect();
            add(&mut fonts, system, &families, Weight::NORMAL)
        })
        .collect();
    let plain: Vec<Family<'_>> = PLAIN.iter().map(|name| Family::Name(name)).chain([Family::SansSerif]).collect();
    for (weight, family) in
        [(Weight::NORMAL, FontFamily::Proportional), (Weight::SEMIBOLD, FontFamily::Name(STRONG.into()))]
    {
        let first = add(&mut fonts, system, &plain, weight);
        let chain = first.into_iter().chain(own.iter().cloned()).chain(scripts.iter().cloned()).collect();
        fonts.families.insert(family, chain);
    }
    fonts
}

/// Adds the first of `families` that there is, and answers the name it goes by.
fn add(fonts: &mut FontDefinitions, system: &Database, families: &[Family<'_>], weight: Weight) -> Option<String> {
    let id = system.query(&Query { families, weight, ..Query::default() })?;
    let (bytes, index) = system.with_face_data(id, |bytes, index| (bytes.to_vec(), index))?;
    let name = format!("{} {}", system.face(id)?.post_script_name, weight.0);
    // A font of variable weight is found under its usual one; others have no such axis and stay as they are.
    let coords = VariationCoords::new([(b"wght", f32::from(weight.0))]);
    let data = FontData { index, ..FontData::from_owned(bytes) }.tweak(FontTweak { coords, ..FontTweak::default() });
    fonts.font_data.insert(name.clone(), Arc::new(data));
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_without_fonts_gets_the_librarys() {
        let fonts = gather(&Database::new());
        for family in [FontFamily::Proportional, FontFamily::Name(STRONG.into())] {
            assert!(fonts.families.get(&family).is_some_and(|chain| !chain.is_empty()), "{family:?} has letters");
        }
    }

    #[test]
    fn every_letter_that_is_named_is_there() {
        let fonts = definitions();
        for name in fonts.families.values().flatten() {
            assert!(fonts.font_data.contains_key(name), "{name}");
        }
    }
}
