//! Refresh tokens: one family a login, a new generation at each use (S-055).
//!
//! ```text
//! <family>.<generation>.<secret>      24 hex digits . decimal from 1 . 43 characters of base64url
//! secret = HMAC-SHA256(refresh key, family (12 bytes) ‖ generation (4, big endian) ‖ salt (32))
//! ```
//!
//! The row of the session holds the salt and the current generation, so every generation there ever was can be checked
//! exactly, the current one can be computed again, and the store holds nothing that a thief of it could present.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use super::KeyRing;
use crate::clock::Timestamp;
use crate::domain::session::Session;
use crate::ids::SessionId;

/// So long after a rotation the token before it is answered with the current one: two tabs, or an answer that was lost.
const GRACE_MS: u128 = 30_000;

/// A refresh token as a client presents it; nothing about it is proven.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session it claims to belong to.
    pub family: SessionId,
    generation: u32,
    secret: [u8; 32],
}

impl RefreshToken {
    /// Reads the wire form; `None` for everything that was never written by this server.
    pub fn parse(text: &str) -> Option<RefreshToken> {
        let mut parts = text.split('.');
        let (family, generation, secret) = (parts.next()?, parts.next()?, parts.next()?);
        let plain_number =
            (1..=10).contains(&generation.len()) && generation.bytes().all(|byte| byte.is_ascii_digit());
        if parts.next().is_some() || !plain_number || generation.starts_with('0') || secret.len() != 43 {
            return None;
        }
        Some(RefreshToken {
            family: family.parse().ok()?,
            generation: generation.parse().ok()?,
            secret: URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?,
        })
    }
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RefreshToken({}.{}.…)", self.family, self.generation)
    }
}

/// What a presented token means for its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// This server never issued it: refused, and nothing changes.
    Forged,
    /// Genuine, but its session has ended.
    Ended,
    /// The current one: rotate from its generation.
    Current,
    /// The one before, just after the rotation: the current token again.
    JustRotated,
    /// Genuine and long replaced: somebody holds a copy, so the family dies.
    Reused,
}

/// Makes and judges refresh tokens.
#[derive(Clone)]
pub struct RefreshTokens {
    /// Newest first.
    keys: Vec<hmac::Key>,
}

impl RefreshTokens {
    /// With keys derived from the ring's secrets.
    pub fn new(ring: &KeyRing) -> RefreshTokens {
        RefreshTokens {
            keys: ring.derive("chatterbox refresh v1"),
        }
    }

    /// The token of the session's current generation.
    pub fn current(&self, session: &Session) -> String {
        let secret = secret(&self.keys[0], session, session.generation);
        format!(
            "{}.{}.{}",
            session.id,
            session.generation,
            URL_SAFE_NO_PAD.encode(secret)
        )
    }

    /// Judges a token against the session it names.
    pub fn judge(&self, token: &RefreshToken, session: &Session, now: Timestamp) -> Judgement {
        let genuine = self.keys.iter().any(|key| {
            let expected = secret(key, session, token.generation);
            expected.as_ref().ct_eq(&token.secret).into()
        });
        if !genuine || token.family != session.id || token.generation > session.generation {
            Judgement::Forged
        } else if !session.lives_at(now) {
            Judgement::Ended
        } else if token.generation == session.generation {
            Judgement::Current
        } else if token.generation + 1 == session.generation
            && now.since(session.rotated_at).as_millis() <= GRACE_MS
        {
            Judgement::JustRotated
        } else {
            Judgement::Reused
        }
    }
}

fn secret(key: &hmac::Key, session: &Session, generation: u32) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    context.update(session.id.as_bytes());
    context.update(&generation.to_be_bytes());
    context.update(&session.salt);
    context.sign()
}

impl std::fmt::Debug for RefreshTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshTokens(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(generation: u32) -> Session {
        Session {
            id: "abcdefabcdefabcdefabcdef".parse().unwrap(),
            user: "0123456789abcdef01234567".parse().unwrap(),
            salt: [7; 32],
            generation,
            rotated_at: Timestamp::from_millis(100_000),
            created_at: Timestamp::EPOCH,
            expires_at: Timestamp::from_millis(1_000_000),
            revoked_at: None,
            user_agent: None,
        }
    }

    fn tokens() -> RefreshTokens {
        RefreshTokens::new(&KeyRing::new(b"a secret of more than thirty-two bytes", []))
    }

    #[test]
    fn the_wire_form_is_stable() {
        // Computed by another implementation of the formula above.
        assert_eq!(
            tokens().current(&session(1)),
            "abcdefabcdefabcdefabcdef.1.2fMPdsx56u1DXEQxOlUjFRBefYEg4ggkHGHzZweTRcA"
        );
    }

    #[test]
    fn only_the_exact_wire_form_is_read() {
        let good = tokens().current(&session(12));
        assert!(RefreshToken::parse(&good).is_some());
        let secret = good.rsplit('.').next().unwrap();
        let family = session(1).id;
        for wrong in [
            String::new(),
            "..".to_owned(),
            format!("{family}.0.{secret}"),
            format!("{family}.012.{secret}"),
            format!("{family}.+12.{secret}"),
            format!("{family}.4294967296.{secret}"),
            format!("{family}.99999999999.{secret}"),
            format!("{family}.12.{secret}="),
            format!("{family}.12.{}", &secret[1..]),
            format!("{family}.12.{secret}.x"),
            format!("x{family}.12.{secret}"),
            format!("{family}.12.{}", "é".repeat(21) + "a"),
        ] {
            assert_eq!(RefreshToken::parse(&wrong), None, "{wrong}");
        }
    }

    #[test]
    fn s_055_every_generation_is_told_exactly() {
        let tokens = tokens();
        let presented = |generation| RefreshToken::parse(&tokens.current(&session(generation))).unwrap();
        for (generation, now_ms, expected) in [
            (5, 100_000, Judgement::Current),
            (4, 100_000, Judgement::JustRotated),
            (4, 130_000, Judgement::JustRotated),
            (4, 130_001, Judgement::Reused),
            (3, 100_000, Judgement::Reused),
            (1, 100_000, Judgement::Reused),
            (6, 100_000, Judgement::Forged),
            (5, 1_000_000, Judgement::Ended),
            (1, 1_000_000, Judgement::Ended),
        ] {
            assert_eq!(
                tokens.judge(
                    &presented(generation),
                    &session(5),
                    Timestamp::from_millis(now_ms)
                ),
                expected,
                "generation {generation} at {now_ms} ms"
            );
        }
        let ended = Session {
            revoked_at: Some(Timestamp::EPOCH),
            ..session(5)
        };
        assert_eq!(
            tokens.judge(&presented(5), &ended, Timestamp::EPOCH),
            Judgement::Ended
        );
    }

    #[test]
    fn a_secret_fits_one_family_one_generation_and_one_salt() {
        let tokens = tokens();
        let good = RefreshToken::parse(&tokens.current(&session(5))).unwrap();
        let judge = |token: &RefreshToken, session: &Session| tokens.judge(token, session, Timestamp::EPOCH);
        let mut flipped = good.clone();
        flipped.secret[31] ^= 1;
        assert_eq!(judge(&flipped, &session(5)), Judgement::Forged);
        let renumbered = RefreshToken {
            generation: 4,
            ..good.clone()
        };
        assert_eq!(judge(&renumbered, &session(5)), Judgement::Forged);
        let salted = Session {
            salt: [8; 32],
            ..session(5)
        };
        assert_eq!(judge(&good, &salted), Judgement::Forged);
        let other = Session {
            id: "abcdefabcdefabcdefabcdee".parse().unwrap(),
            ..session(5)
        };
        assert_eq!(judge(&good, &other), Judgement::Forged);
    }

    #[test]
    fn a_rotated_server_secret_keeps_families_alive() {
        let old = tokens().current(&session(5));
        let new = RefreshTokens::new(&KeyRing::new(
            b"the secret that comes after the old one",
            [&b"a secret of more than thirty-two bytes"[..]],
        ));
        let judged = new.judge(&RefreshToken::parse(&old).unwrap(), &session(5), Timestamp::EPOCH);
        assert_eq!(judged, Judgement::Current);
        assert_ne!(new.current(&session(5)), old);
    }
}
