//! A REST client that keeps everything about an answer.

use reqwest::{Method, StatusCode};
use serde_json::Value;

/// Talks to `/api` of a server, with or without a login.
#[derive(Debug, Clone)]
pub struct Rest {
    client: reqwest::Client,
    base: String,
    token: Option<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: reqwest::header::HeaderMap,
    /// The JSON body; null if there was none.
    pub body: Value,
}

impl Rest {
    /// Without a login. `base` is such as `http://127.0.0.1:3000`.
    pub fn new(base: &str) -> Rest {
        Rest {
            client: reqwest::Client::new(),
            base: base.to_owned(),
            token: None,
        }
    }

    /// The same with an access token.
    pub fn with_token(&self, token: &str) -> Rest {
        Rest {
            token: Some(token.to_owned()),
            ..self.clone()
        }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None).await
    }

    /// POST of a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Method::POST, path, Some(body.to_string())).await
    }

    /// POST of a body that need not be JSON, but says it is.
    pub async fn post_raw(&self, path: &str, body: impl Into<String>) -> Reply {
        self.send(Method::POST, path, Some(body.into())).await
    }

    /// PUT of a JSON body.
    pub async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(Method::PUT, path, Some(body.to_string())).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, None).await
    }

    /// Whether a load balancer would send somebody there.
    pub async fn is_ready(&self) -> bool {
        let probe = self.client.get(format!("{}/api/health/ready", self.base)).send();
        matches!(probe.await, Ok(response) if response.status().is_success())
    }

    async fn send(&self, method: Method, path: &str, body: Option<String>) -> Reply {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.expect("the server answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("the body arrives");
        let body = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path} answered {status} with {text:?}"))
        };
        Reply {
            status: status.as_u16(),
            headers,
            body,
        }
    }
}

impl Reply {
    /// The body of a success; fails the story otherwise.
    #[track_caller]
    pub fn ok(self) -> Value {
        let status = StatusCode::from_u16(self.status).expect("a status");
        assert!(status.is_success(), "{status}: {}", self.body);
        self.body
    }

    /// The code of a refusal, with its status.
    #[track_caller]
    pub fn refusal(&self) -> (u16, &str) {
        let code = self.body["error"]["code"].as_str();
        (
            self.status,
            code.unwrap_or_else(|| panic!("{}: {}", self.status, self.body)),
        )
    }
}
