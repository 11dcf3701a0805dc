//! The command line: what each command does, and what it says about it.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::{Parser, Subcommand};
use rand::{RngCore as _, rngs::OsRng};
use tracing::info;
use visavis_proto::wire::{
    control::valid_name,
    link::{Link, TOKEN_BYTES},
};

use crate::{
    Clock, Relay, Socket,
    config::{Config, TEMPLATE, is_absent},
    db::{self, Invite, Person, Store, fold, sqlite::Sqlite, token_hash},
};

const DATABASE: &str = "relay.db";
const LOCK: &str = "relay.lock";

/// Where a running relay leaves its link, for commands that print invites.
const LINK: &str = "relay.link";

/// How long an invite is good for, unless said otherwise.
const INVITE_TIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// A relay for Visavis calls: start it, send the link that it prints, call each other.
#[derive(Debug, Parser)]
#[command(name = "visavis-relay", version)]
pub struct Arguments {
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the relay. Prints its link when it is ready
    Serve,
    /// Make the data folder with a commented settings file, and print the link
    Init,
    /// Print links that let somebody register
    Invite {
        /// How long they are good for: 30m, 12h, 7d
        #[arg(long, default_value = "7d", value_parser = parse_duration)]
        expires: Duration,
        /// How many
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1_000))]
        count: u16,
    },
    /// Manage people
    #[command(subcommand)]
    User(UserCommand),
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// List everybody
    List,
    /// Print an invite that is good for this name only
    Add {
        /// The name to register
        name: String,
    },
    /// Lock somebody out: their connections are closed, their logins fail
    Disable {
        /// Who
        name: String,
    },
    /// Let somebody in again
    Enable {
        /// Who
        name: String,
    },
    /// Print a link with which somebody who lost their password registers again; their contacts are warned
    PasswdReset {
        /// Who
        name: String,
    },
}

impl Arguments {
    /// What is logged.
    ///
    /// # Errors
    ///
    /// The settings file is wrong.
    pub fn with_file(mut self) -> anyhow::Result<Self> {
        self.config = self.config.with_file()?;
        Ok(self)
    }

    /// The chosen log filter.
    pub fn log(&self) -> &str {
        self.config.log.as_deref().unwrap_or("info")
    }

    /// Does what was asked.
    ///
    /// # Errors
    ///
    /// Whatever kept it from being done, in words for the operator.
    pub async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Serve => serve(&self.config).await,
            Command::Init => init(&self.config).await,
            Command::Invite { expires, count } => {
                let (store, link) = open(&self.config).await?;
                for _ in 0..count {
                    say(&invite(&store, &link, None, None, expires).await?)?;
                }
                Ok(store.close().await?)
            }
            Command::User(command) => user(&self.config, command).await,
        }
    }
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let folder = config.prepare_data_folder()?;
    let _lock = lock(&folder)?;
    let identity = config.identity(&folder)?;
    let store = open_store(&folder).await?;
    let socket = config.bind()?;
    let nobody = store.people().await?.is_empty();
    let mut stop = Stop::new()?;
    let relay = Relay::start(config.relay(), store.clone(), &identity, Socket::Udp(socket), Clock::real()).await?;
    let link = config.link(&identity, relay.local_addr()?);
    fs::write(folder.join(LINK), link.to_string()).context("cannot write to the data folder")?;
    // The first line on standard output is also how scripts learn that the relay is ready. They may close it then:
    // that is no reason to stop.
    let _ = say(&link);
    if nobody && config.open_registration != Some(true) {
        let _ = say(&invite(store.as_ref(), &link, None, None, INVITE_TIME).await?);
        info!("nobody has registered yet: the second link lets the first person in, once, within 7 days");
    }
    info!(address = %relay.local_addr()?, data = %folder.display(), "ready");
    stop.wait().await;
    relay.drain().await;
    info!("stopped");
    Ok(())
}

async fn init(config: &Config) -> anyhow::Result<()> {
    let folder = config.prepare_data_folder()?;
    let file = folder.join("relay.toml");
    match fs::OpenOptions::new().write(true).create_new(true).open(&file) {
        Ok(mut created) => created.write_all(TEMPLATE.as_bytes()).context("cannot write the settings file")?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot write {}", file.display())),
    }
    let (store, link) = open_in(config, &folder).await?;
    store.close().await?;
    info!(settings = %file.display(), "initialised");
    say(&link)
}

async fn user(config: &Config, command: UserCommand) -> anyhow::Result<()> {
    let (store, link) = open(config).await?;
    let done = manage(&store, &link, command).await;
    // Also after a refusal: SQLite tidies up its files when they are closed.
    store.close().await?;
    done
}

async fn manage(store: &Sqlite, link: &Link, command: UserCommand) -> anyhow::Result<()> {
    match command {
        UserCommand::List => {
            for person in store.people().await? {
                say(&describe(&person))?;
            }
        }
        UserCommand::Add { name } => {
            if !valid_name(&name) {
                bail!(
                    "{name:?} cannot be a name: 1 to 40 bytes of letters, digits, blanks and - _ . ' are allowed, with a letter or digit first"
                );
            }
            if find(store, &name).await.is_ok() {
                bail!("there is somebody called {name:?} already; choose another name");
            }
            say(&invite(store, link, Some(name), None, INVITE_TIME).await?)?;
        }
        UserCommand::Disable { name } => set_disabled(store, &name, true).await?,
        UserCommand::Enable { name } => set_disabled(store, &name, false).await?,
        UserCommand::PasswdReset { name } => {
            let person = find(store, &name).await?;
            say(&invite(store, link, Some(person.name.clone()), Some(&person), INVITE_TIME).await?)?;
        }
    }
    Ok(())
}

async fn set_disabled(store: &Sqlite, name: &str, disabled: bool) -> anyhow::Result<()> {
    let person = find(store, name).await?;
    store.set_disabled(&fold(&person.name), disabled).await?;
    say(&format_args!("{} is {}", person.name, if disabled { "disabled" } else { "enabled" }))
}

async fn find(store: &Sqlite, name: &str) -> anyhow::Result<Person> {
    let person = store.people().await?.into_iter().find(|person| fold(&person.name) == fold(name));
    person.with_context(|| format!("there is nobody called {name:?}; `user list` shows who there is"))
}

fn describe(person: &Person) -> String {
    let state = if person.disabled { "disabled" } else { "enabled" };
    let devices = person.devices.len();
    format!("{}\t{state}\t{devices} devices\tkey {}", person.name, person.account_key)
}

async fn invite(
    store: &Sqlite,
    link: &Link,
    name: Option<String>,
    person: Option<&Person>,
    time: Duration,
) -> anyhow::Result<Link> {
    let mut token = [0; TOKEN_BYTES];
    OsRng.fill_bytes(&mut token);
    let expires_ms = (Clock::real().now() + time).as_millis();
    let person = person.map(|person| person.id);
    store.add_invite(Invite { token_hash: token_hash(&token), name, person, expires_ms }).await?;
    Ok(Link { token: Some(token), ..link.clone() })
}

/// The store and the link, for a command that may run beside the relay.
async fn open(config: &Config) -> anyhow::Result<(Arc<Sqlite>, Link)> {
    let folder = config.data_folder()?;
    match fs::metadata(folder.join(DATABASE)) {
        Ok(_) => open_in(config, &folder).await,
        // Making one here would print invites of a relay that nobody runs.
        Err(error) if is_absent(&error) => bail!(
            "there is no relay in {}: name its data folder with --data, or make a relay there with `init`",
            folder.display()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot read the data folder {}", folder.display())),
    }
}

async fn open_in(config: &Config, folder: &Path) -> anyhow::Result<(Arc<Sqlite>, Link)> {
    let store = open_store(folder).await?;
    let identity = config.identity(folder)?;
    let running = fs::read_to_string(folder.join(LINK)).ok().and_then(|text| text.parse::<Link>().ok());
    let mut link = match running {
        Some(link) if link.pin == identity.link_pin() => link,
        _ => {
            let port = config.listen.map_or(visavis_proto::DEFAULT_PORT, |listen| listen.port());
            let address = config.listen.map_or(std::net::Ipv4Addr::UNSPECIFIED.into(), |listen| listen.ip());
            config.link(&identity, (address, port).into())
        }
    };
    if let Some(host) = &config.public_host {
        link.host.clone_from(host);
    }
    Ok((store, link))
}

async fn open_store(folder: &Path) -> anyhow::Result<Arc<Sqlite>> {
    let file = folder.join(DATABASE);
    // It holds password records: made for its owner alone before SQLite would make it for everybody.
    let mut options = fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(&file).with_context(|| format!("cannot write the database {}", file.display()))?;
    match Sqlite::open(&file).await {
        Ok(store) => Ok(Arc::new(store)),
        // It says what to do, and nothing is damaged.
        Err(full @ db::Error::Full) => Err(full.into()),
        Err(error) => Err(error).with_context(|| {
            format!("cannot open the database {}; if it is damaged, restore it from a backup", file.display())
        }),
    }
}

/// Two relays on one folder would each think that the other's people are offline.
fn lock(folder: &Path) -> anyhow::Result<fs::File> {
    let path = folder.join(LOCK);
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => bail!(
            "another relay is running on the data folder {}; stop it, or name another folder with --data",
            folder.display()
        ),
        Err(fs::TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

fn say(line: &impl std::fmt::Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("cannot write to standard output")
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len());
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 24 * 3_600,
        _ => return Err("a number and s, m, h or d is expected, such as 12h or 7d".into()),
    };
    let number: u32 = digits.parse().map_err(|_| format!("{digits:?} is not a number"))?;
    if number == 0 || u64::from(number) * seconds > 3_660 * 24 * 3_600 {
        return Err("more than nothing and at most ten years is expected".into());
    }
    Ok(Duration::from_secs(u64::from(number) * seconds))
}

/// The ways in which a process is asked to stop.
struct Stop {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
                .context("cannot listen for SIGTERM")?,
        })
    }

    async fn wait(&mut self) {
        #[cfg(unix)]
        // Either will do; the order only settles a tie.
        tokio::select! {
            biased;
            _ = self.terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("7d"), Ok(INVITE_TIME));
        assert_eq!(parse_duration("30m"), Ok(Duration::from_secs(1_800)));
        for wrong in ["", "7", "d", "0d", "-1d", "1y", "99999999d", "1 d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong:?}");
        }
    }
}
