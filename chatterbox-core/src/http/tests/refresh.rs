//! Edge case 5: every way a refresh token comes back.

use std::time::Duration;

use serde_json::{Value, json};

use super::world::{Answer, World, id_of, text};

async fn refresh(world: &World, token: &str) -> Answer {
    world
        .post("/api/auth/refresh", &json!({ "refreshToken": token }))
        .send()
        .await
}

fn token(body: &Value) -> String {
    text(body, "refreshToken")
}

#[tokio::test]
async fn s_055_each_use_gives_the_next_generation() {
    let world = World::new();
    let mut current = token(&world.register("ann").await);
    for generation in 2..5 {
        world.clock.advance(Duration::from_mins(1));
        let answer = refresh(&world, &current).await;
        assert_eq!((answer.status, &answer.body["expiresIn"]), (200, &json!(900)));
        current = token(&answer.body);
        assert_eq!(current.split('.').nth(1), Some(generation.to_string().as_str()));
        let access = text(&answer.body, "accessToken");
        assert_eq!(world.get("/api/auth/me").token(&access).send().await.status, 200);
    }
}

#[tokio::test]
async fn edge_5_two_tabs_at_once_get_the_same_token() {
    let world = World::new();
    let first = token(&world.register("ann").await);
    let answers = futures_util::future::join_all((0..10).map(|_| refresh(&world, &first))).await;
    let tokens: Vec<String> = answers.iter().map(|answer| token(&answer.body)).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    assert_eq!(tokens[0].split('.').nth(1), Some("2"));
}

#[tokio::test]
async fn edge_5_a_lost_answer_is_asked_for_again_for_thirty_seconds() {
    let world = World::new();
    let first = token(&world.register("ann").await);
    let second = token(&refresh(&world, &first).await.body);
    world.clock.advance(Duration::from_secs(30));
    let again = refresh(&world, &first).await;
    assert_eq!((again.status, token(&again.body)), (200, second.clone()));
    assert_eq!(refresh(&world, &second).await.status, 200);
}

#[tokio::test]
async fn edge_5_and_c4_reuse_after_the_grace_kills_the_family() {
    let world = World::new();
    let ann = world.register("ann").await;
    let first = token(&ann);
    let second = refresh(&world, &first).await.body;
    world.clock.advance(Duration::from_millis(30_001));
    assert_eq!(refresh(&world, &first).await.refusal(), (401, "UNAUTHENTICATED"));
    // The owner's tokens are dead as well.
    assert_eq!(refresh(&world, &token(&second)).await.status, 401);
    let access = text(&second, "accessToken");
    assert_eq!(world.get("/api/auth/me").token(&access).send().await.status, 401);
}

#[tokio::test]
async fn edge_5_two_generations_back_is_reuse_at_once() {
    let world = World::new();
    let first = token(&world.register("ann").await);
    let second = token(&refresh(&world, &first).await.body);
    let third = token(&refresh(&world, &second).await.body);
    assert_eq!(refresh(&world, &first).await.status, 401);
    assert_eq!(refresh(&world, &third).await.status, 401);
}

#[tokio::test]
async fn s_055_a_wrong_secret_changes_nothing() {
    let world = World::new();
    let ann = world.register("ann").await;
    let current = token(&ann);
    let (family, rest) = current.split_once('.').unwrap();
    let secret = rest.split_once('.').unwrap().1;
    for forged in [
        String::new(),
        "nonsense".to_owned(),
        format!("{family}.1.{}", "A".repeat(43)),
        format!("{family}.2.{secret}"),
        format!("000000000000000000000001.1.{secret}"),
        text(&ann, "accessToken"),
        "x".repeat(60_000),
    ] {
        assert_eq!(
            refresh(&world, &forged).await.refusal(),
            (401, "UNAUTHENTICATED"),
            "{forged:.80}"
        );
    }
    for wrong in [
        json!({}),
        json!({ "refreshToken": { "$gt": "" } }),
        json!({ "refreshToken": 1 }),
    ] {
        let answer = world.post("/api/auth/refresh", &wrong).send().await;
        assert_eq!(answer.refusal(), (400, "VALIDATION"), "{wrong}");
    }
    assert_eq!(refresh(&world, &current).await.status, 200);
}

#[tokio::test]
async fn s_055_a_session_lives_for_its_time_since_the_last_refresh() {
    let world = World::new();
    let day = Duration::from_hours(24);
    let mut current = token(&world.register("ann").await);
    for _ in 0..3 {
        world.clock.advance(29 * day);
        current = token(&refresh(&world, &current).await.body);
    }
    world.clock.advance(30 * day);
    assert_eq!(
        refresh(&world, &current).await.refusal(),
        (401, "UNAUTHENTICATED")
    );
}

#[tokio::test]
async fn edge_6_a_suspended_account_refreshes_nothing() {
    let world = World::new();
    let ann = world.register("ann").await;
    world.suspend(id_of(&ann), true).await;
    assert_eq!(refresh(&world, &token(&ann)).await.status, 401);
    let access = text(&ann, "accessToken");
    assert_eq!(world.get("/api/auth/me").token(&access).send().await.status, 401);
}
