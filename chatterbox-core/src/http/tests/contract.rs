//! What holds for every route (SPEC.md section 1): bodies, refusals, names of requests, headers, the document.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http_body_util::StreamBody;
use serde_json::{Value, json};

use super::world::{Options, PASSWORD, Scripted, World, registration};
use crate::domain::limits;
use crate::http::{AllowedOrigins, HealthCheck, RestApi, router, state};
use crate::role::Role;

#[tokio::test]
async fn what_is_no_json_for_the_route_is_refused() {
    let world = World::new();
    let deep = format!("{{\"username\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
    let many = (0..5000)
        .map(|number| format!("\"f{number}\":1"))
        .collect::<Vec<_>>()
        .join(",");
    for (body, expected) in [
        ("", 400),
        ("{", 400),
        ("nonsense", 400),
        ("null", 400),
        ("[]", 400),
        (
            " [\"ann\", \"ann@example.com\", \"correct horse battery staple\"]",
            400,
        ),
        ("\"text\"", 400),
        ("1", 400),
        ("{} {}", 400),
        ("{\"username\":\"a\",\"username\":\"b\"}", 400),
        ("{\"username\":\"\\ud800\"}", 400),
        ("{\"username\":1e400}", 400),
        ("{'username':'ann'}", 400),
        (deep.as_str(), 400),
        (&format!("{{{many},\"username\":\"ann\"}}"), 400),
    ] {
        for path in ["/api/auth/register", "/api/auth/login", "/api/auth/refresh"] {
            let answer = world.post_raw(path, body.to_owned()).send().await;
            assert_eq!(answer.refusal(), (expected, "VALIDATION"), "{path} {body:.60}");
        }
    }
    let invalid_utf8 = world
        .post_raw("/api/auth/login", &b"{\"username\":\"\xff\"}"[..])
        .send()
        .await;
    assert_eq!(invalid_utf8.refusal(), (400, "VALIDATION"));
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let world = World::new();
    let mut body = registration("ann");
    body["$where"] = json!({ "deep": [1, { "a": null }] });
    assert_eq!(world.post("/api/auth/register", &body).send().await.status, 201);
}

#[tokio::test]
async fn a_refusal_never_repeats_a_password() {
    let world = World::new();
    let body = format!("{{\"username\":\"ann\",\"password\":\"{PASSWORD}\",");
    let answer = world.post_raw("/api/auth/login", body).send().await;
    assert_eq!(answer.status, 400);
    assert!(!answer.body.to_string().contains(PASSWORD), "{}", answer.body);
}

#[tokio::test]
async fn only_json_is_read() {
    let world = World::new();
    world.register("ann").await;
    let login = world.post(
        "/api/auth/login",
        &json!({ "username": "ann", "password": PASSWORD }),
    );
    for (content_type, expected) in [
        (None, 415),
        (Some("text/plain"), 415),
        (Some("application/x-www-form-urlencoded"), 415),
        (Some("multipart/form-data; boundary=x"), 415),
        (Some("application/jsonx"), 415),
        (Some(""), 415),
        (Some("application/json"), 200),
        (Some("Application/JSON; charset=utf-8"), 200),
        (Some("application/vnd.chat+json"), 200),
    ] {
        let mut ask = login.clone().without("content-type");
        if let Some(content_type) = content_type {
            ask = ask.header("content-type", content_type);
        }
        let answer = ask.send().await;
        assert_eq!(answer.status, expected, "{content_type:?}");
        if expected == 415 {
            assert_eq!(answer.refusal().1, "UNSUPPORTED_TYPE");
        }
    }
}

/// Bodies are bounded as they come; what is inflated would have to be bounded again (THREATS.md A4).
#[tokio::test]
async fn compressed_bodies_are_refused() {
    let world = World::new();
    let token = world.token("ann").await;
    let login = world.post(
        "/api/auth/login",
        &json!({ "username": "ann", "password": PASSWORD }),
    );
    for (encoding, expected) in [
        ("gzip", 415),
        ("GZIP", 415),
        ("br", 415),
        ("deflate", 415),
        ("identity, gzip", 415),
        ("nonsense", 415),
        ("", 200),
        ("identity", 200),
        ("Identity", 200),
    ] {
        let answer = login.clone().header("content-encoding", encoding).send().await;
        assert_eq!(answer.status, expected, "{encoding:?}");
        if expected == 415 {
            assert_eq!(answer.refusal().1, "UNSUPPORTED_TYPE");
        }
    }
    // Where a body may be missing, too.
    let logout = world
        .post("/api/auth/logout", &json!({}))
        .header("content-encoding", "gzip");
    assert_eq!(
        logout.token(&token).send().await.refusal(),
        (415, "UNSUPPORTED_TYPE")
    );
}

#[tokio::test]
async fn i10_a_body_over_the_limit_is_refused_before_it_is_read() {
    let world = World::new();
    let large = format!("{{\"username\":\"{}\"}}", "a".repeat(64 * 1024));
    let login = world.post_raw("/api/auth/login", large.clone());
    assert_eq!(login.send().await.refusal(), (413, "PAYLOAD_TOO_LARGE"));
    // Announced: nothing of it is polled.
    let polled = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&polled);
    let endless = futures_util::stream::repeat_with(move || {
        counting.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(&[b' '; 1024])))
    });
    let ask = world.post_raw("/api/auth/login", "");
    let answer = ask
        .clone()
        .header("content-length", "1000000")
        .send_body(StreamBody::new(endless))
        .await;
    assert_eq!(
        (answer.refusal(), polled.load(Ordering::Relaxed)),
        ((413, "PAYLOAD_TOO_LARGE"), 0)
    );
    // Not announced: cut off where it passes the limit.
    let endless = futures_util::stream::repeat_with(|| {
        Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(&[b' '; 1024])))
    });
    let answer = ask.send_body(StreamBody::new(endless)).await;
    assert_eq!(answer.refusal(), (413, "PAYLOAD_TOO_LARGE"));
    assert_eq!(answer.header("connection"), "close");
}

#[tokio::test(start_paused = true)]
async fn a2_a_body_that_trickles_is_given_up() {
    let world = World::new();
    let trickle = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((
            Ok::<_, Infallible>(http_body::Frame::data(Bytes::from_static(b" "))),
            (),
        ))
    });
    let begun = tokio::time::Instant::now();
    let body = StreamBody::new(Box::pin(trickle));
    let answer = world.post_raw("/api/auth/login", "").send_body(body).await;
    assert_eq!(answer.refusal(), (408, "REQUEST_TIMEOUT"));
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn unknown_routes_and_methods_are_refused_in_json() {
    let world = World::new();
    for path in [
        "/api",
        "/api/",
        "/api/nonsense",
        "/api/auth/login/",
        "/",
        "/api/rooms/general/messages/1",
        "/api/%2e%2e",
    ] {
        assert_eq!(
            world.get(path).send().await.refusal(),
            (404, "NOT_FOUND"),
            "{path}"
        );
    }
    for (method, path, allow) in [
        (Method::GET, "/api/auth/login", "POST"),
        (Method::DELETE, "/api/auth/me", "GET,HEAD,PUT"),
        (Method::PUT, "/api/rooms", "GET,HEAD,POST"),
        (Method::from_bytes(b"BREW").unwrap(), "/api/health", "GET,HEAD"),
    ] {
        let answer = world.ask(method, path).send().await;
        assert_eq!(answer.refusal(), (405, "METHOD_NOT_ALLOWED"), "{path}");
        let mut allowed: Vec<&str> = answer.header("allow").split(',').collect();
        allowed.sort_unstable();
        assert_eq!(allowed.join(","), allow, "{path}");
    }
}

#[tokio::test]
async fn a_request_keeps_its_name() {
    let world = World::new();
    let named = world
        .get("/api/nonsense")
        .header("x-request-id", "from-the-client.1")
        .send()
        .await;
    assert_eq!(named.body["requestId"], "from-the-client.1");
    for odd in ["a b", "a\tb", "é", "{}", &"x".repeat(65)] {
        let answer = world.get("/api/health").header("x-request-id", odd).send().await;
        assert_eq!(answer.header("x-request-id").len(), 24, "{odd}");
    }
}

#[tokio::test]
async fn a_panic_is_told_to_nobody() {
    let world = World::made_of(Options::default(), |parts| RestApi {
        router: router::panicking(state::RestState::new(parts)),
    });
    let answer = world.get("/api/panic").send().await;
    assert_eq!(answer.refusal(), (500, "INTERNAL"));
    assert!(!answer.body.to_string().contains("secret detail"));
    assert_eq!(answer.header("cache-control"), "no-store, private");
}

/// Every route as a request that gets somewhere.
fn every_route() -> Vec<(Method, String)> {
    let concrete = |path: &str| {
        path.replace("{id}", "000000000000000000000001")
            .replace("{name}", "general")
    };
    router::routes()
        .into_iter()
        .map(|(method, path, _)| (method.to_uppercase().parse().unwrap(), concrete(path)))
        .collect()
}

#[tokio::test]
async fn g11_and_g12_every_answer_of_every_route_is_for_one_reader_only() {
    let world = World::with(Options {
        hsts: true,
        ..Options::default()
    });
    let token = world.token("ann").await;
    let mut routes = every_route();
    routes.push((Method::GET, "/api/nonsense".to_owned()));
    for (method, path) in routes {
        for token in [None, Some(token.as_str()), Some("forged")] {
            let mut ask = world.ask(method.clone(), &path);
            if let Some(token) = token {
                ask = ask.token(token);
            }
            let answer = ask.send().await;
            let what = format!("{method} {path} {token:?}");
            assert_eq!(answer.header("cache-control"), "no-store, private", "{what}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
            assert_eq!(answer.header("referrer-policy"), "no-referrer", "{what}");
            assert_eq!(
                answer.header("strict-transport-security"),
                "max-age=31536000; includeSubDomains",
                "{what}"
            );
            assert!(
                answer
                    .header("content-security-policy")
                    .contains("frame-ancestors 'none'"),
                "{what}"
            );
            assert!(!answer.header("x-request-id").is_empty(), "{what}");
            assert!(answer.headers.get("set-cookie").is_none(), "{what}");
            let vary: Vec<&str> = answer
                .headers
                .get_all("vary")
                .iter()
                .map(|value| value.to_str().unwrap())
                .collect();
            assert!(
                vary.join(",").to_lowercase().contains("authorization"),
                "{what}: {vary:?}"
            );
            assert_ne!(answer.status, 500, "{what}");
        }
    }
}

#[tokio::test]
async fn d1_only_the_doors_open_without_a_login() {
    let world = World::new();
    let open = [
        "/api/auth/register",
        "/api/auth/login",
        "/api/auth/refresh",
        "/api/health",
        "/api/openapi.json",
    ];
    for (method, path) in every_route() {
        if open.iter().any(|open| path.starts_with(open)) {
            continue;
        }
        for token in [None, Some("forged")] {
            let mut ask = world.ask(method.clone(), &path);
            if let Some(token) = token {
                ask = ask.token(token);
            }
            assert_eq!(
                ask.send().await.refusal(),
                (401, "UNAUTHENTICATED"),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn s_050_only_listed_origins_may_read_and_they_may_read_refusals() {
    let chat = "https://chat.example.com";
    let world = World::with(Options {
        origins: AllowedOrigins::exactly([chat.parse().unwrap()]),
        ..Options::default()
    });
    for (origin, allowed) in [
        (chat, chat),
        ("https://evil.example", ""),
        ("https://chat.example.com.evil.example", ""),
        ("http://chat.example.com", ""),
        ("https://chat.example.com:8443", ""),
        ("null", ""),
    ] {
        for path in ["/api/health", "/api/auth/me", "/api/nonsense"] {
            let answer = world.get(path).header("origin", origin).send().await;
            assert_eq!(
                answer.header("access-control-allow-origin"),
                allowed,
                "{origin} {path}"
            );
            assert!(answer.headers.get("access-control-allow-credentials").is_none());
        }
        let preflight = world
            .ask(Method::OPTIONS, "/api/auth/login")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,authorization")
            .send()
            .await;
        assert_eq!(preflight.status, 200);
        assert_eq!(
            preflight.header("access-control-allow-origin"),
            allowed,
            "{origin}"
        );
        assert!(
            preflight
                .header("access-control-allow-headers")
                .contains("authorization")
        );
        assert!(preflight.header("access-control-allow-methods").contains("POST"));
    }
    let exposed = world.get("/api/auth/me").header("origin", chat).send().await;
    for header in [
        "x-request-id",
        "retry-after",
        "x-ratelimit-remaining",
        "www-authenticate",
    ] {
        assert!(
            exposed.header("access-control-expose-headers").contains(header),
            "{header}"
        );
    }
    let open = World::with(Options {
        origins: AllowedOrigins::any(),
        ..Options::default()
    });
    let answer = open
        .get("/api/health")
        .header("origin", "https://evil.example")
        .send()
        .await;
    assert_eq!(answer.header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn the_document_names_every_route_and_no_other() {
    let world = World::new();
    let document = world.get("/api/openapi.json").send().await.body;
    let documented: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(|method| (method.clone(), path.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    let routed: BTreeSet<(String, String)> = router::routes()
        .into_iter()
        .map(|(method, path, _)| (method.to_owned(), path.to_owned()))
        .collect();
    assert_eq!(documented, routed);
}

#[tokio::test]
async fn s_048_the_document_prints_the_limits_that_the_rules_check() {
    let world = World::new();
    let document = world.get("/api/openapi.json").send().await.body;
    let schema = |name: &str, field: &str| -> Value {
        let field = &document["components"]["schemas"][name]["properties"][field];
        let target = field["$ref"]
            .as_str()
            .or_else(|| field["allOf"][0]["$ref"].as_str());
        match target.or_else(|| field["oneOf"][1]["$ref"].as_str()) {
            Some(target) => document.pointer(&target[1..]).unwrap().clone(),
            None => field.clone(),
        }
    };
    for (body, field, range) in [
        ("RegisterBody", "username", limits::USERNAME_CHARS),
        ("RegisterBody", "email", limits::EMAIL_CHARS),
        ("RegisterBody", "password", limits::PASSWORD_CHARS),
        ("RegisterBody", "displayName", limits::DISPLAY_NAME_CHARS),
        ("CreateRoomBody", "name", limits::ROOM_NAME_CHARS),
    ] {
        let schema = schema(body, field);
        assert_eq!(schema["minLength"], *range.start(), "{body}.{field}: {schema}");
        assert_eq!(schema["maxLength"], *range.end(), "{body}.{field}: {schema}");
    }
    assert_eq!(
        document["components"]["schemas"]["RegisterBody"]["required"],
        json!(["username", "email", "password"])
    );
    assert_eq!(
        document["components"]["securitySchemes"]["bearer"]["scheme"],
        "bearer"
    );
    for name in [
        "LoggedIn",
        "Tokens",
        "AccountView",
        "PublicUser",
        "RoomView",
        "MessageView",
        "ErrorBody",
        "HealthReport",
    ] {
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn s_023_a_process_says_what_it_does_not_serve_and_always_how_it_is() {
    for (role, rest, sockets) in [
        (Role::Api, 401, 421),
        (Role::Ws, 421, 404),
        (Role::Worker, 421, 421),
        (Role::All, 401, 404),
    ] {
        let world = World::with(Options {
            role,
            ..Options::default()
        });
        // Sockets themselves stand before the API, where they are served.
        for (path, expected) in [
            ("/api/auth/me", rest),
            ("/socket.io/?EIO=4&transport=polling", sockets),
            ("/api/health", 200),
            ("/api/health/live", 200),
            ("/api/health/ready", 200),
            ("/elsewhere", 404),
        ] {
            let answer = world.get(path).send().await;
            assert_eq!(answer.status, expected, "{role}: {path}");
            if expected == 421 {
                assert_eq!(answer.refusal().1, "WRONG_ROLE");
                assert!(
                    answer.body["error"]["message"]
                        .to_string()
                        .contains(role.as_str())
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn s_082_health_is_cheap_and_fails_only_when_writes_do() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (storage, storage_works) = tokio::sync::watch::channel(true);
    let (redis, redis_works) = tokio::sync::watch::channel(true);
    let check = |name, vital, works| -> Box<dyn HealthCheck> {
        Box::new(Scripted {
            name,
            vital,
            works,
            asked: Arc::clone(&asked),
        })
    };
    let world = World::with(Options {
        checks: vec![
            check("storage", true, storage_works),
            check("redis", false, redis_works),
        ],
        ..Options::default()
    });
    let expect = async |status: u16, body: Value, ready: u16| {
        tokio::time::advance(Duration::from_secs(1)).await;
        let answer = world.get("/api/health").send().await;
        assert_eq!(
            (answer.status, &answer.body["status"], &answer.body["checks"]),
            (status, &body["status"], &body["checks"])
        );
        assert_eq!(world.get("/api/health/ready").send().await.status, ready);
        assert_eq!(world.get("/api/health/live").send().await.status, 200);
    };
    expect(
        200,
        json!({ "status": "ok", "checks": { "storage": "ok", "redis": "ok" } }),
        200,
    )
    .await;
    redis.send_replace(false);
    expect(
        200,
        json!({ "status": "degraded", "checks": { "storage": "ok", "redis": "failing" } }),
        200,
    )
    .await;
    storage.send_replace(false);
    expect(
        503,
        json!({ "status": "failing", "checks": { "storage": "failing", "redis": "failing" } }),
        503,
    )
    .await;
    let before = asked.load(Ordering::Relaxed);
    for _ in 0..100 {
        world.get("/api/health").send().await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), before, "cached for a second");
    storage.send_replace(true);
    redis.send_replace(true);
    world.draining.cancel();
    expect(
        200,
        json!({ "status": "ok", "checks": { "storage": "ok", "redis": "ok" } }),
        503,
    )
    .await;
    let report = world.get("/api/health").send().await.body;
    assert_eq!(
        (&report["version"], &report["uptime"]),
        (&json!("1.2.3"), &json!(4))
    );
}
