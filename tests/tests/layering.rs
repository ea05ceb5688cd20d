//! The invariants of the layering (docs/ARCHITECTURE.md), read off the sources: what a module may not use, it does not
//! name. Comments, strings in tests and test modules don't count.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The source files under a directory of the repository, tests left out, comments and `#[cfg(test)]` items removed.
struct Sources {
    files: BTreeMap<PathBuf, String>,
}

impl Sources {
    fn under(directory: &str) -> Sources {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut texts = BTreeMap::new();
        let mut waiting = vec![root.join(directory)];
        while let Some(path) = waiting.pop() {
            if path.is_dir() {
                waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                texts.insert(path.strip_prefix(root).unwrap().to_owned(), text);
            }
        }
        assert!(!texts.is_empty(), "no sources under {directory}");
        let test_modules: Vec<PathBuf> = texts
            .iter()
            .flat_map(|(file, text)| test_modules(file, text))
            .collect();
        texts.retain(|file, _| {
            !test_modules
                .iter()
                .any(|module| file.with_extension("").starts_with(module))
        });
        let files = texts.into_iter().map(|(file, text)| (file, code_of(&text)));
        Sources {
            files: files.collect(),
        }
    }

    fn except(mut self, path: &str) -> Sources {
        self.files.retain(|file, _| !file.starts_with(path));
        self
    }

    /// Asserts that no file names any of `banned`, after `allowed` uses were taken out.
    #[track_caller]
    fn never(&self, banned: &[&str], allowed: &[&str], rule: &str) {
        let mut found = String::new();
        for (file, code) in &self.files {
            for (number, line) in code.lines().enumerate() {
                let mut line = line.to_owned();
                for allowed in allowed {
                    line = line.replace(allowed, "");
                }
                for word in banned.iter().filter(|word| names(&line, word)) {
                    let _ = writeln!(found, "{}:{}: {word}", file.display(), number + 1);
                }
            }
        }
        assert!(found.is_empty(), "{rule}; found\n{found}");
    }

    /// In a field they belong to those who hold it.
    fn no_static_holds(&self, types: &[&str]) {
        for (file, code) in &self.files {
            for line in code.lines().filter(|line| !line.contains("'static")) {
                let global = names(line, "static") && types.iter().any(|name| names(line, name));
                assert!(!global, "no globals: {}: {line}", file.display());
            }
        }
    }
}

/// Whether the line holds the word, not as part of a longer name.
fn names(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let open_start = !word.starts_with(part) || !before.is_some_and(part);
        let open_end = !word.ends_with(part) || !after.is_some_and(part);
        open_start && open_end
    })
}

/// Where the modules are that a file declares for tests only, without `.rs` or `/mod.rs`.
fn test_modules(file: &Path, text: &str) -> Vec<PathBuf> {
    let is_root = file
        .file_name()
        .is_some_and(|name| name == "mod.rs" || name == "lib.rs" || name == "main.rs");
    let beside = if is_root {
        file.parent().unwrap().to_owned()
    } else {
        file.with_extension("")
    };
    let mut lines = text.lines().map(str::trim);
    let mut modules = Vec::new();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]"
            && let Some(name) = lines.next().and_then(|next| next.strip_suffix(';'))
            && let Some(name) = name.rsplit(' ').next()
        {
            modules.push(beside.join(name));
        }
    }
    modules
}

/// The code of a file, lines kept: comments blanked, items under `#[cfg(test)]` blanked.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut skipping: Option<usize> = None;
    let mut pending = false;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        let bare = line.trim_start();
        let bare = if bare.starts_with("//") {
            ""
        } else {
            bare.split(" // ").next().unwrap_or("")
        };
        match skipping {
            Some(level) => {
                if indent == level && bare.starts_with('}') {
                    skipping = None;
                }
            }
            None if bare.starts_with("#[cfg(test)]") => pending = true,
            None if pending => {
                // The item below the attribute: one line, or up to the brace that closes it.
                if !bare.starts_with("#[") {
                    pending = false;
                    if !bare.ends_with(';') && !bare.ends_with('}') {
                        skipping = Some(indent);
                    }
                }
            }
            None => code.push_str(bare),
        }
        code.push('\n');
    }
    code
}

#[test]
fn the_reader_of_sources_sees_code_and_nothing_else() {
    let text = "use a; // tokio\n// tokio\n#[cfg(test)]\nmod tests {\n    use tokio;\n}\nuse tokios;\nuse b::tokio;\n";
    let code = code_of(text);
    assert_eq!(
        code.lines()
            .filter(|line| names(line, "tokio"))
            .collect::<Vec<_>>(),
        ["use b::tokio;"]
    );
    let declared = test_modules(Path::new("a/b.rs"), "#[cfg(test)]\nmod tests;\nmod other;\n");
    assert_eq!(declared, [PathBuf::from("a/b/tests")]);
    assert!(names("spawn(x)", "spawn(") && !names("respawn(x)", "spawn("));
}

#[test]
fn domain_uses_ids_and_plain_time_only() {
    Sources::under("chatterbox-core/src/domain").never(
        &[
            "async",
            "await",
            "tokio",
            "hyper",
            "http",
            "axum",
            "tower",
            "tracing",
            "crate::app",
            "crate::auth",
            "crate::engine",
            "crate::http",
            "crate::hub",
            "crate::layers",
            "crate::log",
            "crate::memory",
            "crate::ports",
            "crate::realtime",
            "crate::stack",
            "crate::tasks",
            "crate::worker",
            "SystemTime",
            "SystemClock",
            "Instant::now",
            "std::fs",
            "std::net",
            "dyn Clock",
        ],
        // What makes an address a link is a rule.
        &["http://", "https://"],
        "domain uses ids and plain time only",
    );
}

#[test]
fn engine_has_no_runtime_no_waiting_and_no_clock() {
    Sources::under("chatterbox-core/src/engine").never(
        &[
            "async",
            "await",
            "tokio",
            "tokio_util",
            "hyper",
            "axum",
            "SystemTime",
            "SystemClock",
            "Instant::now",
            "thread",
            "crate::app::App",
            "crate::layers",
            "crate::ports",
            "crate::realtime",
            "crate::tasks",
            "crate::worker",
        ],
        &[],
        "the engine takes bytes and instants; it never waits, spawns or reads a clock",
    );
}

#[test]
fn use_cases_never_publish_queue_or_spawn() {
    Sources::under("chatterbox-core/src/app").never(
        &[
            "spawn(",
            "spawn_blocking(",
            "spawn_until_stopped(",
            "crate::hub",
            "crate::realtime",
            "crate::http",
            "crate::layers",
            "crate::worker",
            "dyn Bus",
            "dyn Queue",
            ".publish(",
            ".enqueue(",
            "axum",
            "hyper",
            "tungstenite",
        ],
        &[],
        "use cases decide; layers carry out",
    );
}

#[test]
fn concrete_backends_are_named_in_compose_alone() {
    Sources::under("chatterbox-server/src")
        .except("chatterbox-server/src/adapters")
        .except("chatterbox-server/src/compose.rs")
        .never(
            &[
                "adapters::",
                "rusqlite",
                "SqliteStores",
                "chatterbox_core::memory",
            ],
            &[],
            "concrete backends are named in compose.rs only",
        );
    // Core knows no adapter at all, and adapters know nothing of the binary around them.
    Sources::under("chatterbox-core/src").never(
        &[
            "rusqlite",
            "mongodb",
            "deadpool_redis",
            "redis::",
            "aws_sdk_s3",
            "chatterbox_server",
        ],
        &[],
        "core is everything but concrete backends",
    );
    Sources::under("chatterbox-server/src/adapters").never(
        &[
            "crate::config",
            "crate::compose",
            "crate::listen",
            "crate::control",
        ],
        &[],
        "adapters import chatterbox_core only",
    );
    Sources::under("chatterbox-cli/src").never(
        &["adapters::", "rusqlite", "chatterbox_core::memory"],
        &[],
        "concrete backends are named in compose.rs only",
    );
}

#[test]
fn status_codes_stand_in_one_file_of_http() {
    Sources::under("chatterbox-core/src")
        .except("chatterbox-core/src/http")
        .except("chatterbox-core/src/realtime")
        .never(
            &["StatusCode", "status_code"],
            &[],
            "only http speaks in status codes",
        );
    // Success is the route's own business (201 or 200), refusals are not.
    Sources::under("chatterbox-core/src/http")
        .except("chatterbox-core/src/http/error.rs")
        .never(
            &["StatusCode"],
            &[
                "StatusCode::OK",
                "StatusCode::CREATED",
                "StatusCode::ACCEPTED",
                "StatusCode::NO_CONTENT",
                "StatusCode::NOT_MODIFIED",
                "StatusCode,",
                "StatusCode}",
                "StatusCode;",
                "StatusCode)",
                "StatusCode>",
            ],
            "refusals get their status in http/error.rs only",
        );
}

#[test]
fn nothing_is_global_and_every_task_has_an_owner() {
    for directory in [
        "chatterbox-core/src",
        "chatterbox-server/src",
        "chatterbox-cli/src",
    ] {
        Sources::under(directory).never(
            &[
                "static mut",
                "lazy_static",
                "LazyLock",
                "LazyCell",
                "thread_local!",
            ],
            &[],
            "no globals: what a part needs is given to it",
        );
        Sources::under(directory).no_static_holds(&["OnceLock", "OnceCell", "Mutex", "RwLock"]);
        Sources::under(directory)
            .except("chatterbox-core/src/tasks.rs")
            .never(
                &[
                    "tokio::spawn",
                    "task::spawn",
                    "spawn_local",
                    "JoinSet",
                    "tokio::task::spawn_blocking",
                ],
                &[],
                "tasks are spawned through Tasks and end on its token",
            );
    }
}
