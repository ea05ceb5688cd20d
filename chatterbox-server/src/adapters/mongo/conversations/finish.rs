//! Carrying out what has been begun: what it means for the rows. `begin` says why it may be done twice.

use std::collections::BTreeMap;

use chatterbox_core::domain::conversation::Role;
use chatterbox_core::domain::entry::Seq;
use chatterbox_core::domain::standing::MemberChange;
use chatterbox_core::ids::{ConversationId, UserId};
use chatterbox_core::ports::storage::{MemberStep, StoreError};
use futures_util::future::BoxFuture;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::MongoConversations;
use super::intent::{Founder, Joiner, Steps, Work};
use super::rows::{ConversationRow, FRONT, MemberRow, Sort, bson, pointer, settings_update};
use crate::adapters::mongo::command::{update, upsert};
use crate::adapters::mongo::error::unless_duplicate;
use crate::adapters::mongo::ids::{self, Id as _, long, number, pair_key, pairs_behind, seq};
use crate::adapters::mongo::{messages, replies};

/// A conversation and the number of what is being done with it.
#[derive(Clone, Copy)]
pub(in super::super) struct Place {
    pub(in super::super) conversation: ConversationId,
    pub(super) sort: Sort,
    pub(in super::super) rev: i64,
}

/// How a member's row is when some steps have been taken.
struct After {
    was: bool,
    is_in: bool,
    role: Role,
    /// Where a new membership began.
    joined: Option<(Seq, u32)>,
    left: Option<Seq>,
}

impl MongoConversations {
    /// Carries out what `row` says has been begun; the members' rows that it was about. Boxed: it is large, and everything
    /// that begins something holds it.
    pub(super) fn finish<'a>(
        &'a self,
        row: &'a ConversationRow,
    ) -> BoxFuture<'a, Result<Vec<MemberRow>, StoreError>> {
        Box::pin(self.carry_out(row))
    }

    async fn carry_out(&self, row: &ConversationRow) -> Result<Vec<MemberRow>, StoreError> {
        let Some(work) = &row.intent else {
            return Ok(Vec::new());
        };
        let place = Place {
            conversation: row.conversation_id(),
            sort: row.kind,
            rev: row.rev,
        };
        match work {
            Work::Create { founders } => {
                let founders: Vec<Document> = founders.iter().map(|one| founder(place, one)).collect();
                self.write("members", founders).await?;
                self.end(place, doc! {}, doc! {}, 0).await?;
                Ok(Vec::new())
            }
            // Large, and rare beside the other three.
            Work::Project(steps) => Box::pin(self.follow(row, place, steps)).await,
            Work::Join { joiners } => self.let_in(place, joiners).await,
            Work::Leave { user } => {
                let user = UserId::from_oid(*user);
                self.write("members", vec![leaver(place, user)]).await?;
                self.count(place, &[user], doc! {}, doc! {}).await
            }
        }
    }

    /// Those who are not banned come in. Round trips: 1 for bans, 1 to write, 2 to count and end, however many they are.
    async fn let_in(&self, place: Place, joiners: &[Joiner]) -> Result<Vec<MemberRow>, StoreError> {
        let users: Vec<UserId> = joiners.iter().map(|one| UserId::from_oid(one.user)).collect();
        let banned = self.banned_among(place.conversation, &users).await?;
        let mut statements = Vec::with_capacity(users.len());
        for (user, one) in users.iter().zip(joiners) {
            if !banned.contains(&one.user) {
                statements.push(joiner(place, *user, (seq(one.seq)?, number(one.ordinal)?)));
            }
        }
        self.write("members", statements).await?;
        self.count(place, &users, doc! {}, doc! {}).await
    }

    /// Takes in what entries of the log have changed. Round trips: 1 each for reading and for writing rows of members, if
    /// there are changes of members, 2 for those of messages, at the same time; then 1 for pointers and answers, 2 to
    /// count, 1 to end.
    async fn follow(
        &self,
        row: &ConversationRow,
        place: Place,
        steps: &Steps,
    ) -> Result<Vec<MemberRow>, StoreError> {
        let members = steps.members()?;
        let by_user = by_user(&members);
        tokio::try_join!(
            self.follow_members(place, &by_user),
            self.follow_bans(place, &members),
            messages::follow(&self.shared, place, &steps.messages),
        )?;
        tokio::try_join!(
            self.write("members", pointers(place.conversation, &steps.pointers)?),
            self.write(
                "replies",
                replies::statements(place.conversation, &steps.replies)?
            ),
        )?;
        let (mut set, mut unset) = (Document::new(), Document::new());
        if let Some(settings) = steps.settings(row.conversation()?) {
            (set, unset) = settings_update(&settings)?;
        }
        set.insert("projected", steps.to);
        let users: Vec<UserId> = by_user.into_keys().collect();
        self.count(place, &users, set, unset).await
    }

    async fn follow_members(
        &self,
        place: Place,
        by_user: &BTreeMap<UserId, Vec<MemberStep>>,
    ) -> Result<(), StoreError> {
        let users: Vec<UserId> = by_user.keys().copied().collect();
        let rows = self.member_rows(place.conversation, &users).await?;
        let mut statements = Vec::new();
        for (user, steps) in by_user {
            let old = rows.iter().find(|row| row.user == user.oid());
            // It has seen this already.
            if old.is_some_and(|row| row.rev >= place.rev) {
                continue;
            }
            if let Some(after) = after(place.sort, old, steps) {
                statements.extend(written(place, *user, old, &after));
            }
        }
        self.write("members", statements).await
    }

    async fn follow_bans(&self, place: Place, steps: &[MemberStep]) -> Result<(), StoreError> {
        let mut bans = BTreeMap::new();
        for step in steps {
            match step.change {
                MemberChange::Banned(user) => bans.insert(user, true),
                MemberChange::Unbanned(user) => bans.insert(user, false),
                MemberChange::Joined(..) | MemberChange::Left(_) | MemberChange::Role(..) => None,
            };
        }
        let statements = bans.into_iter().map(|(user, banned)| {
            upsert(
                unseen(place, user),
                doc! { "$set": { "user": user.oid(), "banned": banned, "rev": place.rev } },
            )
        });
        self.write("bans", statements.collect()).await
    }

    /// Ends what was begun, and moves the counter by what became of these users.
    async fn count(
        &self,
        place: Place,
        users: &[UserId],
        mut set: Document,
        unset: Document,
    ) -> Result<Vec<MemberRow>, StoreError> {
        let mut rows = Vec::new();
        let mut more = 0;
        if !users.is_empty() {
            let front;
            (rows, front) = tokio::try_join!(
                self.member_rows(place.conversation, users),
                self.front(place.conversation),
            )?;
            set.insert("front", front);
            for row in rows.iter().filter(|row| row.rev == place.rev) {
                more += i64::from(row.is_in) - i64::from(row.was);
            }
        }
        self.end(place, set, unset, more).await?;
        Ok(rows)
    }

    async fn front(&self, conversation: ConversationId) -> Result<Vec<ObjectId>, StoreError> {
        let find = self
            .members
            .find(doc! { "_id": pairs_behind(conversation, None), "in": true })
            .sort(doc! { "_id": 1 })
            .limit(ids::limit(FRONT));
        let rows = self.shared.gate.all(find).await?;
        Ok(rows.into_iter().map(|row| row.user).collect())
    }

    /// What was begun is over: for the first one that says so.
    async fn end(
        &self,
        place: Place,
        set: Document,
        mut unset: Document,
        more: i64,
    ) -> Result<(), StoreError> {
        let begun = doc! { "_id": place.conversation.oid(), "rev": place.rev, "intent": { "$exists": true } };
        unset.insert("intent", "");
        let mut change = doc! { "$unset": unset, "$inc": { "memberCount": more } };
        let name = set.get_str("name").map(str::to_owned).ok();
        if !set.is_empty() {
            change.insert("$set", set);
        }
        if let Some(name) = name {
            // A room's name leads to it for ever; it was claimed before its entry was written.
            let mut claims = change.clone();
            claims.insert("$addToSet", doc! { "names": name });
            let ended = self.conversations.update_one(begun.clone(), claims);
            if unless_duplicate(self.shared.gate.call(ended.into_future()).await)? {
                return Ok(());
            }
        }
        let ended = self.conversations.update_one(begun, change);
        self.shared.gate.call(ended.into_future()).await?;
        Ok(())
    }
}

fn by_user(steps: &[MemberStep]) -> BTreeMap<UserId, Vec<MemberStep>> {
    let mut by_user: BTreeMap<UserId, Vec<MemberStep>> = BTreeMap::new();
    for step in steps {
        match step.change {
            MemberChange::Joined(user, _) | MemberChange::Left(user) | MemberChange::Role(user, _) => {
                by_user.entry(user).or_default().push(*step);
            }
            MemberChange::Banned(_) | MemberChange::Unbanned(_) => {}
        }
    }
    by_user
}

/// A row that has not seen what is being done.
fn unseen(place: Place, user: UserId) -> Document {
    doc! { "_id": pair_key(place.conversation, user), "rev": { "$lt": place.rev } }
}

fn founder(place: Place, founder: &Founder) -> Document {
    let mut set = doc! {
        "conversation": place.conversation.oid(), "user": founder.user, "kind": place.sort.name(),
        "role": role_name(founder.role), "in": true, "was": false, "seat": true, "rev": place.rev,
    };
    if let Some(peer) = founder.peer {
        set.insert("peer", peer);
    }
    // Who makes a room has taken a place in it.
    set.extend(fresh((Seq::ZERO, 0)));
    upsert(
        unseen(place, UserId::from_oid(founder.user)),
        doc! { "$set": set, "$unset": { "gone": "" } },
    )
}

/// What a user sets and moves by themselves, at the beginning.
fn fresh(read: (Seq, u32)) -> Document {
    let mut fields = pointer(read);
    fields.insert("notify", "all");
    fields
}

/// Who has a place in a room comes in, with nothing of an earlier membership.
fn joiner(place: Place, user: UserId, read: (Seq, u32)) -> Document {
    let mut waiting = unseen(place, user);
    waiting.extend(doc! { "gone": { "$exists": true }, "slot": { "$exists": true } });
    let mut set = fresh(read);
    set.extend(doc! {
        "role": role_name(Role::Member), "in": true, "was": false, "joinedSeq": 0_i64, "rev": place.rev,
    });
    let unset = doc! { "gone": "", "seat": "", "leftSeq": "", "hiddenAt": "", "muteUntil": "" };
    update(waiting, doc! { "$set": set, "$unset": unset })
}

fn leaver(place: Place, user: UserId) -> Document {
    let mut there = unseen(place, user);
    there.insert("in", true);
    update(
        there,
        doc! {
            "$set": { "in": false, "was": true, "rev": place.rev },
            "$unset": { "slot": "", "seat": "" },
            "$currentDate": { "gone": true },
        },
    )
}

/// How a row is after some steps; `None` if there is none, and none comes to be.
fn after(sort: Sort, old: Option<&MemberRow>, steps: &[MemberStep]) -> Option<After> {
    // What is left of those who left a room is no row.
    let there = old.filter(|row| row.gone.is_none());
    let mut after = there.map(|row| After {
        was: row.is_in,
        is_in: row.is_in,
        role: row.role,
        joined: None,
        left: None,
    });
    for step in steps {
        match (step.change, &mut after) {
            (MemberChange::Joined(_, role), Some(row)) if row.is_in => row.role = role,
            (MemberChange::Joined(_, role), row) => {
                *row = Some(After {
                    was: row.as_ref().is_some_and(|row| row.was),
                    is_in: true,
                    role,
                    joined: Some((step.seq, step.ordinal)),
                    left: None,
                });
            }
            (MemberChange::Left(_), Some(row)) if row.is_in => {
                (row.is_in, row.left) = (false, Some(step.seq));
                if sort == Sort::Room {
                    row.joined = None;
                }
            }
            (MemberChange::Role(_, role), Some(row)) => row.role = role,
            (
                MemberChange::Left(_)
                | MemberChange::Role(..)
                | MemberChange::Banned(_)
                | MemberChange::Unbanned(_),
                _,
            ) => {}
        }
    }
    after
}

fn written(place: Place, user: UserId, old: Option<&MemberRow>, after: &After) -> Vec<Document> {
    let is_room = place.sort == Sort::Room;
    let mut set = doc! {
        "conversation": place.conversation.oid(), "user": user.oid(), "kind": place.sort.name(),
        "role": role_name(after.role), "in": after.is_in, "was": after.was, "rev": place.rev,
    };
    let (mut unset, mut change) = (Document::new(), Document::new());
    let mut on_insert = fresh(after.joined.unwrap_or((Seq::ZERO, 0)));
    if let Some((seq, _)) = after.joined {
        set.insert("joinedSeq", long(seq.0));
        unset.extend(doc! { "hiddenAt": "", "gone": "" });
        if is_room {
            set.extend(std::mem::take(&mut on_insert));
            unset.insert("muteUntil", "");
        }
    }
    match after.left {
        Some(_) if is_room => {
            change.insert("$currentDate", doc! { "gone": true });
            unset.remove("gone");
            unset.insert("slot", "");
        }
        Some(seq) => {
            set.insert("leftSeq", long(seq.0));
        }
        None if after.is_in => {
            unset.insert("leftSeq", "");
        }
        None => {}
    }
    if after.is_in && (!is_room || after.role == Role::Moderator) {
        set.insert("seat", true);
    } else {
        unset.insert("seat", "");
    }
    change.insert("$set", set);
    change.insert("$unset", unset);
    let query = unseen(place, user);
    let mut statements = Vec::new();
    if old.is_some() {
        statements.push(update(query, change));
    } else {
        if !on_insert.is_empty() {
            change.insert("$setOnInsert", on_insert);
        }
        statements.push(upsert(query, change));
    }
    if let Some(read) = after.joined.filter(|_| !is_room) {
        statements.push(advanced(place.conversation, user.oid(), read));
    }
    statements
}

/// Moves a read pointer on, never back (I6).
fn advanced(conversation: ConversationId, user: ObjectId, read: (Seq, u32)) -> Document {
    let behind = doc! {
        "_id": pair_key(conversation, UserId::from_oid(user)),
        "readSeq": { "$lt": long(read.0.0) },
        "gone": { "$exists": false },
    };
    update(behind, doc! { "$set": pointer(read) })
}

pub(super) fn pointers(
    conversation: ConversationId,
    pointers: &[(ObjectId, i64, i64)],
) -> Result<Vec<Document>, StoreError> {
    pointers
        .iter()
        .map(|(user, at, ordinal)| Ok(advanced(conversation, *user, (seq(*at)?, number(*ordinal)?))))
        .collect()
}

fn role_name(role: Role) -> Bson {
    bson(role).unwrap_or(Bson::Null)
}
