//! Who is at the other end: the relay by its pin or by its certificate, this device by its raw public key.

use std::sync::{Arc, OnceLock};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::{
        AlwaysResolvesClientRawPublicKeys, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature},
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime},
    sign::CertifiedKey,
};
use visavis_proto::hex::Hex;

use crate::identity::Key;

/// Where a verifier leaves the typed reason for a failed handshake; QUIC's errors carry only its text.
pub type Refusal = Arc<OnceLock<WrongPin>>;

/// The QUIC TLS configuration of a device that knows its relay by `pin`, or by the system's authorities without one.
///
/// # Errors
///
/// A description of what is wrong with the key or the system's certificate store.
pub fn client_config(device: &Key, pin: Option<[u8; 32]>, wrong: Refusal) -> Result<rustls::ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match pin {
        Some(pin) => builder.dangerous().with_custom_certificate_verifier(Arc::new(Pinned {
            pin,
            algorithms: provider.signature_verification_algorithms,
            wrong,
        })),
        None => {
            let verifier = WebPkiServerVerifier::builder_with_provider(system_roots()?, provider.clone())
                .build()
                .map_err(|error| Error::General(error.to_string()))?;
            builder.with_webpki_verifier(verifier)
        }
    };
    let mut config = builder.with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(Arc::new(
        certified(device, &provider)?,
    ))));
    config.alpn_protocols = vec![visavis_proto::ALPN.to_vec()];
    Ok(config)
}

/// A device's key in the form that rustls proves: RFC 7250, the "certificate" is the bare SubjectPublicKeyInfo.
fn certified(device: &Key, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
    let key = provider.key_provider.load_private_key(PrivatePkcs8KeyDer::from(device.pkcs8().to_vec()).into())?;
    let public = key.public_key().ok_or(Error::General("the device key has no public half".into()))?;
    Ok(CertifiedKey::new(vec![CertificateDer::from(public.to_vec())], key))
}

/// The authorities in Debian's place and in the places other systems use.
fn system_roots() -> Result<Arc<rustls::RootCertStore>, Error> {
    use rustls::pki_types::pem::PemObject;
    const PLACES: [&str; 3] =
        ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    let mut roots = rustls::RootCertStore::empty();
    for place in PLACES {
        if let Ok(certificates) = CertificateDer::pem_file_iter(place) {
            roots.add_parsable_certificates(certificates.flatten());
        }
        if !roots.is_empty() {
            return Ok(Arc::new(roots));
        }
    }
    Err(Error::General(
        "this link has no key in it, so the relay's certificate must be checked against the system's authorities, and \
         none were found: install ca-certificates, or ask the relay's operator for the link that it prints"
            .into(),
    ))
}

/// Accepts exactly one public key, however its certificate is dressed, and checks that the relay holds it.
#[derive(Debug)]
struct Pinned {
    pin: [u8; 32],
    algorithms: WebPkiSupportedAlgorithms,
    wrong: Refusal,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = webpki::EndEntityCert::try_from(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let public = certificate.subject_public_key_info();
        let actual = ::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, &public);
        if actual.as_ref() == self.pin {
            return Ok(ServerCertVerified::assertion());
        }
        let mut seen = [0; 32];
        seen.copy_from_slice(actual.as_ref());
        // Only the first refusal is kept: every handshake has its own cell.
        let _ = self.wrong.set(WrongPin { expected: self.pin, seen });
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken here".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}

/// The relay holds another key than the link promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the relay's key has changed: the link promises {}, the relay holds {}. Somebody may be in between, or the relay was \
     set up anew: ask its operator for the current link before you go on",
    Hex(expected),
    Hex(seen)
)]
pub struct WrongPin {
    /// From the link.
    pub expected: [u8; 32],
    /// From the relay.
    pub seen: [u8; 32],
}
