//! Names and tokens that nobody can guess.

use std::io;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use data_encoding::HEXLOWER;

/// 40 random hexadecimal digits.
pub(crate) fn digits() -> io::Result<String> {
    let mut bytes = [0; 20];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| io::Error::other("no random numbers are available"))?;
    Ok(HEXLOWER.encode(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_differ_each_time() {
        assert_ne!(digits().unwrap(), digits().unwrap());
    }
}
