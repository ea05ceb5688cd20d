//! docs/API.md and docs/WEBSOCKET.md have an entry for every route and every event that the code has, and for no other.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).expect(file)
}

/// What stands between backticks, code blocks left out.
fn codes(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose
        .flat_map(|prose| prose.split('`').skip(1).step_by(2))
        .collect()
}

/// A path with its parameters made equal: `:id` in the text, `{id}` in the document.
fn path(path: &str) -> String {
    let segments = path.split('/').map(|segment| {
        let is_parameter = segment.starts_with([':', '{']);
        if is_parameter { "*" } else { segment }
    });
    segments.collect::<Vec<_>>().join("/")
}

/// Routes of docs/API.md: `GET /api/…`, or `PUT`, `DELETE /api/…` for two, with `…/` for `/api/conversations/:id/`.
fn described_routes(text: &str) -> BTreeSet<String> {
    let mut described = BTreeSet::new();
    let mut methods = Vec::new();
    for code in codes(text) {
        let (method, rest) = code.split_once(' ').unwrap_or((code, ""));
        if !METHODS.contains(&method) {
            methods.clear();
            continue;
        }
        methods.push(method);
        let route = rest.split([' ', '?']).next().unwrap_or_default();
        let route = route.replace('…', "/api/conversations/:id");
        if route.starts_with("/api/") {
            let routes = methods
                .drain(..)
                .map(|method| format!("{method} {}", path(&route)));
            described.extend(routes);
        }
    }
    described
}

fn routes() -> BTreeSet<String> {
    let document = serde_json::to_value(chatterbox_core::http::document()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(route, operations)| {
            let methods = operations.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {}", method.to_uppercase(), path(route)))
        })
        .filter(|route| METHODS.contains(&route.split(' ').next().unwrap()))
        .collect()
}

#[test]
fn every_route_is_described_and_no_other() {
    let (described, routes) = (described_routes(&read("docs/API.md")), routes());
    assert!(routes.len() > 20, "{routes:?}");
    let missing: Vec<_> = routes.difference(&described).collect();
    assert!(missing.is_empty(), "docs/API.md does not tell of {missing:#?}");
    let gone: Vec<_> = described.difference(&routes).collect();
    assert!(
        gone.is_empty(),
        "docs/API.md tells of what is not there: {gone:#?}"
    );
}

fn sources(directory: &str) -> String {
    let mut text = String::new();
    let mut waiting = vec![root().join(directory)];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
    text
}

/// The first string of a text that follows each `before`, if nothing but white space stands between.
fn strings_behind<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(before).filter_map(move |(at, _)| {
        let rest = text[at + before.len()..].trim_start().strip_prefix('"')?;
        rest.split_once('"').map(|(string, _)| string)
    })
}

fn is_event(name: &&str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_lowercase() || b"-:".contains(&byte))
}

fn events_of_clients() -> BTreeSet<String> {
    let source = read("chatterbox-core/src/engine/chat/events.rs");
    let (_, table) = source.split_once("const EVENTS").unwrap();
    let (table, _) = table.split_once("\n];").unwrap();
    strings_behind(table, "(").map(str::to_owned).collect()
}

/// What is encoded as an event anywhere, and the names in the file that tells of entries.
fn events_of_the_server() -> BTreeSet<String> {
    let mut events = BTreeSet::new();
    for part in ["engine/chat", "layers", "live", "log", "views"] {
        let source = sources(&format!("chatterbox-core/src/{part}"));
        for before in ["event(", "membership("] {
            events.extend(
                strings_behind(&source, before)
                    .filter(is_event)
                    .map(str::to_owned),
            );
        }
    }
    let entries = read("chatterbox-core/src/views/event.rs");
    let strings = entries.split('"').skip(1).step_by(2);
    events.extend(
        strings
            .filter(is_event)
            .filter(|name| name.contains('-'))
            .map(str::to_owned),
    );
    events
}

#[test]
fn every_event_is_described() {
    let text = read("docs/WEBSOCKET.md");
    let described: BTreeSet<&str> = codes(&text)
        .into_iter()
        .filter_map(|code| code.split([' ', '{']).next())
        .collect();
    let (clients, server) = (events_of_clients(), events_of_the_server());
    assert!(
        clients.contains("send-message") && clients.len() > 9,
        "{clients:?}"
    );
    assert!(
        server.contains("new-message") && server.contains("session-ended"),
        "{server:?}"
    );
    let missing: Vec<&String> = clients
        .union(&server)
        .filter(|event| !described.contains(event.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/WEBSOCKET.md does not tell of {missing:#?}"
    );
}
