//! docs/API.md has an entry for every route that the code has, and for no other.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
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
