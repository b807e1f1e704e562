//! Encrypted records, as the Open Metering System uses them (EN 13757-7:2018, clauses 7.7 and 9; OMS volume 2, security
//! profiles A and B).
//!
//! ```text
//! mode 5   AES-128-CBC with the meter's key; start value: manufacturer, number, version, device, 8 times access number
//! mode 7   AES-128-CBC with start value 0 and a key for this one message:
//!            CMAC(key, use ‖ message counter ‖ number ‖ 7 times 07), use 00 to decrypt and 01 for the code of CI 90
//! ```
//!
//! **A wrong key never makes a reading.** Decrypted records begin with 2F 2F, or the telegram is refused; where the meter
//! sends an authentication code and a key is there, the code is checked first.
//!
//! Not here: other modes (refused by their number), and a memory of message counters. Whoever can write on the line's
//! wires can play an old telegram back; its date gives it away, and nothing else does.

use std::borrow::Cow;

use aes::Aes128;
use cbc::Decryptor;
use cbc::cipher::{Block, BlockModeDecrypt, KeyIvInit};
use cmac::{Cmac, KeyInit, Mac};
use weir_meter::Fault;

use crate::Key;
use crate::afl::Afl;
use crate::header::{MeterId, ShortHeader};

/// AES works on blocks of so many bytes.
const BLOCK: usize = 16;
/// What decrypted records begin with.
const MARK: [u8; 2] = [0x2F, 0x2F];
/// Uses of a derived key, when the meter is the sender.
const USE_DECRYPTION: u8 = 0x00;
const USE_CODE: u8 = 0x01;

/// What a telegram is protected with, and what there is to open it.
pub(crate) struct Protection<'a> {
    pub(crate) key: Option<&'a Key>,
    pub(crate) afl: Option<&'a Afl<'a>>,
    /// Who the meter is, where it is known.
    pub(crate) meter: Option<MeterId>,
}

/// What the configuration word and the bytes behind it say of mode 7.
struct Mode7<'a> {
    derivation: u8,
    counter: Option<[u8; 4]>,
    records: &'a [u8],
}

/// The records behind a header, decrypted where they are encrypted.
///
/// # Errors
/// [`Fault::Refused`] when they cannot be: no key, the wrong one, another mode, a telegram that breaks off.
pub(crate) fn open<'a>(header: &ShortHeader<'a>, with: &Protection<'_>) -> Result<Cow<'a, [u8]>, Fault> {
    let mode = header.encrypted();
    let (records, mode7) = match mode {
        Some(7) => {
            let mode7 = Mode7::split(header)?;
            (mode7.records, Some(mode7))
        }
        _ => (header.records, None),
    };
    if let (Some(key), Some(afl)) = (with.key, with.afl) {
        with.authenticate(key, afl, mode7.as_ref())?;
    }
    let Some(mode) = mode else { return Ok(Cow::Borrowed(records)) };
    if !matches!(mode, 5 | 7) {
        return Err(Fault::refused(format!(
            "records are encrypted in security mode {mode}, which is not read"
        )));
    }
    let announced = usize::from(header.configuration >> 4 & 0x0F);
    // None announced: by the standard nothing is encrypted. There are masters that take it for all, so a key is tried.
    let blocks = if announced == 0 { records.len() / BLOCK } else { announced };
    let (encrypted, plain) = records.split_at_checked(blocks * BLOCK).ok_or_else(|| {
        Fault::refused(format!(
            "{blocks} encrypted blocks are announced, and there are only {} bytes",
            records.len()
        ))
    })?;
    let opened = match with.key {
        Some(key) => with.decrypted(key, header, mode7.as_ref(), encrypted),
        None => Err(Fault::refused(format!(
            "records are encrypted (security mode {mode}), and there is no key for them"
        ))),
    };
    match opened {
        Ok(mut decrypted) => {
            decrypted.extend_from_slice(plain);
            Ok(Cow::Owned(decrypted))
        }
        Err(_) if announced == 0 => Ok(Cow::Borrowed(records)),
        Err(fault) => Err(fault),
    }
}

fn unnamed(mode: u16) -> Fault {
    Fault::refused(format!(
        "records are encrypted (security mode {mode}) behind a short header: decryption needs the meter's secondary address"
    ))
}

impl<'a> Mode7<'a> {
    /// Reads the extension of the configuration word, and the optional fields behind it.
    fn split(header: &ShortHeader<'a>) -> Result<Self, Fault> {
        let cut = || Fault::refused("header of security mode 7 breaks off");
        let (extension, mut records) = header.records.split_first().ok_or_else(cut)?;
        if extension & 0x40 != 0 {
            // The version of the key: there is but one.
            records = records.get(1..).ok_or_else(cut)?;
        }
        let mut counter = None;
        if header.configuration & 0x2000 != 0 {
            let (own, rest) = records.split_first_chunk().ok_or_else(cut)?;
            (counter, records) = (Some(*own), rest);
        }
        Ok(Self { derivation: extension >> 4 & 3, counter, records })
    }
}

impl Protection<'_> {
    /// These blocks in plain, if the key fits.
    fn decrypted(
        &self,
        key: &Key,
        header: &ShortHeader<'_>,
        mode7: Option<&Mode7<'_>>,
        encrypted: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let (mode, decrypted) = match mode7 {
            None => {
                let meter = self.meter.ok_or_else(|| unnamed(5))?;
                (5, decrypt(key.bytes(), &start_value(&meter, header.access), encrypted))
            }
            Some(mode7) => {
                let key = self.key_for(key, mode7.derivation, mode7.counter, USE_DECRYPTION)?;
                (7, decrypt(&key, &[0; BLOCK], encrypted))
            }
        };
        if decrypted.starts_with(&MARK) {
            return Ok(decrypted);
        }
        Err(Fault::refused(format!(
            "records do not decrypt with this meter's key (security mode {mode}): the key is wrong"
        )))
    }

    /// Checks the code in front of the telegram, if there is one.
    fn authenticate(&self, key: &Key, afl: &Afl<'_>, mode7: Option<&Mode7<'_>>) -> Result<(), Fault> {
        let Some(code) = afl.code else { return Ok(()) };
        if !(3..=7).contains(&code.kind) {
            return Err(Fault::refused(format!("authentication of kind {} is not known", code.kind)));
        }
        let Some(derivation) = afl.derivation.or(mode7.map(|mode7| mode7.derivation)) else {
            return Err(Fault::refused("authentication does not say how its key is derived"));
        };
        let key = self.key_for(key, derivation, mode7.and_then(|mode7| mode7.counter), USE_CODE)?;
        let mut mac = <Cmac<Aes128> as KeyInit>::new(&key.into());
        afl.covered().for_each(|bytes| mac.update(bytes));
        mac.verify_truncated_left(code.bytes).map_err(|_| {
            Fault::refused("authentication code does not fit this meter's key: the key is wrong, or the telegram changed")
        })
    }

    /// The key of this message (EN 13757-7:2018, 9.6.1).
    fn key_for(
        &self,
        key: &Key,
        derivation: u8,
        counter: Option<[u8; 4]>,
        used_for: u8,
    ) -> Result<[u8; BLOCK], Fault> {
        match derivation {
            0 => return Ok(*key.bytes()),
            1 => {}
            other => return Err(Fault::refused(format!("key derivation {other} is not known"))),
        }
        let counter = counter
            .or(self.afl.and_then(|afl| afl.counter))
            .ok_or_else(|| Fault::refused("security mode 7 without a message counter"))?;
        let meter = self.meter.ok_or_else(|| unnamed(7))?;
        let mut mac = <Cmac<Aes128> as KeyInit>::new(key.bytes().into());
        mac.update(&[used_for]);
        mac.update(&counter);
        mac.update(&meter.number);
        mac.update(&[0x07; 7]);
        Ok(mac.finalize().into_bytes().into())
    }
}

/// The start value of mode 5.
fn start_value(meter: &MeterId, access: u8) -> [u8; BLOCK] {
    let MeterId { number: [n0, n1, n2, n3], manufacturer: [m0, m1], version, device } = *meter;
    let a = access;
    [m0, m1, n0, n1, n2, n3, version, device, a, a, a, a, a, a, a, a]
}

/// Decrypts whole blocks.
fn decrypt(key: &[u8; BLOCK], start: &[u8; BLOCK], encrypted: &[u8]) -> Vec<u8> {
    let mut cipher = Decryptor::<Aes128>::new(key.into(), start.into());
    let (blocks, _) = encrypted.as_chunks::<BLOCK>();
    let mut decrypted = Vec::with_capacity(encrypted.len());
    for block in blocks {
        let mut block: Block<Aes128> = (*block).into();
        cipher.decrypt_block(&mut block);
        decrypted.extend_from_slice(&block);
    }
    decrypted
}

#[cfg(test)]
mod tests;
