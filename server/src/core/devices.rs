//! Whether a signed device list is good: signed by its account, one version up, short, and adding nothing but the
//! device that brings it.

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use prost::Message as _;
use visavis_proto::{
    ids::{AccountKey, DeviceKey},
    wire::control::{
        self, DEVICE_LIST_CONTEXT, MAX_DEVICE_NAME_BYTES, MAX_DEVICES, SignedDevices, valid_device_name,
    },
};

use crate::db::DeviceList;

/// What is wrong with a device list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is none, or it does not decode.
    #[error("malformed")]
    Malformed,
    /// Not by this account's key.
    #[error("the signature is wrong")]
    Signature,
    /// Not the version that must follow.
    #[error("the version is not one above the last")]
    Version,
    /// More than [`MAX_DEVICES`].
    #[error("too many devices")]
    TooMany,
    /// The device that is to be enrolled is not in it, or one is twice in it.
    #[error("the devices in it are wrong")]
    Devices,
    /// It adds devices that nobody has proved.
    #[error("it adds a device other than this one")]
    Stranger,
}

/// Most bytes of an encoded list: eight devices with the longest names need about 900. The bytes are kept and handed out
/// as they were signed, so padding in unknown fields must not fill a control message.
const MAX_LIST_BYTES: usize = 4 * 1024;

/// Checks `signed` as the list that follows `last` (or the first one), brought by `bringer`.
///
/// # Errors
///
/// Any [`Error`]; the client is then at fault, or out of date.
pub fn check(
    signed: &SignedDevices,
    account: AccountKey,
    last: Option<&DeviceList>,
    bringer: DeviceKey,
) -> Result<DeviceList, Error> {
    if signed.list.len() > MAX_LIST_BYTES {
        return Err(Error::Malformed);
    }
    let message = [DEVICE_LIST_CONTEXT, &signed.list].concat();
    UnparsedPublicKey::new(&ED25519, account.0).verify(&message, &signed.signature).map_err(|_| Error::Signature)?;
    let list = control::DeviceList::decode(&signed.list[..]).map_err(|_| Error::Malformed)?;
    let expected = match last {
        None => None,
        Some(last) => Some(last.version.checked_add(1).ok_or(Error::Version)?),
    };
    // A first list may start anywhere: after a password reset it goes on from nothing that the new key has signed.
    if expected.is_some_and(|expected| list.version != expected) || i64::try_from(list.version).is_err() {
        return Err(Error::Version);
    }
    if list.devices.len() > MAX_DEVICES {
        return Err(Error::TooMany);
    }
    let mut devices = Vec::with_capacity(list.devices.len());
    for device in &list.devices {
        let key = DeviceKey::try_from(&device.key[..]).map_err(|_| Error::Malformed)?;
        if devices.contains(&key) {
            return Err(Error::Devices);
        }
        let known = last.is_some_and(|last| last.devices.contains(&key));
        if !known && key != bringer {
            return Err(Error::Stranger);
        }
        // What was enrolled before names were looked at this closely stays.
        if device.name.len() > MAX_DEVICE_NAME_BYTES || !known && !valid_device_name(&device.name) {
            return Err(Error::Malformed);
        }
        devices.push(key);
    }
    // An enrolled device may take itself out; one that is to be enrolled must be in.
    let enrolled = last.is_some_and(|last| last.devices.contains(&bringer));
    if !enrolled && !devices.contains(&bringer) {
        return Err(Error::Devices);
    }
    Ok(DeviceList { version: list.version, list: signed.list.clone(), signature: signed.signature.clone(), devices })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    const NEW: DeviceKey = DeviceKey([1; 32]);
    const OLD: DeviceKey = DeviceKey([2; 32]);
    const STRANGER: DeviceKey = DeviceKey([3; 32]);

    fn account() -> (Ed25519KeyPair, AccountKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any seed");
        let key = AccountKey::try_from(pair.public_key().as_ref()).expect("32 bytes");
        (pair, key)
    }

    fn sign(version: u64, devices: &[DeviceKey]) -> SignedDevices {
        sign_named(version, devices, "laptop")
    }

    fn sign_named(version: u64, devices: &[DeviceKey], name: &str) -> SignedDevices {
        let device = |key: &DeviceKey| control::Device { key: key.to_vec(), name: name.into(), added_ms: 1 };
        let list = control::DeviceList { version, devices: devices.iter().map(device).collect() }.encode_to_vec();
        let signature = account().0.sign(&[DEVICE_LIST_CONTEXT, &list].concat()).as_ref().to_vec();
        SignedDevices { list, signature }
    }

    #[test]
    fn a_new_device_brings_no_control_characters_and_an_old_one_keeps_its_own() {
        let key = account().1;
        let check = |name, devices: &[DeviceKey], last: Option<&DeviceList>| {
            check(&sign_named(2, devices, name), key, last, devices[0]).map(|list| list.devices)
        };
        let last = DeviceList { version: 1, list: Vec::new(), signature: Vec::new(), devices: vec![OLD] };
        assert_eq!(check("a\u{1b}[2Jb", &[NEW], None), Err(Error::Malformed));
        assert_eq!(check("a\nb", &[NEW, OLD], Some(&last)), Err(Error::Malformed));
        assert_eq!(check("a\nb", &[OLD], Some(&last)), Ok(vec![OLD]));
    }

    #[test]
    fn only_the_next_list_of_the_same_account_with_this_device_is_taken() {
        let key = account().1;
        let first = check(&sign(1, &[OLD]), key, None, OLD).expect("first list");
        assert_eq!(first.devices, [OLD]);
        let by_old = |signed: &SignedDevices| check(signed, key, Some(&first), OLD).map(|list| list.devices);
        assert_eq!(by_old(&sign(2, &[])), Ok(vec![]), "an enrolled device takes itself out");
        assert_eq!(by_old(&sign(2, &[NEW])), Err(Error::Stranger));
        let check = |signed: &SignedDevices| check(signed, key, Some(&first), NEW).map(|list| list.devices);
        assert_eq!(check(&sign(2, &[OLD, NEW])), Ok(vec![OLD, NEW]));
        assert_eq!(check(&sign(2, &[NEW])), Ok(vec![NEW]));
        assert_eq!(check(&sign(1, &[OLD, NEW])), Err(Error::Version));
        assert_eq!(check(&sign(3, &[OLD, NEW])), Err(Error::Version));
        assert_eq!(check(&sign(2, &[OLD])), Err(Error::Devices));
        assert_eq!(check(&sign(2, &[NEW, NEW])), Err(Error::Devices));
        assert_eq!(check(&sign(2, &[NEW, STRANGER])), Err(Error::Stranger));
        let many: Vec<_> = (0..=MAX_DEVICES as u8).map(|byte| DeviceKey([byte; 32])).collect();
        assert_eq!(check(&sign(2, &many)), Err(Error::TooMany));
        let mut forged = sign(2, &[NEW]);
        forged.signature[0] ^= 1;
        assert_eq!(check(&forged), Err(Error::Signature));
        let unsigned = SignedDevices { list: Vec::new(), signature: Vec::new() };
        assert_eq!(check(&unsigned), Err(Error::Signature));
    }
}
