//! OPAQUE (RFC 9807): how a password enrols a device without the relay ever seeing it.

use opaque_ke::{
    CipherSuite, CredentialFinalization, CredentialRequest, RegistrationRequest, RegistrationUpload, ServerLogin,
    ServerLoginParameters, ServerRegistration, ServerSetup, errors::ProtocolError,
};
use rand::{CryptoRng, RngCore};

/// The suite that relay and clients agree on. A client defines the identical type for itself.
pub struct Suite;

impl CipherSuite for Suite {
    type OprfCs = opaque_ke::Ristretto255;
    type KeyExchange = opaque_ke::TripleDh<opaque_ke::Ristretto255, sha2::Sha512>;
    type Ksf = argon2::Argon2<'static>;
}

/// The relay's long-term OPAQUE secrets. Losing them makes every password of the relay worthless.
pub struct Secrets(ServerSetup<Suite>);

/// A login between its two messages.
pub struct PendingLogin(ServerLogin<Suite>);

impl Secrets {
    /// Fresh secrets, in the form that the store keeps.
    pub fn generate<R: RngCore + CryptoRng>(rng: &mut R) -> Vec<u8> {
        ServerSetup::<Suite>::new(rng).serialize().to_vec()
    }

    /// From what the store kept.
    ///
    /// # Errors
    ///
    /// The bytes are not what [`Self::generate`] made.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ProtocolError> {
        ServerSetup::deserialize(bytes).map(Self)
    }

    /// Answers a registration request for a folded name.
    ///
    /// # Errors
    ///
    /// The request is malformed.
    pub fn register(&self, request: &[u8], folded_name: &str) -> Result<Vec<u8>, ProtocolError> {
        let request = RegistrationRequest::<Suite>::deserialize(request)?;
        let start = ServerRegistration::<Suite>::start(&self.0, request, folded_name.as_bytes())?;
        Ok(start.message.serialize().to_vec())
    }

    /// Answers a login request. Without a record the answer is made up, and is no different to look at.
    ///
    /// # Errors
    ///
    /// The request or the record is malformed.
    pub fn login<R: RngCore + CryptoRng>(
        &self,
        rng: &mut R,
        record: Option<&[u8]>,
        request: &[u8],
        folded_name: &str,
    ) -> Result<(Vec<u8>, PendingLogin), ProtocolError> {
        let record = record.map(ServerRegistration::<Suite>::deserialize).transpose()?;
        let request = CredentialRequest::deserialize(request)?;
        let parameters = ServerLoginParameters::default();
        let start = ServerLogin::start(rng, &self.0, record, request, folded_name.as_bytes(), parameters)?;
        Ok((start.message.serialize().to_vec(), PendingLogin(start.state)))
    }
}

impl PendingLogin {
    /// Checks the last message: the client knows the password.
    ///
    /// # Errors
    ///
    /// It does not, or there was no such account.
    pub fn finish(self, finalization: &[u8]) -> Result<(), ProtocolError> {
        let message = CredentialFinalization::deserialize(finalization)?;
        self.0.finish(message, ServerLoginParameters::default()).map(drop)
    }
}

/// Checks an upload and turns it into the record that the store keeps.
///
/// # Errors
///
/// It is malformed.
pub fn record(upload: &[u8]) -> Result<Vec<u8>, ProtocolError> {
    let upload = RegistrationUpload::<Suite>::deserialize(upload)?;
    Ok(ServerRegistration::finish(upload).serialize().to_vec())
}
