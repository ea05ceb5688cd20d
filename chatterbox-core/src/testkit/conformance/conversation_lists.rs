//! What lists of conversations show.

use super::Port;
use super::chat::Chat;
use crate::domain::change::{Change, SettingsChange};
use crate::domain::entry::{EntryKind, Seq};
use crate::ids::{ConversationId, UserId};
use crate::ports::storage::{Glance, Head, Overview, Stores};

/// One test per behaviour of a [`ConversationStore`](crate::ports::storage::ConversationStore) among the
/// [`Stores`] of a backend; the argument makes empty ones.
#[macro_export]
macro_rules! conversation_lists_conformance {
    ($make:expr) => {
        $crate::conformance_tests!(
            conversation_lists,
            real_time,
            $make,
            [
                an_overview_has_everything_one_is_in,
                an_overview_ends_at_its_limit,
                glances_show_members_and_the_last_that_history_shows,
                glances_count_what_was_deleted_above_the_pointer,
                glances_come_in_the_order_they_were_asked_for,
            ]
        );
    };
}

/// S-062, S-109: with the row and the end of the log; archived ones too, what was left not.
pub async fn an_overview_has_everything_one_is_in<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob, cid] = chat.users();
    let direct = chat.direct(bob, ann).await;
    let group = chat.group(&[ann, bob]).await;
    let left = chat.group(&[bob, ann]).await;
    let archived = chat.group(&[ann]).await;
    let room = chat.room("general", Some(cid)).await;
    store.join_room(room, ann, Head::EMPTY, 9).await.unwrap();
    chat.group(&[bob, cid]).await;
    chat.say(group, bob, "one").await;
    chat.say(group, ann, "two").await;
    chat.leaves(left, ann).await;
    let closes = SettingsChange {
        archived: Some(true),
        ..SettingsChange::default()
    };
    chat.append(archived, ann, EntryKind::Settings(closes)).await;
    for here in [group, left, archived] {
        chat.project(here).await;
    }
    // Behind the projection.
    chat.say(group, bob, "three").await;

    let mut found = store.overview(ann, 100).await.unwrap();
    found.sort_by_key(|overview| overview.conversation.id);
    let mut expected = Vec::new();
    for here in [direct, group, archived, room] {
        let (_, projected) = store.standing(here).await.unwrap().unwrap();
        expected.push(Overview {
            projected,
            conversation: store.get(here).await.unwrap().unwrap(),
            member: chat.member(here, ann).await,
            head: chat.stores.log.head(here).await.unwrap(),
        });
    }
    expected.sort_by_key(|overview| overview.conversation.id);
    assert_eq!(found, expected);
    assert!(found.iter().any(|overview| overview.conversation.archived));
    let is_behind = |overview: &&Overview| overview.projected < overview.head.seq;
    assert_eq!(found.iter().filter(is_behind).count(), 1);
    assert!(found.iter().any(|overview| overview.head.ordinal == 3));
    assert!(found.iter().any(|overview| overview.head == Head::EMPTY));
    assert_eq!(store.overview(chat.user(), 100).await.unwrap(), []);
}

/// However many there are.
pub async fn an_overview_ends_at_its_limit<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let ann = chat.user();
    for _ in 0..5 {
        chat.group(&[ann]).await;
    }
    for (limit, expected) in [(1, 1), (4, 4), (5, 5), (6, 5)] {
        let found = chat.stores.conversations.overview(ann, limit).await.unwrap();
        assert_eq!(found.len(), expected);
    }
}

/// S-062: the first ten members, how many there are, and the last message or event.
pub async fn glances_show_members_and_the_last_that_history_shows<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let users: [UserId; 13] = chat.users();
    let here = chat.group(&users).await;
    let glance = async || {
        chat.project(here).await;
        let mut glances = chat
            .stores
            .conversations
            .glances(users[0], &[here])
            .await
            .unwrap();
        assert_eq!(glances.len(), 1);
        glances.remove(0)
    };
    assert_eq!(glance().await.last, None);
    let said = chat.say(here, users[3], "hi").await;
    let shown = glance().await;
    assert_eq!(shown.last.as_ref(), Some(&said));
    assert_eq!((shown.conversation, shown.member_count), (here, 13));
    assert_eq!(shown.members.len(), 10);
    for (member, user) in shown.members.iter().zip(users) {
        assert_eq!(*member, chat.member(here, user).await);
    }
    // None of these is shown by itself.
    chat.react(users[5], &said, "👍", Change::Added).await;
    chat.edit(&said, "hello").await;
    chat.react(users[5], &said, "👍", Change::Removed).await;
    assert_eq!(glance().await.last, Some(said));
    let left = chat.leaves(here, users[2]).await;
    let shown = glance().await;
    assert_eq!(shown.last, Some(left));
    assert_eq!(shown.member_count, 12);
    let expected: Vec<UserId> = users
        .iter()
        .copied()
        .filter(|user| *user != users[2])
        .take(10)
        .collect();
    let found: Vec<UserId> = shown.members.iter().map(|member| member.user).collect();
    assert_eq!(found, expected);
    // A deleted one stays as what it is.
    let gone = chat.say(here, users[3], "secret").await;
    chat.delete(&gone).await;
    let last = glance().await.last.unwrap();
    assert_eq!(last.id, gone.id);
    assert_ne!(last.kind, gone.kind);
}

/// SPEC.md section 1, Unread: of this user, in this conversation.
pub async fn glances_count_what_was_deleted_above_the_pointer<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob] = chat.users();
    let conversations = [chat.group(&[ann, bob]).await, chat.group(&[ann, bob]).await];
    for here in conversations {
        let mut said = Vec::new();
        for _ in 0..6 {
            said.push(chat.say(here, ann, "hi").await);
        }
        for index in [0, 2, 5] {
            chat.delete(&said[index]).await;
        }
        chat.project(here).await;
    }
    for (read, expected) in [(0, 3), (1, 2), (2, 2), (3, 1), (5, 1), (6, 0), (9, 0)] {
        store
            .advance_read(conversations[0], bob, Seq(read), read)
            .await
            .unwrap();
        let glances = store.glances(bob, &conversations).await.unwrap();
        let deleted: Vec<u32> = glances.iter().map(|glance| glance.deleted_unread).collect();
        assert_eq!(deleted, [expected, 3], "read up to {read}");
    }
}

/// The longest list; what doesn't exist has nothing.
pub async fn glances_come_in_the_order_they_were_asked_for<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let [ann, bob] = chat.users();
    let mut asked = Vec::new();
    let mut expected = Vec::new();
    for index in 0..100_u32 {
        let here = if index % 10 == 3 {
            ConversationId::new(&chat.ids)
        } else {
            chat.group(&[ann, bob][..=index as usize % 2]).await
        };
        let exists = chat.stores.conversations.get(here).await.unwrap().is_some();
        let last = match index % 3 {
            0 if exists => Some(chat.say(here, ann, "hi").await),
            _ => None,
        };
        let mut members = chat.stores.conversations.members(here, None, 10).await.unwrap();
        members.truncate(10);
        expected.push(Glance {
            conversation: here,
            member_count: members.len() as u64,
            members,
            last,
            deleted_unread: 0,
        });
        asked.push(here);
    }
    asked.reverse();
    expected.reverse();
    let found = chat.stores.conversations.glances(ann, &asked).await.unwrap();
    assert_eq!(found, expected);
    assert_eq!(chat.stores.conversations.glances(ann, &[]).await.unwrap(), []);
}
