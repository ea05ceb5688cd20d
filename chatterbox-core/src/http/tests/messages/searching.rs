use http::Method;
use serde_json::{Value, json};

use super::{Answer, Chat, contents};
use crate::http::tests::world::Options;
use crate::memory::MemoryStores;
use crate::testkit::samples::new_group;

impl Chat {
    async fn search(&self, who: &str, query: &str) -> Answer {
        self.ask_at(Method::GET, who, &format!("/api/search/messages?{query}"), None)
            .await
    }

    async fn finds(&self, who: &str, query: &str) -> String {
        let found = self.search(who, query).await;
        assert_eq!(found.status, 200, "{query}: {}", found.body);
        contents(&found.body).join(", ")
    }
}

#[tokio::test]
async fn s_133_words_are_found_newest_first_with_highlights() {
    let chat = Chat::group(&["ann", "bob"], &[]).await;
    let first = chat.says("ann", "Tea time?").await;
    chat.says("bob", "no tea").await;
    chat.says("bob", "coffee at https://example.org").await;
    chat.says("ann", "STRASSE teatime").await;
    let second = first["id"].as_str().unwrap();
    let (ann, bob) = (chat.person("ann"), chat.person("bob"));
    for (query, expected) in [
        ("q=tea", "STRASSE teatime, no tea, Tea time?"),
        ("q=TEA", "STRASSE teatime, no tea, Tea time?"),
        ("q=tea+tim", "Tea time?"),
        ("q=time+tea", "Tea time?"),
        ("q=stra%C3%9Fe", "STRASSE teatime"),
        ("q=tea+coffee", ""),
        ("q=tea+OR+coffee", ""),
        ("q=%22no+tea%22", "no tea"),
        ("q=tea*", "STRASSE teatime, no tea, Tea time?"),
        ("q=%25ea", ""),
        ("q=-no+tea", "no tea"),
        ("q=content:tea", ""),
        ("q=coffee&has=link", "coffee at https://example.org"),
        ("q=tea&has=link", ""),
        (&format!("q=tea&from={ann}"), "STRASSE teatime, Tea time?"),
        (&format!("q=tea&from={bob}&in={}", chat.id), "no tea"),
        (&format!("q=tea&before={second}"), ""),
        ("q=tea&before=2001-01-01T00:00:00Z", ""),
        ("q=tea&before=2099-01-01T00:00:00Z&limit=1", "STRASSE teatime"),
    ] {
        assert_eq!(chat.finds("bob", query).await, expected, "{query}");
    }
    // S-133: the message object, and where the words are.
    let hit = &chat.search("bob", "q=tea+tim").await.body["items"][0];
    let mut message = hit.clone();
    message.as_object_mut().unwrap().remove("highlights");
    assert_eq!((&message, &hit["highlights"]), (&first, &json!([[0, 3], [4, 8]])));
}

#[tokio::test]
async fn s_133_only_what_the_caller_sees_now_is_found() {
    let mut chat = Chat::group(&["ann", "bob"], &["eve", "cid"]).await;
    let path = |message: &Value| format!("/messages/{}", message["id"].as_str().unwrap());
    let edited = chat.says("ann", "tea wrong").await;
    chat.ask(
        Method::PATCH,
        "ann",
        &path(&edited),
        Some(json!({ "content": "tea right" })),
    )
    .await;
    let deleted = chat.says("ann", "tea gone").await;
    chat.ask(Method::DELETE, "ann", &path(&deleted), None).await;
    let hidden = chat.says("ann", "tea hidden").await;
    chat.ask(
        Method::DELETE,
        "bob",
        &format!("{}?scope=me", path(&hidden)),
        None,
    )
    .await;
    assert_eq!(chat.finds("bob", "q=tea").await, "tea right");
    assert_eq!(chat.finds("ann", "q=tea").await, "tea hidden, tea right");
    assert_eq!(chat.finds("ann", "q=wrong").await, "", "the newest text counts");
    assert_eq!(chat.finds("eve", "q=tea").await, "");
    let group = chat.id;
    assert_eq!(
        chat.search("eve", &format!("q=tea&in={group}")).await.refusal(),
        (404, "NOT_FOUND")
    );
    // In two conversations; nobody else's.
    chat.id = chat.open_direct("bob", "eve").await;
    chat.says("eve", "tea for two").await;
    assert_eq!(chat.finds("bob", "q=tea").await, "tea for two, tea right");
    assert_eq!(chat.finds("bob", &format!("q=tea&in={group}")).await, "tea right");
    assert_eq!(chat.finds("ann", "q=tea").await, "tea hidden, tea right");
    assert_eq!(chat.finds("eve", "q=tea").await, "tea for two");
    // Removed: nothing of the group is found any more.
    let remove = json!({ "command": "removeMember", "conversationId": group, "userId": chat.person("bob") });
    chat.does("ann", remove).await.unwrap();
    assert_eq!(chat.finds("bob", "q=tea").await, "tea for two");
    assert_eq!(
        chat.search("bob", &format!("q=tea&in={group}")).await.refusal(),
        (404, "NOT_FOUND")
    );
}

#[tokio::test]
async fn s_133_pages_of_hits_leave_nothing_out() {
    let chat = Chat::group(&["ann", "bob"], &[]).await;
    let mut messages = Vec::new();
    for number in 0..9 {
        messages.push(chat.says("ann", &format!("tea {number}")).await);
    }
    for number in [3, 4, 5] {
        let path = format!("/messages/{}?scope=me", messages[number]["id"].as_str().unwrap());
        chat.ask(Method::DELETE, "bob", &path, None).await;
    }
    let first = chat.search("bob", "q=tea&limit=4").await.body;
    assert_eq!(contents(&first), ["tea 8", "tea 7", "tea 6", "tea 2"]);
    let cursor = first["nextCursor"].as_str().unwrap();
    chat.says("ann", "tea 9").await;
    let second = chat
        .search("bob", &format!("q=tea&limit=4&cursor={cursor}"))
        .await
        .body;
    assert_eq!(
        (contents(&second), &second["nextCursor"]),
        (vec!["tea 1".to_owned(), "tea 0".to_owned()], &Value::Null)
    );
    // A cursor goes on with its own search only.
    for query in [
        format!("q=coffee&cursor={cursor}"),
        format!("q=tea&has=link&cursor={cursor}"),
        "q=tea&cursor=abc".to_owned(),
    ] {
        assert_eq!(
            chat.search("bob", &query).await.refusal(),
            (400, "INVALID_CURSOR"),
            "{query}"
        );
    }
}

#[tokio::test]
async fn s_133_bad_searches_are_refused() {
    let chat = Chat::group(&["ann"], &[]).await;
    let long = "x".repeat(257);
    for (query, code) in [
        ("", "VALIDATION"),
        ("q=", "VALIDATION"),
        ("q=%20*%22", "VALIDATION"),
        (&format!("q={long}"), "VALIDATION"),
        ("q=tea&q=coffee", "VALIDATION"),
        ("q=a", "QUERY_TOO_COSTLY"),
        ("q=a+b+c+d+e+f+g+h+i", "QUERY_TOO_COSTLY"),
        ("q=tea&in=x", "INVALID_ID"),
        ("q=tea&from=x", "INVALID_ID"),
        ("q=tea&before=x", "VALIDATION"),
        ("q=tea&before=zzzzzzzzzzzzzzzzzzzzzzzz", "INVALID_ID"),
        ("q=tea&has=image", "VALIDATION"),
        ("q=tea&limit=0", "VALIDATION"),
        ("q=tea&limit=-1", "VALIDATION"),
        ("q=tea&limit=abc", "VALIDATION"),
    ] {
        assert_eq!(
            chat.search("ann", query).await.refusal(),
            (400, code),
            "{query:.40}"
        );
    }
    let nobody = chat.world.get("/api/search/messages?q=tea").send().await;
    assert_eq!(nobody.refusal(), (401, "UNAUTHENTICATED"));
}

#[tokio::test]
async fn s_133_everything_is_searched_however_much_it_is() {
    let options = Options {
        stores: MemoryStores::new(100_000),
        ..Options::default()
    };
    let chat = Chat::of(&["ann"], options).await;
    let mut groups = Vec::new();
    for _ in 0..5_002 {
        let group = new_group(&*chat.world.ids, chat.person("ann"));
        groups.push(group.id);
        chat.world.stores.conversations.create_group(group).await.unwrap();
    }
    for (group, content) in [
        (groups[0], "tea 1"),
        (groups[5_001], "tea 2"),
        (groups[1], "tea 3"),
    ] {
        let send = json!({ "command": "sendMessage", "conversationId": group, "content": content });
        chat.does("ann", send).await.unwrap();
    }
    assert_eq!(chat.finds("ann", "q=tea").await, "tea 3, tea 2, tea 1");
    let first = chat.search("ann", "q=tea&limit=2").await.body;
    assert_eq!(contents(&first), ["tea 3", "tea 2"]);
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = chat
        .search("ann", &format!("q=tea&limit=2&cursor={cursor}"))
        .await
        .body;
    assert_eq!(contents(&second), ["tea 1"]);
}
