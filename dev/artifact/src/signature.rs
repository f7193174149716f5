//! The signature that Apple's systems want in a program before they run it. The linker makes one
//! without a key: the hashes of the program's pages. A tool that changes the program afterwards, such
//! as one that removes symbols, breaks it.
//!
//! The format is in xnu's `bsd/sys/codesign.h` and `osfmk/kern/cs_blobs.h`. All numbers in it are
//! big-endian.

use anyhow::{Context, Result, ensure};
use object::Endianness;
use object::macho::MachHeader64;
use object::read::macho::{LoadCommandVariant, MachHeader as _};
use sha2::{Digest as _, Sha256};

/// `CSMAGIC_EMBEDDED_SIGNATURE`: a list of parts.
const LIST: u32 = 0xfade_0cc0;
/// `CSMAGIC_CODEDIRECTORY`: the part with the hashes.
const DIRECTORY: u32 = 0xfade_0c02;
/// `CS_HASHTYPE_SHA256`.
const SHA256: u8 = 2;

/// An error if a program has no signature, or one of other content.
pub fn ensure_signed(program: &[u8]) -> Result<()> {
    let signature = signature(program)?.context("it has no signature")?;
    let directory = directory(signature).context("its signature has no hashes")?;
    let read = |at| number(directory, at);
    let fields = || Some((read(16)?, read(28)?, read(32)?, directory.get(36..40)?));
    let (hashes, count, end, kinds) = fields().context("its signature is incomplete")?;
    let [length, kind, _, page] = *kinds else {
        unreachable!("four bytes were read");
    };
    ensure!(
        kind == SHA256 && length == 32,
        "its signature has hashes of a kind that is not known here"
    );
    let signed = program.get(..end).context("its signature is of more")?;
    let pages: Vec<_> = signed.chunks(1 << page).collect();
    ensure!(pages.len() == count, "its signature is of another length");
    for (number, content) in pages.into_iter().enumerate() {
        let at = hashes + number * usize::from(length);
        let hash = directory.get(at..at + usize::from(length));
        ensure!(
            hash == Some(&Sha256::digest(content)[..]),
            "its signature does not fit: page {number} was changed after it was signed"
        );
    }
    Ok(())
}

/// The bytes of a program's signature.
fn signature(program: &[u8]) -> Result<Option<&[u8]>> {
    let header = MachHeader64::<Endianness>::parse(program, 0)?;
    let endian = header.endian()?;
    let mut commands = header.load_commands(endian, program, 0)?;
    while let Some(command) = commands.next()? {
        if command.cmd() != object::macho::LC_CODE_SIGNATURE {
            continue;
        }
        if let LoadCommandVariant::LinkeditData(place) = command.variant()? {
            let from = place.dataoff.get(endian) as usize;
            let size = place.datasize.get(endian) as usize;
            return Ok(program.get(from..from + size));
        }
    }
    Ok(None)
}

/// The part of a signature with the hashes.
fn directory(signature: &[u8]) -> Option<&[u8]> {
    if number(signature, 0)? != LIST as usize {
        return None;
    }
    let count = number(signature, 8)?;
    // Each part is listed by its kind and its place.
    let parts = (0..count).filter_map(|part| signature.get(number(signature, 16 + 8 * part)?..));
    let mut parts = parts.filter(|part| number(part, 0) == Some(DIRECTORY as usize));
    parts.next()
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(bytes.try_into().ok()?) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The smallest file that has a signature: a header, the place of the signature, and code.
    fn signed() -> Vec<u8> {
        const CODE: usize = 5_000;
        const PAGE: u8 = 12;
        let mut code = Vec::new();
        let header = [0xfeed_facf_u32, 0x0100_000c, 0, 2, 1, 16, 0, 0];
        let command = [0x1d, 16, CODE as u32, 200];
        for number in header.into_iter().chain(command) {
            code.extend(number.to_le_bytes());
        }
        code.resize(CODE, 7);
        let mut signature = Vec::new();
        let pages = code.chunks(1 << PAGE);
        let list = [LIST, 0, 1, 0, 20];
        let directory = [
            DIRECTORY,
            0,
            0,
            0,
            40,
            0,
            0,
            pages.len() as u32,
            CODE as u32,
        ];
        for number in list.into_iter().chain(directory) {
            signature.extend(number.to_be_bytes());
        }
        signature.extend([32, SHA256, 0, PAGE]);
        for page in pages {
            signature.extend(Sha256::digest(page));
        }
        signature.resize(200, 0);
        [code, signature].concat()
    }

    #[test]
    fn a_program_that_was_changed_after_it_was_signed_is_refused() {
        let mut program = signed();
        ensure_signed(&program).unwrap();
        program[4_500] ^= 1;
        let error = ensure_signed(&program).unwrap_err().to_string();
        assert!(error.contains("page 1"), "{error}");
    }

    #[test]
    fn a_program_without_a_signature_is_refused() {
        let mut program = signed();
        // No commands.
        program[16] = 0;
        let error = ensure_signed(&program).unwrap_err().to_string();
        assert!(error.contains("no signature"), "{error}");
    }
}
