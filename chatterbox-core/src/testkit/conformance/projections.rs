//! Rows of conversations and members follow the log: they stand as its entries say, whatever came between.

use std::sync::Arc;

use proptest::prelude::Strategy;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::chat::Chat;
use super::{Port, at_once, count};
use crate::domain::change::{Ban, Change, Join, Leave, LeaveReason, RoleChange, SettingsChange};
use crate::domain::conversation::{Conversation, History, Kind, Member, NewGroup, Notify, Role, Visibility};
use crate::domain::entry::{EntryKind, Seq};
use crate::domain::standing::{Seat, Standing};
use crate::ids::{ConversationId, UserId};
use crate::ports::storage::{Head, JoinedRoom, Projected, Projection, StoreError, Stores};
use crate::testkit::samples::{ROOMS_MAX, new_group, new_room, room_name};

/// One test per behaviour of a [`ConversationStore`](crate::ports::storage::ConversationStore) among the
/// [`Stores`] of a backend; the argument makes empty ones.
#[macro_export]
macro_rules! projections_conformance {
    ($make:expr) => {
        $crate::conformance_tests!(
            projections,
            real_time,
            $make,
            [
                a_standing_tells_who_is_in_from_the_beginning,
                who_joins_is_a_member_from_there_on,
                who_leaves_keeps_a_row,
                who_comes_back_takes_up_their_row,
                roles_follow_the_log,
                who_is_banned_is_out_and_does_not_come_in,
                settings_follow_the_log,
                a_renamed_room_is_found_by_both_names,
                a_name_leads_to_one_room_for_ever,
                who_writes_has_read,
                of_racing_projections_one_is_applied,
                what_does_not_exist_is_not_brought_up_to_date,
                conversations_behind_their_logs_are_found,
                random_changes_leave_rows_that_stand_as_the_log_says,
            ]
        );
    };
}

const FROM_THE_BEGINNING: Seq = Seq::ZERO;

fn seat(role: Role, joined_seq: Seq) -> Seat {
    Seat { role, joined_seq }
}

/// Of a room only those who moderate.
pub async fn a_standing_tells_who_is_in_from_the_beginning<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob] = chat.users();
    let (direct, group) = (chat.direct(bob, ann).await, chat.group(&[bob, ann]).await);
    let room = chat.room("general", Some(ann)).await;
    store.join_room(room, bob, Head::EMPTY, 9).await.unwrap();
    for (id, roles) in [
        (direct, vec![(ann, Role::Member), (bob, Role::Member)]),
        (group, vec![(ann, Role::Member), (bob, Role::Owner)]),
        (room, vec![(ann, Role::Moderator)]),
    ] {
        let seats = roles
            .into_iter()
            .map(|(user, role)| (user, seat(role, FROM_THE_BEGINNING)));
        let expected = Standing {
            conversation: store.get(id).await.unwrap().unwrap(),
            members: seats.collect(),
            bans: [].into(),
        };
        assert_eq!(store.standing(id).await.unwrap(), Some((expected, Seq::ZERO)));
    }
    let nowhere = ConversationId::new(&chat.ids);
    assert_eq!(store.standing(nowhere).await.unwrap(), None);
}

/// With everything up to the join read.
pub async fn who_joins_is_a_member_from_there_on<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let [ann, bob] = chat.users();
    let here = chat.group(&[ann]).await;
    chat.say(here, ann, "one").await;
    chat.say(here, ann, "two").await;
    let join = chat.adds(here, ann, bob).await;
    chat.say(here, ann, "three").await;
    let standing = chat.project(here).await;
    assert_eq!(standing.members[&bob], seat(Role::Member, join.seq));
    let expected = Member::new(here, bob, Role::Member, join.seq, 2);
    assert_eq!(chat.member(here, bob).await, expected);
    assert_eq!(chat.members(here).await, [ann, bob]);
}

/// They are in no list any more, and their row tells when it ended.
pub async fn who_leaves_keeps_a_row<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob] = chat.users();
    let here = chat.group(&[ann, bob]).await;
    store.advance_read(here, bob, Seq(1), 1).await.unwrap();
    chat.say(here, ann, "one").await;
    let left = chat.leaves(here, bob).await;
    chat.project(here).await;
    let expected = Member {
        left_seq: Some(left.seq),
        read_seq: Seq(1),
        read_ordinal: 1,
        ..Member::new(here, bob, Role::Member, FROM_THE_BEGINNING, 0)
    };
    assert_eq!(chat.member(here, bob).await, expected);
    assert_eq!(chat.members(here).await, [ann]);
    assert_eq!(store.members_among(here, &[ann, bob]).await.unwrap(), [ann]);
    assert_eq!(store.overview(bob, 10).await.unwrap(), []);
}

/// What they had set for notifications stays, and they don't find it hidden.
pub async fn who_comes_back_takes_up_their_row<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob] = chat.users();
    let here = chat.group(&[ann, bob]).await;
    store.set_notify(here, bob, Notify::Mentions, None).await.unwrap();
    store.set_hidden(here, bob, Some(9)).await.unwrap();
    for is_one_projection in [false, true] {
        chat.leaves(here, bob).await;
        if !is_one_projection {
            chat.project(here).await;
        }
        let said = chat.say(here, ann, "without bob").await;
        let join = chat.adds(here, ann, bob).await;
        chat.project(here).await;
        let expected = Member {
            notify: Notify::Mentions,
            ..Member::new(here, bob, Role::Member, join.seq, said.ordinal)
        };
        assert_eq!(chat.member(here, bob).await, expected);
        assert_eq!(chat.members(here).await, [ann, bob]);
    }
}

/// S-069, S-072.
pub async fn roles_follow_the_log<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let [ann, bob, cid] = chat.users();
    let here = chat.group(&[ann, bob, cid]).await;
    let becomes = async |user, role| {
        let change = RoleChange {
            user,
            role,
            previous: Role::Member,
        };
        chat.append(here, ann, EntryKind::Role(change)).await;
    };
    let roles = async || {
        chat.project(here).await;
        [
            chat.member(here, ann).await.role,
            chat.member(here, bob).await.role,
            chat.member(here, cid).await.role,
        ]
    };
    becomes(bob, Role::Admin).await;
    assert_eq!(roles().await, [Role::Owner, Role::Admin, Role::Member]);
    becomes(cid, Role::Owner).await;
    assert_eq!(roles().await, [Role::Admin, Role::Admin, Role::Owner]);
    becomes(bob, Role::Member).await;
    let leave = Leave {
        user: cid,
        reason: LeaveReason::Left,
        heir: Some(ann),
    };
    chat.append(here, cid, EntryKind::Leave(leave)).await;
    assert_eq!(roles().await, [Role::Owner, Role::Member, Role::Owner]);
    assert_eq!(chat.members(here).await, [ann, bob]);
}

/// S-071, in groups and rooms, also those who are not in it.
pub async fn who_is_banned_is_out_and_does_not_come_in<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob, cid] = chat.users();
    let bans = async |here, user, change| {
        let ban = Ban { user, change };
        chat.append(here, ann, EntryKind::Ban(ban)).await;
        chat.project(here).await.bans.into_iter().collect::<Vec<_>>()
    };
    let group = chat.group(&[ann, bob]).await;
    assert_eq!(bans(group, bob, Change::Added).await, [bob]);
    assert_eq!(bans(group, cid, Change::Added).await, [bob, cid]);
    assert_eq!(chat.members(group).await, [ann]);
    assert!(!chat.member(group, bob).await.is_in());

    let room = chat.room("general", Some(ann)).await;
    let joins = async |user| store.join_room(room, user, Head::EMPTY, 9).await.unwrap();
    joins(bob).await;
    assert_eq!(bans(room, bob, Change::Added).await, [bob]);
    assert_eq!(bans(room, cid, Change::Added).await, [bob, cid]);
    assert_eq!(chat.members(room).await, [ann]);
    assert_eq!(
        store.member(room, bob).await.unwrap(),
        None,
        "nothing of a room is kept"
    );
    assert_eq!(joins(bob).await, JoinedRoom::Banned);
    assert_eq!(bans(room, bob, Change::Removed).await, [cid]);
    let answer = joins(bob).await;
    assert_eq!(
        answer,
        JoinedRoom::Joined {
            first: true,
            members: 2
        }
    );
    assert_eq!(joins(cid).await, JoinedRoom::Banned);
}

/// A change of settings, and what it does to them.
type Step = (SettingsChange, fn(&mut Conversation));

/// What an entry doesn't name stays.
pub async fn settings_follow_the_log<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let ann = chat.user();
    let here = chat.group(&[ann]).await;
    let mut expected = chat.stores.conversations.get(here).await.unwrap().unwrap();
    let changes: [Step; 5] = [
        (
            SettingsChange {
                title: Some("New \"title\"".to_owned()),
                description: Some("about".to_owned()),
                ..SettingsChange::default()
            },
            |settings| {
                settings.title = Some("New \"title\"".to_owned());
                settings.description = Some("about".to_owned());
            },
        ),
        (
            SettingsChange {
                visibility: Some(Visibility::Public),
                history: Some(History::SinceJoin),
                ..SettingsChange::default()
            },
            |settings| {
                settings.visibility = Visibility::Public;
                settings.history = History::SinceJoin;
            },
        ),
        (
            SettingsChange {
                description: Some(String::new()),
                ..SettingsChange::default()
            },
            |settings| settings.description = None,
        ),
        (SettingsChange::default(), |_| {}),
        (
            SettingsChange {
                archived: Some(true),
                ..SettingsChange::default()
            },
            |settings| settings.archived = true,
        ),
    ];
    for (change, to) in changes {
        chat.append(here, ann, EntryKind::Settings(change)).await;
        to(&mut expected);
        assert_eq!(chat.project(here).await.conversation, expected);
        let stored = chat.stores.conversations.get(here).await.unwrap();
        assert_eq!(stored.as_ref(), Some(&expected));
    }
}

/// S-076. It is listed under its new one.
pub async fn a_renamed_room_is_found_by_both_names<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let room = chat.room("before", None).await;
    for name in ["behind", "before", "between"] {
        assert!(store.claim_room_name(&room_name(name), room).await.unwrap());
        let change = SettingsChange {
            name: Some(room_name(name)),
            ..SettingsChange::default()
        };
        chat.append(room, UserId::SERVER, EntryKind::Settings(change))
            .await;
        chat.project(room).await;
        let listed = store.rooms(None, None, 10).await.unwrap().rooms;
        let kinds: Vec<&Kind> = listed.iter().map(|room| &room.conversation.kind).collect();
        assert_eq!(kinds, [&Kind::Room(room_name(name))]);
    }
    for name in ["before", "behind", "between"] {
        let found = store.room_by_name(&room_name(name)).await.unwrap().unwrap();
        assert_eq!((found.id, found.kind), (room, Kind::Room(room_name("between"))));
    }
}

/// S-076: from the claim on, before the room is called so.
pub async fn a_name_leads_to_one_room_for_ever<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let (one, other) = (chat.room("one", None).await, chat.room("other", None).await);
    for (name, room, expected) in [
        ("fresh", one, true),
        ("fresh", one, true),
        ("fresh", other, false),
        ("one", other, false),
        ("one", one, true),
    ] {
        let claimed = store.claim_room_name(&room_name(name), room).await.unwrap();
        assert_eq!(claimed, expected, "{name}");
    }
    let found = store.room_by_name(&room_name("fresh")).await.unwrap().unwrap();
    assert_eq!((found.id, found.kind), (one, Kind::Room(room_name("one"))));
    let answer = store
        .create_room(new_room(&chat.ids, "fresh", None), ROOMS_MAX)
        .await
        .unwrap();
    assert!(
        matches!(&answer, crate::ports::storage::CreatedRoom::NameTaken(room) if room.id == one),
        "{answer:?}"
    );
}

/// I6: up to their own last message, and never less than they had.
pub async fn who_writes_has_read<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let [ann, bob, cid] = chat.users();
    let here = chat.group(&[ann, bob, cid]).await;
    for user in [ann, bob, ann, cid] {
        chat.say(here, user, "hi").await;
    }
    let moved = store.advance_read(here, bob, Seq(3), 3).await.unwrap().unwrap();
    assert_eq!((moved.moved, moved.seq, moved.ordinal), (true, Seq(3), 3));
    chat.project(here).await;
    for (user, expected) in [(ann, 3), (bob, 3), (cid, 4)] {
        let member = chat.member(here, user).await;
        assert_eq!((member.read_seq, member.read_ordinal), (Seq(expected), expected));
    }
}

/// Of several nodes.
pub async fn of_racing_projections_one_is_applied<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Arc::new(Arc::new(Chat::new(make).await));
    let [ann, bob, cid] = chat.users();
    let here = chat.group(&[ann, bob]).await;
    chat.leaves(here, bob).await;
    chat.adds(here, ann, cid).await;
    let (projection, _) = chat.unprojected(here).await;
    let answers = at_once(&chat, 20, |chat, _| {
        let projection = projection.clone();
        async move { chat.stores.conversations.project(here, projection).await.unwrap() }
    })
    .await;
    assert_eq!(count(&answers, |answer| *answer == Projected::Applied), 1);
    assert_eq!(
        count(&answers, |answer| *answer == Projected::StandsAt(Seq(2))),
        19
    );
    assert_eq!(chat.members(here).await, [ann, cid]);
}

/// It fails and leaves nothing.
pub async fn what_does_not_exist_is_not_brought_up_to_date<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let nowhere = ConversationId::new(&chat.ids);
    let projection = Projection {
        to: Seq(1),
        ..Projection::at(Seq::ZERO)
    };
    let answer = store.project(nowhere, projection).await;
    assert!(matches!(answer, Err(StoreError::Corrupt(_))), "{answer:?}");
    assert_eq!(store.standing(nowhere).await.unwrap(), None);
}

/// What a crash between an append and its projection leaves behind.
pub async fn conversations_behind_their_logs_are_found<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.conversations;
    let ann = chat.user();
    let mut behind = Vec::new();
    for index in 0..12 {
        let here = chat.group(&[ann]).await;
        for _ in 0..index % 4 {
            chat.say(here, ann, "hi").await;
        }
        if index % 2 == 0 {
            chat.project(here).await;
        } else {
            behind.push(here);
        }
    }
    let mut found = store.lagging(100).await.unwrap();
    found.sort();
    assert_eq!(found, behind);
    assert_eq!(store.lagging(2).await.unwrap().len(), 2);
    for here in behind {
        chat.project(here).await;
    }
    assert_eq!(store.lagging(100).await.unwrap(), []);
}

const CHANGES: usize = 60;
const PLANS: u32 = 8;

/// Members and roles as the entries alone make them, however they were cut into projections.
pub async fn random_changes_leave_rows_that_stand_as_the_log_says<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let mut runner = TestRunner::deterministic();
    let plans = proptest::collection::vec((0_u8..7, 0..5_usize, 0..3_u8), CHANGES);
    for _ in 0..PLANS {
        let plan = plans.new_tree(&mut runner).unwrap().current();
        let chat = Chat::new(&make).await;
        let users: [UserId; 5] = chat.users();
        let group = NewGroup {
            members: vec![users[1]],
            ..new_group(&chat.ids, users[0])
        };
        let here = group.id;
        chat.stores.conversations.create_group(group).await.unwrap();
        for (change, index, cut) in &plan {
            let user = users[*index];
            let role = |role| RoleChange {
                user,
                role,
                previous: Role::Member,
            };
            let ban = |change| EntryKind::Ban(Ban { user, change });
            let join = Join {
                user,
                role: Role::Member,
            };
            let leave = Leave {
                user,
                reason: LeaveReason::Removed,
                heir: Some(users[(index + 1) % 5]),
            };
            let kind = match change {
                0 => EntryKind::Join(join),
                1 => EntryKind::Leave(leave),
                2 => EntryKind::Role(role(Role::Admin)),
                3 => EntryKind::Role(role(Role::Owner)),
                4 => ban(Change::Added),
                _ => ban(Change::Removed),
            };
            if *change == 6 {
                chat.say(here, user, "hi").await;
            } else {
                chat.append(here, user, kind).await;
            }
            if *cut == 0 {
                chat.project(here).await;
            }
        }
        let standing = chat.project(here).await;
        let expected: Vec<UserId> = standing.members.keys().copied().collect();
        assert_eq!(chat.members(here).await, expected, "{plan:?}");
        for (user, seat) in standing.members {
            let member = chat.member(here, user).await;
            assert_eq!(
                (member.role, member.joined_seq),
                (seat.role, seat.joined_seq),
                "{plan:?}"
            );
            assert_eq!(member.left_seq, None, "{plan:?}");
            assert!(member.read_seq >= member.joined_seq, "{plan:?}");
        }
    }
}
