//! Who somebody is: passwords, tokens, cursors, random secrets.
//!
//! ```text
//! JWT_SECRET ──▶ KeyRing ─┬─ as it is ────────▶ AccessTokens   HS256 JWTs of minutes, checked without the store
//!                         ├─ HMAC "refresh" ──▶ RefreshTokens  one family a login, computed, never stored (S-055)
//!                         └─ HMAC "cursor" ───▶ Cursors        positions in lists, bound to their list
//! ```
//!
//! The ring holds the secret in use and those before it: all verify, only the first signs (S-041).

mod cursor;
mod passwords;
mod principal;
mod refresh;
mod ring;
mod tokens;

pub use cursor::{Cursors, InvalidCursor};
pub use passwords::{HashingLimits, HashingParams, InvalidHashingParams, Passwords, TooBusy, Verdict};
pub use principal::Principal;
pub use refresh::{Judgement, RefreshToken, RefreshTokens};
pub use ring::KeyRing;
pub use tokens::{AccessTokens, TokenError};

/// Fills `bytes` from the system's random source.
pub fn fill_random(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("the system's random source works");
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)])
        .collect()
}
