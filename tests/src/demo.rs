//! A whole call with real binaries: a relay, two people, live picture and sound both ways, and what it amounted to.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, ensure};
use visavis::stats::{
    collector::{Live, STAGES},
    report::{Direction, Process as Cost, Report, Sent},
};

use crate::real::{Person, Process, Relay, now};

/// What is to be shown.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How long the call lasts.
    pub seconds: u64,
    /// Pictures to send instead of the generated scene.
    pub video: Option<PathBuf>,
    /// Sound to send instead of the generated one.
    pub audio: Option<PathBuf>,
    /// Open a window for each of the two, on the display that this process has; nothing is recorded then.
    pub windows: bool,
    /// More flags for both clients.
    pub client_flags: Vec<String>,
    /// Where recordings and statistics are kept, if they are wanted: `alice.y4m`, `alice.wav`, `alice.jsonl` and so on.
    pub keep: Option<PathBuf>,
}

/// What it amounted to: the report with both directions, and what the programs said at the end.
#[derive(Debug)]
pub struct Result {
    /// Both directions; processes of relay and both clients.
    pub report: Report,
}

const CALLER: &str = "alice";
const CALLEE: &str = "bob";

/// Runs the plan in `folder`, telling progress to `tell` and live figures to `live`.
///
/// # Errors
///
/// Whatever went wrong first, with what the program in question said.
pub fn run(
    plan: &Plan,
    folder: &Path,
    mut tell: impl FnMut(&str),
    mut live: impl FnMut(&BTreeMap<&'static str, Live>),
) -> anyhow::Result<Result> {
    tell("starting a relay on a free port of this machine");
    let relay = Relay::start_with::<&str>(&folder.join("relay"), &[])?;
    tell(&format!("the relay is at {}", relay.link));
    let (alice, bob) = (Person::new(folder, CALLER), Person::new(folder, CALLEE));
    for person in [&alice, &bob] {
        tell(&format!("registering {} with an invite", person.name));
        let invite = relay.run(&["invite"])?.pop().context("the relay printed no invite")?;
        person.join(&invite, &[])?;
    }
    let reports = [CALLER, CALLEE].map(|name| folder.join(format!("{name}.report.json")));
    tell("bob waits for a call");
    let (call, answer, waiting, live_at) = commands(plan);
    let mut callee = bob.start(&arguments(plan, &answer, CALLEE, &reports[1]))?;
    callee.wait_for(waiting)?;
    tell("alice calls bob");
    let mut caller = alice.start(&arguments(plan, &call, CALLER, &reports[0]))?;
    caller.wait_for(live_at)?;
    callee.wait_for(live_at)?;
    tell("bob has accepted: the call is live");

    let sides = [(CALLER, &mut caller), (CALLEE, &mut callee)];
    follow(sides, Duration::from_secs(plan.seconds), &mut live)?;
    for (name, process) in [(CALLER, caller), (CALLEE, callee)] {
        let (status, lines) = process.finish()?;
        ensure!(status.success(), "{name}'s client ended with {status}: {lines:?}");
    }
    let relay_cost = cost_of("visavis-relay", relay.process.id());
    tell("the call has ended; stopping the relay");
    relay.stop()?;

    let [first, second] = reports.map(|path| read_report(&path));
    let (mut report, mut other) = (first?, second?);
    // Each direction's pictures were counted by the other side before they left.
    count_sent(&mut report.directions, other.sent.take());
    count_sent(&mut other.directions, report.sent.take());
    // The person who accepted knows when; the other side's figure starts with the news of it.
    report.accept_to_first_picture_ms = other.accept_to_first_picture_ms;
    report.directions.extend(other.directions);
    for (what, count) in other.counters {
        *report.counters.entry(what).or_default() += count;
    }
    let name = |mut processes: Vec<Cost>, who: &str| {
        processes.iter_mut().for_each(|process| process.name = format!("visavis ({who})"));
        processes
    };
    report.processes = name(report.processes, CALLER);
    report.processes.extend(name(other.processes, CALLEE));
    report.processes.extend(relay_cost);
    Ok(Result { report })
}

/// What the caller does, what the callee does, what the callee says when they can be called, and what both say once the
/// call is live.
fn commands(plan: &Plan) -> (Vec<String>, Vec<String>, &'static str, &'static str) {
    let seconds = plan.seconds.to_string();
    let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    if plan.windows {
        let call = owned(&["--scene", "--call", CALLEE, "--duration", &seconds, "--leave-after-call"]);
        let answer = owned(&["--scene", "--answer-automatically", "--leave-after-call"]);
        (call, answer, r#""connection":"online""#, r#""phase":"live""#)
    } else {
        let call = owned(&["call", CALLEE, "--duration", &seconds]);
        (call, owned(&["answer", "--auto"]), "waiting for a call", "In a call with")
    }
}

fn count_sent(directions: &mut [Direction], sent: Option<Sent>) {
    for direction in directions {
        if let Some(sent) = &sent {
            direction.count_sent(sent);
        }
    }
}

/// Passes live figures on until both sides have stopped giving any.
fn follow<const N: usize>(
    mut sides: [(&'static str, &mut Process); N],
    duration: Duration,
    live: &mut impl FnMut(&BTreeMap<&'static str, Live>),
) -> anyhow::Result<()> {
    let deadline = now() + duration + crate::real::PATIENCE;
    let mut figures = BTreeMap::new();
    // The caller hangs up by itself; its lines pace this loop.
    while let Some(line) = sides[0].1.line_before(deadline)? {
        if let Some(figure) = figures_in(&line) {
            figures.insert(sides[0].0, figure);
            for (name, process) in &mut sides[1..] {
                while let Some(line) = process.try_line() {
                    if let Some(figure) = figures_in(&line) {
                        figures.insert(*name, figure);
                    }
                }
            }
            live(&figures);
        }
        if line.ends_with("hung up.") || line.contains(r#""phase":"over""#) {
            return Ok(());
        }
    }
    Ok(())
}

/// Live figures as the command line tells them, or as a window does among all that it shows.
fn figures_in(line: &str) -> Option<Live> {
    serde_json::from_str(line).ok().or_else(|| {
        let mut shown: serde_json::Value = serde_json::from_str(line).ok()?;
        serde_json::from_value(shown.get_mut("call")?.get_mut("live")?.take()).ok()
    })
}

fn arguments(plan: &Plan, command: &[String], name: &str, report: &Path) -> Vec<String> {
    let mut arguments = command.to_vec();
    let mut path = |flag: &str, path: &Path| arguments.extend([flag.to_owned(), path.display().to_string()]);
    path("--report", report);
    if let Some(video) = &plan.video {
        path("--video", video);
    }
    if let Some(audio) = &plan.audio {
        path("--audio", audio);
    }
    if let Some(keep) = &plan.keep {
        let all = [("--stats", "jsonl"), ("--record-video", "y4m"), ("--record-audio", "wav")];
        for (flag, ending) in &all[..if plan.windows { 1 } else { all.len() }] {
            path(flag, &keep.join(format!("{name}.{ending}")));
        }
    }
    arguments.push(if plan.windows { "--state-json" } else { "--live-json" }.into());
    arguments.extend(plan.client_flags.iter().cloned());
    arguments
}

fn read_report(path: &Path) -> anyhow::Result<Report> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a report", path.display()))
}

/// What a process that still runs has cost so far.
pub fn cost_of(name: &str, pid: u32) -> Option<Cost> {
    Cost::of(name, &pid.to_string())
}

/// The two directions' live figures in one line.
pub fn live_line(figures: &BTreeMap<&'static str, Live>) -> String {
    let sides = figures.iter().map(|(name, live)| format!("{name} sees {}", visavis::cli::describe_live(live)));
    let seconds = figures.values().next().map_or(0.0, |live| live.seconds);
    format!("{seconds:4.0} s  {}", sides.collect::<Vec<_>>().join("  |  "))
}

/// The report as a table.
pub fn table(report: &Report) -> String {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let directions = &report.directions;
    let mut row = |label: &str, value: &dyn Fn(&Direction) -> String| {
        rows.push((label.to_owned(), directions.iter().map(value).collect()));
    };
    row("", &|d| format!("{} -> {}", d.from, d.to));
    row("frame delay p50 / p95 / p99 / max, ms", &|d| {
        let s = &d.frame_delay_ms;
        format!("{:.1} / {:.1} / {:.1} / {:.1}", s.p50, s.p95, s.p99, s.max)
    });
    for (index, name) in STAGES.iter().enumerate() {
        row(&format!("  {name} p50 / p99, ms"), &|d| {
            let s = &d.stages_ms;
            let stage = [s.encode, s.send, s.relay, s.receive, s.decode, s.present][index];
            format!("{:.2} / {:.2}", stage.p50, stage.p99)
        });
    }
    row("age of the picture p50 / p95, ms", &|d| format!("{:.1} / {:.1}", d.age_ms.p50, d.age_ms.p95));
    row("pictures shown per second", &|d| format!("{:.2}", d.fps_shown));
    row("frozen share / longest gap, ms", &|d| {
        format!("{:.2} % / {:.0}", d.freeze_share * 100.0, d.longest_freeze_ms)
    });
    row("video of shown frames, Mbit/s", &|d| format!("{:.2}", d.bitrate_bps / 1e6));
    row("captured / encoded / shown", &|d| {
        format!("{} / {} / {}", d.frames.captured, d.frames.encoded, d.frames.shown)
    });
    row("not shown, by cause", &|d| {
        let causes: Vec<String> = d.frames.dropped.iter().map(|(cause, count)| format!("{cause} {count}")).collect();
        if causes.is_empty() { "none".to_owned() } else { causes.join(", ") }
    });
    row("on their way at the end", &|d| d.frames.in_flight.to_string());
    row("mouth to ear p50 / p95, ms", &|d| {
        format!("{:.1} / {:.1}", d.audio.mouth_to_ear_ms.p50, d.audio.mouth_to_ear_ms.p95)
    });
    row("sound concealed", &|d| format!("{:.2} %", d.audio.concealed_share * 100.0));

    let mut text = String::new();
    for (label, values) in rows {
        let cells: String = values.iter().map(|value| format!("{value:>32}")).collect();
        text.push_str(&format!("{label:<40}{cells}\n"));
    }
    if !report.counters.is_empty() {
        let counts: Vec<String> = report.counters.iter().map(|(what, count)| format!("{what} {count}")).collect();
        // Their names are those of the report, where each is explained.
        text.push_str(&format!("also counted (packets, records, 10 ms blocks of sound): {}\n", counts.join(", ")));
    }
    if let Some(first) = report.accept_to_first_picture_ms {
        text.push_str(&format!("accept to first remote picture: {first:.0} ms\n"));
    }
    for process in &report.processes {
        let share = process.cpu_seconds / report.seconds.max(f64::EPSILON);
        let memory = process.peak_rss_bytes as f64 / f64::from(1 << 20);
        text.push_str(&format!("{:<24}{share:.2} CPU seconds per second, {memory:.0} MiB at most\n", process.name));
    }
    text
}
