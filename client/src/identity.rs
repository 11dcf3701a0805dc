//! Keys of a person and of a device: made here, signed with here, and sealed here before the relay keeps one.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    hkdf,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use prost::Message;
use visavis_proto::{
    ids::{AccountKey, DeviceKey},
    wire::control::{DEVICE_LIST_CONTEXT, Device, DeviceList, MAX_DEVICES, SignedDevices},
};
use zeroize::Zeroizing;

/// What can go wrong with a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not a PKCS #8 Ed25519 key.
    #[error("the stored key is damaged")]
    Damaged,
    /// The system gave no randomness.
    #[error("the system's random number generator failed")]
    Random,
    /// What the relay kept for this account does not open with this password's key.
    #[error("the account key that the relay keeps does not open: it was changed after registration")]
    Sealed,
    /// A device list that the account did not sign, or that is malformed.
    #[error("the relay's list of this account's devices is not signed by the account")]
    DeviceList,
    /// No room for another device.
    #[error(
        "this account has {MAX_DEVICES} devices already, and more are not allowed: remove one first, on one of them \
         (visavis devices, then visavis devices revoke ID)"
    )]
    TooManyDevices,
}

/// An Ed25519 key pair with its PKCS #8 bytes, which are wiped when it is dropped.
pub struct Key {
    pair: Ed25519KeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
}

/// Shows the public half only.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({})", DeviceKey(self.public()))
    }
}

impl Key {
    /// A fresh key.
    ///
    /// # Errors
    ///
    /// [`Error::Random`].
    pub fn generate() -> Result<Self, Error> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| Error::Random)?;
        Self::from_pkcs8(document.as_ref())
    }

    /// A stored key.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`].
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, Error> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| Error::Damaged)?;
        Ok(Self { pair, pkcs8: Zeroizing::new(pkcs8.to_vec()) })
    }

    /// The private key, to be stored.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public key.
    pub fn public(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(self.pair.public_key().as_ref());
        out
    }

    /// The public key as a device's.
    pub fn device(&self) -> DeviceKey {
        DeviceKey(self.public())
    }

    /// The public key as an account's.
    pub fn account(&self) -> AccountKey {
        AccountKey(self.public())
    }

    /// Signs a device list as the account.
    pub fn sign_devices(&self, list: &DeviceList) -> SignedDevices {
        let list = list.encode_to_vec();
        let signature = self.pair.sign(&[DEVICE_LIST_CONTEXT, &list].concat());
        SignedDevices { list, signature: signature.as_ref().to_vec() }
    }

    /// Checks the current list against this account and signs the next version with `device` in it.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceList`] if the account did not sign `current`, [`Error::TooManyDevices`] if it is full.
    pub fn add_device(&self, current: &SignedDevices, device: Device) -> Result<SignedDevices, Error> {
        let mut list = verify_devices(self.account(), current)?;
        list.devices.retain(|known| known.key != device.key);
        if list.devices.len() >= MAX_DEVICES {
            return Err(Error::TooManyDevices);
        }
        list.version += 1;
        list.devices.push(device);
        Ok(self.sign_devices(&list))
    }

    /// Checks the current list against this account and signs the next version without `device`.
    ///
    /// # Errors
    ///
    /// [`Error::DeviceList`] if the account did not sign `current`.
    pub fn remove_device(&self, current: &SignedDevices, device: DeviceKey) -> Result<SignedDevices, Error> {
        let mut list = verify_devices(self.account(), current)?;
        list.devices.retain(|known| known.key != device.0);
        list.version += 1;
        Ok(self.sign_devices(&list))
    }

    /// This key sealed under OPAQUE's export key, for the relay to keep.
    ///
    /// # Errors
    ///
    /// [`Error::Random`].
    pub fn seal(&self, export_key: &[u8]) -> Result<Vec<u8>, Error> {
        let mut bytes = Zeroizing::new(self.pkcs8.to_vec());
        let nonce = sealing_key(export_key)?
            .seal_in_place_append_tag(Aad::from(SEAL_CONTEXT), &mut *bytes)
            .map_err(|_| Error::Random)?;
        Ok([&nonce.as_ref()[..], &bytes[..]].concat())
    }

    /// The inverse of [`Self::seal`].
    ///
    /// # Errors
    ///
    /// [`Error::Sealed`] if `export_key` is not the one it was sealed under, or a byte was changed.
    pub fn unseal(sealed: &[u8], export_key: &[u8]) -> Result<Self, Error> {
        let (nonce, body) = sealed.split_at_checked(12).ok_or(Error::Sealed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Error::Sealed)?;
        let mut bytes = Zeroizing::new(body.to_vec());
        let opened = sealing_key(export_key)?
            .open_in_place(nonce, Aad::from(SEAL_CONTEXT), &mut bytes)
            .map_err(|_| Error::Sealed)?;
        Self::from_pkcs8(opened)
    }
}

/// Opens a device list that `account` signed.
///
/// # Errors
///
/// [`Error::DeviceList`].
pub fn verify_devices(account: AccountKey, signed: &SignedDevices) -> Result<DeviceList, Error> {
    let key = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, account.0);
    key.verify(&[DEVICE_LIST_CONTEXT, &signed.list].concat(), &signed.signature).map_err(|_| Error::DeviceList)?;
    DeviceList::decode(&signed.list[..]).map_err(|_| Error::DeviceList)
}

/// Binds the sealed bytes to their purpose.
const SEAL_CONTEXT: &[u8] = b"visavis account key v1";

fn sealing_key(export_key: &[u8]) -> Result<RandomizedNonceKey, Error> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, &[])
        .extract(export_key)
        .expand(&[SEAL_CONTEXT], &AES_256_GCM)
        .and_then(|okm| okm.fill(&mut *key))
        .map_err(|_| Error::Random)?;
    RandomizedNonceKey::new(&AES_256_GCM, &*key).map_err(|_| Error::Random)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(byte: u8) -> Device {
        Device { key: vec![byte; 32], name: "laptop".into(), added_ms: 1 }
    }

    #[test]
    fn a_sealed_key_opens_with_its_own_export_key_only() {
        let key = Key::generate().expect("randomness");
        let sealed = key.seal(&[1; 64]).expect("sealed");
        assert_eq!(Key::unseal(&sealed, &[1; 64]).expect("opens").public(), key.public());
        assert!(matches!(Key::unseal(&sealed, &[2; 64]), Err(Error::Sealed)));
        for position in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[position] ^= 1;
            assert!(matches!(Key::unseal(&changed, &[1; 64]), Err(Error::Sealed)), "byte {position}");
        }
        assert!(matches!(Key::unseal(&[0; 5], &[1; 64]), Err(Error::Sealed)));
    }

    #[test]
    fn a_device_list_grows_and_shrinks_by_its_owner_only() {
        let account = Key::generate().expect("randomness");
        let first = account.sign_devices(&DeviceList { version: 1, devices: vec![device(1)] });
        let second = account.add_device(&first, device(2)).expect("room");
        let list = verify_devices(account.account(), &second).expect("signed");
        assert_eq!((list.version, list.devices.len()), (2, 2));
        let other = Key::generate().expect("randomness");
        assert!(matches!(other.add_device(&first, device(3)), Err(Error::DeviceList)));
        assert!(matches!(other.remove_device(&second, DeviceKey([1; 32])), Err(Error::DeviceList)));
        let third = account.remove_device(&second, DeviceKey([1; 32])).expect("signed");
        let list = verify_devices(account.account(), &third).expect("signed");
        assert_eq!((list.version, list.devices), (3, vec![device(2)]));
        let full = DeviceList { version: 9, devices: (0..MAX_DEVICES as u8).map(device).collect() };
        assert!(matches!(account.add_device(&account.sign_devices(&full), device(99)), Err(Error::TooManyDevices)));
    }
}
