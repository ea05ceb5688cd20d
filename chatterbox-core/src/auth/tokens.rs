//! Access tokens: HS256 JWTs, the algorithm pinned, every claim typed and required (S-046, THREATS.md C1 to C3).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::{KeyRing, Principal};
use crate::clock::Timestamp;
use crate::ids::{IdSource, SessionId, TokenId, UserId};

/// Longer texts are no tokens of ours.
const TOKEN_BYTES_MAX: usize = 2048;

/// Who issues tokens, and whom they are for, unless told otherwise.
const ISSUER: &str = "chatterbox";
const AUDIENCE: &str = "chatterbox-api";

/// Why a token is worth nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It was good once.
    #[error("the access token has expired")]
    Expired,
    /// It never was one of ours, or not an access token.
    #[error("the access token is invalid")]
    Invalid,
}

/// Issues and checks access tokens. There is no leeway: the server that checks a token is the one, or a neighbour of
/// the one, that issued it, and a client has the refresh token for the second it comes too late.
#[derive(Clone)]
pub struct AccessTokens {
    inner: Arc<Inner>,
}

struct Inner {
    issuer: String,
    audience: String,
    ttl: Duration,
    header: Header,
    signing: EncodingKey,
    verifying: Vec<(String, DecodingKey)>,
    validation: Validation,
    ids: Arc<dyn IdSource>,
}

/// What a token is good for; only one kind is a JWT so far, but a key shared with another issuer may sign others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Purpose {
    Access,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    jti: TokenId,
    sid: SessionId,
    exp: u64,
    iat: u64,
    /// Never set by us; another issuer with the same key may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
    typ: Purpose,
}

impl AccessTokens {
    /// Tokens that live for `ttl`, signed with the ring's current secret.
    pub fn new(ring: &KeyRing, ttl: Duration, ids: Arc<dyn IdSource>) -> AccessTokens {
        AccessTokens::between(ring, ISSUER, AUDIENCE, ttl, ids)
    }

    /// The same under other names: for several environments that share a secret, whose tokens must not pass for each
    /// other's.
    pub fn between(
        ring: &KeyRing,
        issuer: &str,
        audience: &str,
        ttl: Duration,
        ids: Arc<dyn IdSource>,
    ) -> AccessTokens {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(ring.current_kid().to_owned());
        let verifying = ring
            .all()
            .map(|(kid, secret)| (kid.to_owned(), DecodingKey::from_secret(secret)))
            .collect();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.required_spec_claims = HashSet::from(["exp", "iss", "aud", "sub"].map(str::to_owned));
        // By our own clock, below, so that tests can set it and "expired" is told from "invalid".
        validation.validate_exp = false;
        AccessTokens {
            inner: Arc::new(Inner {
                issuer: issuer.to_owned(),
                audience: audience.to_owned(),
                ttl,
                header,
                signing: EncodingKey::from_secret(ring.current()),
                verifying,
                validation,
                ids,
            }),
        }
    }

    /// How long tokens live.
    pub fn ttl(&self) -> Duration {
        self.inner.ttl
    }

    /// A token for one session, but for no longer than until `session_ends`.
    pub fn issue(
        &self,
        user: UserId,
        session: SessionId,
        session_ends: Timestamp,
        now: Timestamp,
    ) -> (String, Principal) {
        // Claims count whole seconds: rounded up, so that a token lives as long as its client is told.
        let expires_at = now
            .plus(self.inner.ttl + Duration::from_millis(999))
            .min(session_ends);
        let claims = Claims {
            iss: self.inner.issuer.clone(),
            aud: self.inner.audience.clone(),
            sub: user,
            jti: TokenId::new(&*self.inner.ids),
            sid: session,
            exp: seconds(expires_at),
            iat: seconds(now),
            nbf: None,
            typ: Purpose::Access,
        };
        let token = jsonwebtoken::encode(&self.inner.header, &claims, &self.inner.signing)
            .expect("claims of strings and numbers can be signed with a secret");
        (token, claims.principal())
    }

    /// Whom the token speaks for. It says nothing about whether its session still lives.
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Principal, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenError::Invalid)?;
        // An extension that must be understood is none that we understand (RFC 7515 section 4.1.11).
        if header.alg != Algorithm::HS256 || header.crit.is_some() {
            return Err(TokenError::Invalid);
        }
        let claims = self
            .inner
            .verifying
            .iter()
            .filter(|(kid, _)| header.kid.as_ref().is_none_or(|wanted| wanted == kid))
            .find_map(|(_, key)| jsonwebtoken::decode::<Claims>(token, key, &self.inner.validation).ok())
            .ok_or(TokenError::Invalid)?
            .claims;
        if seconds(now) >= claims.exp {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|begins| seconds(now) < begins) {
            return Err(TokenError::Invalid);
        }
        Ok(claims.principal())
    }
}

impl Claims {
    fn principal(&self) -> Principal {
        let millis = i64::try_from(self.exp).unwrap_or(i64::MAX).saturating_mul(1000);
        Principal {
            user: self.sub,
            session: self.sid,
            token: self.jti,
            expires_at: Timestamp::from_millis(millis),
        }
    }
}

fn seconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_secs()).unwrap_or(0)
}

impl std::fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessTokens")
            .field("issuer", &self.inner.issuer)
            .field("audience", &self.inner.audience)
            .field("ttl", &self.inner.ttl)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;
    use crate::ids::SystemIds;

    const SECRET: &[u8] = b"a secret of more than thirty-two bytes";
    const NOW: i64 = 1_800_000_000;

    fn tokens(ring: &KeyRing) -> AccessTokens {
        AccessTokens::new(ring, Duration::from_mins(15), Arc::new(SystemIds::new()))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn user() -> UserId {
        "0123456789abcdef01234567".parse().unwrap()
    }

    fn session() -> SessionId {
        "abcdefabcdefabcdefabcdef".parse().unwrap()
    }

    fn claims() -> Value {
        json!({
            "iss": "chatterbox", "aud": "chatterbox-api", "sub": user(), "jti": session(), "sid": session(),
            "exp": NOW + 900, "iat": NOW, "typ": "access",
        })
    }

    fn signed(header: &Value, claims: &str) -> String {
        let input = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims)
        );
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET);
        let signature = URL_SAFE_NO_PAD.encode(aws_lc_rs::hmac::sign(&key, input.as_bytes()));
        format!("{input}.{signature}")
    }

    #[test]
    fn a_token_speaks_for_its_session_until_it_expires() {
        let tokens = tokens(&KeyRing::new(SECRET, []));
        let (token, issued) = tokens.issue(user(), session(), at(NOW + 9000), at(NOW));
        let principal = tokens.verify(&token, at(NOW + 899)).unwrap();
        assert_eq!(principal, issued);
        assert_eq!(
            (principal.user, principal.session, principal.expires_at),
            (user(), session(), at(NOW + 900))
        );
        assert_eq!(tokens.verify(&token, at(NOW + 900)), Err(TokenError::Expired));
        let (_, capped) = tokens.issue(user(), session(), at(NOW + 60), at(NOW));
        assert_eq!(capped.expires_at, at(NOW + 60), "not beyond its session");
        let (_, odd) = tokens.issue(
            user(),
            session(),
            at(NOW + 9000),
            at(NOW).plus(Duration::from_millis(604)),
        );
        assert_eq!(odd.expires_at, at(NOW + 901), "no shorter than its time");
    }

    #[test]
    fn whoever_knows_the_secret_can_make_tokens_with_stock_libraries() {
        let token = signed(&json!({"alg": "HS256", "typ": "JWT"}), &claims().to_string());
        assert!(tokens(&KeyRing::new(SECRET, [])).verify(&token, at(NOW)).is_ok());
        let mut begun = claims();
        begun["nbf"] = json!(NOW);
        let token = signed(&json!({"alg": "HS256"}), &begun.to_string());
        assert!(tokens(&KeyRing::new(SECRET, [])).verify(&token, at(NOW)).is_ok());
    }

    #[test]
    fn c1_algorithm_and_key_are_ours_to_choose() {
        let tokens = tokens(&KeyRing::new(SECRET, []));
        for header in [
            json!({"alg": "none"}),
            json!({"alg": "NONE", "typ": "JWT"}),
            json!({"alg": "HS384"}),
            json!({"alg": "RS256"}),
            json!({"alg": "ES256"}),
            json!({"alg": 256}),
            json!({"typ": "JWT"}),
            json!({"alg": "HS256", "kid": "../../dev/null"}),
            json!({"alg": "HS256", "kid": ""}),
            json!({"alg": "HS256", "kid": 1}),
            json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
        ] {
            assert_eq!(
                tokens.verify(&signed(&header, &claims().to_string()), at(NOW)),
                Err(TokenError::Invalid),
                "{header}"
            );
        }
        // Keys that a token brings along are ignored: what counts is our signature.
        let own = signed(
            &json!({"alg": "HS256", "jku": "https://evil.example/keys", "jwk": {"kty": "oct", "k": "AAAA"}}),
            &claims().to_string(),
        );
        assert!(tokens.verify(&own, at(NOW)).is_ok());
        let unsigned = own.rsplit_once('.').unwrap().0.to_owned() + ".";
        for forged in [
            unsigned.as_str(),
            "",
            ".",
            "..",
            "a.b.c",
            &own[1..],
            &own[..own.len() - 2],
            &"a".repeat(5000),
        ] {
            assert_eq!(
                tokens.verify(forged, at(NOW)),
                Err(TokenError::Invalid),
                "{forged}"
            );
        }
    }

    #[test]
    fn c2_and_c3_every_claim_is_there_and_of_its_type() {
        let tokens = tokens(&KeyRing::new(SECRET, []));
        let check = |claims: &str, what: &str| {
            let token = signed(&json!({"alg": "HS256"}), claims);
            assert_eq!(tokens.verify(&token, at(NOW)), Err(TokenError::Invalid), "{what}");
        };
        for claim in ["iss", "aud", "sub", "jti", "sid", "exp", "iat", "typ"] {
            let mut without = claims();
            without.as_object_mut().unwrap().remove(claim);
            check(&without.to_string(), claim);
        }
        for (claim, value) in [
            ("exp", json!("never")),
            ("exp", json!("9999999999")),
            ("exp", json!(-1)),
            ("exp", json!(9_999_999_999.5)),
            ("exp", json!([NOW + 900])),
            ("exp", Value::Null),
            ("iat", json!("now")),
            ("nbf", json!("9999")),
            ("nbf", json!(NOW + 1)),
            ("sub", json!({"$gt": ""})),
            ("sub", json!("root")),
            ("sid", json!("")),
            ("iss", json!("elsewhere")),
            ("aud", json!("another-environment")),
            ("aud", json!(["chatterbox-api"])),
            ("typ", json!("refresh")),
            ("typ", json!("reset")),
            ("typ", json!(1)),
        ] {
            let mut wrong = claims();
            wrong[claim] = value.clone();
            check(&wrong.to_string(), &format!("{claim}: {value}"));
        }
        check(
            &claims().to_string().replace(&(NOW + 900).to_string(), "1e400"),
            "exp: 1e400",
        );
        check("[]", "no object");
        check("not json", "no JSON");
    }

    #[test]
    fn a_previous_secret_still_verifies_and_a_forgotten_one_does_not() {
        let (old, new) = (SECRET, &b"the secret that comes after the old one"[..]);
        let (token, _) = tokens(&KeyRing::new(old, [])).issue(user(), session(), at(NOW + 900), at(NOW));
        assert!(tokens(&KeyRing::new(new, [old])).verify(&token, at(NOW)).is_ok());
        assert_eq!(
            tokens(&KeyRing::new(new, [])).verify(&token, at(NOW)),
            Err(TokenError::Invalid)
        );
    }
}
