//! Who the relay is to its clients: a certificate, its key, and what links say about it.

use std::{fs, io, io::Write as _, path::Path, sync::Arc};

use aws_lc_rs::{digest, hmac};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};

/// Name in the self-signed certificate. Clients check the key instead.
const CERTIFICATE_NAME: &str = "visavis-relay";

const KEY_FILE: &str = "relay.key";
const CERTIFICATE_FILE: &str = "relay.crt";

/// A certificate chain with its private key.
#[derive(Debug)]
pub struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
    pin: [u8; 32],
    self_signed: bool,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// "read" or "write".
        action: &'static str,
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file that holds something else.
    #[error("{path} does not hold {expected}: {detail}")]
    Content {
        /// Which file.
        path: String,
        /// What belongs there.
        expected: &'static str,
        /// What the parser said.
        detail: String,
    },
    /// The key does not make a certificate.
    #[error("the relay's key cannot be used: {0}")]
    Key(String),
}

impl Identity {
    /// A new one, for as long as the process runs: for tests.
    ///
    /// # Errors
    ///
    /// The system gives no randomness.
    pub fn generate() -> Result<Self, Error> {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(key_error)?;
        Self::self_signed(&key)
    }

    /// The one that belongs to a seed, so that simulated relays are the same each time.
    ///
    /// # Errors
    ///
    /// None that a caller could provoke.
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, Error> {
        // RFC 8410 section 7: the fixed head of an Ed25519 private key in PKCS #8.
        let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
        der.extend_from_slice(&seed);
        let der = PrivatePkcs8KeyDer::from(der);
        let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ED25519).map_err(key_error)?;
        Self::self_signed(&key)
    }

    /// The one in the relay's data folder, made there at the first start.
    ///
    /// # Errors
    ///
    /// A file cannot be read or written, or is damaged. A damaged key is never replaced: every client has pinned it.
    pub fn load_or_create(folder: &Path) -> Result<Self, Error> {
        let (key_path, certificate_path) = (folder.join(KEY_FILE), folder.join(CERTIFICATE_FILE));
        let key = match fs::read_to_string(&key_path) {
            Ok(pem) => rcgen::KeyPair::from_pem(&pem)
                .map_err(|error| content_error(&key_path, "a private key in PEM form", &error))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).map_err(key_error)?;
                write_secret(&key_path, key.serialize_pem().as_bytes())
                    .map_err(|error| file_error("write", &key_path, error))?;
                key
            }
            Err(error) => return Err(file_error("read", &key_path, error)),
        };
        // The certificate says nothing that the key does not: it is made again rather than trusted to still match.
        let identity = Self::self_signed(&key)?;
        let pem = certificate_pem(&identity.chain[0]);
        if fs::read_to_string(&certificate_path).ok().as_deref() != Some(&pem) {
            fs::write(&certificate_path, pem).map_err(|error| file_error("write", &certificate_path, error))?;
        }
        Ok(identity)
    }

    /// A certificate that an authority has signed, and its key, both PEM.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or does not hold what it should.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, Error> {
        let read = |path: &Path| fs::read(path).map_err(|error| file_error("read", path, error));
        let chain = CertificateDer::pem_slice_iter(&read(certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| content_error(certificate, "certificates in PEM form", &error))?;
        if chain.is_empty() {
            return Err(content_error(certificate, "certificates in PEM form", &"there are none in it"));
        }
        let private = PrivateKeyDer::from_pem_slice(&read(key)?)
            .map_err(|error| content_error(key, "a private key in PEM form", &error))?;
        Self::new(chain, private, false)
    }

    /// What a link says about the relay: SHA-256 of its public key, or nothing if authorities vouch for it.
    pub fn link_pin(&self) -> Option<[u8; 32]> {
        self.self_signed.then_some(self.pin)
    }

    /// SHA-256 of the certificate's SubjectPublicKeyInfo.
    pub const fn pin(&self) -> [u8; 32] {
        self.pin
    }

    /// A secret of the same relay for another purpose, from which the key cannot be found.
    pub(crate) fn derive(&self, purpose: &[u8]) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.secret_der());
        let mut secret = [0; 32];
        secret.copy_from_slice(hmac::sign(&key, purpose).as_ref());
        secret
    }

    fn self_signed(key: &rcgen::KeyPair) -> Result<Self, Error> {
        let certificate = rcgen::CertificateParams::new([CERTIFICATE_NAME.to_owned()])
            .and_then(|params| params.self_signed(key))
            .map_err(key_error)?;
        let private = PrivatePkcs8KeyDer::from(key.serialize_der());
        Self::new(vec![certificate.der().clone()], private.into(), true)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        self_signed: bool,
    ) -> Result<Self, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let signer =
            provider.key_provider.load_private_key(key.clone_key()).map_err(|e| Error::Key(e.to_string()))?;
        let public = signer.public_key().ok_or_else(|| Error::Key("it has no public part".into()))?;
        let mut pin = [0; 32];
        pin.copy_from_slice(digest::digest(&digest::SHA256, &public).as_ref());
        Ok(Self { chain, key, pin, self_signed })
    }
}

fn certificate_pem(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Writes a file that only its owner may read, whole or not at all.
fn write_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let mut file = options.open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

fn key_error(error: rcgen::Error) -> Error {
    Error::Key(error.to_string())
}

fn file_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { action, path: path.display().to_string(), source }
}

fn content_error(path: &Path, expected: &'static str, detail: &impl ToString) -> Error {
    Error::Content { path: path.display().to_string(), expected, detail: detail.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pin_survives_a_restart_and_the_key_is_private() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let first = Identity::load_or_create(folder.path()).expect("first start");
        fs::remove_file(folder.path().join(CERTIFICATE_FILE)).expect("certificate was written");
        let second = Identity::load_or_create(folder.path()).expect("second start");
        assert_eq!(first.link_pin(), second.link_pin());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(folder.path().join(KEY_FILE)).expect("key file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_key_is_an_error_and_stays() {
        let folder = tempfile::tempdir().expect("temporary folder");
        fs::write(folder.path().join(KEY_FILE), "scribble").expect("write");
        let error = Identity::load_or_create(folder.path()).expect_err("must not replace it");
        assert!(matches!(error, Error::Content { .. }), "{error}");
        assert_eq!(fs::read_to_string(folder.path().join(KEY_FILE)).expect("still there"), "scribble");
    }

    #[test]
    fn a_seed_gives_the_same_relay_each_time() {
        let pin = |seed| Identity::from_seed([seed; 32]).expect("any seed").pin();
        assert_eq!(pin(1), pin(1));
        assert_ne!(pin(1), pin(2));
    }
}
