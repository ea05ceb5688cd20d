//! Edge cases 2 to 4: whatever happens at once, a group has one owner, and the log tells one story.

use futures_util::future::{join, join_all};
use serde_json::json;

use super::town::{Person, parsed, people};
use crate::domain::conversation::Role;
use crate::domain::entry::Seq;
use crate::domain::standing::Standing;
use crate::http::tests::world::World;

/// Builds the standing from the log alone and compares it with the rows; how many owners there are.
async fn owners(world: &World, id: &str, born: &Standing) -> usize {
    let id = parsed(id);
    let mut standing = born.clone();
    for entry in world.stores.log.read_after(id, Seq::ZERO, 1000).await.unwrap() {
        standing.apply(&entry);
    }
    let (stored, _) = world.stores.conversations.standing(id).await.unwrap().unwrap();
    assert_eq!(stored, standing, "rows and log tell the same");
    standing
        .members
        .values()
        .filter(|seat| seat.role == Role::Owner)
        .count()
}

async fn born(world: &World, id: &str) -> Standing {
    world
        .stores
        .conversations
        .standing(parsed(id))
        .await
        .unwrap()
        .unwrap()
        .0
}

#[tokio::test]
async fn edge_2_of_two_transfers_at_once_one_fails() {
    for order in 0..2 {
        let world = World::new();
        let [ann, bob, cid] = people(&world).await;
        let id = ann.makes("team", &[&bob, &cid]).await;
        let begin = born(&world, &id).await;
        let (first, second) = if order == 0 { (&bob, &cid) } else { (&cid, &bob) };
        let (one, other) = join(
            ann.makes_of(&id, first, "owner"),
            ann.makes_of(&id, second, "owner"),
        )
        .await;
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403]);
        assert_eq!(owners(&world, &id, &begin).await, 1);
    }
}

#[tokio::test]
async fn edge_2_a_transfer_to_somebody_who_leaves() {
    let world = World::new();
    let [ann, bob, cid] = people(&world).await;
    let id = ann.makes("team", &[&bob, &cid]).await;
    let begin = born(&world, &id).await;
    let (transfer, leave) = join(ann.makes_of(&id, &bob, "owner"), bob.leaves(&id)).await;
    assert_eq!(leave.status, 204);
    assert!(matches!(transfer.status, 200 | 404), "{transfer:?}");
    assert_eq!(owners(&world, &id, &begin).await, 1);
    assert!(!ann.roles(&id).await.contains("bob"));

    // The owner leaves while handing over.
    let (transfer, leave) = join(ann.makes_of(&id, &cid, "owner"), ann.leaves(&id)).await;
    assert_eq!(leave.status, 204);
    assert!(matches!(transfer.status, 200 | 404), "{transfer:?}");
    assert_eq!(cid.roles(&id).await, "cid:owner");
    assert_eq!(owners(&world, &id, &begin).await, 1);
}

#[tokio::test]
async fn edge_2_when_all_leave_at_once_the_last_one_closes_it() {
    let world = World::new();
    let everybody: [Person<'_>; 8] = people(&world).await;
    let others: Vec<&Person<'_>> = everybody[1..].iter().collect();
    let id = everybody[0].makes("team", &others).await;
    let begin = born(&world, &id).await;
    let left = join_all(everybody.iter().map(|person| person.leaves(&id))).await;
    assert!(left.iter().all(|answer| answer.status == 204));
    assert_eq!(owners(&world, &id, &begin).await, 0);
    let standing = born(&world, &id).await;
    assert!(standing.conversation.archived && standing.members.is_empty());
}

#[tokio::test]
async fn edge_3_remove_and_leave_at_once_end_one_membership() {
    let world = World::new();
    let [ann, bob, cid] = people(&world).await;
    let id = ann.makes("team", &[&bob, &cid]).await;
    let device = cid.device(&[&id]).await;
    let (removed, left) = join(ann.removes(&id, &bob), bob.leaves(&id)).await;
    assert_eq!((removed.status, left.status), (204, 204));
    assert_eq!(device.names(), ["participant-removed"]);
    assert_eq!(ann.roles(&id).await, "ann:owner cid:member");
}

#[tokio::test]
async fn d4_an_admin_who_is_demoted_can_do_nothing_more_and_who_is_removed_gets_no_role() {
    let world = World::new();
    let [ann, bob, cid] = people(&world).await;
    let id = ann.makes("team", &[&bob, &cid]).await;
    for _ in 0..5 {
        ann.makes_of(&id, &bob, "admin").await;
        let (demoted, removal) = join(ann.makes_of(&id, &bob, "member"), bob.removes(&id, &cid)).await;
        assert_eq!(demoted.status, 200);
        let removed = !ann.roles(&id).await.contains("cid");
        assert_eq!(removal.status == 204, removed, "{removal:?}");
        assert_eq!(bob.adds(&id, &cid).await.refusal(), (403, "FORBIDDEN"));
        ann.adds(&id, &cid).await;

        let (removed, promoted) = join(ann.removes(&id, &cid), ann.makes_of(&id, &cid, "admin")).await;
        assert_eq!(removed.status, 204);
        assert!(matches!(promoted.status, 200 | 404), "{promoted:?}");
        assert_eq!(ann.roles(&id).await, "ann:owner bob:member");
        ann.adds(&id, &cid).await;
        assert_eq!(
            ann.roles(&id).await,
            "ann:owner bob:member cid:member",
            "back as a member"
        );
    }
}

#[tokio::test]
async fn s_004_the_cap_holds_when_all_join_at_once() {
    let world = super::town::with_group_max(4);
    let [ann, bob, cid, dan, eve, fay, gus, hal] = people(&world).await;
    let id = ann.makes("team", &[]).await;
    ann.put(
        &format!("/api/conversations/{id}"),
        &json!({ "visibility": "public" }),
    )
    .await;
    let all = [&bob, &cid, &dan, &eve, &fay, &gus, &hal];
    let none = json!({});
    let joined = join_all(all.iter().map(|person| person.joins(&id, &none))).await;
    assert_eq!(joined.iter().filter(|answer| answer.status == 200).count(), 3);
    assert_eq!(ann.sees(&id).await.body["participantCount"], 4);
    for answer in joined.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.refusal(), (409, "GROUP_FULL"));
    }
}

/// Numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        // xorshift64*.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(high).unwrap() % end
    }
}

#[tokio::test]
async fn edge_2_to_4_whatever_everybody_does_at_once_the_log_the_rows_and_the_answers_agree() {
    for seed in 1..=4 {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let world = super::town::with_group_max(6);
        let everybody: [Person<'_>; 8] = people(&world).await;
        let id = everybody[0].makes("team", &[&everybody[1], &everybody[2]]).await;
        let begin = born(&world, &id).await;
        everybody[0]
            .put(
                &format!("/api/conversations/{id}"),
                &json!({ "visibility": "public" }),
            )
            .await;
        for _ in 0..25 {
            let steps: Vec<(usize, usize, usize)> = (0..6)
                .map(|_| (dice.below(8), dice.below(8), dice.below(9)))
                .collect();
            let answers = join_all(steps.iter().map(|(by, whom, what)| {
                let (by, whom, id) = (&everybody[*by], &everybody[*whom], &id);
                async move {
                    let ban = format!("/api/conversations/{id}/bans/{}", whom.id);
                    match what {
                        0 => by.adds(id, whom).await,
                        1 => by.removes(id, whom).await,
                        2 => by.makes_of(id, whom, "admin").await,
                        3 => by.makes_of(id, whom, "member").await,
                        4 => by.makes_of(id, whom, "owner").await,
                        5 => by.leaves(id).await,
                        6 => by.joins(id, &json!({})).await,
                        7 => by.put(&ban, &json!({})).await,
                        _ => by.delete(&ban).await,
                    }
                }
            }))
            .await;
            for (step, answer) in steps.iter().zip(&answers) {
                let known = matches!(answer.status, 200 | 204 | 400 | 403 | 404 | 409 | 410);
                assert!(known, "seed {seed}, {step:?}: {answer:?}");
            }
            let owners = owners(&world, &id, &begin).await;
            let standing = born(&world, &id).await;
            assert_eq!(
                owners,
                usize::from(!standing.members.is_empty()),
                "seed {seed}: {standing:?}"
            );
            assert_eq!(
                standing.conversation.archived,
                standing.members.is_empty(),
                "seed {seed}"
            );
            assert!(standing.members.len() <= 6, "seed {seed}: {standing:?}");
            assert!(
                standing.members.keys().all(|user| !standing.bans.contains(user)),
                "seed {seed}"
            );
        }
    }
}
