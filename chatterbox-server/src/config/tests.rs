use std::collections::BTreeMap;
use std::time::Duration;

use super::*;

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    owned.collect()
}

fn with_environment(values: &[(&str, &str)]) -> Loaded {
    load(&Inputs {
        environment: pairs(values),
        ..Inputs::default()
    })
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(Problem::to_string).collect()
}

const GOOD_SECRET: &str = "q3Zl0ZpI7wI2mN1xk9Ff0b5cU8rT6yHs";

#[test]
fn nothing_set_is_a_development_server() {
    let loaded = with_environment(&[]);
    assert_eq!(lines(&loaded.problems), [""; 0]);
    let config = loaded.config.unwrap();
    assert_eq!(config.environment, Environment::Development);
    assert_eq!((config.host, config.port), (Host::Localhost, 3000));
    let rooms: Vec<_> = config.rooms.iter().map(RoomNameText::text).collect();
    assert_eq!(rooms, ["general", "random", "tech"]);
    assert_eq!(config.ping_interval, Duration::from_secs(25));
    assert_eq!(
        config.rate_limit_api,
        Some(Rate {
            count: 100,
            per: Duration::from_mins(1)
        })
    );
}

trait RoomNameText {
    fn text(&self) -> &str;
}
impl RoomNameText for chatterbox_core::domain::conversation::RoomName {
    fn text(&self) -> &str {
        self.as_str()
    }
}

#[test]
fn every_default_is_accepted_by_its_own_variable() {
    for environment in ["development", "production"] {
        let loaded = with_environment(&[("NODE_ENV", environment), ("JWT_SECRET", GOOD_SECRET)]);
        assert_eq!(lines(&loaded.problems), [""; 0], "{environment}");
    }
}

/// S-045: precedence. S-036: production is without `.env`.
#[test]
fn flag_beats_environment_beats_dot_env_beats_file_beats_default() {
    // S-045.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join(".env"),
        "PORT=4002\nPING_TIMEOUT=12s\nMAX_PAYLOAD=30000\n",
    )
    .unwrap();
    std::fs::write(
        dir.path().join("chatterbox.toml"),
        "port = 4003\nping_timeout = \"13s\"\nmax_payload = 40000\nrooms = [\"aa\", \"bb\"]\n",
    )
    .unwrap();
    let mut inputs = Inputs {
        flags: pairs(&[("PORT", "4000")]),
        environment: pairs(&[("PORT", "4001"), ("PING_TIMEOUT", "11s")]),
        directory: dir.path().to_owned(),
        file: None,
    };
    let found = |loaded: &Loaded, name: &str| {
        let setting = loaded
            .settings
            .iter()
            .find(|setting| setting.variable.name == name)
            .unwrap();
        (setting.shown.clone(), setting.origin.clone())
    };
    let file = Origin::File(dir.path().join("chatterbox.toml"));
    let loaded = load(&inputs);
    assert_eq!(lines(&loaded.problems), [""; 0]);
    assert_eq!(found(&loaded, "PORT"), ("4000".to_owned(), Origin::Flag));
    assert_eq!(
        found(&loaded, "PING_TIMEOUT"),
        ("11s".to_owned(), Origin::Environment)
    );
    assert_eq!(
        found(&loaded, "MAX_PAYLOAD"),
        ("30000".to_owned(), Origin::DotEnv)
    );
    assert_eq!(found(&loaded, "ROOMS"), ("aa,bb".to_owned(), file.clone()));
    assert_eq!(
        found(&loaded, "PING_INTERVAL"),
        ("25s".to_owned(), Origin::Default)
    );

    // Production does not read .env.
    inputs
        .environment
        .insert("NODE_ENV".to_owned(), "production".to_owned());
    inputs
        .environment
        .insert("JWT_SECRET".to_owned(), GOOD_SECRET.to_owned());
    assert_eq!(found(&load(&inputs), "MAX_PAYLOAD"), ("40000".to_owned(), file));
}

#[test]
fn all_problems_are_reported_at_once_with_name_and_value() {
    let loaded = with_environment(&[
        ("PORT", "99999"),
        ("PING_INTERVAL", "soon"),
        ("ROOMS", "general,-x"),
        ("REDIS_URL", "localhost:hunter2"),
        ("MONGODB_POOL", "0"),
        ("SMTP_URL", "smtp://localhost"),
        ("S3_ENABLED", "true"),
        ("NODE_ENV", "prod"),
    ]);
    assert!(loaded.config.is_none());
    assert_eq!(
        lines(&loaded.problems),
        [
            "NODE_ENV is \"prod\" (environment), which is not one of development, test, production",
            "PORT is \"99999\" (environment), which is not a whole number from 0 to 65535",
            "MONGODB_POOL is \"0\" (environment), which is not a whole number from 1 to 10000",
            "REDIS_URL is its value (environment), which is not an address that begins with redis:// or rediss:// or \
             redis+cluster:// or rediss+cluster:// or redis+sentinel:// or rediss+sentinel://, such as \
             redis://localhost:6379",
            "ROOMS is \"general,-x\" (environment), which is not a list, separated by commas, each a room name of 2 to \
             32 of a-z, 0-9 and - (not first) that is not reserved",
            "PING_INTERVAL is \"soon\" (environment), which is not a time such as 90s, 15m or 30d, from 1s to 5m",
            "S3_ACCESS_KEY is not set; S3_ENABLED=true needs it",
            "S3_SECRET_KEY is not set; S3_ENABLED=true needs it",
            "SMTP_URL is set, but this build has no mail adapter; unset it (environment)",
        ]
    );
}

#[test]
fn production_refuses_missing_short_and_sample_secrets_without_printing_them() {
    // S-041, THREATS.md C10.
    for (secret, expected) in [
        (
            None,
            "JWT_SECRET is not set; production needs one (openssl rand -base64 48)",
        ),
        (Some("hunter2"), "JWT_SECRET has 7 bytes, at least 32 are needed"),
        (
            Some("your-super-secret-jwt-key-change-me"),
            "JWT_SECRET looks like a sample from documentation",
        ),
    ] {
        let mut environment = vec![("NODE_ENV", "production")];
        environment.extend(secret.map(|secret| ("JWT_SECRET", secret)));
        let loaded = with_environment(&environment);
        assert_eq!(lines(&loaded.problems), [expected]);
        assert!(secret.is_none_or(|secret| !format!("{loaded:?}").contains(secret)));

        // Beside whatever else is wrong.
        let mut worse = environment.clone();
        worse.push(("PORT", "x"));
        assert_eq!(with_environment(&worse).problems.len(), 2, "{secret:?}");

        environment[0].1 = "development";
        assert_eq!(with_environment(&environment).problems, [], "{secret:?}");
    }
    let loaded = with_environment(&[
        ("NODE_ENV", "production"),
        ("JWT_SECRET", GOOD_SECRET),
        ("JWT_SECRET_PREVIOUS", "hunter2"),
    ]);
    assert_eq!(
        lines(&loaded.problems),
        ["JWT_SECRET_PREVIOUS has 7 bytes, at least 32 are needed"]
    );
}

#[test]
fn probable_typos_are_warnings() {
    let loaded = with_environment(&[("JWT_SECERT", "x"), ("PATH", "/bin"), ("CHATTERBOX_CONFIG", "")]);
    assert_eq!(
        lines(&loaded.warnings),
        ["JWT_SECERT is not a variable of this server (environment); a typo?"]
    );
    assert!(loaded.config.is_some());
}

#[test]
fn a_file_with_unknown_keys_tables_or_bad_syntax_is_refused_without_quoting_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chatterbox.toml");
    let load_file = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let loaded = load(&Inputs {
            file: Some(path.clone()),
            ..Inputs::default()
        });
        lines(&loaded.problems)
            .join("\n")
            .replace(&path.display().to_string(), "FILE")
    };
    assert_eq!(load_file("prot = 3000\n"), "FILE: prot is not a known key");
    assert_eq!(
        load_file("[port]\n"),
        "FILE: port is neither a text, a number, true or false, nor a list of texts"
    );
    let syntax = load_file("port = 3000\njwt_secret = hunter2\n");
    assert!(
        syntax.starts_with("FILE line 2: ") && !syntax.contains("hunter2"),
        "{syntax}"
    );
}

#[test]
fn an_alias_may_repeat_its_variable_but_not_contradict_it() {
    let agree = [("NODE_ENV", "development"), ("CHATTERBOX_ENV", "development")];
    assert_eq!(with_environment(&agree).problems, []);
    let contradict = [("NODE_ENV", "development"), ("CHATTERBOX_ENV", "test")];
    assert_eq!(
        lines(&with_environment(&contradict).problems),
        ["NODE_ENV and CHATTERBOX_ENV contradict each other (environment)"]
    );
}

#[test]
fn backends_are_chosen_by_what_is_set() {
    // S-038 to S-044.
    let config = |values: &[(&str, &str)]| {
        let loaded = with_environment(values);
        assert_eq!(lines(&loaded.problems), [""; 0], "{values:?}");
        loaded.config.unwrap()
    };
    let nothing = config(&[]);
    assert_eq!((nothing.backend(), nothing.redis()), (Store::Embedded, None));
    assert_eq!(nothing.files(), Files::Directory("./data/uploads".into()));
    let mongo = |uri: &str, pool| Store::Mongo {
        uri: uri.into(),
        pool,
    };
    for (values, expected) in [
        (&[("STORE", "embedded")][..], Store::Embedded),
        (&[("STORE", "mongo")], mongo("mongodb://localhost:27017/chat", 10)),
        (
            &[("MONGODB_POOL", "3")],
            mongo("mongodb://localhost:27017/chat", 3),
        ),
        (&[("MONGODB_URI", "mongodb://db/x")], mongo("mongodb://db/x", 10)),
    ] {
        assert_eq!(config(values).backend(), expected, "{values:?}");
    }
    for (values, expected) in [
        (&[("REDIS_HOST", "cache")][..], "redis://cache:6379"),
        (&[("REDIS_PORT", "7000")], "redis://localhost:7000"),
        (&[("REDIS_PASSWORD", "a/b")], "redis://:a%2Fb@localhost:6379"),
        (&[("REDIS_URL", "rediss://cache/2")], "rediss://cache/2"),
        (
            &[("REDIS_URL", "redis://cache/2"), ("REDIS_PASSWORD", "pw")],
            "redis://:pw@cache/2",
        ),
        (
            &[
                ("REDIS_URL", "redis://:pw@cache"),
                ("REDIS_HOST", "cache"),
                ("REDIS_PORT", "6379"),
            ],
            "redis://:pw@cache",
        ),
    ] {
        assert_eq!(config(values).redis(), Some(expected.into()), "{values:?}");
    }
    let s3 = config(&[
        ("S3_ENABLED", "true"),
        ("S3_ACCESS_KEY", "key"),
        ("S3_SECRET_KEY", "hunter2"),
        ("S3_ATTACHMENTS_BUCKET", "thumbs"),
    ]);
    let expected = S3 {
        endpoint: "http://localhost:9000".to_owned(),
        region: "us-east-1".to_owned(),
        access_key: "key".to_owned(),
        secret_key: "hunter2".into(),
        bucket: "chat-files".to_owned(),
        derived_bucket: "thumbs".to_owned(),
    };
    assert_eq!(s3.files(), Files::S3(expected));
}

#[test]
fn mixes_of_backends_that_can_not_work_are_refused() {
    const MONGO: (&str, &str) = ("MONGODB_URI", "mongodb://db/chat");
    const REDIS: (&str, &str) = ("REDIS_URL", "redis://:hunter2@cache");
    const SECRET: (&str, &str) = ("JWT_SECRET", GOOD_SECRET);
    for (values, expected) in [
        (&[REDIS][..], &[][..]),
        (&[MONGO], &[]),
        (&[MONGO, REDIS, SECRET], &[]),
        (&[MONGO, REDIS, SECRET, ("ROLE", "ws")], &[]),
        (
            &[("ROLE", "ws")],
            &[
                "ROLE is ws, but the embedded store serves one process: set MONGODB_URI and REDIS_URL, or ROLE=all",
            ],
        ),
        (
            &[REDIS, ("ROLE", "worker")],
            &[
                "ROLE is worker, but the embedded store serves one process: set MONGODB_URI and REDIS_URL, or ROLE=all",
            ],
        ),
        (
            &[MONGO, SECRET, ("ROLE", "api")],
            &[
                "ROLE is api, but processes of several roles hear each other through Redis: set REDIS_URL, or ROLE=all",
            ],
        ),
        (
            &[MONGO, REDIS],
            &[
                "JWT_SECRET is not set; nodes that share MongoDB and Redis need the same one (openssl rand -base64 48)",
            ],
        ),
        (
            &[MONGO, ("STORE", "embedded")],
            &["STORE is embedded, but MONGODB_URI asks for MongoDB; take one of them away"],
        ),
        (
            &[
                REDIS,
                ("REDIS_HOST", "other"),
                ("REDIS_PORT", "1"),
                ("REDIS_PASSWORD", "x"),
            ],
            &[
                "REDIS_HOST and REDIS_URL contradict each other; take one of them away",
                "REDIS_PORT and REDIS_URL contradict each other; take one of them away",
                "REDIS_PASSWORD and REDIS_URL contradict each other; take one of them away",
            ],
        ),
    ] {
        let loaded = with_environment(values);
        assert_eq!(lines(&loaded.problems), expected, "{values:?}");
        assert!(!format!("{loaded:?}").contains("hunter2"), "{values:?}");
    }
}

#[test]
fn what_counts_without_being_set_is_shown_and_passwords_are_not() {
    let loaded = with_environment(&[
        ("MONGODB_URI", "mongodb://ann:hunter2@db/chat?replicaSet=rs"),
        ("REDIS_PASSWORD", "hunter2"),
        ("S3_BUCKET", "files"),
        ("JWT_SECRET", GOOD_SECRET),
    ]);
    let shown = |name: &str| {
        let found = loaded
            .settings
            .iter()
            .find(|setting| setting.variable.name == name);
        found.unwrap().shown.clone()
    };
    for (name, expected) in [
        ("MONGODB_URI", "mongodb://…@db/chat?…"),
        ("MONGODB_POOL", "10"),
        ("REDIS_HOST", "localhost"),
        ("REDIS_PASSWORD", "(set, not shown)"),
        ("S3_ENDPOINT", ""),
    ] {
        assert_eq!(shown(name), expected, "{name}");
    }
    assert_eq!(
        lines(&loaded.warnings).last().map(String::as_str),
        Some("S3_BUCKET is set, but S3_ENABLED is not true: files stay in UPLOAD_DIR")
    );
    assert!(!format!("{loaded:?}").contains("hunter2"));
}

#[test]
fn variables_that_an_orchestrator_sets_are_no_typos() {
    let values = [
        ("REDIS_SERVICE_HOST", "10.0.0.1"),
        ("S3_PORT_9000_TCP_ADDR", "10.0.0.2"),
        ("S3_BUKET", "x"),
    ];
    assert_eq!(
        lines(&with_environment(&values).warnings),
        ["S3_BUKET is not a variable of this server (environment); a typo?"]
    );
}

#[test]
fn empty_values_count_as_not_set_and_switched_off_backends_are_fine() {
    let off = [
        ("PORT", ""),
        ("REDIS_URL", ""),
        ("S3_ENABLED", "false"),
        ("S3_BUCKET", "chat-files"),
        ("AI_ENABLED", "false"),
        ("ROLE", "all"),
    ];
    assert_eq!(with_environment(&off).problems, []);
}

/// What is refused, and what works otherwise than it looks: one line each, before anything is opened.
#[test]
fn mixes_of_backends_that_cannot_be_meant_are_told() {
    const SECRET: (&str, &str) = ("JWT_SECRET", GOOD_SECRET);
    const MONGO: (&str, &str) = ("MONGODB_URI", "mongodb://db/chat");
    const REDIS: (&str, &str) = ("REDIS_URL", "redis://cache");
    const KEYS: [(&str, &str); 3] = [
        ("S3_ENABLED", "true"),
        ("S3_ACCESS_KEY", "a"),
        ("S3_SECRET_KEY", "b"),
    ];
    let alone = with_environment(&[("REDIS_PREFIX", "chatterbox")]);
    assert_eq!(
        lines(&alone.problems),
        [
            "REDIS_PREFIX is set, but nothing says where Redis is: set REDIS_URL or REDIS_HOST too, or take it away"
        ]
    );
    for (values, expected) in [
        (
            vec![MONGO, REDIS],
            Some("S3_ENABLED is not true, nor is UPLOAD_DIR set: each node keeps files"),
        ),
        (vec![MONGO, REDIS, ("UPLOAD_DIR", "/shared")], None),
        ([&[MONGO, REDIS][..], &KEYS].concat(), None),
        (vec![MONGO], None),
        (
            vec![REDIS, ("REDIS_PREFIX", "x")],
            Some("REDIS_URL is set, but the embedded store serves one process"),
        ),
        (
            [&[("UPLOAD_DIR", "/files")][..], &KEYS].concat(),
            Some("UPLOAD_DIR is set, but S3_ENABLED=true: files go to S3"),
        ),
        (vec![("UPLOAD_DIR", "/files")], None),
    ] {
        let loaded = with_environment(&[&values[..], &[SECRET]].concat());
        assert_eq!(lines(&loaded.problems), [""; 0], "{values:?}");
        let told = lines(&loaded.warnings);
        assert_eq!(
            told.len(),
            usize::from(expected.is_some()),
            "{values:?}: {told:?}"
        );
        assert!(
            expected.is_none_or(|text| told[0].starts_with(text)),
            "{values:?}: {told:?}"
        );
    }
}
