//! Wrong configurations, as an operator meets them.

use chatterbox_tests::{chatterbox_cli, run_to_end};

#[tokio::test]
async fn every_problem_is_reported_at_once_and_the_exit_code_is_2() {
    let dir = tempfile::tempdir().unwrap();
    let ended = run_to_end(
        &dir.path().join("data"),
        &[
            ("NODE_ENV", "production"),
            ("JWT_SECRET", "hunter2hunter2"),
            ("PORT", "99999"),
            ("PING_INTERVAL", "soon"),
            ("REDIS_URL", "localhost:hunter3"),
            ("MONGODB_URI", "mongodb://ann:hunter4@localhost"),
            ("ROLE", "ws"),
        ],
    )
    .await;
    assert_eq!(ended.code, Some(2), "{}", ended.log);
    let problems: Vec<&str> = ended.log.lines().collect();
    for name in ["JWT_SECRET", "PORT", "PING_INTERVAL", "REDIS_URL", "ROLE"] {
        let about = problems
            .iter()
            .filter(|line| line.contains(&format!("{name} ")))
            .count();
        assert_eq!(about, 1, "{name}: {}", ended.log);
    }
    assert!(
        ended.log.contains("99999") && ended.log.contains("soon"),
        "{}",
        ended.log
    );
    assert!(
        !ended.log.contains("hunter"),
        "a secret was printed: {}",
        ended.log
    );
    assert!(!dir.path().join("data").exists(), "nothing was touched");
}

#[tokio::test]
async fn config_check_prints_values_and_origins_and_hides_secrets() {
    // S-045.
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join(".env"),
        "JWT_SECRET=hunter2hunter2\nMAX_PAYLOAD=50kB\n",
    )
    .unwrap();
    let ran = chatterbox_cli(dir.path(), &["--port", "4000", "config", "check", "--json"], "").await;
    let settings = ran.json();
    let find = |name: &str| {
        let all = settings["settings"].as_array().unwrap();
        all.iter()
            .find(|setting| setting["name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        (find("PORT")["value"].as_str(), find("PORT")["origin"].as_str()),
        (Some("4000"), Some("flag"))
    );
    assert_eq!(find("MAX_PAYLOAD")["origin"], ".env");
    assert_eq!(find("JWT_SECRET")["origin"], ".env");
    assert!(!ran.output.contains("hunter"), "{}", ran.output);

    std::fs::write(dir.path().join("chatterbox.toml"), "prot = 1\n").unwrap();
    let ran = chatterbox_cli(dir.path(), &["config", "check"], "").await;
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.errors.contains("prot is not a known key"), "{ran:?}");

    let ran = chatterbox_cli(dir.path(), &["config", "doc"], "").await;
    assert!(ran.output.contains("SHUTDOWN_GRACE"), "{ran:?}");
}
