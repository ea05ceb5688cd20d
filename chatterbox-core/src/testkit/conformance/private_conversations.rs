//! Direct conversations and groups, their members, and what members set for themselves.

use std::sync::Arc;
use std::time::Duration;

use super::chat::Chat;
use super::{Port, at_once, count};
use crate::domain::conversation::{
    Conversation, History, Kind, Member, NewDirect, NewGroup, Notify, Role, Visibility,
};
use crate::domain::entry::Seq;
use crate::ids::{ConversationId, UserId};
use crate::ports::storage::{Created, Head, Invite, Stores};
use crate::testkit::SeededIds;
use crate::testkit::samples::{in_secs, new_group, now};

/// One test per behaviour of a [`ConversationStore`](crate::ports::storage::ConversationStore) among the
/// [`Stores`] of a backend; the argument makes empty ones.
#[macro_export]
macro_rules! private_conversations_conformance {
    ($make:expr) => {
        $crate::conformance_tests!(
            private_conversations,
            real_time,
            $make,
            [
                a_direct_conversation_is_found_from_both_sides,
                of_twenty_openers_from_both_sides_one_is_new,
                a_conversation_with_oneself_has_one_member,
                opening_again_shows_it_to_the_opener,
                a_group_begins_with_its_owner_and_members,
                of_twenty_groups_with_one_key_one_is_made,
                a_key_is_its_creators_own,
                the_same_group_again_is_told_by_its_id,
                members_are_paged_in_order_of_id,
                direct_partners_are_the_others,
                who_is_in_one_conversation_shares_it,
                what_members_set_for_themselves_is_kept,
                invites_are_good_until_they_end,
                invites_are_taken_back_together,
                invites_that_are_over_are_swept,
            ]
        );
    };
}

fn direct(ids: &SeededIds, creator: UserId, peer: UserId) -> NewDirect {
    NewDirect {
        id: ConversationId::new(ids),
        creator,
        peer,
        created_at: now(),
    }
}

/// S-003, S-063. Both are plain members from the beginning.
pub async fn a_direct_conversation_is_found_from_both_sides<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob, cid] = chat.users();
    assert_eq!(store.direct_of(ann, bob).await.unwrap(), None);
    let new = direct(&chat.ids, bob, ann);
    let expected = Conversation {
        id: new.id,
        kind: Kind::Direct,
        title: None,
        description: None,
        visibility: Visibility::Private,
        history: History::All,
        creator: Some(bob),
        created_at: new.created_at,
        archived: false,
    };
    // The second time the answer to the first was lost.
    for _ in 0..2 {
        let opened = store.open_direct(new).await.unwrap();
        let created = Created {
            conversation: expected.clone(),
            is_new: true,
        };
        assert_eq!(opened, created);
    }
    for (opener, peer) in [(ann, bob), (bob, ann)] {
        let opened = store.open_direct(direct(&chat.ids, opener, peer)).await.unwrap();
        assert_eq!((&opened.conversation, opened.is_new), (&expected, false));
        assert_eq!(
            store.direct_of(opener, peer).await.unwrap().as_ref(),
            Some(&expected)
        );
    }
    assert_eq!(store.get(new.id).await.unwrap(), Some(expected));
    assert_eq!(store.direct_of(ann, cid).await.unwrap(), None);
    assert_eq!(store.direct_of(ann, ann).await.unwrap(), None);
    assert_eq!(chat.members(new.id).await, [ann, bob]);
    for user in [ann, bob] {
        let expected = Member::new(new.id, user, Role::Member, Seq::ZERO, 0);
        assert_eq!(chat.member(new.id, user).await, expected);
    }
}

/// S-063.
pub async fn of_twenty_openers_from_both_sides_one_is_new<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let stores = Arc::new(make().await);
    let ids = Arc::new(SeededIds::new(1));
    let pair = [UserId::new(&*ids), UserId::new(&*ids)];
    let answers = at_once(&stores, 20, |stores, index| {
        let new = direct(&ids, pair[index % 2], pair[1 - index % 2]);
        async move { stores.conversations.open_direct(new).await.unwrap() }
    })
    .await;
    assert_eq!(count(&answers, |answer| answer.is_new), 1);
    let stored = stores.conversations.direct_of(pair[0], pair[1]).await.unwrap();
    for answer in answers {
        assert_eq!(Some(answer.conversation), stored);
    }
    let partners = stores.conversations.direct_partners(pair[0], 10).await.unwrap();
    assert_eq!(partners, [pair[1]]);
}

/// S-003: notes to oneself.
pub async fn a_conversation_with_oneself_has_one_member<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let [ann, bob] = chat.users();
    let notes = chat.direct(ann, ann).await;
    assert_ne!(chat.direct(ann, bob).await, notes);
    assert_eq!(chat.direct(ann, ann).await, notes);
    assert_eq!(chat.members(notes).await, [ann]);
    let found = chat.stores.conversations.direct_of(ann, ann).await.unwrap();
    assert_eq!(found.map(|found| found.id), Some(notes));
}

/// S-063: to nobody else.
pub async fn opening_again_shows_it_to_the_opener<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob] = chat.users();
    let here = chat.direct(ann, bob).await;
    for user in [ann, bob] {
        assert!(store.set_hidden(here, user, Some(0)).await.unwrap());
    }
    chat.direct(bob, ann).await;
    assert_eq!(chat.member(here, ann).await.hidden_at, Some(0));
    assert_eq!(chat.member(here, bob).await.hidden_at, None);
}

/// S-004, S-064.
pub async fn a_group_begins_with_its_owner_and_members<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob, cid, dan] = chat.users();
    for (visibility, history, description) in [
        (Visibility::Private, History::SinceJoin, None),
        (Visibility::Public, History::All, Some("for \"tea\" 🫖")),
    ] {
        let group = NewGroup {
            title: "Tea 🫖 'party'".to_owned(),
            description: description.map(str::to_owned),
            visibility,
            history,
            members: vec![dan, bob],
            ..new_group(&chat.ids, cid)
        };
        let expected = Conversation {
            id: group.id,
            kind: Kind::Group,
            title: Some(group.title.clone()),
            description: group.description.clone(),
            visibility,
            history,
            creator: Some(cid),
            created_at: group.created_at,
            archived: false,
        };
        let made = store.create_group(group.clone()).await.unwrap();
        assert_eq!((&made.conversation, made.is_new), (&expected, true));
        assert_eq!(store.get(group.id).await.unwrap(), Some(expected));
        assert_eq!(chat.members(group.id).await, [bob, cid, dan]);
        for (user, role) in [(bob, Role::Member), (cid, Role::Owner), (dan, Role::Member)] {
            let expected = Member::new(group.id, user, role, Seq::ZERO, 0);
            assert_eq!(chat.member(group.id, user).await, expected);
        }
        assert_eq!(store.member(group.id, ann).await.unwrap(), None);
    }
}

/// S-064.
pub async fn of_twenty_groups_with_one_key_one_is_made<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let stores = Arc::new(make().await);
    let ids = Arc::new(SeededIds::new(1));
    let (ann, bob) = (UserId::new(&*ids), UserId::new(&*ids));
    let answers = at_once(&stores, 20, |stores, _| {
        let group = NewGroup {
            idempotency_key: Some("k".to_owned()),
            members: vec![bob],
            ..new_group(&*ids, ann)
        };
        async move { stores.conversations.create_group(group).await.unwrap() }
    })
    .await;
    assert_eq!(count(&answers, |answer| answer.is_new), 1);
    let made = &answers[0].conversation;
    assert!(answers.iter().all(|answer| answer.conversation == *made));
    let overview = stores.conversations.overview(bob, 100).await.unwrap();
    assert_eq!(overview.len(), 1);
}

/// Without a key each call makes a group.
pub async fn a_key_is_its_creators_own<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let [ann, bob] = chat.users();
    let made = async |creator, key: Option<&str>| {
        let group = NewGroup {
            idempotency_key: key.map(str::to_owned),
            ..new_group(&chat.ids, creator)
        };
        let made = chat.stores.conversations.create_group(group).await.unwrap();
        made.is_new
    };
    for (creator, key, is_new) in [
        (ann, Some("k"), true),
        (bob, Some("k"), true),
        (ann, Some("K"), true),
        (ann, Some("k"), false),
        (ann, None, true),
        (ann, None, true),
    ] {
        assert_eq!(made(creator, key).await, is_new, "{key:?}");
    }
}

/// The answer to the first attempt was lost.
pub async fn the_same_group_again_is_told_by_its_id<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let [ann, bob] = chat.users();
    for key in [None, Some("k".to_owned())] {
        let group = NewGroup {
            idempotency_key: key,
            members: vec![bob],
            ..new_group(&chat.ids, ann)
        };
        for _ in 0..2 {
            let made = chat
                .stores
                .conversations
                .create_group(group.clone())
                .await
                .unwrap();
            assert_eq!((made.conversation.id, made.is_new), (group.id, true));
        }
        assert_eq!(chat.members(group.id).await, [ann, bob]);
    }
}

/// Each once over all pages.
pub async fn members_are_paged_in_order_of_id<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let users: [UserId; 25] = chat.users();
    let mut shuffled = users;
    shuffled.reverse();
    shuffled.swap(3, 17);
    let here = chat.group(&shuffled).await;
    chat.group(&users[..3]).await;
    chat.leaves(here, users[4]).await;
    chat.project(here).await;
    let mut found = Vec::new();
    loop {
        let after = found.last().copied();
        let page = chat.stores.conversations.members(here, after, 7).await.unwrap();
        assert!(page.len() <= 7);
        if page.is_empty() {
            break;
        }
        found.extend(page.iter().map(|member| member.user));
    }
    let expected: Vec<UserId> = users.iter().copied().filter(|user| *user != users[4]).collect();
    assert_eq!(found, expected);
    let nowhere = ConversationId::new(&chat.ids);
    assert_eq!(chat.members(nowhere).await, []);
}

/// S-103: not oneself, not those of groups and rooms, and so many at most.
pub async fn direct_partners_are_the_others<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob, cid, dan, eve] = chat.users();
    chat.direct(cid, ann).await;
    chat.direct(cid, eve).await;
    chat.direct(cid, cid).await;
    chat.direct(bob, ann).await;
    chat.group(&[cid, dan]).await;
    let mut partners = store.direct_partners(cid, 10).await.unwrap();
    partners.sort();
    assert_eq!(partners, [ann, eve]);
    assert_eq!(store.direct_partners(cid, 1).await.unwrap().len(), 1);
    assert_eq!(store.direct_partners(dan, 10).await.unwrap(), []);
}

/// S-061: of any kind, and as long as both are in it.
pub async fn who_is_in_one_conversation_shares_it<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob, cid, dan, eve] = chat.users();
    chat.direct(ann, bob).await;
    let group = chat.group(&[ann, cid]).await;
    let room = chat.room("general", Some(ann)).await;
    store.join_room(room, dan, Head::EMPTY, 9).await.unwrap();
    chat.direct(ann, ann).await;
    chat.direct(eve, bob).await;
    let shares = async |other| {
        let both = !store.acquainted(ann, &[other]).await.unwrap().is_empty();
        assert_eq!(!store.acquainted(other, &[ann]).await.unwrap().is_empty(), both);
        both
    };
    for (other, expected) in [(bob, true), (cid, true), (dan, true), (eve, false)] {
        assert_eq!(shares(other).await, expected);
    }
    let asked = [eve, dan, bob, cid];
    assert_eq!(store.acquainted(ann, &asked).await.unwrap(), [dan, bob, cid]);
    assert_eq!(store.acquainted(ann, &[]).await.unwrap(), []);
    chat.leaves(group, cid).await;
    chat.project(group).await;
    store.leave_room(room, dan).await.unwrap();
    for (other, expected) in [(bob, true), (cid, false), (dan, false)] {
        assert_eq!(shares(other).await, expected);
    }
}

/// S-063, S-122: in one conversation, and only where there is a row.
pub async fn what_members_set_for_themselves_is_kept<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob, cid] = chat.users();
    let (here, there) = (chat.group(&[ann, bob]).await, chat.group(&[ann, bob]).await);
    let untouched = [chat.member(here, bob).await, chat.member(there, ann).await];
    for (notify, mute_until, hidden_at) in [
        (Notify::Mentions, Some(in_secs(60)), Some(3)),
        (Notify::None, None, Some(0)),
        (Notify::All, Some(in_secs(7)), None),
    ] {
        assert!(store.set_notify(here, ann, notify, mute_until).await.unwrap());
        assert!(store.set_hidden(here, ann, hidden_at).await.unwrap());
        let expected = Member {
            hidden_at,
            notify,
            mute_until,
            ..Member::new(here, ann, Role::Owner, Seq::ZERO, 0)
        };
        assert_eq!(chat.member(here, ann).await, expected);
    }
    assert_eq!(
        [chat.member(here, bob).await, chat.member(there, ann).await],
        untouched
    );
    for (conversation, user) in [(here, cid), (ConversationId::new(&chat.ids), ann)] {
        let set = store
            .set_notify(conversation, user, Notify::None, None)
            .await
            .unwrap();
        assert!(!set);
        assert!(!store.set_hidden(conversation, user, Some(1)).await.unwrap());
        assert_eq!(store.member(conversation, user).await.unwrap(), None);
    }
}

fn invite(conversation: ConversationId, created_by: UserId, token: u8, ends_in_secs: u64) -> Invite {
    Invite {
        token_hash: [token; 32],
        conversation,
        created_by,
        created_at: now(),
        expires_at: in_secs(ends_in_secs),
    }
}

/// S-071: to the millisecond.
pub async fn invites_are_good_until_they_end<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob] = chat.users();
    let here = chat.group(&[ann]).await;
    let given = invite(here, ann, 1, 60);
    store.add_invite(given.clone()).await.unwrap();
    // The same token again.
    store.add_invite(invite(here, bob, 1, 600)).await.unwrap();
    store.add_invite(invite(here, bob, 2, 600)).await.unwrap();
    for (now, expected) in [
        (now(), Some(&given)),
        (in_secs(59).plus(Duration::from_millis(999)), Some(&given)),
        (in_secs(60), None),
        (in_secs(61), None),
    ] {
        let found = store.invite(&[1; 32], now).await.unwrap();
        assert_eq!(found.as_ref(), expected);
    }
    assert_eq!(store.invite(&[3; 32], now()).await.unwrap(), None);
    assert!(store.invite(&[2; 32], in_secs(60)).await.unwrap().is_some());
}

/// S-071: those of one conversation.
pub async fn invites_are_taken_back_together<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let ann = chat.user();
    let (here, there) = (chat.group(&[ann]).await, chat.group(&[ann]).await);
    for (token, conversation) in [(1, here), (2, there), (3, here)] {
        store
            .add_invite(invite(conversation, ann, token, 60))
            .await
            .unwrap();
    }
    for expected in [2, 0] {
        assert_eq!(store.revoke_invites(here).await.unwrap(), expected);
    }
    for (token, is_good) in [(1, false), (2, true), (3, false)] {
        let found = store.invite(&[token; 32], now()).await.unwrap();
        assert_eq!(found.is_some(), is_good);
    }
}

/// A few at a time, and none that is still good.
pub async fn invites_that_are_over_are_swept<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob] = chat.users();
    let here = chat.group(&[ann, bob]).await;
    for (token, ends_in_secs) in [(1, 10), (2, 20), (3, 30), (4, 600), (5, 40)] {
        let invite = invite(here, ann, token, ends_in_secs);
        store.add_invite(invite).await.unwrap();
    }
    for (before, limit, expected) in [(10, 9, 0), (31, 2, 2), (31, 2, 1), (31, 2, 0), (60, 9, 1)] {
        let swept = store.sweep_invites(in_secs(before), limit).await.unwrap();
        assert_eq!(swept, expected, "before {before}");
    }
    assert!(store.invite(&[4; 32], in_secs(60)).await.unwrap().is_some());
    assert_eq!(store.revoke_invites(here).await.unwrap(), 1);
}
