//! Who somebody is: passwords, tokens, random secrets.

/// Fills `bytes` from the system's random source.
pub fn fill_random(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("the system's random source works");
}
