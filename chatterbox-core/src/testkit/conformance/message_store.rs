//! What became of messages, and finding them.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::Strategy;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::Port;
use super::chat::{Chat, ids_of};
use crate::domain::change::Change;
use crate::domain::current::{CurrentMessage, MessageState, Reacted};
use crate::domain::entry::{Entry, EntryKind, Seq};
use crate::ids::{ConversationId, EntryId, UserId};
use crate::ports::storage::{HiddenMessage, HiddenPlace, SearchQuery, Stores};
use crate::testkit::samples::in_secs;

/// One test per behaviour of a [`MessageStore`](crate::ports::storage::MessageStore) among the [`Stores`] of a backend;
/// the argument makes empty ones.
#[macro_export]
macro_rules! message_store_conformance {
    ($make:expr) => {
        $crate::conformance_tests!(
            message_store,
            real_time,
            $make,
            [
                the_newest_text_of_a_message_is_told,
                states_of_several_conversations_are_told_at_once,
                reactions_are_kept_in_order,
                a_deleted_message_is_redacted_with_its_edits,
                random_changes_leave_what_the_log_says,
                deleted_messages_are_counted_above_a_number,
                deleted_messages_of_many_conversations_are_counted_at_once,
                answers_are_listed_in_order,
                a_message_is_hidden_once_and_for_one_user,
                what_is_hidden_of_several_conversations_is_told_at_once,
                so_many_messages_are_hidden_and_no_more,
                what_was_hidden_since_is_told_in_order,
                what_was_hidden_comes_in_pages,
                messages_are_found_by_their_words,
                what_is_looked_for_is_no_query_language,
                only_what_the_searcher_sees_is_found,
                found_messages_are_paged_newest_first,
                the_newest_text_is_found_and_a_deleted_one_never,
            ]
        );
    };
}

impl<P: Port<Target = Stores>> Chat<P> {
    async fn states(&self, here: ConversationId, messages: &[&Entry]) -> Vec<(Seq, MessageState)> {
        let seqs: Vec<Seq> = messages.iter().map(|message| message.seq).collect();
        let mut states = self.stores.messages.states(here, &seqs).await.unwrap();
        states.sort_by_key(|(seq, _)| *seq);
        states
    }

    async fn entry(&self, message: &Entry) -> Entry {
        let entry = self
            .stores
            .log
            .get(message.conversation, message.id)
            .await
            .unwrap();
        entry.expect("an entry never goes")
    }
}

/// S-130: of those that have one, in this conversation.
pub async fn the_newest_text_of_a_message_is_told<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let ann = chat.user();
    let (here, there) = (chat.group(&[ann]).await, chat.group(&[ann]).await);
    let one = chat.say(here, ann, "one").await;
    let two = chat.say(here, ann, "two").await;
    chat.say(there, ann, "elsewhere").await;
    chat.edit(&one, "first").await;
    chat.project(here).await;
    let last = chat.edit(&one, "'); DROP TABLE \u{0} 🐈").await;
    chat.project(here).await;
    chat.project(there).await;
    let states = chat.states(here, &[&two, &one]).await;
    assert_eq!(states.len(), 1);
    let (seq, state) = &states[0];
    let edited = state.edited.as_ref().unwrap();
    assert_eq!((*seq, edited.at), (one.seq, last.created_at));
    assert_eq!(edited.content, "'); DROP TABLE \u{0} 🐈");
    assert_eq!(edited.mentions, [ann]);
    assert!(state.reactions.0.is_empty());
    assert_eq!(chat.states(here, &[&two]).await, []);
    assert_eq!(chat.states(there, &[&one]).await, []);
    assert_eq!(chat.states(ConversationId::new(&chat.ids), &[&one]).await, []);
    // The entry itself never changes.
    assert_eq!(chat.entry(&one).await, one);
}

/// S-062: of one message each.
pub async fn states_of_several_conversations_are_told_at_once<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let ann = chat.user();
    let (mut asked, mut expected) = (vec![(ConversationId::new(&chat.ids), Seq(1))], Vec::new());
    for index in 0..6 {
        let here = chat.group(&[ann]).await;
        let said = chat.say(here, ann, "hi").await;
        if index % 2 == 0 {
            chat.react(ann, &said, "🎉", Change::Added).await;
            chat.edit(&said, &format!("text {index}")).await;
            chat.project(here).await;
            expected.push((here, chat.states(here, &[&said]).await.remove(0).1));
        }
        asked.push((here, said.seq));
    }
    let mut found = chat.stores.messages.states_across(&asked).await.unwrap();
    found.sort_by_key(|(here, _)| *here);
    assert_eq!(found, expected);
    assert_eq!(chat.stores.messages.states_across(&[]).await.unwrap(), []);
}

/// S-132: of emoji by the first reaction with each, of users by their own; twice is once.
pub async fn reactions_are_kept_in_order<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let [ann, bob, cid] = chat.users();
    let here = chat.group(&[ann, bob, cid]).await;
    let said = chat.say(here, ann, "hi").await;
    for (user, emoji, change) in [
        (cid, "👍", Change::Added),
        (ann, "🎉", Change::Added),
        (bob, "👍", Change::Added),
        (cid, "👍", Change::Added),
        (cid, "❤️", Change::Removed),
        (cid, "👍", Change::Removed),
        (ann, "👍", Change::Added),
        (bob, "🎉", Change::Added),
    ] {
        chat.react(user, &said, emoji, change).await;
        chat.project(here).await;
    }
    chat.edit(&said, "hello").await;
    chat.project(here).await;
    let states = chat.states(here, &[&said]).await;
    let reactions: Vec<(&str, &[UserId])> = states[0]
        .1
        .reactions
        .0
        .iter()
        .map(|Reacted { emoji, users }| (emoji.as_str(), users.as_slice()))
        .collect();
    assert_eq!(reactions, [("👍", &[bob, ann][..]), ("🎉", &[ann, bob][..])]);
    assert_eq!(states[0].1.edited.as_ref().unwrap().content, "hello");

    // When the last one goes, nothing is left to tell.
    let other = chat.say(here, ann, "other").await;
    for change in [Change::Added, Change::Removed] {
        chat.react(bob, &other, "🎉", change).await;
    }
    chat.project(here).await;
    assert_eq!(chat.states(here, &[&other]).await, []);
}

/// S-131: its number, author and time stay, and nothing of what it said; what comes late changes nothing.
pub async fn a_deleted_message_is_redacted_with_its_edits<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let [ann, bob] = chat.users();
    for is_one_projection in [false, true] {
        let here = chat.group(&[ann, bob]).await;
        let project = async || {
            if !is_one_projection {
                chat.project(here).await;
            }
        };
        let first = chat.say(here, ann, "secret one").await;
        let other = chat.reply(bob, &first, "stays").await;
        let answer = chat.reply(ann, &other, "secret two").await;
        project().await;
        let edits = [
            chat.edit(&answer, "secret three").await,
            chat.edit(&answer, "secret four").await,
        ];
        chat.react(bob, &answer, "👍", Change::Added).await;
        chat.edit(&other, "stays too").await;
        project().await;
        let deleted = chat.delete(&answer).await;
        chat.delete(&first).await;
        project().await;
        chat.react(bob, &answer, "🎉", Change::Added).await;
        chat.delete(&answer).await;
        chat.project(here).await;

        let log = chat.stores.log.read_after(here, Seq::ZERO, 100).await.unwrap();
        let texts = format!("{log:?}");
        assert!(!texts.contains("secret"), "{texts}");
        assert!(texts.contains("stays") && texts.contains("stays too"));
        let redacted = chat.entry(&answer).await;
        let EntryKind::Message(body) = &redacted.kind else {
            panic!("{redacted:?}");
        };
        assert_eq!(
            (body.redacted_at, body.reply_to),
            (Some(deleted.created_at), Some(other.id))
        );
        let expected = Entry {
            kind: redacted.kind.clone(),
            ..answer.clone()
        };
        assert_eq!(redacted, expected);
        for edit in edits {
            let entry = chat.entry(&edit).await;
            let EntryKind::Edit(body) = entry.kind else {
                panic!("{entry:?}");
            };
            assert_eq!((body.content.as_str(), body.mentions.len()), ("", 0));
            assert_eq!(body.redacted_at, Some(deleted.created_at));
        }
        assert_eq!(chat.states(here, &[&answer, &first]).await, []);
        assert_eq!(chat.states(here, &[&other]).await.len(), 1);
        assert_eq!(chat.entry(&other).await, other);
    }
}

const CHANGES: usize = 80;
const PLANS: u32 = 6;

/// Each message's entry and state as [`CurrentMessage`] makes them of the entries, however they were cut into
/// projections.
pub async fn random_changes_leave_what_the_log_says<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    const EMOJI: [&str; 3] = ["👍", "🎉", "❤️"];
    let mut runner = TestRunner::deterministic();
    let plans = proptest::collection::vec((0_u8..9, 0..6_usize, 0..3_usize, 0..4_u8), CHANGES);
    for _ in 0..PLANS {
        let plan = plans.new_tree(&mut runner).unwrap().current();
        let chat = Chat::new(&make).await;
        let users: [UserId; 3] = chat.users();
        let here = chat.group(&users).await;
        let mut current = BTreeMap::new();
        let mut said = Vec::new();
        for index in 0..6 {
            let entry = chat.say(here, users[index % 3], "hi").await;
            let state = MessageState::default();
            current.insert(
                entry.seq,
                CurrentMessage {
                    entry: entry.clone(),
                    state,
                },
            );
            said.push(entry);
        }
        for (index, (change, message, who, cut)) in plan.iter().enumerate() {
            let message = &said[*message];
            let is_gone = current[&message.seq].deleted_at().is_some();
            let entry = match change {
                0..3 if !is_gone => chat.edit(message, &format!("text {index}")).await,
                3 => chat.delete(message).await,
                4..7 => {
                    chat.react(users[*who], message, EMOJI[index % 3], Change::Added)
                        .await
                }
                _ => {
                    chat.react(users[*who], message, EMOJI[index % 3], Change::Removed)
                        .await
                }
            };
            for message in current.values_mut() {
                message.apply(&entry);
            }
            if *cut == 0 {
                chat.project(here).await;
            }
        }
        chat.project(here).await;
        let messages: Vec<&Entry> = said.iter().collect();
        let states: BTreeMap<Seq, MessageState> = chat.states(here, &messages).await.into_iter().collect();
        for (seq, message) in current {
            assert_eq!(chat.entry(&message.entry).await, message.entry, "{plan:?}");
            let state = states.get(&seq).cloned().unwrap_or_default();
            assert_eq!(state, message.state, "{plan:?}");
        }
    }
}

/// SPEC.md section 1, Unread: up to a bound, each once.
pub async fn deleted_messages_are_counted_above_a_number<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let ann = chat.user();
    let (here, there) = (chat.group(&[ann]).await, chat.group(&[ann]).await);
    for conversation in [here, there] {
        let mut said = Vec::new();
        for _ in 0..8 {
            said.push(chat.say(conversation, ann, "hi").await);
        }
        for index in [1, 3, 3, 4, 7] {
            chat.delete(&said[index]).await;
        }
        chat.project(conversation).await;
    }
    for (after, most, expected) in [
        (0, 100, 4),
        (1, 100, 4),
        (2, 100, 3),
        (4, 100, 2),
        (7, 100, 1),
        (8, 100, 0),
        (u32::MAX, 100, 0),
        (0, 3, 3),
        (0, 0, 0),
    ] {
        let count = chat
            .stores
            .messages
            .deleted_above(here, Seq(after), most)
            .await
            .unwrap();
        assert_eq!(count, expected, "above {after}");
    }
    let nowhere = ConversationId::new(&chat.ids);
    assert_eq!(
        chat.stores
            .messages
            .deleted_above(nowhere, Seq::ZERO, 9)
            .await
            .unwrap(),
        0
    );
}

/// S-056: as many as one may be in, each above its own number.
pub async fn deleted_messages_of_many_conversations_are_counted_at_once<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let ann = chat.user();
    let mut groups = Vec::new();
    for deleted in 0..4 {
        let here = chat.group(&[ann]).await;
        for index in 0..5 {
            let said = chat.say(here, ann, "hi").await;
            if index < deleted {
                chat.delete(&said).await;
            }
        }
        chat.project(here).await;
        groups.push(here);
    }
    let store = &chat.stores.messages;
    // Messages and their deletions take turns in the numbers.
    let mut asked = vec![
        (groups[0], Seq::ZERO),
        (groups[1], Seq::ZERO),
        (groups[2], Seq(1)),
        (groups[3], Seq(3)),
    ];
    asked.extend((0..1_200).map(|_| (ConversationId::new(&chat.ids), Seq::ZERO)));
    let mut found = store.deleted_across(&asked).await.unwrap();
    found.sort_unstable();
    assert_eq!(found, [(groups[1], 1), (groups[2], 1), (groups[3], 1)]);
    let all: Vec<_> = groups.iter().map(|group| (*group, Seq::ZERO)).collect();
    let mut found = store.deleted_across(&all).await.unwrap();
    found.sort_unstable();
    assert_eq!(found, [(groups[1], 1), (groups[2], 2), (groups[3], 3)]);
    assert_eq!(store.deleted_across(&[]).await.unwrap(), []);
}

/// S-129.
pub async fn answers_are_listed_in_order<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let ann = chat.user();
    let here = chat.group(&[ann]).await;
    let (one, two) = (chat.say(here, ann, "one").await, chat.say(here, ann, "two").await);
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(chat.reply(ann, &one, "to one").await.seq);
        chat.reply(ann, &two, "to two").await;
        chat.project(here).await;
    }
    let replies = async |to: EntryId, after, limit| {
        let replies = chat.stores.messages.replies(here, to, after, limit).await;
        replies.unwrap()
    };
    assert_eq!(replies(one.id, Seq::ZERO, 100).await, answers);
    assert_eq!(replies(one.id, Seq::ZERO, 2).await, answers[..2]);
    assert_eq!(replies(one.id, answers[1], 2).await, answers[2..4]);
    assert_eq!(replies(one.id, answers[4], 2).await, []);
    assert_eq!(replies(EntryId::new(&chat.ids), Seq::ZERO, 9).await, []);
}

fn hidden(message: &Entry, secs: u64) -> HiddenMessage {
    HiddenMessage {
        conversation: message.conversation,
        seq: message.seq,
        message: message.id,
        at: in_secs(secs),
    }
}

/// S-131, `scope=me`. The first time counts.
pub async fn a_message_is_hidden_once_and_for_one_user<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.messages;
    let [ann, bob] = chat.users();
    let (here, there) = (chat.group(&[ann, bob]).await, chat.group(&[ann, bob]).await);
    let mut said = Vec::new();
    for conversation in [here, here, here, there] {
        said.push(chat.say(conversation, ann, "hi").await);
    }
    for secs in [5, 9] {
        assert!(store.hide(ann, hidden(&said[1], secs), 9).await.unwrap());
    }
    let seqs: Vec<Seq> = said.iter().take(3).map(|entry| entry.seq).collect();
    for (user, conversation, expected) in [
        (ann, here, vec![said[1].seq]),
        (bob, here, vec![]),
        (ann, there, vec![]),
    ] {
        let among = store.hidden_among(user, conversation, &seqs).await.unwrap();
        assert_eq!(among, expected);
    }
    assert_eq!(store.hidden_among(ann, here, &[said[0].seq]).await.unwrap(), []);
    let since = HiddenPlace::after(in_secs(0));
    let since = store.hidden_since(ann, since, 9).await.unwrap();
    assert_eq!(since, [hidden(&said[1], 5)]);
}

/// S-062: of one message each.
pub async fn what_is_hidden_of_several_conversations_is_told_at_once<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.messages;
    let [ann, bob] = chat.users();
    let (mut asked, mut expected) = (vec![(ConversationId::new(&chat.ids), Seq(1))], Vec::new());
    for index in 0..6 {
        let here = chat.group(&[ann, bob]).await;
        let (first, last) = (chat.say(here, ann, "one").await, chat.say(here, ann, "two").await);
        store
            .hide(if index % 2 == 0 { ann } else { bob }, hidden(&last, 1), 9)
            .await
            .unwrap();
        store.hide(ann, hidden(&first, 1), 9).await.unwrap();
        asked.push((here, last.seq));
        expected.extend((index % 2 == 0).then_some(here));
    }
    let mut found = store.hidden_across(ann, &asked).await.unwrap();
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(store.hidden_across(ann, &[]).await.unwrap(), []);
}

/// Of one user in one conversation.
pub async fn so_many_messages_are_hidden_and_no_more<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.messages;
    let [ann, bob] = chat.users();
    let (here, there) = (chat.group(&[ann, bob]).await, chat.group(&[ann, bob]).await);
    let mut said = Vec::new();
    for conversation in [here, here, here, there] {
        said.push(chat.say(conversation, ann, "hi").await);
    }
    for (user, message, expected) in [
        (ann, 0, true),
        (ann, 1, true),
        (ann, 2, false),
        (ann, 1, true),
        (ann, 3, true),
        (bob, 2, true),
    ] {
        let hid = store.hide(user, hidden(&said[message], 1), 2).await.unwrap();
        assert_eq!(hid, expected);
    }
    assert_eq!(store.hidden_among(ann, here, &[said[2].seq]).await.unwrap(), []);
}

/// S-109: what a client missed that was away.
pub async fn what_was_hidden_since_is_told_in_order<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.messages;
    let [ann, bob] = chat.users();
    let (here, there) = (chat.group(&[ann, bob]).await, chat.group(&[ann, bob]).await);
    let mut expected = Vec::new();
    for (conversation, secs) in [(there, 4), (here, 2), (here, 7), (there, 3), (here, 1)] {
        let said = chat.say(conversation, bob, "hi").await;
        store.hide(ann, hidden(&said, secs), 9).await.unwrap();
        expected.push(hidden(&said, secs));
    }
    let said = chat.say(here, bob, "hi").await;
    store.hide(bob, hidden(&said, 5), 9).await.unwrap();
    expected.sort_by_key(|one| one.at);
    for (since, limit) in [(0, 9), (2, 9), (2, 1), (7, 9)] {
        let later = expected.iter().filter(|one| one.at > in_secs(since));
        let later: Vec<HiddenMessage> = later.take(limit).copied().collect();
        let place = HiddenPlace::after(in_secs(since));
        let found = store.hidden_since(ann, place, limit).await.unwrap();
        assert_eq!(found, later, "since {since}");
    }
}

/// S-109: also those of one moment, each once.
pub async fn what_was_hidden_comes_in_pages<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let store = &chat.stores.messages;
    let [ann, bob] = chat.users();
    let (here, there) = (chat.group(&[ann, bob]).await, chat.group(&[ann, bob]).await);
    let mut expected = Vec::new();
    for number in 0..12 {
        let place = if number % 3 == 0 { here } else { there };
        let said = chat.say(place, bob, "hi").await;
        let one = hidden(&said, 1 + number / 8);
        store.hide(ann, one, 99).await.unwrap();
        expected.push(one);
    }
    expected.sort_by_key(HiddenPlace::of);
    for limit in [1, 2, 5, 12] {
        let (mut found, mut place) = (Vec::new(), HiddenPlace::after(in_secs(0)));
        loop {
            let page = store.hidden_since(ann, place, limit).await.unwrap();
            let Some(last) = page.last() else { break };
            assert!(page.len() <= limit);
            place = HiddenPlace::of(last);
            found.extend(page);
        }
        assert_eq!(found, expected, "{limit} at a time");
    }
}

fn query(within: &[ConversationId], terms: &[&str]) -> SearchQuery {
    SearchQuery {
        within: within.iter().map(|here| (*here, Seq::ZERO)).collect(),
        terms: terms.iter().map(|term| (*term).to_owned()).collect(),
        from: None,
        has_link: false,
        before: None,
        limit: 100,
    }
}

impl<P: Port<Target = Stores>> Chat<P> {
    async fn found(&self, query: SearchQuery) -> Vec<EntryId> {
        ids_of(&self.stores.messages.search(query).await.unwrap())
    }

    /// Waits until the query finds these, as the port promises within two seconds; nothing tells of it.
    async fn finds(&self, query: SearchQuery, expected: &[EntryId]) {
        let mut found = Vec::new();
        // A busy machine may need longer, and a store that never finds them is what this is to show.
        for _ in 0..400 {
            found = self.found(query.clone()).await;
            if found == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        assert_eq!(found, expected, "{query:?}");
    }
}

/// S-133: all words, the last one from its beginning, whatever the case; by author, and with links.
pub async fn messages_are_found_by_their_words<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let [ann, bob] = chat.users();
    let here = chat.group(&[ann, bob]).await;
    let fox = chat.say(here, ann, "The quick brown FOX, twice: fox").await.id;
    let cafe = chat.say(here, bob, "Ein Café in der Straße").await.id;
    let link = chat.say(here, bob, "see https://example.org/fox").await.id;
    let cat = chat.say(here, ann, "我的猫 is 東京タワー").await.id;
    let last = chat.say(here, ann, "the end").await.id;
    chat.finds(query(&[here], &["end"]), &[last]).await;
    for (terms, expected) in [
        (&["fox"][..], vec![link, fox]),
        (&["quick", "fox"], vec![fox]),
        (&["fox", "qui"], vec![fox]),
        (&["qui", "fox"], vec![]),
        (&["cafe", "strasse"], vec![cafe]),
        (&["cafés"], vec![]),
        (&["caf"], vec![cafe]),
        (&["org"], vec![link]),
        (&["猫"], vec![cat]),
        (&["東京"], vec![cat]),
        (&["タワー", "is"], vec![cat]),
        (&["猫的"], vec![]),
        (&["the"], vec![last, fox]),
        (&["nothing"], vec![]),
    ] {
        assert_eq!(chat.found(query(&[here], terms)).await, expected, "{terms:?}");
    }
    for (from, has_link, expected) in [
        (Some(ann), false, vec![fox]),
        (Some(bob), false, vec![link]),
        (None, true, vec![link]),
        (Some(ann), true, vec![]),
        (Some(UserId::SERVER), false, vec![]),
    ] {
        let query = SearchQuery {
            from,
            has_link,
            ..query(&[here], &["fox"])
        };
        assert_eq!(chat.found(query).await, expected);
    }
}

/// THREATS.md: no operator, quote or column name means anything.
pub async fn what_is_looked_for_is_no_query_language<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let ann = chat.user();
    let here = chat.group(&[ann]).await;
    let said = chat.say(here, ann, "salt AND pepper OR near").await.id;
    chat.say(here, ann, "salt pepper").await;
    chat.finds(query(&[here], &["and"]), &[said]).await;
    for (terms, expected) in [
        (&["salt", "and", "pepper"][..], vec![said]),
        (&["OR"], vec![said]),
        (&["salt\" OR \"x"], vec![]),
        (&["NEAR(salt pepper)"], vec![said]),
        (&["words:salt", "pepper"], vec![]),
        (&["*"], vec![]),
        (&["\""], vec![]),
        (&["%"], vec![]),
        (&[""], vec![]),
        (&["\u{0}"], vec![]),
        (&["$where"], vec![]),
        (&["-salt and"], vec![said]),
    ] {
        assert_eq!(chat.found(query(&[here], terms)).await, expected, "{terms:?}");
    }
}

/// S-133: in the conversations that are named, above the number that is named with each.
pub async fn only_what_the_searcher_sees_is_found<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let ann = chat.user();
    let mut conversations = Vec::new();
    let mut said = Vec::new();
    for _ in 0..3 {
        let here = chat.group(&[ann]).await;
        conversations.push(here);
        for _ in 0..3 {
            said.push(chat.say(here, ann, "tea for two").await.id);
        }
    }
    let empty = chat.group(&[ann]).await;
    let newest_first =
        |indexes: &[usize]| -> Vec<EntryId> { indexes.iter().rev().map(|index| said[*index]).collect() };
    let all: Vec<usize> = (0..9).collect();
    chat.finds(query(&conversations, &["tea"]), &newest_first(&all))
        .await;
    for (within, expected) in [
        (vec![(0, 0), (2, 0)], vec![0, 1, 2, 6, 7, 8]),
        (vec![(1, 0)], vec![3, 4, 5]),
        (vec![(1, 1), (0, 2)], vec![2, 4, 5]),
        (vec![(1, 3)], vec![]),
        (vec![(1, u32::MAX)], vec![]),
        (vec![], vec![]),
    ] {
        let mut query = query(&[empty, ConversationId::new(&chat.ids)], &["two", "tea"]);
        let places = within
            .iter()
            .map(|(index, above)| (conversations[*index], Seq(*above)));
        query.within.extend(places);
        assert_eq!(chat.found(query).await, newest_first(&expected), "{within:?}");
    }
}

/// Each once over all pages.
pub async fn found_messages_are_paged_newest_first<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let ann = chat.user();
    let conversations = [
        chat.group(&[ann]).await,
        chat.group(&[ann]).await,
        chat.group(&[ann]).await,
    ];
    let mut expected = Vec::new();
    for index in 0..40 {
        let here = conversations[index * 7 % 3];
        expected.push(chat.say(here, ann, &format!("tea number {index}")).await.id);
        chat.say(here, ann, "coffee").await;
    }
    expected.reverse();
    chat.finds(query(&conversations, &["tea"]), &expected).await;
    for limit in [1, 7, 20] {
        let mut found: Vec<EntryId> = Vec::new();
        loop {
            let page = SearchQuery {
                before: found.last().copied(),
                limit,
                ..query(&conversations, &["tea"])
            };
            let page = chat.found(page).await;
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        assert_eq!(found, expected, "{limit} a page");
    }
}

/// S-130, S-131, whether it was found before or not.
pub async fn the_newest_text_is_found_and_a_deleted_one_never<P>(make: impl AsyncFn() -> P)
where
    P: Port<Target = Stores>,
{
    let chat = Chat::new(make).await;
    let ann = chat.user();
    let here = chat.group(&[ann]).await;
    for was_found in [false, true] {
        let word = format!("apple{was_found}");
        let edited = chat.say(here, ann, &format!("{word} pie")).await;
        let deleted = chat.say(here, ann, &format!("{word} cake")).await;
        if was_found {
            chat.finds(query(&[here], &[&word]), &[deleted.id, edited.id])
                .await;
        }
        chat.edit(&deleted, &format!("{word} crumble")).await;
        chat.edit(&edited, &format!("{word} tart https://example.org"))
            .await;
        chat.project(here).await;
        chat.delete(&deleted).await;
        chat.project(here).await;
        let linked = SearchQuery {
            has_link: true,
            ..query(&[here], &[&word])
        };
        chat.finds(linked, &[edited.id]).await;
        assert_eq!(chat.found(query(&[here], &[&word])).await, [edited.id]);
        for gone in ["pie", "cake", "crumble"] {
            assert_eq!(chat.found(query(&[here], &[&word, gone])).await, [], "{gone}");
        }
        // Found as it was written; what became of it is asked for besides.
        let found = chat
            .stores
            .messages
            .search(query(&[here], &[&word]))
            .await
            .unwrap();
        assert_eq!(found, [edited]);
    }
}
