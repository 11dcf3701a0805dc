//! Many short calls, one after the other: how soon after the accept is the first remote picture decoded?

use std::path::Path;

use anyhow::Context;
use visavis::stats::report::Report;

use crate::real::{Person, Relay};

/// Accept to first remote picture of each call, in milliseconds, at the side that accepted; in the order of the calls.
///
/// # Errors
///
/// Whatever failed first.
pub fn run(calls: u32, folder: &Path, mut tell: impl FnMut(u32, f64)) -> anyhow::Result<Vec<f64>> {
    let relay = Relay::start(&folder.join("relay"))?;
    let (alice, bob) = (Person::new(folder, "alice"), Person::new(folder, "bob"));
    alice.join(&relay.link, &[])?;
    bob.join(&relay.link, &[])?;
    let path = folder.join("report.json");
    let mut delays = Vec::new();
    for call in 0..calls {
        let report = path.display().to_string();
        let mut callee = bob.start(&["answer", "--auto", "--report", &report])?;
        callee.wait_for("waiting for a call")?;
        let mut caller = alice.start(&["call", "bob", "--duration", "1"])?;
        caller.wait_for("hung up.")?;
        callee.finish()?;
        let report: Report = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        let delay = report.accept_to_first_picture_ms.context("no picture came")?;
        tell(call, delay);
        delays.push(delay);
    }
    relay.stop()?;
    Ok(delays)
}
