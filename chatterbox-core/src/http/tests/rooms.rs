use serde_json::{Value, json};

use super::world::{Answer, Options, World, id_of, text};
use crate::app::Quotas;

struct Reader {
    world: World,
    token: String,
    user: crate::ids::UserId,
}

impl Reader {
    async fn new() -> Reader {
        Reader::of(World::new()).await
    }

    async fn of(world: World) -> Reader {
        let ann = world.register("ann").await;
        let (token, user) = (text(&ann, "accessToken"), id_of(&ann));
        Reader { world, token, user }
    }

    async fn get(&self, path: &str) -> Answer {
        self.world.get(path).token(&self.token).send().await
    }

    async fn create(&self, body: &Value) -> Answer {
        self.world
            .post("/api/rooms", body)
            .token(&self.token)
            .send()
            .await
    }

    async fn with_room_of(messages: usize) -> Reader {
        let reader = Reader::new().await;
        reader.create(&json!({ "name": "team" })).await;
        reader
            .world
            .write(
                reader.user,
                "team",
                (1..=messages).map(|number| format!("m{number}")),
            )
            .await;
        reader
    }

    /// The contents of a page.
    async fn page(&self, query: &str) -> (String, Value) {
        let answer = self.get(&format!("/api/rooms/team/messages?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        let items = answer.body["items"].as_array().unwrap();
        let contents: Vec<&str> = items
            .iter()
            .map(|item| item["content"].as_str().unwrap())
            .collect();
        (contents.join(" "), answer.body.clone())
    }
}

#[tokio::test]
async fn s_076_a_room_is_created_once() {
    let ann = Reader::new().await;
    let answer = ann
        .create(&json!({ "name": "Team-A", "description": " ours " }))
        .await;
    assert_eq!(answer.status, 201);
    let room = &answer.body;
    assert_eq!(
        (&room["name"], &room["description"]),
        (&json!("team-a"), &json!("ours"))
    );
    assert_eq!((&room["memberCount"], &room["joined"]), (&json!(1), &json!(true)));
    assert_eq!(room["id"], room["conversationId"]);
    assert_eq!(room["createdBy"], json!(ann.user));
    assert_eq!(
        ann.create(&json!({ "name": "team-a" })).await.refusal(),
        (409, "DUPLICATE_ROOM")
    );
    for (body, field) in [
        (json!({}), "name"),
        (json!({ "name": {"$gt": ""} }), "name"),
        (json!({ "name": "a" }), "name"),
        (json!({ "name": "x".repeat(33) }), "name"),
        (json!({ "name": "__proto__" }), "name"),
        (json!({ "name": "admin" }), "name"),
        (json!({ "name": "..", "description": 1 }), "description"),
        (
            json!({ "name": "team-b", "description": "x".repeat(251) }),
            "description",
        ),
    ] {
        let answer = ann.create(&body).await;
        assert_eq!(answer.refusal(), (400, "VALIDATION"), "{body}");
        assert_eq!(answer.fields(), [field], "{body}");
    }
}

#[tokio::test]
async fn s_076_who_is_in_as_many_rooms_as_allowed_makes_none() {
    let quotas = Quotas {
        rooms_joined_max: 2,
        ..Quotas::default()
    };
    let world = World::with(Options {
        quotas,
        ..Options::default()
    });
    let ann = Reader::of(world).await;
    for (name, expected) in [("one", 201), ("two", 201), ("three", 409)] {
        assert_eq!(
            ann.create(&json!({ "name": name })).await.status,
            expected,
            "{name}"
        );
    }
    let refused = ann.create(&json!({ "name": "three" })).await;
    assert_eq!(refused.refusal(), (409, "QUOTA_EXCEEDED"));
    assert_eq!(ann.get("/api/rooms/three").await.refusal(), (404, "NOT_FOUND"));
    // S-071 is the other way in.
    let of_bob = ann.world.token("bob").await;
    let room = json!({ "name": "of-bob" });
    let room = ann.world.post("/api/rooms", &room).token(&of_bob).send().await;
    let path = format!("/api/conversations/{}/join", text(&room.body, "id"));
    let joins = || ann.world.post(&path, &json!({})).token(&ann.token);
    assert_eq!(joins().send().await.refusal(), (409, "QUOTA_EXCEEDED"));
}

#[tokio::test]
async fn edge_19_a_name_in_the_path_is_decoded_once() {
    let ann = Reader::new().await;
    ann.create(&json!({ "name": "team-a" })).await;
    for (path, expected) in [
        ("team-a", 200),
        ("TEAM-A", 200),
        ("team%2Da", 200),
        ("%EF%BD%94eam-a", 200),
        ("team%252Da", 404),
        ("team-a%2F", 404),
        ("..%2Frooms%2Fteam-a", 404),
        ("%2e%2e", 404),
        ("__proto__", 404),
        ("constructor", 404),
        ("a", 404),
        ("%ff", 404),
        ("%00", 404),
        (&*"x".repeat(10_000), 404),
    ] {
        let answer = ann.get(&format!("/api/rooms/{path}")).await;
        assert_eq!(answer.status, expected, "{path:.80}");
        let history = ann.get(&format!("/api/rooms/{path}/messages")).await;
        assert_eq!(history.status, expected, "{path:.80}");
        if expected == 404 {
            assert_eq!(answer.refusal(), (404, "NOT_FOUND"), "{path:.80}");
        }
    }
}

#[tokio::test]
async fn s_074_rooms_come_in_pages() {
    let ann = Reader::new().await;
    for number in 10..35 {
        assert_eq!(
            ann.create(&json!({ "name": format!("room-{number}") }))
                .await
                .status,
            201
        );
    }
    let mut names = Vec::new();
    let mut query = "limit=10".to_owned();
    loop {
        let body = ann.get(&format!("/api/rooms?{query}")).await.body;
        assert_eq!((&body["limit"], &body["prevCursor"]), (&json!(10), &Value::Null));
        names.extend(
            body["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|room| text(room, "name")),
        );
        assert_eq!(body["hasMore"], !body["nextCursor"].is_null());
        let Some(cursor) = body["nextCursor"].as_str() else {
            break;
        };
        query = format!("limit=10&cursor={cursor}");
    }
    let expected: Vec<String> = (10..35).map(|number| format!("room-{number}")).collect();
    assert_eq!(names, expected);
    let third = ann.get("/api/rooms?limit=10&page=3").await.body;
    assert_eq!(third["items"].as_array().unwrap().len(), 5);
    assert_eq!(third["items"][0]["name"], "room-30");
    assert_eq!(
        ann.get("/api/rooms?limit=10&page=4").await.body["items"],
        json!([])
    );
    assert_eq!(ann.get("/api/rooms?limit=1000").await.body["limit"], 100);
    for query in [
        "limit=0",
        "limit=-1",
        "limit=1e9",
        "limit=abc",
        "page=0",
        "page=21",
        "page=1e9",
        "limit=1&limit=2",
    ] {
        assert_eq!(
            ann.get(&format!("/api/rooms?{query}")).await.refusal(),
            (400, "VALIDATION"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn edge_22_a_cursor_belongs_to_its_list() {
    let ann = Reader::with_room_of(10).await;
    for name in ["room-a", "room-b"] {
        ann.create(&json!({ "name": name })).await;
    }
    let of_rooms = text(&ann.get("/api/rooms?limit=1").await.body, "nextCursor");
    let of_team = text(&ann.page("limit=3").await.1, "nextCursor");
    for path in [
        format!("/api/rooms?cursor={of_team}"),
        format!("/api/rooms/team/messages?cursor={of_rooms}"),
        format!("/api/rooms/room-a/messages?cursor={of_team}"),
        "/api/rooms?cursor=".to_owned(),
        "/api/rooms?cursor=AAAA".to_owned(),
        format!("/api/rooms?cursor={}", &of_rooms[1..]),
        format!("/api/rooms?cursor={of_rooms}A"),
        format!("/api/rooms?cursor={}", "A".repeat(5000)),
        "/api/rooms/team/messages?cursor=%00".to_owned(),
    ] {
        assert_eq!(
            ann.get(&path).await.refusal(),
            (400, "INVALID_CURSOR"),
            "{path:.80}"
        );
    }
}

#[tokio::test]
async fn s_077_and_s_070_history_is_read_both_ways() {
    let ann = Reader::with_room_of(10).await;
    for (query, contents, before, after) in [
        ("limit=3", "m8 m9 m10", true, false),
        ("limit=3&before=8", "m5 m6 m7", true, true),
        ("limit=3&before=3", "m1 m2", false, true),
        ("limit=3&before=1", "", false, true),
        ("limit=3&after=0", "m1 m2 m3", false, true),
        ("limit=3&after=8", "m9 m10", true, false),
        ("limit=3&after=10", "", true, false),
        ("limit=3&around=5", "m4 m5 m6", true, true),
        ("limit=3&page=1", "m8 m9 m10", true, false),
        ("limit=3&page=2", "m5 m6 m7", true, true),
        ("limit=3&page=4", "m1", false, true),
        ("limit=3&page=9", "", false, true),
        ("after=99999999999999999999", "", true, false),
    ] {
        let (found, body) = ann.page(query).await;
        assert_eq!(found, contents, "{query}");
        let more = (
            body["hasMoreBefore"].as_bool().unwrap(),
            body["hasMoreAfter"].as_bool().unwrap(),
        );
        assert_eq!(more, (before, after), "{query}");
    }
    // By the id of a message.
    let (_, body) = ann.page("limit=1&around=5").await;
    let id = text(&body["items"][0], "id");
    assert_eq!(ann.page(&format!("limit=2&before={id}")).await.0, "m3 m4");
    assert_eq!(ann.page(&format!("limit=2&after={id}")).await.0, "m6 m7");
}

#[tokio::test]
async fn s_077_cursors_lead_through_the_history_while_others_write() {
    let ann = Reader::with_room_of(10).await;
    let (newest, first) = ann.page("limit=4").await;
    assert_eq!(
        (newest.as_str(), &first["hasMore"], &first["prevCursor"]),
        ("m7 m8 m9 m10", &json!(true), &Value::Null)
    );
    ann.world
        .write(ann.user, "team", ["m11".to_owned(), "m12".to_owned()])
        .await;
    let (older, second) = ann
        .page(&format!("limit=4&cursor={}", text(&first, "nextCursor")))
        .await;
    assert_eq!(older, "m3 m4 m5 m6");
    let (oldest, third) = ann
        .page(&format!("limit=4&cursor={}", text(&second, "nextCursor")))
        .await;
    assert_eq!(
        (oldest.as_str(), &third["nextCursor"], &third["hasMore"]),
        ("m1 m2", &Value::Null, &json!(false))
    );
    let (back, _) = ann
        .page(&format!("limit=4&cursor={}", text(&third, "prevCursor")))
        .await;
    assert_eq!(back, "m3 m4 m5 m6");
    // Read with `after` it goes on towards the newest.
    let (_, start) = ann.page("limit=5&after=0").await;
    let (next, end) = ann
        .page(&format!("limit=50&cursor={}", text(&start, "nextCursor")))
        .await;
    assert_eq!(
        (next.as_str(), &end["hasMore"]),
        ("m6 m7 m8 m9 m10 m11 m12", &json!(false))
    );
}

#[tokio::test]
async fn a_history_request_names_one_place() {
    let ann = Reader::with_room_of(1).await;
    for (query, code) in [
        ("before=1&after=1", "VALIDATION"),
        ("before=1&before=2", "VALIDATION"),
        ("page=1&around=1", "VALIDATION"),
        ("before=abc", "INVALID_ID"),
        ("before=", "INVALID_ID"),
        ("before=-1", "INVALID_ID"),
        ("after=1.5", "INVALID_ID"),
        ("around=00000000000000000000000g", "INVALID_ID"),
    ] {
        let answer = ann.get(&format!("/api/rooms/team/messages?{query}")).await;
        assert_eq!(answer.refusal(), (400, code), "{query}");
    }
    let unknown = ann
        .get("/api/rooms/team/messages?around=000000000000000000000001")
        .await;
    assert_eq!(unknown.refusal(), (404, "NOT_FOUND"));
    // D7: the room is the one of the path.
    let (contents, _) = ann
        .page("roomName=general&conversationId=000000000000000000000001")
        .await;
    assert_eq!(contents, "m1");
}

#[tokio::test]
async fn a_message_is_shown_in_the_shape_of_the_contract() {
    let ann = Reader::with_room_of(1).await;
    let (_, body) = ann.page("").await;
    let message = &body["items"][0];
    assert_eq!(message["sender"], json!({ "id": ann.user, "username": "ann" }));
    let room = ann.get("/api/rooms/team").await.body;
    assert_eq!(message["conversationId"], room["id"]);
    for (field, expected) in [
        ("roomName", json!("team")),
        ("seq", json!(1)),
        ("type", json!("text")),
        ("attachments", json!([])),
        ("mentions", json!([])),
        ("reactions", json!([])),
    ] {
        assert_eq!(message[field], expected, "{field}");
    }
    assert!(message["createdAt"].as_str().unwrap().ends_with('Z'));
}
