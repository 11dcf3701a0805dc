//! What an operator can choose: one type for flags, environment and file, in this order of precedence.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use visavis_proto::{DEFAULT_PORT, wire::link::Link};

use crate::{RelayConfig, identity::Identity};

/// Name of the file in the data folder that is read unless another is named.
const FILE: &str = "relay.toml";

/// The commented file that `init` writes. Everything in it is a comment: what is not set stays at its default.
pub const TEMPLATE: &str = include_str!("relay.toml");

/// All settings. What is not set has a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the relay keeps its key, its database and its settings
    #[arg(long, global = true, env = "VISAVIS_RELAY_DATA", value_name = "FOLDER")]
    #[serde(skip)]
    pub data: Option<PathBuf>,

    /// Settings are read from here [default: relay.toml in the data folder, if there is one]
    #[arg(long, global = true, env = "VISAVIS_RELAY_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Address and UDP port to listen on; port 0 takes a free one [default: every address, port 4433]
    #[arg(long, global = true, env = "VISAVIS_RELAY_LISTEN", value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// Host name or address in links [default: the address that leads out of this machine]
    #[arg(long, global = true, env = "VISAVIS_RELAY_PUBLIC_HOST", value_name = "HOST")]
    pub public_host: Option<String>,

    /// Certificate chain in PEM form, for a relay whose name an authority vouches for
    #[arg(long, global = true, env = "VISAVIS_RELAY_CERTIFICATE", value_name = "FILE")]
    pub certificate: Option<PathBuf>,

    /// Its private key in PEM form
    #[arg(long, global = true, env = "VISAVIS_RELAY_KEY", value_name = "FILE")]
    pub key: Option<PathBuf>,

    /// Let anybody register without an invite: only for networks that are closed by other means
    #[arg(
        long, global = true, env = "VISAVIS_RELAY_OPEN_REGISTRATION", value_name = "BOOL",
        num_args = 0..=1, require_equals = true, default_missing_value = "true"
    )]
    pub open_registration: Option<bool>,

    /// Most clients connected at a time
    #[arg(long, global = true, env = "VISAVIS_RELAY_MAX_CONNECTIONS", value_name = "NUMBER")]
    pub max_connections: Option<usize>,

    /// What is logged: error, warn, info, debug, trace, or a filter such as visavis_relay=debug [default: info]
    #[arg(long, global = true, env = "VISAVIS_RELAY_LOG", value_name = "LEVEL")]
    pub log: Option<String>,
}

impl Config {
    /// Fills what neither flags nor environment have set from the file.
    ///
    /// # Errors
    ///
    /// The file cannot be read or has something in it that does not belong there; or it was named and is not there; or
    /// a setting makes no sense, wherever it comes from.
    pub fn with_file(self) -> anyhow::Result<Self> {
        let all = self.merged()?;
        if all.max_connections == Some(0) {
            bail!("max_connections is 0, which lets nobody in: set the most clients that may be connected at a time");
        }
        if let Some(host) = all.public_host.as_ref().filter(|host| !fits_a_link(host)) {
            bail!("{host:?} cannot be the public host: a host name or an address is expected, without a port");
        }
        Ok(all)
    }

    fn merged(self) -> anyhow::Result<Self> {
        let named = self.config.clone();
        let path = match &named {
            Some(path) => path.clone(),
            None => self.data_folder()?.join(FILE),
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if named.is_none() && is_absent(&error) => return Ok(self),
            Err(error) => {
                let advice = match error.kind() {
                    std::io::ErrorKind::InvalidData => {
                        "save it as UTF-8 text, or move it away and let visavis-relay init write another"
                    }
                    _ => "check that it is there and that this user may read it, or name another with --config",
                };
                return Err(error)
                    .with_context(|| format!("cannot read the settings in {}; {advice}", path.display()));
            }
        };
        let file: Self = toml::from_str(&text).with_context(|| {
            format!("the settings in {} are wrong; correct or remove what is shown below", path.display())
        })?;
        Ok(self.or(file))
    }

    fn or(self, file: Self) -> Self {
        Self {
            data: self.data,
            config: self.config,
            listen: self.listen.or(file.listen),
            public_host: self.public_host.or(file.public_host),
            certificate: self.certificate.or(file.certificate),
            key: self.key.or(file.key),
            open_registration: self.open_registration.or(file.open_registration),
            max_connections: self.max_connections.or(file.max_connections),
            log: self.log.or(file.log),
        }
    }

    /// The data folder.
    ///
    /// # Errors
    ///
    /// None is set and there is no home to put one.
    pub fn data_folder(&self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = &self.data {
            return Ok(folder.clone());
        }
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = variable("XDG_DATA_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".local/share")))
            .or_else(|| variable("LOCALAPPDATA"));
        base.map(|base| base.join("visavis-relay"))
            .context("there is no home folder to keep data in; name a folder with --data")
    }

    /// Makes the data folder, for its owner alone.
    ///
    /// # Errors
    ///
    /// It cannot be made or written to.
    pub fn prepare_data_folder(&self) -> anyhow::Result<PathBuf> {
        let folder = self.data_folder()?;
        let hint = || {
            format!(
                "cannot write to the data folder {}; give this user the right to, or name another with --data",
                folder.display()
            )
        };
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt as _;
            builder.mode(0o700);
        }
        builder.create(&folder).with_context(hint)?;
        let probe = folder.join(".probe");
        std::fs::write(&probe, b"").with_context(hint)?;
        std::fs::remove_file(&probe).with_context(hint)?;
        Ok(folder)
    }

    /// The relay's identity: from certificate files if they are set, else its own.
    ///
    /// # Errors
    ///
    /// Only one of the two files is set, or they cannot be used.
    pub fn identity(&self, folder: &Path) -> anyhow::Result<Identity> {
        match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Ok(Identity::from_files(certificate, key)?),
            (None, None) => Identity::load_or_create(folder).context("the relay has no identity without its key"),
            _ => bail!(
                "certificate and key belong together: set both, or neither for a certificate of the relay's own"
            ),
        }
    }

    /// Opens the relay's port.
    ///
    /// # Errors
    ///
    /// It is taken, or this user may not have it.
    pub fn bind(&self) -> anyhow::Result<UdpSocket> {
        let every_v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, DEFAULT_PORT));
        let every_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT));
        let address = self.listen.unwrap_or(every_v6);
        let bound = match UdpSocket::bind(address) {
            // A machine without IPv6.
            Err(error) if self.listen.is_none() && error.kind() != std::io::ErrorKind::AddrInUse => {
                UdpSocket::bind(every_v4)
            }
            bound => bound,
        };
        bound.with_context(|| {
            format!(
                "cannot listen on UDP {address}; if another program has the port, stop it or choose another with \
                 --listen ADDRESS:PORT"
            )
        })
    }

    /// The link to a relay that listens on `local`.
    pub fn link(&self, identity: &Identity, local: SocketAddr) -> Link {
        let host = self.public_host.clone().unwrap_or_else(|| public_address(local.ip()).to_string());
        Link { host, port: local.port(), pin: identity.link_pin(), token: None }
    }

    /// How the relay behaves.
    pub fn relay(&self) -> RelayConfig {
        let default = RelayConfig::default();
        RelayConfig {
            open_registration: self.open_registration.unwrap_or(default.open_registration),
            max_connections: self.max_connections.unwrap_or(default.max_connections),
            ..default
        }
    }
}

/// Whether a link with this host is read as it was written.
fn fits_a_link(host: &str) -> bool {
    let link = Link { host: host.to_owned(), port: DEFAULT_PORT, pin: None, token: None };
    let is_readable = link.to_string().parse() == Ok(link);
    is_readable && (!host.contains(':') || host.parse::<Ipv6Addr>().is_ok())
}

/// There is no such file, or no folder for it to be in; what is wrong with the folder is said when it is made.
pub(crate) fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// What others can reach: where the socket listens everywhere, the address that packets to the world would leave from.
fn public_address(listening: IpAddr) -> IpAddr {
    if !listening.is_unspecified() {
        return listening;
    }
    // An address of the documentation range (RFC 5737): connecting a UDP socket sends nothing.
    let route = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    route.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_a_valid_file_that_sets_nothing_and_names_every_key() {
        let parsed: Config = toml::from_str(TEMPLATE).expect("valid");
        assert_eq!(parsed, Config::default());
        let uncommented: String =
            TEMPLATE.lines().filter_map(|line| line.strip_prefix("#= ")).map(|line| format!("{line}\n")).collect();
        let parsed: Config = toml::from_str(&uncommented).expect("every example is valid");
        let Config {
            data: _,
            config: _,
            listen,
            public_host,
            certificate,
            key,
            open_registration,
            max_connections,
            log,
        } = parsed;
        assert!(listen.is_some() && public_host.is_some() && certificate.is_some() && key.is_some());
        assert!(open_registration.is_some() && max_connections.is_some() && log.is_some());
    }

    #[test]
    fn flags_win_over_the_file_and_unknown_keys_are_errors() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let file = folder.path().join(FILE);
        let flags = Config { data: Some(folder.path().into()), log: Some("debug".into()), ..Config::default() };
        std::fs::write(&file, "log = \"warn\"\npublic_host = \"relay.example.org\"\n").expect("write");
        let merged = flags.clone().with_file().expect("valid");
        assert_eq!(
            (merged.log.as_deref(), merged.public_host.as_deref()),
            (Some("debug"), Some("relay.example.org"))
        );
        std::fs::write(&file, "lisen = \"[::]:1\"\n").expect("write");
        let error = format!("{:#}", flags.with_file().expect_err("a typing error"));
        assert!(error.contains("lisen") && error.contains("relay.toml"), "{error}");
    }

    #[test]
    fn settings_without_sense_are_errors() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let empty = Config { data: Some(folder.path().into()), ..Config::default() };
        let of = |host: &str| Config { public_host: Some(host.into()), ..empty.clone() }.with_file();
        for host in ["relay.example.org", "192.0.2.1", "2001:db8::1", "my-machine"] {
            assert!(of(host).is_ok(), "{host}");
        }
        for host in ["", "a b/c", "a/b", "a#b", "[::1]", "relay.example.org:4433", "visavis://h", "h "] {
            let error = of(host).expect_err(host).to_string();
            assert!(error.contains(&format!("{host:?}")) && error.contains("public host"), "{error}");
        }
        std::fs::write(folder.path().join(FILE), "max_connections = 0\n").expect("write");
        assert!(empty.with_file().expect_err("nobody").to_string().contains("max_connections"));
    }

    #[test]
    fn a_taken_port_is_explained() {
        let holder = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = holder.local_addr().expect("bound");
        let config = Config { listen: Some(address), ..Config::default() };
        let error = format!("{:#}", config.bind().expect_err("taken"));
        assert!(error.contains(&address.to_string()) && error.contains("--listen"), "{error}");
    }
}
