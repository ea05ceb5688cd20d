//! JSON bodies: of the right type, of bounded size, there in time.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::response::Response;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::state::RestState;
use crate::error::Error;

/// Most bytes of a body; the largest that means anything is a tenth of it.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;

/// How long a whole body may take (THREATS.md A2).
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

/// A JSON body, or none at all.
pub(super) struct MaybeJson<T>(pub(super) Option<T>);

impl<T: DeserializeOwned> FromRequest<RestState> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &RestState) -> Result<Json<T>, ApiError> {
        if !is_json(request.headers()) || is_encoded(request.headers()) {
            return Err(ApiError::UnsupportedType);
        }
        parse(&read(request).await?).map(Json)
    }
}

impl<T: DeserializeOwned> FromRequest<RestState> for MaybeJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &RestState) -> Result<MaybeJson<T>, ApiError> {
        let says_json = is_json(request.headers()) && !is_encoded(request.headers());
        let body = read(request).await?;
        if body.is_empty() {
            Ok(MaybeJson(None))
        } else if says_json {
            parse(&body).map(|body| MaybeJson(Some(body)))
        } else {
            Err(ApiError::UnsupportedType)
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Whether the body is compressed: the bound would have to hold for what comes out of it, and no body is large enough
/// to gain by it.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().any(|value| {
        let mut codings = value
            .as_bytes()
            .split(|byte| *byte == b',')
            .map(<[u8]>::trim_ascii);
        codings.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
    })
}

/// The whole body. What announces itself as too large is not read at all.
async fn read(request: Request) -> Result<Vec<u8>, ApiError> {
    let too_large = ApiError::TooLarge { max: BODY_BYTES_MAX };
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    if announced
        .and_then(|text| text.parse::<usize>().ok())
        .is_some_and(|length| length > BODY_BYTES_MAX)
    {
        return Err(too_large);
    }
    let mut body = request.into_body();
    let reading = async {
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            // The client went away in the middle; nobody reads the answer.
            let frame = frame.map_err(|_| ApiError::Malformed("the body broke off".to_owned()))?;
            if let Some(data) = frame.data_ref() {
                if bytes.len() + data.len() > BODY_BYTES_MAX {
                    return Err(too_large);
                }
                bytes.extend_from_slice(data);
            }
        }
        Ok(bytes)
    };
    tokio::time::timeout(BODY_TIME_MAX, reading)
        .await
        .unwrap_or(Err(ApiError::TooSlow))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // The items of an array would be taken for the fields of the object, in their order.
    if body.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::Malformed("not an object".to_owned()));
    }
    serde_json::from_slice(body).map_err(|error| {
        // The position helps; what the parser quotes of the body may be a password.
        let what = match error.classify() {
            serde_json::error::Category::Data => "not an object, or a field twice",
            serde_json::error::Category::Eof => "it ends too early",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "syntax error",
        };
        ApiError::Malformed(format!(
            "{what}, at line {} column {}",
            error.line(),
            error.column()
        ))
    })
}

/// A JSON answer.
pub(super) fn answer<T: Serialize>(status: StatusCode, body: &T) -> Result<Response, ApiError> {
    let json = serde_json::to_vec(body).map_err(|error| Error::Internal(Box::new(error)))?;
    let mut response = Response::new(json.into());
    *response.status_mut() = status;
    let json_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json_type);
    Ok(response)
}
