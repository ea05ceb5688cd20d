//! Accounts: unique names, looks and addresses under any race.

use std::sync::Arc;

use super::{Port, at_once, count};
use crate::domain::user::{LoginName, NewUser, PasswordHash};
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
