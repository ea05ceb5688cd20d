//! Files that are made from declarations say what the declarations say. `./test fix` rewrites them.

use std::fs;
use std::path::Path;

use chatterbox_server::config::reference;

#[test]
fn generated_files_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let rewrite = std::env::var_os("REWRITE_GENERATED").is_some();
    let mut stale = Vec::new();
    for (file, text) in [
        (".env.example", reference::env_example()),
        ("docs/CONFIGURATION.md", reference::markdown()),
    ] {
        let path = root.join(file);
        if fs::read_to_string(&path).is_ok_and(|found| found == text) {
            continue;
        }
        if rewrite {
            fs::write(&path, text).unwrap();
        } else {
            stale.push(file);
        }
    }
    assert!(
        stale.is_empty(),
        "{} differ from their declarations: run ./test fix",
        stale.join(", ")
    );
}
