//! Who may send how much (S-049, S-141, edge case 25, THREATS.md C7 and G1).

use std::time::Duration;

use http::Method;
use serde_json::json;

use super::world::{Options, PASSWORD, World, id_of, registration, text};
use crate::app::accounts::AuthLimits;
use crate::http::ApiLimits;
use crate::http::client_ip::TrustedProxies;
use crate::ports::rate_limit::Quota;

fn limited() -> Options {
    Options {
        api: ApiLimits::default(),
        ..Options::default()
    }
}

#[tokio::test(start_paused = true)]
async fn edge_25_the_hundredth_request_passes_and_the_next_does_not() {
    let world = World::with(limited());
    let ask = || world.get("/api/nonsense");
    for left in (0..100).rev() {
        let answer = ask().send().await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.header("x-ratelimit-limit"), "100");
        assert_eq!(answer.header("x-ratelimit-remaining"), left.to_string());
    }
    let refused = ask().send().await;
    assert_eq!(refused.refusal(), (429, "RATE_LIMITED"));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(
        (
            refused.header("x-ratelimit-limit"),
            refused.header("x-ratelimit-remaining")
        ),
        ("100", "0")
    );
    assert_eq!(refused.header("x-ratelimit-reset"), "60");
    // Somebody else is not concerned, and probes never are.
    assert_eq!(ask().from("198.51.100.8").send().await.status, 404);
    for path in ["/api/health", "/api/health/live", "/api/health/ready"] {
        let probe = world.get(path).send().await;
        assert_eq!((probe.status, probe.header("x-ratelimit-limit")), (200, ""));
    }
    // There is no window to double at its boundary: what comes back comes back one by one.
    tokio::time::advance(Duration::from_millis(601)).await;
    assert_eq!(ask().send().await.status, 404);
    assert_eq!(ask().send().await.status, 429);
    tokio::time::advance(Duration::from_mins(1)).await;
    for _ in 0..100 {
        assert_eq!(ask().send().await.status, 404);
    }
    assert_eq!(ask().send().await.status, 429);
}

#[tokio::test(start_paused = true)]
async fn s_141_a_user_has_one_share_at_every_address() {
    let world = World::with(limited());
    let token = world.token("ann").await;
    for number in 0..100 {
        let from = format!("203.0.113.{}", number % 50);
        assert_eq!(
            world
                .get("/api/auth/me")
                .token(&token)
                .from(&from)
                .send()
                .await
                .status,
            200
        );
    }
    let refused = world
        .get("/api/auth/me")
        .token(&token)
        .from("203.0.113.99")
        .send()
        .await;
    assert_eq!(refused.refusal(), (429, "RATE_LIMITED"));
    // A forged token buys no share of its own: it counts as the address.
    for _ in 0..100 {
        assert_eq!(
            world
                .get("/api/auth/me")
                .token("forged")
                .from("192.0.2.1")
                .send()
                .await
                .status,
            401
        );
    }
    assert_eq!(
        world
            .get("/api/auth/me")
            .token("forged2")
            .from("192.0.2.1")
            .send()
            .await
            .status,
        429
    );
    assert_eq!(
        world.get("/api/nonsense").from("192.0.2.1").send().await.status,
        429
    );
}

#[tokio::test(start_paused = true)]
async fn s_141_users_behind_one_address_share_ten_times_as_much() {
    let world = World::with(limited());
    let mut served = 0;
    for number in 0..12 {
        // Each registers from elsewhere.
        let name = format!("user{number}");
        let registered = world
            .post("/api/auth/register", &registration(&name))
            .from(&format!("192.0.2.{number}"));
        let token = text(&registered.send().await.body, "accessToken");
        for _ in 0..100 {
            served += usize::from(world.get("/api/auth/me").token(&token).send().await.status == 200);
        }
    }
    assert_eq!(served, 1000);
}

#[tokio::test(start_paused = true)]
async fn g1_no_header_buys_a_new_share() {
    let world = World::with(limited());
    for number in 0..100 {
        let answer = world
            .get("/api/nonsense")
            .header("x-forwarded-for", &format!("203.0.113.{number}"))
            .header("x-real-ip", &format!("203.0.113.{number}"))
            .header("forwarded", &format!("for=203.0.113.{number}"));
        assert_eq!(answer.send().await.status, 404);
    }
    assert_eq!(
        world
            .get("/api/nonsense")
            .header("x-forwarded-for", "203.0.113.200")
            .send()
            .await
            .status,
        429
    );

    let proxied = World::with(Options {
        proxies: TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]),
        ..limited()
    });
    for number in 0..101 {
        // What the client claims stands left of what the proxy saw.
        let forwarded = format!("203.0.113.{number}, 2001:db8::{number:x}");
        let answer = proxied
            .get("/api/nonsense")
            .from("10.0.0.1")
            .header("x-forwarded-for", &forwarded)
            .send()
            .await;
        assert_eq!(answer.status, if number < 100 { 404 } else { 429 }, "{number}");
    }
    let other = proxied
        .get("/api/nonsense")
        .from("10.0.0.1")
        .header("x-forwarded-for", "2001:db8:0:1::1");
    assert_eq!(other.send().await.status, 404);
}

#[tokio::test]
async fn s_141_zero_switches_it_off() {
    let world = World::new();
    for _ in 0..300 {
        let answer = world.get("/api/nonsense").send().await;
        assert_eq!((answer.status, answer.header("x-ratelimit-limit")), (404, ""));
    }
}

fn auth_limited() -> World {
    World::with(Options {
        auth: AuthLimits::default(),
        ..Options::default()
    })
}

#[tokio::test(start_paused = true)]
async fn c7_guessing_one_account_is_slow_and_its_owner_elsewhere_gets_in() {
    let world = auth_limited();
    world.register("ann").await;
    let guess = json!({ "username": "Ann", "password": "wrong horse battery" });
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(
            world
                .post("/api/auth/login", &guess)
                .from("203.0.113.1")
                .send()
                .await
                .status,
        );
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    let right = json!({ "username": "ann", "password": PASSWORD });
    let from_there = world
        .post("/api/auth/login", &right)
        .from("203.0.113.1")
        .send()
        .await;
    assert_eq!(from_there.refusal(), (429, "RATE_LIMITED"));
    assert!(!from_there.header("retry-after").is_empty());
    assert_eq!(
        world
            .post("/api/auth/login", &right)
            .from("203.0.113.2")
            .send()
            .await
            .status,
        200
    );
    // C6: an account that does not exist is guessed at just as slowly.
    let nobody = json!({ "username": "nobody", "password": PASSWORD });
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(
            world
                .post("/api/auth/login", &nobody)
                .from("203.0.113.3")
                .send()
                .await
                .status,
        );
    }
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429]);
    // From many addresses it is slow as well.
    let mut refused = 0;
    for number in 0..120 {
        let from = format!("2001:db8:0:{number:x}::1");
        let answer = world.post("/api/auth/login", &guess).from(&from).send().await;
        refused += usize::from(answer.status == 429);
    }
    assert!((20..=40).contains(&refused), "{refused}");
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(
        world
            .post("/api/auth/login", &right)
            .from("203.0.113.1")
            .send()
            .await
            .status,
        200
    );
}

#[tokio::test(start_paused = true)]
async fn c7_one_address_tries_ten_entries_a_minute() {
    let world = auth_limited();
    let mut statuses = Vec::new();
    for number in 0..11 {
        let body = registration(&format!("user{number}"));
        statuses.push(world.post("/api/auth/register", &body).send().await.status);
    }
    assert_eq!(statuses[..10], [201; 10]);
    assert_eq!(statuses[10], 429);
    let logout = world.ask(Method::POST, "/api/auth/logout").send().await;
    assert_eq!(logout.status, 401, "other doors have shares of their own");
}

#[tokio::test(start_paused = true)]
async fn s_052_after_five_clashes_an_address_learns_no_more_names() {
    let world = auth_limited();
    world.register("ann").await;
    let clash = |number: u32| {
        let body =
            json!({ "username": "ann", "email": format!("x{number}@example.org"), "password": PASSWORD });
        world.post("/api/auth/register", &body).from("203.0.113.1").send()
    };
    for number in 0..5 {
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(clash(number).await.refusal(), (409, "USERNAME_TAKEN"));
    }
    tokio::time::advance(Duration::from_secs(10)).await;
    let refused = clash(5).await;
    assert_eq!(refused.refusal(), (429, "RATE_LIMITED"));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((600..=720).contains(&wait), "{wait}");
    // Nor does it learn that a name is free.
    let free = world
        .post("/api/auth/register", &registration("bob"))
        .from("203.0.113.1")
        .send()
        .await;
    assert_eq!(free.refusal(), (429, "RATE_LIMITED"));
    let elsewhere = world
        .post("/api/auth/register", &registration("bob"))
        .from("203.0.113.2")
        .send()
        .await;
    assert_eq!(elsewhere.status, 201);
    assert!(id_of(&elsewhere.body).to_string().len() == 24);
    tokio::time::advance(Duration::from_secs(wait)).await;
    assert_eq!(clash(6).await.refusal(), (409, "USERNAME_TAKEN"));
}

#[tokio::test(start_paused = true)]
async fn s_076_and_g5_a_user_makes_rooms_only_so_fast() {
    let world = World::with(Options {
        rooms: Some(Quota::per(2, Duration::from_mins(1))),
        ..Options::default()
    });
    let (ann, bob) = (world.token("ann").await, world.token("bob").await);
    let make = async |token: &str, name: &str| {
        let body = json!({ "name": name });
        world.post("/api/rooms", &body).token(token).send().await
    };
    assert_eq!(make(&ann, "tea").await.status, 201);
    assert_eq!(make(&ann, "tea").await.refusal(), (409, "DUPLICATE_ROOM"));
    let refused = make(&ann, "cake").await;
    assert_eq!(refused.refusal(), (429, "RATE_LIMITED"));
    assert_eq!(refused.header("retry-after"), "30");
    assert_eq!(make(&bob, "cake").await.status, 201, "each user has their own");
    tokio::time::advance(Duration::from_secs(30)).await;
    assert_eq!(make(&ann, "milk").await.status, 201);
}
