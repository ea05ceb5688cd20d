//! Rooms, their unique names, members and counters under any race.

use std::sync::Arc;

use super::{Port, at_once, count};
use crate::domain::conversation::{Conversation, History, Kind, Role, RoomName, Visibility};
use crate::domain::entry::Seq;
use crate::ids::{ConversationId, UserId};
use crate::ports::storage::{
    ConversationStore, CreatedRoom, Head, JoinedRoom, LeftRoom, Projected, Projection, RoomsMax,
};
use crate::testkit::SeededIds;
use crate::testkit::samples::{ROOMS_MAX, new_room, room_name};

/// One test per behaviour of a [`ConversationStore`]; the argument makes an empty one.
#[macro_export]
macro_rules! conversation_store_conformance {
    ($make:expr) => {
        $crate::conformance_tests!(
            conversation_store,
            real_time,
            $make,
            [
                a_room_is_found_by_id_and_by_name,
                a_room_may_have_nobody,
                of_twenty_racing_creations_of_one_name_one_wins,
                a_taken_name_leaves_the_room_as_it_is,
                the_same_room_again_is_told_by_its_id,
                a_creator_has_so_many_rooms_and_no_more,
                a_room_is_not_made_by_who_is_in_enough_of_them,
                racing_creations_and_joins_leave_a_user_in_so_many_rooms,
                archived_rooms_are_found_but_not_listed,
                rooms_are_listed_in_order_of_name,
                joining_again_changes_nothing,
                of_twenty_racing_joins_of_one_user_one_is_the_first,
                twenty_users_who_join_at_once_are_all_counted,
                leaving_ends_the_membership_once,
                joins_and_leaves_at_once_leave_a_true_counter,
                a_user_is_in_so_many_rooms_and_no_more,
                no_room_is_joined_that_does_not_exist,
                members_are_told_from_others,
                a_read_pointer_never_moves_back,
                of_racing_read_pointers_the_furthest_stays,
                only_members_have_read_pointers,
                a_projection_follows_where_the_rows_stand,
            ]
        );
    };
}

async fn create(store: &impl Port<Target: ConversationStore>, ids: &SeededIds, name: &str) -> ConversationId {
    let room = new_room(ids, name, None);
    match store.create_room(room, ROOMS_MAX).await.unwrap() {
        CreatedRoom::Created(room) => room.id,
        other => panic!("{other:?}"),
    }
}

async fn join(
    store: &impl Port<Target: ConversationStore>,
    room: ConversationId,
    user: UserId,
) -> JoinedRoom {
    store
        .join_room(room, user, Head::EMPTY, ROOMS_MAX.joined)
        .await
        .unwrap()
}

async fn archive(store: &impl Port<Target: ConversationStore>, room: ConversationId) {
    let (standing, at) = store.standing(room).await.unwrap().unwrap();
    let settings = Conversation {
        archived: true,
        ..standing.conversation
    };
    let projection = Projection {
        to: at.next(),
        settings: Some(settings),
        ..Projection::at(at)
    };
    assert_eq!(store.project(room, projection).await.unwrap(), Projected::Applied);
}

async fn members(store: &impl Port<Target: ConversationStore>, room: ConversationId) -> u64 {
    store.room_summary(room, None).await.unwrap().unwrap().members
}

/// Its creator moderates it.
pub async fn a_room_is_found_by_id_and_by_name<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let (ann, bob) = (UserId::new(&ids), UserId::new(&ids));
    let mut room = new_room(&ids, "tea-party", Some(ann));
    room.description = Some("for \"tea\" 🫖".to_owned());
    let expected = Conversation {
        id: room.id,
        kind: Kind::Room(room.name.clone()),
        title: None,
        description: room.description.clone(),
        visibility: Visibility::Public,
        history: History::All,
        creator: Some(ann),
        created_at: room.created_at,
        archived: false,
    };
    let answer = store.create_room(room.clone(), ROOMS_MAX).await.unwrap();
    assert_eq!(answer, CreatedRoom::Created(expected.clone()));
    assert_eq!(store.get(room.id).await.unwrap().as_ref(), Some(&expected));
    assert_eq!(
        store.room_by_name(&room.name).await.unwrap().as_ref(),
        Some(&expected)
    );
    for (viewer, joined) in [(Some(ann), true), (Some(bob), false), (None, false)] {
        let summary = store.room_summary(room.id, viewer).await.unwrap().unwrap();
        assert_eq!(summary.conversation, expected);
        assert_eq!((summary.members, summary.joined), (1, joined));
    }
    let member = store.member(room.id, ann).await.unwrap().unwrap();
    assert_eq!((member.conversation, member.user), (room.id, ann));
    assert_eq!(member.role, Role::Moderator);
    assert_eq!((member.read_seq, member.read_ordinal), (Seq::ZERO, 0));

    let other = ConversationId::new(&ids);
    assert_eq!(store.get(other).await.unwrap(), None);
    assert_eq!(store.room_summary(other, Some(ann)).await.unwrap(), None);
    assert_eq!(store.room_by_name(&room_name("tea")).await.unwrap(), None);
    assert_eq!(store.member(room.id, bob).await.unwrap(), None);
}

/// Rooms of the first start.
pub async fn a_room_may_have_nobody<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let room = create(&store, &SeededIds::new(1), "general").await;
    assert_eq!(members(&store, room).await, 0);
    assert_eq!(store.get(room).await.unwrap().unwrap().creator, None);
}

/// S-001, S-076.
pub async fn of_twenty_racing_creations_of_one_name_one_wins<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = Arc::new(make().await);
    let ids = Arc::new(SeededIds::new(1));
    let answers = at_once(&store, 20, |store, _| {
        let room = new_room(&*ids, "general", Some(UserId::new(&*ids)));
        async move { store.create_room(room, ROOMS_MAX).await.unwrap() }
    })
    .await;
    assert_eq!(
        count(&answers, |answer| matches!(answer, CreatedRoom::Created(_))),
        1
    );
    let stored = store.room_by_name(&room_name("general")).await.unwrap().unwrap();
    for answer in answers {
        match answer {
            CreatedRoom::Created(room) | CreatedRoom::NameTaken(room) => assert_eq!(room, stored),
            other @ (CreatedRoom::MadeTooMany | CreatedRoom::JoinedTooMany) => panic!("{other:?}"),
        }
    }
    assert_eq!(members(&*store, stored.id).await, 1);
}

/// Neither its description nor its members.
pub async fn a_taken_name_leaves_the_room_as_it_is<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let (ann, bob) = (UserId::new(&ids), UserId::new(&ids));
    let first = new_room(&ids, "general", Some(ann));
    store.create_room(first.clone(), ROOMS_MAX).await.unwrap();
    let mut second = new_room(&ids, "general", Some(bob));
    second.description = Some("mine now".to_owned());
    // The name is looked up before the creator's rooms are counted.
    let none = RoomsMax { made: 0, joined: 0 };
    for rooms_max in [ROOMS_MAX, none] {
        let answer = store.create_room(second.clone(), rooms_max).await.unwrap();
        assert!(
            matches!(&answer, CreatedRoom::NameTaken(room) if room.id == first.id && room.description.is_none()),
            "{answer:?}"
        );
    }
    assert_eq!(store.get(second.id).await.unwrap(), None);
    assert_eq!(store.member(first.id, bob).await.unwrap(), None);
    assert_eq!(members(&store, first.id).await, 1);
}

/// The answer to the first attempt was lost.
pub async fn the_same_room_again_is_told_by_its_id<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let room = new_room(&ids, "general", Some(UserId::new(&ids)));
    let one = RoomsMax { made: 1, joined: 1 };
    store.create_room(room.clone(), one).await.unwrap();
    let answer = store.create_room(room.clone(), one).await.unwrap();
    assert!(matches!(answer, CreatedRoom::NameTaken(stored) if stored.id == room.id));
    assert_eq!(members(&store, room.id).await, 1);
}

/// THREATS.md G5. Archived rooms don't count, nor do those of others.
pub async fn a_creator_has_so_many_rooms_and_no_more<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let (ann, bob) = (UserId::new(&ids), UserId::new(&ids));
    let creates = async |name: &str, creator| {
        let room = new_room(&ids, name, creator);
        let two = RoomsMax { made: 2, ..ROOMS_MAX };
        match store.create_room(room.clone(), two).await.unwrap() {
            CreatedRoom::Created(_) => Some(room.id),
            CreatedRoom::MadeTooMany => None,
            other => panic!("{other:?}"),
        }
    };
    let first = creates("one", Some(ann)).await.unwrap();
    creates("two", Some(ann)).await.unwrap();
    assert_eq!(creates("three", Some(ann)).await, None);
    assert_eq!(store.room_by_name(&room_name("three")).await.unwrap(), None);
    assert!(creates("of-bob", Some(bob)).await.is_some());
    for name in ["of-all", "of-all-2", "of-all-3"] {
        assert!(creates(name, None).await.is_some());
    }
    archive(&store, first).await;
    assert!(creates("three", Some(ann)).await.is_some());
    assert_eq!(creates("four", Some(ann)).await, None);
}

/// S-076, S-084. Whoever makes a room is in it, and it counts.
pub async fn a_room_is_not_made_by_who_is_in_enough_of_them<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let (ann, bob) = (UserId::new(&ids), UserId::new(&ids));
    let max = RoomsMax {
        joined: 2,
        ..ROOMS_MAX
    };
    let creates = async |name: &str, creator| {
        let room = new_room(&ids, name, Some(creator));
        (room.id, store.create_room(room, max).await.unwrap())
    };
    let joins = async |room| store.join_room(room, ann, Head::EMPTY, max.joined).await.unwrap();
    let (of_bob, _) = creates("of-bob", bob).await;
    let (other, _) = creates("other", bob).await;
    joins(of_bob).await;
    let (first, answer) = creates("one", ann).await;
    assert!(matches!(answer, CreatedRoom::Created(_)), "{answer:?}");
    let (second, answer) = creates("two", ann).await;
    assert_eq!(answer, CreatedRoom::JoinedTooMany);
    assert_eq!(store.get(second).await.unwrap(), None);
    assert_eq!(store.room_by_name(&room_name("two")).await.unwrap(), None);
    assert_eq!(joins(other).await, JoinedRoom::TooMany);
    // Neither a name that was taken nor a room that was left counts.
    let (_, answer) = creates("other", ann).await;
    assert!(matches!(answer, CreatedRoom::NameTaken(_)), "{answer:?}");
    store.leave_room(first, ann).await.unwrap();
    let (second, answer) = creates("two", ann).await;
    assert!(matches!(answer, CreatedRoom::Created(_)), "{answer:?}");
    let made = store.member(second, ann).await.unwrap().unwrap();
    assert_eq!((made.role, made.left_seq), (Role::Moderator, None));
    assert_eq!(members(&store, second).await, 1);
}

/// S-076, S-084.
pub async fn racing_creations_and_joins_leave_a_user_in_so_many_rooms<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = Arc::new(make().await);
    let ids = Arc::new(SeededIds::new(1));
    let ann = UserId::new(&*ids);
    let mut open = Vec::new();
    for number in 0..6 {
        open.push(create(&*store, &ids, &format!("open-{number}")).await);
    }
    let max = RoomsMax {
        joined: 4,
        ..ROOMS_MAX
    };
    let answers = at_once(&store, 12, |store, number| {
        let room = new_room(&*ids, &format!("of-ann-{number}"), Some(ann));
        let joins = open.get(number).copied();
        async move {
            match joins {
                Some(room) => {
                    let answer = store.join_room(room, ann, Head::EMPTY, max.joined).await.unwrap();
                    matches!(answer, JoinedRoom::Joined { .. })
                }
                None => matches!(
                    store.create_room(room, max).await.unwrap(),
                    CreatedRoom::Created(_)
                ),
            }
        }
    })
    .await;
    assert_eq!(count(&answers, |came_in| *came_in), 4);
    assert_eq!(store.overview(ann, 100).await.unwrap().len(), 4);
}

/// Their names stay taken.
pub async fn archived_rooms_are_found_but_not_listed<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let room = create(&store, &ids, "old-times").await;
    archive(&store, room).await;
    let found = store
        .room_by_name(&room_name("old-times"))
        .await
        .unwrap()
        .unwrap();
    assert!(found.archived);
    assert_eq!(store.rooms(None, None, 10).await.unwrap().rooms, []);
    let answer = store
        .create_room(new_room(&ids, "old-times", None), ROOMS_MAX)
        .await
        .unwrap();
    assert!(matches!(answer, CreatedRoom::NameTaken(_)));
}

/// Each once over all pages, with its counter and whether the viewer is in it.
pub async fn rooms_are_listed_in_order_of_name<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let (ann, bob) = (UserId::new(&ids), UserId::new(&ids));
    for name in ["beta", "a1", "a-1", "zz", "general", "a0"] {
        let room = create(&store, &ids, name).await;
        if name != "zz" {
            join(&store, room, bob).await;
        }
        if name == "general" {
            join(&store, room, ann).await;
        }
    }
    let hidden = create(&store, &ids, "b-hidden").await;
    archive(&store, hidden).await;

    let mut listed: Vec<(RoomName, u64, bool)> = Vec::new();
    loop {
        let after = listed.last().map(|(name, ..)| name.clone());
        let page = store.rooms(Some(ann), after.as_ref(), 4).await.unwrap();
        assert!(page.rooms.len() <= 4);
        for summary in page.rooms {
            let Kind::Room(name) = summary.conversation.kind else {
                panic!("no room");
            };
            listed.push((name, summary.members, summary.joined));
        }
        if !page.has_more {
            break;
        }
    }
    let expected = [
        ("a-1", 1, false),
        ("a0", 1, false),
        ("a1", 1, false),
        ("beta", 1, false),
        ("general", 2, true),
        ("zz", 0, false),
    ];
    let listed: Vec<_> = listed
        .iter()
        .map(|(name, members, joined)| (name.as_str(), *members, *joined))
        .collect();
    assert_eq!(listed, expected);
    let exact = store.rooms(None, None, 6).await.unwrap();
    assert!(
        !exact.has_more,
        "no more rooms behind exactly as many as asked for"
    );
}

/// S-084. A moderator stays one.
pub async fn joining_again_changes_nothing<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let (ann, bob) = (UserId::new(&ids), UserId::new(&ids));
    let room = new_room(&ids, "general", Some(ann));
    store.create_room(room.clone(), ROOMS_MAX).await.unwrap();
    for (user, first) in [(ann, false), (bob, true), (bob, false)] {
        let answer = join(&store, room.id, user).await;
        let members = members(&store, room.id).await;
        assert_eq!(answer, JoinedRoom::Joined { first, members });
        if first {
            store.advance_read(room.id, bob, Seq(5), 3).await.unwrap();
        }
    }
    assert_eq!(members(&store, room.id).await, 2);
    assert_eq!(
        store.member(room.id, ann).await.unwrap().unwrap().role,
        Role::Moderator
    );
    let bob = store.member(room.id, bob).await.unwrap().unwrap();
    assert_eq!((bob.role, bob.read_seq), (Role::Member, Seq(5)));
}

/// S-099: one of them is announced.
pub async fn of_twenty_racing_joins_of_one_user_one_is_the_first<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = Arc::new(make().await);
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let room = create(&*store, &ids, "general").await;
    let answers = at_once(
        &store,
        20,
        |store, _| async move { join(&*store, room, ann).await },
    )
    .await;
    let is_first = |answer: &JoinedRoom| matches!(answer, JoinedRoom::Joined { first: true, .. });
    assert_eq!(count(&answers, is_first), 1);
    assert_eq!(members(&*store, room).await, 1);
}

/// The counter moves with the rows.
pub async fn twenty_users_who_join_at_once_are_all_counted<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = Arc::new(make().await);
    let ids = Arc::new(SeededIds::new(1));
    let room = create(&*store, &ids, "general").await;
    let mut counters = at_once(&store, 20, |store, _| {
        let user = UserId::new(&*ids);
        async move {
            match join(&*store, room, user).await {
                JoinedRoom::Joined { first: true, members } => members,
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
    counters.sort_unstable();
    assert_eq!(members(&*store, room).await, 20);
    assert_eq!(counters.last(), Some(&20));
}

/// S-085.
pub async fn leaving_ends_the_membership_once<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let (ann, bob) = (UserId::new(&ids), UserId::new(&ids));
    let room = create(&store, &ids, "general").await;
    join(&store, room, ann).await;
    join(&store, room, bob).await;
    store.advance_read(room, ann, Seq(5), 3).await.unwrap();
    for was_member in [true, false] {
        let answer = store.leave_room(room, ann).await.unwrap();
        assert_eq!(
            answer,
            LeftRoom {
                was_member,
                members: 1
            }
        );
    }
    assert_eq!(store.member(room, ann).await.unwrap(), None);
    let answer = join(&store, room, ann).await;
    assert_eq!(
        answer,
        JoinedRoom::Joined {
            first: true,
            members: 2
        }
    );
    let anew = store.member(room, ann).await.unwrap().unwrap();
    assert_eq!(anew.read_seq, Seq::ZERO, "a new membership starts anew");
}

/// A storm of both.
pub async fn joins_and_leaves_at_once_leave_a_true_counter<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = Arc::new(make().await);
    let ids = SeededIds::new(1);
    let users: Arc<Vec<UserId>> = Arc::new((0..10).map(|_| UserId::new(&ids)).collect());
    let room = create(&*store, &ids, "general").await;
    at_once(&store, 40, |store, index| {
        let user = users[index % 10];
        async move {
            if index % 3 == 0 {
                store.leave_room(room, user).await.unwrap();
            } else {
                join(&*store, room, user).await;
            }
        }
    })
    .await;
    let present = store.members_among(room, &users).await.unwrap();
    assert_eq!(members(&*store, room).await, present.len() as u64);
}

/// S-084. Who is in a room already may join it again.
pub async fn a_user_is_in_so_many_rooms_and_no_more<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let (ann, bob) = (UserId::new(&ids), UserId::new(&ids));
    let [one, two, three] = [
        create(&store, &ids, "one").await,
        create(&store, &ids, "two").await,
        create(&store, &ids, "three").await,
    ];
    let joins = async |room, user| {
        let answer = store.join_room(room, user, Head::EMPTY, 2).await.unwrap();
        matches!(answer, JoinedRoom::Joined { .. })
    };
    assert!(joins(one, ann).await);
    assert!(joins(two, ann).await);
    assert!(!joins(three, ann).await);
    assert_eq!(store.member(three, ann).await.unwrap(), None);
    assert!(joins(two, ann).await);
    assert!(joins(three, bob).await);
    store.leave_room(one, ann).await.unwrap();
    assert!(joins(three, ann).await);
}

/// It fails and leaves no row.
pub async fn no_room_is_joined_that_does_not_exist<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let (room, ann) = (ConversationId::new(&ids), UserId::new(&ids));
    store
        .join_room(room, ann, Head::EMPTY, ROOMS_MAX.joined)
        .await
        .unwrap_err();
    assert_eq!(store.member(room, ann).await.unwrap(), None);
    let answer = store.leave_room(room, ann).await.unwrap();
    assert_eq!(
        answer,
        LeftRoom {
            was_member: false,
            members: 0
        }
    );
}

/// In this room, not in another.
pub async fn members_are_told_from_others<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let room = create(&store, &ids, "general").await;
    let other = create(&store, &ids, "random").await;
    let users: Vec<UserId> = (0..40).map(|_| UserId::new(&ids)).collect();
    for (index, user) in users.iter().enumerate() {
        let joins = if index % 2 == 0 { room } else { other };
        join(&store, joins, *user).await;
    }
    let mut found = store.members_among(room, &users).await.unwrap();
    found.sort();
    let expected: Vec<UserId> = users.iter().copied().step_by(2).collect();
    assert_eq!(found, expected);
    assert_eq!(store.members_among(room, &[]).await.unwrap(), []);
}

/// I6.
pub async fn a_read_pointer_never_moves_back<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let room = create(&store, &ids, "general").await;
    join(&store, room, ann).await;
    for ((seq, ordinal), expected) in [
        ((3, 2), (3, 2)),
        ((2, 1), (3, 2)),
        ((3, 1), (3, 2)),
        ((7, 2), (7, 2)),
        ((0, 0), (7, 2)),
    ] {
        store.advance_read(room, ann, Seq(seq), ordinal).await.unwrap();
        let member = store.member(room, ann).await.unwrap().unwrap();
        assert_eq!((member.read_seq.0, member.read_ordinal), expected);
    }
}

/// I6, from several devices.
pub async fn of_racing_read_pointers_the_furthest_stays<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = Arc::new(make().await);
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let room = create(&*store, &ids, "general").await;
    join(&*store, room, ann).await;
    at_once(&store, 20, |store, index| async move {
        let seq = u32::try_from((index * 7) % 20).unwrap();
        store.advance_read(room, ann, Seq(seq), seq * 10).await.unwrap();
    })
    .await;
    let member = store.member(room, ann).await.unwrap().unwrap();
    assert_eq!((member.read_seq.0, member.read_ordinal), (19, 190));
}

/// No row comes to be.
pub async fn only_members_have_read_pointers<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let ann = UserId::new(&ids);
    let room = create(&store, &ids, "general").await;
    for conversation in [room, ConversationId::new(&ids)] {
        store.advance_read(conversation, ann, Seq(3), 3).await.unwrap();
        assert_eq!(store.member(conversation, ann).await.unwrap(), None);
    }
    assert_eq!(members(&store, room).await, 0);
}

/// Rows follow the log entry by entry: what doesn't begin where they stand changes nothing, so twice is once.
pub async fn a_projection_follows_where_the_rows_stand<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target: ConversationStore>,
{
    let store = make().await;
    let ids = SeededIds::new(1);
    let room = create(&store, &ids, "general").await;
    let given = store.get(room).await.unwrap().unwrap();
    for (from, to, description, expected, stored) in [
        (0, 4, Some("four"), Projected::Applied, Some("four")),
        (0, 4, Some("again"), Projected::StandsAt(Seq(4)), Some("four")),
        (3, 5, Some("early"), Projected::StandsAt(Seq(4)), Some("four")),
        (4, 9, None, Projected::Applied, None),
    ] {
        let settings = Conversation {
            description: description.map(str::to_owned),
            ..given.clone()
        };
        let projection = Projection {
            to: Seq(to),
            settings: Some(settings),
            ..Projection::at(Seq(from))
        };
        assert_eq!(store.project(room, projection).await.unwrap(), expected);
        let (standing, at) = store.standing(room).await.unwrap().unwrap();
        assert_eq!(standing.conversation.description.as_deref(), stored);
        assert_eq!(at, if to < 9 { Seq(4) } else { Seq(9) });
    }
}
