//! Who may do what in a conversation: one table per sort (SPEC.md section 1, Roles; S-066 to S-071).
//!
//! | | direct | group | room |
//! | - | - | - | - |
//! | settings | nobody | owner, admins | moderators |
//! | add, invite | nobody | owner, admins | nobody: rooms are joined |
//! | remove or ban a member | nobody | owner, admins | moderators (ban) |
//! | remove or ban an admin or moderator | nobody | owner | server admins (ban) |
//! | remove or ban the owner | nobody | nobody | |
//! | make a member an admin | nobody | owner, admins | nobody |
//! | make an admin a member, hand over | nobody | owner | nobody |
//! | take out others' messages | nobody | owner, admins | moderators |
//! | close | nobody | owner | server admins |
//!
//! Server admins may in rooms whatever somebody may there. Reading, writing and leaving are every member's.

use super::conversation::{Kind, Role};

/// Something that not every member may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Change title, description, visibility, history, a room's name.
    Configure,
    /// Make somebody a member.
    Add,
    /// Make a token that lets others join, or take all of them back.
    Invite,
    /// End a plain membership, or keep somebody from becoming a member.
    RemoveMember,
    /// The same for an admin or moderator.
    RemoveAdmin,
    /// The same for the owner.
    RemoveOwner,
    /// Lift a ban.
    Unban,
    /// Make a member an admin.
    Promote,
    /// Make an admin a member.
    Demote,
    /// Make somebody the owner.
    HandOver,
    /// Take out messages of others (S-131).
    DeleteMessages,
    /// Close the conversation for good.
    Close,
}

impl Right {
    /// What it takes to remove or ban somebody who is this now.
    pub fn to_remove(target: Role) -> Right {
        match target {
            Role::Owner => Right::RemoveOwner,
            Role::Admin | Role::Moderator => Right::RemoveAdmin,
            Role::Member => Right::RemoveMember,
        }
    }
}

/// As what somebody acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acts {
    /// As a member.
    As(Role),
    /// As an administrator of the server, in a room.
    AsServerAdmin,
}

/// Whether whoever acts so may do it.
pub fn may(kind: &Kind, acts: Acts, right: Right) -> bool {
    let (roles, server_admins) = match kind {
        Kind::Direct => (&[][..], false),
        Kind::Group => (in_group(right), false),
        Kind::Room(_) => in_room(right),
    };
    match acts {
        Acts::As(role) => roles.contains(&role),
        Acts::AsServerAdmin => server_admins,
    }
}

fn in_group(right: Right) -> &'static [Role] {
    match right {
        Right::Configure
        | Right::Add
        | Right::Invite
        | Right::RemoveMember
        | Right::Unban
        | Right::Promote
        | Right::DeleteMessages => &[Role::Owner, Role::Admin],
        Right::RemoveAdmin | Right::Demote | Right::HandOver | Right::Close => &[Role::Owner],
        Right::RemoveOwner => &[],
    }
}

/// Members who may, and whether server admins may.
fn in_room(right: Right) -> (&'static [Role], bool) {
    match right {
        Right::Configure | Right::RemoveMember | Right::Unban | Right::DeleteMessages => {
            (&[Role::Moderator], true)
        }
        Right::RemoveAdmin | Right::Close => (&[], true),
        Right::Add
        | Right::Invite
        | Right::RemoveOwner
        | Right::Promote
        | Right::Demote
        | Right::HandOver => (&[], false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHTS: [Right; 12] = [
        Right::Configure,
        Right::Add,
        Right::Invite,
        Right::RemoveMember,
        Right::Unban,
        Right::Promote,
        Right::DeleteMessages,
        Right::RemoveAdmin,
        Right::Demote,
        Right::HandOver,
        Right::Close,
        Right::RemoveOwner,
    ];

    #[test]
    fn s_066_to_s_071_rights_are_as_the_roles_say() {
        let room = Kind::Room(super::super::conversation::RoomName::parse("tea").unwrap());
        // One column a right, in the order of `RIGHTS`.
        for (kind, acts, expected) in [
            (&Kind::Direct, Acts::As(Role::Member), "------------"),
            (&Kind::Direct, Acts::AsServerAdmin, "------------"),
            (&Kind::Group, Acts::As(Role::Member), "------------"),
            (&Kind::Group, Acts::As(Role::Admin), "xxxxxxx-----"),
            (&Kind::Group, Acts::As(Role::Owner), "xxxxxxxxxxx-"),
            (&Kind::Group, Acts::AsServerAdmin, "------------"),
            (&room, Acts::As(Role::Member), "------------"),
            (&room, Acts::As(Role::Moderator), "x--xx-x-----"),
            (&room, Acts::AsServerAdmin, "x--xx-xx--x-"),
        ] {
            let found: String = RIGHTS
                .iter()
                .map(|right| if may(kind, acts, *right) { 'x' } else { '-' })
                .collect();
            assert_eq!(found, expected, "{kind:?} {acts:?}");
        }
    }
}
