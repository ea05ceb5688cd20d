//! Accounts: unique names, looks and addresses under any race.

use std::sync::Arc;

use super::{Port, at_once, count};
use crate::domain::user::{LoginName, NameChange, NewUser, PasswordHash, ProfileChange, UserSettings};
use crate::domain::user_search::UserQuery;
use crate::ids::UserId;
use crate::ports::storage::{InsertUserError, UserStore};
use crate::testkit::SeededIds;
use crate::testkit::samples::new_user;

/// One test per behaviour of a [`UserStore`]; the argument makes an empty one.
#[macro_export]
macro_rules! user_store_conformance {
    ($make:expr) => {
        $crate::conformance_tests!(
            user_store,
            real_time,
            $make,
            [
                an_account_is_found_by_id_by_name_and_by_address,
                nobody_is_found_under_what_nobody_has,
                texts_come_back_as_they_were_given,
                of_twenty_racing_registrations_of_one_name_one_wins,
                of_twenty_racing_names_that_look_alike_one_wins,
                of_twenty_racing_registrations_of_one_address_one_wins,
                a_taken_name_is_told_before_a_taken_address,
                a_refused_account_keeps_nothing_from_others,
                the_same_id_again_succeeds_and_changes_nothing,
                of_many_ids_those_that_exist_are_found,
                a_password_hash_is_replaced_only_if_it_is_the_old_one,
                of_racing_replacements_of_one_password_hash_one_wins,
                rights_are_set_and_taken,
                a_profile_change_changes_what_it_names_and_nothing_else,
                racing_profile_changes_each_take_effect,
                users_are_found_by_the_beginning_of_a_word,
                a_query_is_taken_literally,
                a_user_found_by_several_words_is_told_once,
                a_new_name_is_found_and_the_old_one_is_not,
                found_users_page_in_order,
                the_list_pages_in_order_of_id,
            ]
        );
    };
}

fn name(key: &str) -> LoginName {
    LoginName::Username(key.to_owned())
}

fn email(key: &str) -> LoginName {
    LoginName::Email(key.to_owned())
}

/// All that was given comes back, and a new account has no special rights.
pub async fn an_account_is_found_by_id_by_name_and_by_address<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let mut ann = new_user(&SeededIds::new(1), "Ann");
    ann.display_name = Some("Ann B.".to_owned());
    store.insert(ann.clone()).await.unwrap();

    let user = store.get(ann.id).await.unwrap().unwrap();
    assert_eq!(user.id, ann.id);
    assert_eq!(user.username, "Ann");
    assert_eq!(user.email, "Ann@example.org");
    assert_eq!(user.display_name.as_deref(), Some("Ann B."));
    assert_eq!(user.created_at, ann.created_at);
    assert!(!user.suspended && !user.admin);
    for login in [name("ann"), email("ann@example.org")] {
        let credentials = store.credentials(&login).await.unwrap().unwrap();
        assert_eq!(credentials.user, user);
        assert_eq!(credentials.password_hash, ann.password_hash);
    }
}

/// "Not found" is `None`, and a name is no address.
pub async fn nobody_is_found_under_what_nobody_has<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    store.insert(new_user(&ids, "ann")).await.unwrap();
    assert_eq!(store.get(UserId::new(&ids)).await.unwrap(), None);
    for login in [
        name("bob"),
        name("Ann"),
        name("ann@example.org"),
        email("ann"),
        email(""),
    ] {
        assert_eq!(store.credentials(&login).await.unwrap(), None, "{login:?}");
    }
}

/// No text is cut, folded or taken for a command.
pub async fn texts_come_back_as_they_were_given<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    for (index, text) in [
        "x'); DROP TABLE users; --",
        "$where",
        "%_*?",
        "👩‍👩‍👧 ﬁ ß İ",
        "\u{202e}\u{0}\\",
    ]
    .into_iter()
    .enumerate()
    {
        let mut user = new_user(&ids, &format!("user{index}"));
        user.name.shown = text.to_owned();
        user.name.key = format!("key {text}");
        user.display_name = Some(text.to_owned());
        store.insert(user.clone()).await.unwrap();
        let stored = store
            .credentials(&name(&user.name.key))
            .await
            .unwrap()
            .unwrap()
            .user;
        assert_eq!(stored.username, text);
        assert_eq!(stored.display_name.as_deref(), Some(text));
    }
}

async fn race<P>(store: P, candidate: fn(&SeededIds, usize) -> NewUser, loses: fn(&InsertUserError) -> bool)
where
    P: Port<Target: UserStore>,
{
    let store = Arc::new(store);
    let ids = Arc::new(SeededIds::new(1));
    let answers = at_once(&store, 20, |store, index| {
        let user = candidate(&ids, index);
        async move { (user.id, store.insert(user).await) }
    })
    .await;
    assert_eq!(count(&answers, |(_, answer)| answer.is_ok()), 1);
    for (id, answer) in answers {
        let stored = store.get(id).await.unwrap();
        match answer {
            Ok(()) => assert!(stored.is_some()),
            Err(error) => {
                assert!(loses(&error), "{error}");
                assert_eq!(stored, None);
            }
        }
    }
}

/// S-052.
pub async fn of_twenty_racing_registrations_of_one_name_one_wins<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let candidate = |ids: &SeededIds, index| {
        let mut user = new_user(ids, "ann");
        user.email.key = format!("{index}@example.org");
        user.name.skeleton = format!("skeleton {index}");
        user
    };
    race(make().await, candidate, |error| {
        matches!(error, InsertUserError::UsernameTaken)
    })
    .await;
}

/// S-052, THREATS.md F1.
pub async fn of_twenty_racing_names_that_look_alike_one_wins<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let candidate = |ids: &SeededIds, index| {
        let mut user = new_user(ids, &format!("ann{index}"));
        user.name.skeleton = "ann".into();
        user
    };
    race(make().await, candidate, |error| {
        matches!(error, InsertUserError::UsernameTaken)
    })
    .await;
}

/// S-052.
pub async fn of_twenty_racing_registrations_of_one_address_one_wins<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let candidate = |ids: &SeededIds, index| {
        let mut user = new_user(ids, &format!("ann{index}"));
        user.email.key = "ann@example.org".into();
        user
    };
    race(make().await, candidate, |error| {
        matches!(error, InsertUserError::EmailTaken)
    })
    .await;
}

/// Both are taken, by one account or by two.
pub async fn a_taken_name_is_told_before_a_taken_address<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    store.insert(new_user(&ids, "ann")).await.unwrap();
    store.insert(new_user(&ids, "bob")).await.unwrap();
    let mut other = new_user(&ids, "ann");
    for address in ["ann@example.org", "bob@example.org"] {
        other.email.key = address.to_owned();
        let answer = store.insert(other.clone()).await;
        assert!(
            matches!(answer, Err(InsertUserError::UsernameTaken)),
            "{answer:?}"
        );
    }
}

/// All or nothing.
pub async fn a_refused_account_keeps_nothing_from_others<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    store.insert(new_user(&ids, "ann")).await.unwrap();
    let mut refused = new_user(&ids, "bob");
    refused.email.key = "ann@example.org".into();
    store.insert(refused).await.unwrap_err();
    let mut refused = new_user(&ids, "ann");
    refused.email.key = "bob@example.org".into();
    store.insert(refused).await.unwrap_err();
    store.insert(new_user(&ids, "bob")).await.unwrap();
}

/// The answer to the first attempt was lost.
pub async fn the_same_id_again_succeeds_and_changes_nothing<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ann = new_user(&SeededIds::new(1), "ann");
    store.insert(ann.clone()).await.unwrap();
    let mut again = ann.clone();
    again.display_name = Some("somebody else".to_owned());
    store.insert(again).await.unwrap();
    assert_eq!(store.get(ann.id).await.unwrap().unwrap().display_name, None);
}

/// In any order, each once.
pub async fn of_many_ids_those_that_exist_are_found<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let mut asked = vec![UserId::new(&ids)];
    for index in 0..30 {
        let user = new_user(&ids, &format!("user{index}"));
        asked.push(user.id);
        store.insert(user).await.unwrap();
    }
    asked.push(asked[1]);
    let mut found: Vec<UserId> = store
        .get_many(&asked)
        .await
        .unwrap()
        .iter()
        .map(|user| user.id)
        .collect();
    found.sort();
    assert_eq!(found, asked[1..31]);
    assert_eq!(store.get_many(&[]).await.unwrap(), []);
}

/// Compare-and-set.
pub async fn a_password_hash_is_replaced_only_if_it_is_the_old_one<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let mut ann = new_user(&ids, "ann");
    ann.password_hash = PasswordHash("one".to_owned());
    store.insert(ann.clone()).await.unwrap();
    for (id, old, new, expected) in [
        (ann.id, "two", "three", false),
        (ann.id, "one", "two", true),
        (ann.id, "one", "three", false),
        (UserId::new(&ids), "two", "three", false),
    ] {
        assert_eq!(store.replace_password_hash(id, old, new).await.unwrap(), expected);
    }
    let credentials = store.credentials(&name("ann")).await.unwrap().unwrap();
    assert_eq!(credentials.password_hash.0, "two");
}

/// Compare-and-set, under a race.
pub async fn of_racing_replacements_of_one_password_hash_one_wins<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = Arc::new(make().await);
    let ann = new_user(&SeededIds::new(1), "ann");
    store.insert(ann.clone()).await.unwrap();
    let answers = at_once(&store, 20, |store, index| {
        let (id, old) = (ann.id, ann.password_hash.0.clone());
        async move {
            store
                .replace_password_hash(id, &old, &format!("new {index}"))
                .await
                .unwrap()
        }
    })
    .await;
    let winner = answers.iter().position(|won| *won).unwrap();
    assert_eq!(count(&answers, |won| *won), 1);
    let credentials = store.credentials(&name("ann")).await.unwrap().unwrap();
    assert_eq!(credentials.password_hash.0, format!("new {winner}"));
}

/// Suspension and administration, apart from each other.
pub async fn rights_are_set_and_taken<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let ann = new_user(&ids, "ann");
    store.insert(ann.clone()).await.unwrap();
    for (suspended, admin) in [(true, false), (true, true), (false, true), (false, false)] {
        assert!(store.set_suspended(ann.id, suspended).await.unwrap());
        assert!(store.set_admin(ann.id, admin).await.unwrap());
        let user = store.get(ann.id).await.unwrap().unwrap();
        assert_eq!((user.suspended, user.admin), (suspended, admin));
    }
    let nobody = UserId::new(&ids);
    assert!(!store.set_suspended(nobody, true).await.unwrap());
    assert!(!store.set_admin(nobody, true).await.unwrap());
}

fn shown_as(name: &str) -> ProfileChange {
    ProfileChange {
        display_name: NameChange::Set(name.to_owned()),
        ..ProfileChange::default()
    }
}

/// S-134: the answer is the account as it is then, and everything else of it stays.
pub async fn a_profile_change_changes_what_it_names_and_nothing_else<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let ann = new_user(&ids, "ann");
    store.insert(ann.clone()).await.unwrap();
    store.insert(new_user(&ids, "bob")).await.unwrap();
    let mut expected = store.get(ann.id).await.unwrap().unwrap();
    assert_eq!(expected.settings, UserSettings::default());
    let nothing = ProfileChange::default;
    for change in [
        nothing(),
        shown_as("Ann"),
        ProfileChange {
            read_receipts: Some(false),
            ..nothing()
        },
        ProfileChange {
            show_presence: Some(false),
            email_search: Some(true),
            ..nothing()
        },
        ProfileChange {
            display_name: NameChange::Remove,
            read_receipts: Some(true),
            ..nothing()
        },
        nothing(),
    ] {
        change.apply_to(&mut expected);
        let changed = store.change_profile(ann.id, &change).await.unwrap();
        assert_eq!(changed.as_ref(), Some(&expected), "{change:?}");
        assert_eq!(store.get(ann.id).await.unwrap().as_ref(), Some(&expected));
    }
    let bob = store.credentials(&name("bob")).await.unwrap().unwrap().user;
    assert_eq!(bob.settings, UserSettings::default());
    let ann = store.credentials(&name("ann")).await.unwrap().unwrap();
    assert_eq!(ann.user, expected);
    let nobody = UserId::new(&ids);
    assert_eq!(store.change_profile(nobody, &shown_as("x")).await.unwrap(), None);
}

/// None undoes what another one changed.
pub async fn racing_profile_changes_each_take_effect<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = Arc::new(make().await);
    let ann = new_user(&SeededIds::new(1), "ann").id;
    store.insert(new_user(&SeededIds::new(1), "ann")).await.unwrap();
    at_once(&store, 4, move |store, index| async move {
        let change = match index {
            0 => shown_as("Ann"),
            1 => ProfileChange {
                read_receipts: Some(false),
                ..ProfileChange::default()
            },
            2 => ProfileChange {
                show_presence: Some(false),
                ..ProfileChange::default()
            },
            _ => ProfileChange {
                email_search: Some(true),
                ..ProfileChange::default()
            },
        };
        store.change_profile(ann, &change).await.unwrap();
    })
    .await;
    let user = store.get(ann).await.unwrap().unwrap();
    assert_eq!(user.display_name.as_deref(), Some("Ann"));
    let settings = UserSettings {
        read_receipts: false,
        show_presence: false,
        email_search: true,
    };
    assert_eq!(user.settings, settings);
}

/// The usernames of those a query finds.
async fn found<P>(store: &P, query: &str) -> Vec<String>
where
    P: Port<Target: UserStore>,
{
    let query = UserQuery::parse(query).unwrap();
    let found = store.search(&query, None, 100).await.unwrap();
    found.into_iter().map(|one| one.user.username).collect()
}

async fn insert_shown<P>(store: &P, ids: &SeededIds, username: &str, display_name: &str)
where
    P: Port<Target: UserStore>,
{
    let mut user = new_user(ids, username);
    user.display_name = (!display_name.is_empty()).then(|| display_name.to_owned());
    store.insert(user).await.unwrap();
}

/// S-059: of both names, in any case, in order of what was found.
pub async fn users_are_found_by_the_beginning_of_a_word<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    for (username, display_name) in [
        ("joanne", "Jo Brown"),
        ("Ann", ""),
        ("anna", "Dr. Anna Brown"),
        ("bob.ann", "Robert"),
        ("zoe", "Straße 7"),
    ] {
        insert_shown(&store, &ids, username, display_name).await;
    }
    for (query, expected) in [
        ("ann", vec!["Ann", "bob.ann", "anna"]),
        ("ANN", vec!["Ann", "bob.ann", "anna"]),
        ("anna b", vec!["anna"]),
        ("brown", vec!["joanne", "anna"]),
        ("bob", vec!["bob.ann"]),
        ("strasse", vec!["zoe"]),
        ("7", vec!["zoe"]),
        ("nn", vec![]),
        ("anne", vec![]),
        ("brown a", vec![]),
    ] {
        let mut found = found(&store, query).await;
        // Equal keys are in order of id, which says nothing here.
        if query.eq_ignore_ascii_case("ann") {
            found[..2].sort();
        }
        assert_eq!(found, expected, "{query}");
    }
}

/// THREATS.md E2: no character has a meaning.
pub async fn a_query_is_taken_literally<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    for (username, display_name) in [
        ("ann", "100% ann"),
        ("bob", "[a-z]* bob"),
        ("cid", "'; DROP TABLE users; --"),
        ("dan_x", "\u{10ffff}"),
    ] {
        insert_shown(&store, &ids, username, display_name).await;
    }
    for (query, expected) in [
        ("%", vec![]),
        ("_", vec![]),
        ("*", vec![]),
        (".", vec![]),
        ("a%", vec![]),
        ("a_n", vec![]),
        ("100%", vec!["ann"]),
        ("[a-z]*", vec!["bob"]),
        ("'; drop", vec!["cid"]),
        ("dan_", vec!["dan_x"]),
    ] {
        assert_eq!(found(&store, query).await, expected, "{query}");
    }
}

/// At the first of the words.
pub async fn a_user_found_by_several_words_is_told_once<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    insert_shown(&store, &ids, "ann.anna", "Annabel Ann Anni").await;
    insert_shown(&store, &ids, "anne", "").await;
    for limit in [1, 2, 9] {
        let query = UserQuery::parse("ann").unwrap();
        let (mut told, mut after) = (Vec::new(), None);
        loop {
            let page = store.search(&query, after.as_ref(), limit).await.unwrap();
            let Some(last) = page.last() else { break };
            after = Some(last.at.clone());
            told.extend(page.into_iter().map(|one| (one.at.key, one.user.username)));
        }
        let expected = [("ann anni", "ann.anna"), ("anne", "anne")];
        assert_eq!(
            told,
            expected.map(|(key, name)| (key.to_owned(), name.to_owned())),
            "by {limit}"
        );
    }
}

/// S-134.
pub async fn a_new_name_is_found_and_the_old_one_is_not<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ann = new_user(&SeededIds::new(1), "ann");
    store.insert(ann.clone()).await.unwrap();
    let remove = ProfileChange {
        display_name: NameChange::Remove,
        ..ProfileChange::default()
    };
    for (change, by_old, by_new, by_username) in [
        (shown_as("Old Name"), 1, 0, 1),
        (shown_as("New Name"), 0, 1, 1),
        (ProfileChange::default(), 0, 1, 1),
        (remove, 0, 0, 1),
    ] {
        store.change_profile(ann.id, &change).await.unwrap();
        for (query, expected) in [("old", by_old), ("new", by_new), ("ann", by_username)] {
            assert_eq!(
                found(&store, query).await.len(),
                expected,
                "{query} after {change:?}"
            );
        }
    }
}

/// Each once, also when somebody comes or goes between two pages.
pub async fn found_users_page_in_order<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    for index in 0..10 {
        // Two of each name, told apart by their ids.
        insert_shown(
            &store,
            &ids,
            &format!("user{index}"),
            &format!("Zed {}", index / 2),
        )
        .await;
    }
    let query = UserQuery::parse("zed").unwrap();
    let mut told = Vec::new();
    let mut after = None;
    loop {
        let page = store.search(&query, after.as_ref(), 3).await.unwrap();
        assert!(page.len() <= 3);
        let Some(last) = page.last() else { break };
        after = Some(last.at.clone());
        told.extend(page.into_iter().map(|one| one.at));
        insert_shown(&store, &ids, &format!("late{}", told.len()), "Zed 0").await;
    }
    assert_eq!(told.len(), 10);
    assert!(told.is_sorted());
    told.dedup_by_key(|at| at.user);
    assert_eq!(told.len(), 10);
}

/// Every account once.
pub async fn the_list_pages_in_order_of_id<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: UserStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let mut expected = Vec::new();
    for index in 0..7 {
        let user = new_user(&ids, &format!("user{index}"));
        expected.push(user.id);
        store.insert(user).await.unwrap();
    }
    let mut listed: Vec<UserId> = Vec::new();
    loop {
        let page = store.list(listed.last().copied(), 3).await.unwrap();
        assert!(page.len() <= 3);
        if page.is_empty() {
            break;
        }
        listed.extend(page.iter().map(|user| user.id));
    }
    assert_eq!(listed, expected);
}
