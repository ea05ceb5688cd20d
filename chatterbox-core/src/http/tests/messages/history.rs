//! What was said stays, page by page (S-011).

use http::Method;
use serde_json::{Value, json};

use super::{Chat, Options, contents};

impl Chat {
    async fn page(&self, who: &str, query: &str) -> (String, Value) {
        let page = self.get(who, &format!("/messages?{query}")).await;
        assert_eq!(page.status, 200, "{query}: {}", page.body);
        (contents(&page.body).join(" "), page.body)
    }

    /// Everything, by following cursors from a first page.
    async fn walks(&self, who: &str, first: &str) -> Vec<String> {
        let mut query = first.to_owned();
        let mut pages = Vec::new();
        loop {
            let (_, page) = self.page(who, &query).await;
            let older = page["hasMoreBefore"] == page["hasMore"] && !first.contains("after");
            if older {
                pages.splice(0..0, contents(&page));
            } else {
                pages.extend(contents(&page));
            }
            match page["nextCursor"].as_str() {
                Some(cursor) => query = format!("limit=3&cursor={cursor}"),
                None => return pages,
            }
        }
    }
}

#[tokio::test]
async fn s_070_pages_show_messages_and_what_the_system_says_and_nothing_else() {
    let chat = Chat::group(&["ann", "bob"], &[]).await;
    let first = chat.says("ann", "m1").await;
    let path = format!("/messages/{}", first["id"].as_str().unwrap());
    // Between the two that are shown lie three numbers that aren't.
    for emoji in ["%F0%9F%91%8D", "%F0%9F%91%8E"] {
        chat.ask(Method::PUT, "bob", &format!("{path}/reactions/{emoji}"), None)
            .await;
    }
    chat.ask(Method::PATCH, "ann", &path, Some(json!({ "content": "m1" })))
        .await;
    let rename = json!({ "command": "updateConversation", "conversationId": chat.id, "name": "Tea" });
    chat.does("ann", rename).await.unwrap();
    for number in 2..=4 {
        chat.says("bob", &format!("m{number}")).await;
    }
    let (all, page) = chat.page("bob", "").await;
    assert!(
        all.starts_with("m1 ann renamed") && all.ends_with("m2 m3 m4"),
        "{all}"
    );
    assert_eq!(
        (&page["items"][1]["type"], &page["hasMore"], &page["limit"]),
        (&json!("system"), &json!(false), &json!(50))
    );
    let seqs: Vec<u64> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["seq"].as_u64().unwrap())
        .collect();
    let seq = |index: usize| seqs[index];
    for (query, expected, before, after) in [
        ("limit=2".to_owned(), "m3 m4", true, false),
        ("limit=100&after=0".to_owned(), all.as_str(), false, false),
        (format!("limit=1&after={}", seq(2)), "m3", true, true),
        (format!("limit=1&before={}", seq(2) + 1), "m2", true, true),
        (format!("limit=2&around={}", seq(3)), "m2 m3", true, true),
        (format!("limit=1&before={}", seq(0) + 1), "m1", false, true),
        ("before=0".to_owned(), "", false, true),
        ("before=1".to_owned(), "", false, true),
        (format!("after={}", seq(4)), "", true, false),
        ("after=4000000000".to_owned(), "", true, false),
        ("after=99999999999999999999".to_owned(), "", true, false),
        ("limit=1000000000".to_owned(), all.as_str(), false, false),
    ] {
        let (found, page) = chat.page("bob", &query).await;
        assert_eq!(found, expected, "{query}");
        assert_eq!(
            (&page["hasMoreBefore"], &page["hasMoreAfter"]),
            (&json!(before), &json!(after)),
            "{query}"
        );
    }
    // By id, also of what the system said; not of what history doesn't show.
    let system = page["items"][1]["id"].as_str().unwrap();
    assert_eq!(chat.page("bob", &format!("limit=1&after={system}")).await.0, "m2");
    let reaction = chat
        .log()
        .await
        .into_iter()
        .find(|entry| !entry.kind.is_shown())
        .unwrap();
    let unseen = chat.get("bob", &format!("/messages?after={}", reaction.id)).await;
    assert_eq!(unseen.refusal(), (404, "NOT_FOUND"));
    assert_eq!(
        chat.get("bob", &format!("/messages/{}", reaction.id))
            .await
            .refusal(),
        (404, "NOT_FOUND")
    );
    // Numbered pages, for older clients, overlap nowhere.
    let (second, _) = chat.page("bob", "limit=2&page=2").await;
    assert!(
        second.ends_with(" m2") && second.starts_with("ann renamed"),
        "{second}"
    );
    assert_eq!(chat.page("bob", "limit=2&page=3").await.0, "m1");
    assert_eq!(chat.page("bob", "limit=2&page=4").await.0, "");
}

#[tokio::test]
async fn edge_22_bad_pages_are_refused() {
    let mut chat = Chat::group(&["ann", "bob"], &["eve"]).await;
    for number in 0..5 {
        chat.says("ann", &format!("m{number}")).await;
    }
    let cursor = chat.page("ann", "limit=2").await.1["nextCursor"]
        .as_str()
        .unwrap()
        .to_owned();
    for (limit, expected) in [
        ("0", None),
        ("-1", None),
        ("abc", None),
        ("", None),
        ("1.5", None),
        ("1e9", None),
        ("1000000000", Some(100)),
        ("101", Some(100)),
        ("100", Some(100)),
        ("1", Some(1)),
    ] {
        let answer = chat.get("ann", &format!("/messages?limit={limit}")).await;
        match expected {
            None => assert_eq!(
                (answer.refusal(), answer.fields()),
                ((400, "VALIDATION"), vec!["limit"]),
                "{limit}"
            ),
            Some(used) => assert_eq!(answer.body["limit"], json!(used), "{limit}"),
        }
    }
    let forged = format!("{}A", &cursor[..cursor.len() - 1]);
    for (query, expected) in [
        ("cursor=".to_owned(), "INVALID_CURSOR"),
        ("cursor=abc".to_owned(), "INVALID_CURSOR"),
        (format!("cursor={forged}B"), "INVALID_CURSOR"),
        (format!("cursor={cursor}&before=1"), "VALIDATION"),
        ("before=1&after=1".to_owned(), "VALIDATION"),
        ("before=-1".to_owned(), "INVALID_ID"),
        ("after=abc".to_owned(), "INVALID_ID"),
        ("around=%00".to_owned(), "INVALID_ID"),
        ("page=0".to_owned(), "VALIDATION"),
        ("page=21".to_owned(), "VALIDATION"),
    ] {
        assert_eq!(
            chat.get("ann", &format!("/messages?{query}")).await.refusal(),
            (400, expected),
            "{query}"
        );
    }
    assert_eq!(chat.get("eve", "/messages").await.refusal(), (404, "NOT_FOUND"));
    assert_eq!(
        chat.get("eve", &format!("/messages?cursor={cursor}"))
            .await
            .refusal(),
        (404, "NOT_FOUND")
    );
    // A cursor of one conversation is none of another.
    chat.id = chat.open_direct("ann", "bob").await;
    chat.says("ann", "a").await;
    let foreign = chat.get("ann", &format!("/messages?cursor={cursor}")).await;
    assert_eq!(foreign.refusal(), (400, "INVALID_CURSOR"));
    let foreign = chat
        .ask_at(Method::GET, "ann", &format!("/api/rooms?cursor={cursor}"), None)
        .await;
    assert_eq!(foreign.refusal(), (400, "INVALID_CURSOR"));
}

#[tokio::test]
async fn edge_22_pages_stay_while_messages_arrive_and_are_deleted() {
    let chat = Chat::group(&["ann", "bob"], &[]).await;
    let mut messages = Vec::new();
    for number in 0..10 {
        messages.push(chat.says("ann", &format!("m{number}")).await);
    }
    let (newest, page) = chat.page("bob", "limit=3").await;
    assert_eq!(newest, "m7 m8 m9");
    for number in 10..13 {
        chat.says("ann", &format!("m{number}")).await;
    }
    let deleted = format!("/messages/{}", messages[5]["id"].as_str().unwrap());
    chat.ask(Method::DELETE, "ann", &deleted, None).await;
    let hidden = format!("/messages/{}?scope=me", messages[6]["id"].as_str().unwrap());
    chat.ask(Method::DELETE, "bob", &hidden, None).await;
    // Nothing twice, nothing missing; the deleted one as a tombstone, the hidden one made up for.
    let next = page["nextCursor"].as_str().unwrap();
    let (second, page) = chat.page("bob", &format!("limit=3&cursor={next}")).await;
    assert_eq!(second, "m3 m4 ");
    let next = page["nextCursor"].as_str().unwrap();
    let (third, page) = chat.page("bob", &format!("limit=3&cursor={next}")).await;
    assert_eq!((third.as_str(), &page["nextCursor"]), ("m0 m1 m2", &Value::Null));
    let back = page["prevCursor"].as_str().unwrap();
    assert_eq!(
        chat.page("bob", &format!("limit=3&cursor={back}")).await.0,
        "m3 m4 "
    );
    let all = [
        "m0", "m1", "m2", "m3", "m4", "", "m7", "m8", "m9", "m10", "m11", "m12",
    ];
    assert_eq!(chat.walks("bob", "limit=3").await, all);
    assert_eq!(chat.walks("bob", "limit=3&after=0").await, all);
}

#[tokio::test]
async fn s_067_a_new_member_sees_history_by_the_setting() {
    for (setting, expected) in [("all", "early bye"), ("since-join", "bye")] {
        let chat = Chat::group_with(&["ann", "bob"], &["cid"], json!({ "history": setting })).await;
        let early = chat.says("ann", "early").await;
        let add = json!({ "command": "addMembers", "conversationId": chat.id, "userId": chat.person("cid") });
        chat.does("ann", add).await.unwrap();
        chat.says("ann", "bye").await;
        let read: Vec<String> = chat
            .reads("cid")
            .await
            .into_iter()
            .filter(|said| !said.contains("added"))
            .collect();
        assert_eq!(read.join(" "), expected);
        let is_seen = setting == "all";
        let path = format!("/messages/{}", early["id"].as_str().unwrap());
        for path in [path.clone(), format!("{path}/thread"), format!("{path}/readers")] {
            assert_eq!(chat.get("cid", &path).await.status == 200, is_seen, "{path}");
        }
        let (_, page) = chat.page("cid", "limit=1&after=0").await;
        assert_eq!(page["hasMoreBefore"], json!(false));
        let react = chat
            .ask(
                Method::PUT,
                "cid",
                &format!("{path}/reactions/%F0%9F%91%8D"),
                None,
            )
            .await;
        assert_eq!(react.status == 200, is_seen);
        chat.ask(
            Method::PUT,
            "bob",
            &format!("{path}/reactions/%F0%9F%91%8D"),
            None,
        )
        .await;
        let hide = chat
            .ask(Method::DELETE, "cid", &format!("{path}?scope=me"), None)
            .await;
        assert_eq!(hide.status == 204, is_seen);
        let found = chat
            .ask_at(Method::GET, "cid", "/api/search/messages?q=ea", None)
            .await;
        assert_eq!(found.body["items"], json!([]), "not seen, or hidden");
        // Edge case 4: removed, nothing is read; back again, as the setting says.
        let remove =
            json!({ "command": "removeMember", "conversationId": chat.id, "userId": chat.person("cid") });
        chat.does("ann", remove).await.unwrap();
        assert_eq!(chat.get("cid", "/messages").await.refusal(), (404, "NOT_FOUND"));
        chat.says("ann", "between").await;
        let add = json!({ "command": "addMembers", "conversationId": chat.id, "userId": chat.person("cid") });
        chat.does("ann", add).await.unwrap();
        assert_eq!(chat.reads("cid").await.contains(&"between".to_owned()), is_seen);
    }
}

#[tokio::test]
async fn s_138_a_thread_is_the_answers_to_a_message() {
    let chat = Chat::group(&["ann", "bob"], &["eve"]).await;
    let root = chat.says("ann", "root").await;
    chat.says("ann", "aside").await;
    let mut answers = Vec::new();
    for number in 0..5 {
        let body = json!({ "content": format!("a{number}"), "replyTo": root["id"] });
        answers.push(chat.sends("bob", body).await.body);
    }
    let nested = json!({ "content": "nested", "replyTo": answers[0]["id"] });
    chat.sends("ann", nested).await;
    let path = format!("/messages/{}/thread", root["id"].as_str().unwrap());
    let page = chat.get("ann", &format!("{path}?limit=3")).await.body;
    assert_eq!(
        (&page["message"], contents(&page).join(" ")),
        (&root, "a0 a1 a2".to_owned())
    );
    let cursor = page["nextCursor"].as_str().unwrap();
    let hide = format!("/messages/{}?scope=me", answers[3]["id"].as_str().unwrap());
    chat.ask(Method::DELETE, "ann", &hide, None).await;
    let page = chat
        .get("ann", &format!("{path}?limit=3&cursor={cursor}"))
        .await
        .body;
    assert_eq!(
        (contents(&page).join(" "), &page["nextCursor"], &page["hasMore"]),
        ("a4".to_owned(), &Value::Null, &json!(false))
    );
    let other = format!("/messages/{}/thread", answers[0]["id"].as_str().unwrap());
    let page = chat.get("bob", &other).await.body;
    assert_eq!(contents(&page), ["nested"]);
    for (who, path, expected) in [
        ("ann", format!("{other}?cursor={cursor}"), (400, "INVALID_CURSOR")),
        ("ann", format!("{path}?limit=0"), (400, "VALIDATION")),
        ("ann", format!("/messages/{}/thread", chat.id), (404, "NOT_FOUND")),
        ("ann", "/messages/x/thread".to_owned(), (400, "INVALID_ID")),
        ("eve", path.clone(), (404, "NOT_FOUND")),
    ] {
        assert_eq!(chat.get(who, &path).await.refusal(), expected, "{path}");
    }
}

#[tokio::test]
async fn s_077_a_room_is_read_before_joining_by_name_and_by_members_by_id() {
    let chat = Chat::room(&["ann"], &["eve"]).await;
    chat.says("ann", "hi").await;
    let by_name = chat
        .ask_at(Method::GET, "eve", "/api/rooms/tea/messages", None)
        .await;
    assert_eq!(contents(&by_name.body), ["hi"]);
    assert_eq!(chat.get("eve", "/messages").await.refusal(), (404, "NOT_FOUND"));
    assert_eq!(chat.reads("ann").await, ["hi"]);
}

#[tokio::test]
async fn s_077_who_is_banned_reads_a_room_no_more_and_closed_rooms_are_for_members() {
    let read = "/api/rooms/tea/messages";
    let chat = Chat::room(&["ann", "bob"], &["eve"]).await;
    chat.says("ann", "hi").await;
    let ban = |who| json!({ "command": "banMember", "conversationId": chat.id, "userId": chat.person(who) });
    chat.does("ann", ban("eve")).await.unwrap();
    let banned = chat.ask_at(Method::GET, "eve", read, None).await;
    assert_eq!(banned.refusal(), (403, "FORBIDDEN"));

    let mut options = Options::default();
    options.quotas.rooms_open = false;
    let chat = Chat::room_with(&["ann", "bob"], &["eve"], options).await;
    let stranger = chat.ask_at(Method::GET, "eve", read, None).await;
    assert_eq!(stranger.refusal(), (403, "NOT_A_MEMBER"));
    let member = chat.ask_at(Method::GET, "bob", read, None).await;
    assert_eq!(member.status, 200);
}
