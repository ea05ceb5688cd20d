use std::fmt;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// The server's secrets, newest first: `JWT_SECRET`, then `JWT_SECRET_PREVIOUS` while it is being rotated out (S-041).
///
/// Keys for other purposes are derived by HMAC under a label. A label holds no dot, and what is signed as a JWT always
/// does, so no token can be mistaken for a derived key.
#[derive(Clone)]
pub struct KeyRing {
    secrets: Vec<Secret>,
}

#[derive(Clone)]
struct Secret {
    kid: String,
    bytes: Zeroizing<Vec<u8>>,
}

impl KeyRing {
    /// A ring that signs with `current` and also verifies what `previous` ones signed. How long a secret must be is
    /// the configuration's rule.
    pub fn new<'a>(current: &'a [u8], previous: impl IntoIterator<Item = &'a [u8]>) -> KeyRing {
        let secrets = std::iter::once(current)
            .chain(previous)
            .map(Secret::new)
            .collect();
        KeyRing { secrets }
    }

    /// Id of the signing secret.
    pub(super) fn current_kid(&self) -> &str {
        &self.secrets[0].kid
    }

    /// The signing secret.
    pub(super) fn current(&self) -> &[u8] {
        &self.secrets[0].bytes
    }

    /// All secrets with their ids, newest first.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.secrets
            .iter()
            .map(|secret| (secret.kid.as_str(), secret.bytes.as_slice()))
    }

    /// One key for the purpose `label` from each secret, newest first.
    pub(super) fn derive(&self, label: &str) -> Vec<hmac::Key> {
        debug_assert!(!label.contains('.'), "labels and signed tokens must not meet");
        self.secrets
            .iter()
            .map(|secret| {
                let root = hmac::Key::new(hmac::HMAC_SHA256, &secret.bytes);
                hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&root, label.as_bytes()).as_ref())
            })
            .collect()
    }
}

impl Secret {
    fn new(bytes: &[u8]) -> Secret {
        let root = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let tag = hmac::sign(&root, b"chatterbox key id");
        let kid = super::hex(&tag.as_ref()[..8]);
        Secret {
            kid,
            bytes: Zeroizing::new(bytes.to_vec()),
        }
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.secrets.iter().map(|secret| &secret.kid))
            .finish()
    }
}
