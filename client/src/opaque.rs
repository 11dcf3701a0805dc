//! The client's half of OPAQUE (RFC 9807): the relay learns neither the password nor anything it could look up.

use opaque_ke::{
    CipherSuite, ClientLogin, ClientLoginFinishParameters, ClientRegistration, ClientRegistrationFinishParameters,
    CredentialResponse, RegistrationResponse, Ristretto255, TripleDh, errors::ProtocolError, rand::rngs::OsRng,
};
use zeroize::Zeroizing;

/// The suite that every relay of this protocol version speaks.
#[derive(Debug)]
pub struct Suite;

impl CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, sha2::Sha512>;
    type Ksf = argon2::Argon2<'static>;
}

/// Told by whichever of the two ends finds out first, so that nobody learns from it which names exist.
pub const WRONG_PASSWORD: &str = "wrong name or password: try again with both as you registered them at this relay; its \
                                  operator can reset a forgotten password (visavis-relay user passwd-reset NAME)";

/// Why a login or a registration came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The password is not the one the account was registered with, or there is no such account.
    #[error("{WRONG_PASSWORD}")]
    WrongPassword,
    /// The relay's message makes no sense.
    #[error("the relay answered the password exchange with something malformed: {0}")]
    Protocol(String),
}

impl From<ProtocolError> for Error {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::InvalidLoginError => Self::WrongPassword,
            other => Self::Protocol(other.to_string()),
        }
    }
}

/// The key that only this password leads to: seals the account key.
pub type ExportKey = Zeroizing<Vec<u8>>;

/// A registration between its two messages.
pub struct Registration {
    state: ClientRegistration<Suite>,
    password: Zeroizing<Vec<u8>>,
}

impl Registration {
    /// The first message.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] for a password that cannot be hashed to the group, which no real one is.
    pub fn start(password: &str) -> Result<(Self, Vec<u8>), Error> {
        let started = ClientRegistration::<Suite>::start(&mut OsRng, password.as_bytes())?;
        let state = Self { state: started.state, password: Zeroizing::new(password.as_bytes().to_vec()) };
        Ok((state, started.message.serialize().to_vec()))
    }

    /// The last message and the export key. Runs Argon2id: tens of milliseconds.
    ///
    /// # Errors
    ///
    /// [`Error::Protocol`] if the relay's answer is malformed.
    pub fn finish(self, answer: &[u8]) -> Result<(Vec<u8>, ExportKey), Error> {
        let answer = RegistrationResponse::deserialize(answer)?;
        let parameters = ClientRegistrationFinishParameters::default();
        let finished = self.state.finish(&mut OsRng, &self.password, answer, parameters)?;
        Ok((finished.message.serialize().to_vec(), Zeroizing::new(finished.export_key.to_vec())))
    }
}

/// A login between its two messages.
pub struct Login {
    state: ClientLogin<Suite>,
    password: Zeroizing<Vec<u8>>,
}

impl Login {
    /// The first message.
    ///
    /// # Errors
    ///
    /// As [`Registration::start`].
    pub fn start(password: &str) -> Result<(Self, Vec<u8>), Error> {
        let started = ClientLogin::<Suite>::start(&mut OsRng, password.as_bytes())?;
        let state = Self { state: started.state, password: Zeroizing::new(password.as_bytes().to_vec()) };
        Ok((state, started.message.serialize().to_vec()))
    }

    /// The last message and the export key. Runs Argon2id.
    ///
    /// # Errors
    ///
    /// [`Error::WrongPassword`], or [`Error::Protocol`] if the relay's answer is malformed.
    pub fn finish(self, answer: &[u8]) -> Result<(Vec<u8>, ExportKey), Error> {
        let answer = CredentialResponse::deserialize(answer)?;
        let parameters = ClientLoginFinishParameters::default();
        let finished = self.state.finish(&mut OsRng, &self.password, answer, parameters)?;
        Ok((finished.message.serialize().to_vec(), Zeroizing::new(finished.export_key.to_vec())))
    }
}
