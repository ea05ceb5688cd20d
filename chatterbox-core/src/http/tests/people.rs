//! Finding others (S-059) and blocking them (S-135).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::world::{Answer, Options, World, id_of, registration, text};
use crate::app::Quotas;
use crate::ids::UserId;

struct Ann {
    token: String,
    id: UserId,
}

async fn somebody(world: &World, name: &str) -> Ann {
    let body = world.register(name).await;
    Ann {
        token: text(&body, "accessToken"),
        id: id_of(&body),
    }
}

async fn search(world: &World, by: &Ann, query: &str) -> Answer {
    let path = format!("/api/users?{query}");
    world.get(&path).token(&by.token).send().await
}

fn names(answer: &Answer) -> Vec<String> {
    let items = answer.body["items"].as_array();
    let items = items.unwrap_or_else(|| panic!("{answer:?}"));
    items.iter().map(|item| text(item, "username")).collect()
}

#[tokio::test]
async fn s_059_people_are_found_by_the_beginning_of_their_names() {
    let world = World::new();
    let ann = somebody(&world, "ann").await;
    let mut bob = registration("bob.anders");
    bob["displayName"] = json!("Robert Ängström");
    world.post("/api/auth/register", &bob).send().await;
    for (query, expected) in [
        ("q=an", vec!["bob.anders", "ann"]),
        ("q=AN", vec!["bob.anders", "ann"]),
        ("q=%20bob%20", vec!["bob.anders"]),
        ("q=%C3%A4ng", vec!["bob.anders"]),
        ("q=A%CC%88NG", vec!["bob.anders"]),
        ("q=robert+%C3%A4", vec!["bob.anders"]),
        ("q=nn", vec![]),
        ("q=%25", vec![]),
        ("q=.*", vec![]),
        ("q=bob@", vec![]),
    ] {
        assert_eq!(names(&search(&world, &ann, query).await), expected, "{query}");
    }
    // Public fields only.
    let found = search(&world, &ann, "q=bob").await.body;
    let fields: BTreeSet<&str> = found["items"][0]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(fields, BTreeSet::from(["displayName", "id", "username"]));
    assert_eq!(found["limit"], 50);
    assert_eq!(found["nextCursor"], Value::Null);
}

#[tokio::test]
async fn s_059_bad_searches_are_named() {
    let world = World::new();
    let ann = somebody(&world, "ann").await;
    for (query, field) in [
        ("", "q"),
        ("q=", "q"),
        ("q=%20%20", "q"),
        ("q=%E2%80%8B", "q"),
        (&format!("q={}", "a".repeat(65)), "q"),
        (&format!("q={}", "a".repeat(60_000)), "q"),
        ("q=a&q=b", "q"),
        ("q=a&limit=0", "limit"),
        ("q=a&limit=-1", "limit"),
        ("q=a&limit=1e9", "limit"),
        ("q=a&limit=abc", "limit"),
    ] {
        let answer = search(&world, &ann, query).await;
        assert_eq!(answer.refusal(), (400, "VALIDATION"), "{query:.40}");
        assert!(answer.fields().contains(&field), "{query:.40}");
    }
    for query in ["q=a&cursor=nonsense", "q=a&cursor="] {
        let answer = search(&world, &ann, query).await;
        assert_eq!(answer.refusal(), (400, "INVALID_CURSOR"), "{query}");
    }
    let anonymous = world.get("/api/users?q=a").send().await;
    assert_eq!(anonymous.refusal(), (401, "UNAUTHENTICATED"));
}

#[tokio::test]
async fn s_059_pages_hold_everybody_once_and_cursors_fit_one_search() {
    let world = World::new();
    let ann = somebody(&world, "ann").await;
    let shown = "ΐ".repeat(64);
    for number in 0..7 {
        let mut body = registration(&format!("user{number}"));
        body["displayName"] = json!(shown);
        assert_eq!(world.post("/api/auth/register", &body).send().await.status, 201);
    }
    for (q, of_another) in [("user", "use"), ("%CE%90", "user")] {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = search(&world, &ann, &format!("q={q}&limit=3{cursor}")).await;
            assert_eq!(page.body["limit"], 3);
            found.extend(names(&page));
            let Some(next) = page.body["nextCursor"].as_str() else {
                assert_eq!(page.body["hasMore"], false);
                break;
            };
            assert_eq!((names(&page).len(), &page.body["hasMore"]), (3, &json!(true)));
            cursor = format!("&cursor={next}");
            let foreign = search(&world, &ann, &format!("q={of_another}{cursor}")).await;
            assert_eq!(foreign.refusal(), (400, "INVALID_CURSOR"));
        }
        found.sort();
        let expected: Vec<String> = (0..7).map(|number| format!("user{number}")).collect();
        assert_eq!(found, expected, "{q}");
    }
}

#[tokio::test]
async fn s_059_an_address_finds_who_wants_to_be_found_by_it() {
    let world = World::new();
    let (ann, bob) = (somebody(&world, "ann").await, somebody(&world, "bob").await);
    let find = async |by: &Ann, q: &str| names(&search(&world, by, &format!("q={q}")).await);
    assert_eq!(find(&ann, "bob@example.org").await, [""; 0]);
    let allow = json!({ "settings": { "allowEmailSearch": true } });
    world.put("/api/auth/me", &allow).token(&bob.token).send().await;
    for (q, expected) in [
        ("bob@example.org", vec!["bob"]),
        ("BOB@example.org", vec!["bob"]),
        ("bob@example", vec![]),
        ("ob@example.org", vec![]),
        ("bob@example.org.", vec![]),
        ("nobody@example.org", vec![]),
    ] {
        assert_eq!(find(&ann, q).await, expected, "{q}");
    }
    // Told once, also when the name says the same.
    let name = json!({ "displayName": "bob@example.org" });
    world.put("/api/auth/me", &name).token(&bob.token).send().await;
    assert_eq!(find(&ann, "bob@example.org&limit=1").await, ["bob"]);
    world
        .put(&format!("/api/users/{}/block", ann.id), &json!({}))
        .token(&bob.token)
        .send()
        .await;
    assert_eq!(find(&ann, "bob@example.org").await, [""; 0]);
}

#[tokio::test]
async fn s_059_who_blocks_me_is_not_found_and_whom_i_block_is() {
    let world = World::new();
    let ann = somebody(&world, "ann").await;
    let mut others = Vec::new();
    for number in 0..12 {
        others.push(somebody(&world, &format!("user{number:02}")).await);
    }
    // All but the last two.
    for other in &others[..10] {
        let path = format!("/api/users/{}/block", ann.id);
        let answer = world
            .ask(http::Method::PUT, &path)
            .token(&other.token)
            .send()
            .await;
        assert_eq!(answer.status, 204);
    }
    let path = format!("/api/users/{}/block", others[10].id);
    world.ask(http::Method::PUT, &path).token(&ann.token).send().await;
    let mut found = Vec::new();
    let mut cursor = String::new();
    for pages in 1.. {
        let page = search(&world, &ann, &format!("q=user&limit=2{cursor}")).await;
        found.extend(names(&page));
        let Some(next) = page.body["nextCursor"].as_str() else {
            assert!(pages <= 3, "a page reads on behind who is left out");
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, ["user10", "user11"]);
    // The others find each other.
    let page = search(&world, &others[0], "q=user").await;
    assert_eq!(names(&page).len(), 12);
}

#[tokio::test]
async fn s_135_blocking_and_unblocking_again_is_fine() {
    let world = World::new();
    let (ann, bob) = (somebody(&world, "ann").await, somebody(&world, "bob").await);
    let path = format!("/api/users/{}/block", bob.id);
    let blocked = async || {
        let list = world.get("/api/users/blocked").token(&ann.token).send().await;
        list.body["items"].clone()
    };
    assert_eq!(blocked().await, json!([]));
    for _ in 0..2 {
        assert_eq!(
            world.put(&path, &json!({})).token(&ann.token).send().await.status,
            204
        );
        let items = blocked().await;
        assert_eq!(items.as_array().unwrap().len(), 1);
        assert_eq!(items[0]["user"], json!({ "id": bob.id, "username": "bob" }));
        assert_eq!(items[0]["blockedAt"], "2025-11-22T00:00:00.000Z");
    }
    // The other one is not told, and does not block back.
    let theirs = world.get("/api/users/blocked").token(&bob.token).send().await;
    assert_eq!(theirs.body["items"], json!([]));
    for _ in 0..2 {
        assert_eq!(world.delete(&path).token(&ann.token).send().await.status, 204);
        assert_eq!(blocked().await, json!([]));
    }
}

#[tokio::test]
async fn s_135_bad_blocks_are_refused() {
    let world = World::with(Options {
        quotas: Quotas {
            blocks_max: 2,
            ..Quotas::default()
        },
        ..Options::default()
    });
    let ann = somebody(&world, "ann").await;
    let put = async |id: &str| {
        let path = format!("/api/users/{id}/block");
        world.ask(http::Method::PUT, &path).token(&ann.token).send().await
    };
    let delete = async |id: &str| {
        let path = format!("/api/users/{id}/block");
        world.delete(&path).token(&ann.token).send().await
    };
    let myself = ann.id.to_string();
    assert_eq!(put(&myself).await.refusal(), (400, "VALIDATION"));
    let nobody = "000000000000000000000001";
    assert_eq!(put(nobody).await.refusal(), (404, "NOT_FOUND"));
    assert_eq!(delete(nobody).await.status, 204, "also for people who are gone");
    for id in ["nonsense", "%00", "%ff", "00000000000000000000000g"] {
        assert_eq!(put(id).await.refusal(), (400, "INVALID_ID"), "{id}");
        assert_eq!(delete(id).await.refusal(), (400, "INVALID_ID"), "{id}");
    }
    let mut others = Vec::new();
    for name in ["bob", "cid", "dan"] {
        others.push(somebody(&world, name).await.id.to_string());
    }
    for (id, expected) in [
        (&others[0], 204),
        (&others[1], 204),
        (&others[2], 409),
        (&others[0], 204),
    ] {
        assert_eq!(put(id).await.status, expected);
    }
    assert_eq!(put(&others[2]).await.refusal(), (409, "QUOTA_EXCEEDED"));
    delete(&others[0]).await;
    assert_eq!(put(&others[2]).await.status, 204);
    let anonymous = world.ask(http::Method::PUT, &format!("/api/users/{}/block", others[0]));
    assert_eq!(anonymous.send().await.refusal(), (401, "UNAUTHENTICATED"));
}

#[tokio::test]
async fn s_135_the_list_of_blocks_pages() {
    let world = World::new();
    let ann = somebody(&world, "ann").await;
    let mut expected = Vec::new();
    for number in 0..5 {
        let id = somebody(&world, &format!("user{number}")).await.id;
        let path = format!("/api/users/{id}/block");
        world.put(&path, &json!({})).token(&ann.token).send().await;
        expected.push(json!(id));
    }
    let mut listed = Vec::new();
    let mut path = "/api/users/blocked?limit=2".to_owned();
    loop {
        let page = world.get(&path).token(&ann.token).send().await.body;
        let items = page["items"].as_array().unwrap();
        listed.extend(items.iter().map(|item| item["user"]["id"].clone()));
        assert_eq!(page["hasMore"], page["nextCursor"].is_string());
        let Some(next) = page["nextCursor"].as_str() else {
            break;
        };
        path = format!("/api/users/blocked?limit=2&cursor={next}");
    }
    assert_eq!(listed, expected);
    let forged = world
        .get("/api/users/blocked?cursor=AAAA")
        .token(&ann.token)
        .send()
        .await;
    assert_eq!(forged.refusal(), (400, "INVALID_CURSOR"));
}
