//! The token: nothing panics, an accepted one leads to 1Password or to an allowed origin and nowhere
//! else, and a refusal repeats no part of it.
#![no_main]

use std::sync::LazyLock;

use keyloan::onepassword::{AllowedOrigins, Origin, Recipients, ServiceAccountToken, TokenError};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

static ALLOWED: LazyLock<AllowedOrigins> = LazyLock::new(|| {
    AllowedOrigins::with([Origin::parse("http://127.0.0.1:18080").expect("an origin")])
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    keyloan_fuzz::json::mutate(data, size, max_size, seed)
});

// The bytes themselves, and a token whose contents they are.
fuzz_target!(|data: &[u8]| {
    check(data);
    check(format!("ops_{}", base64url(data)).as_bytes());
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(origin) = Origin::parse(text) {
        let shown = origin.to_string();
        assert_eq!(Origin::parse(&shown).as_ref(), Ok(&origin), "{shown}");
    }
    if let Ok(recipients) = Recipients::new([text]) {
        assert!(text.contains('@') && !text.starts_with('@') && !text.contains(','));
        assert_eq!(recipients.addresses(), [text]);
    }
});

fn check(secret: &[u8]) {
    match ServiceAccountToken::parse(secret, &ALLOWED) {
        Ok(token) => {
            let origin = token.origin().to_string();
            let host = token.host();
            let home = ["1password.com", "1password.ca", "1password.eu"];
            let is_home = home.iter().any(|home| {
                host == *home
                    || host
                        .strip_suffix(home)
                        .is_some_and(|sub| sub.ends_with('.'))
            });
            let at_home = is_home && origin == format!("https://{host}");
            assert!(at_home || origin == "http://127.0.0.1:18080", "{origin}");
            assert!(origin.contains("planted") || !format!("{token:?}").contains("planted"));
        }
        Err(TokenError::Malformed { why }) => assert!(!why.contains("planted")),
        Err(TokenError::ForeignOrigin { origin }) => {
            let again = Origin::parse(&origin.to_string());
            assert_eq!(again, Ok(origin));
        }
    }
}

fn base64url(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let letter = |bits: u32| LETTERS[(bits & 63) as usize] as char;
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        let four = [18, 12, 6, 0].map(|shift| letter(bits >> shift));
        text.extend(&four[..chunk.len() + 1]);
    }
    text
}
