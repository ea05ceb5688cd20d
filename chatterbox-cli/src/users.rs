//! Accounts and their logins.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::{Command, Stdio};

use chatterbox_core::app::accounts::{
    CreateUser, ListSessions, ListUsers, RevokeSessions, SetAdmin, SuspendUser,
};
use chatterbox_core::domain::secret::Secret;
use chatterbox_core::domain::text::fold;
use chatterbox_core::ids::{SessionId, UserId};
use serde_json::Value;

use crate::arguments::{Session, User};
use crate::door::Door;
use crate::output::{Failure, Output, id};

pub(crate) async fn users(what: User, door: &mut Door, output: Output) -> Result<(), Failure> {
    match what {
        User::Create {
            username,
            email,
            display_name,
            admin,
        } => {
            let password = Secret::from(password()?);
            let create = CreateUser {
                username,
                email,
                password,
                display_name,
                admin,
            };
            let reply = door.call(create).await?;
            output.done(
                &format!(
                    "user {} created, id {}",
                    text(&reply, "username"),
                    text(&reply, "id")
                ),
                &reply,
            )
        }
        User::List => output.list(
            &all(door).await?,
            &["username", "email", "admin", "suspended", "createdAt", "id"],
        ),
        User::Suspend { user } => suspend(&user, true, door, output).await,
        User::Unsuspend { user } => suspend(&user, false, door, output).await,
        User::Admin { user, revoke } => {
            let id = find(&user, door).await?;
            let reply = door.call(SetAdmin { id, admin: !revoke }).await?;
            let sentence = if revoke {
                "is no administrator any more"
            } else {
                "is an administrator now"
            };
            output.done(&format!("{user} {sentence}"), &reply)
        }
    }
}

pub(crate) async fn sessions(what: Session, door: &mut Door, output: Output) -> Result<(), Failure> {
    match what {
        Session::List { user } => {
            let user = find(&user, door).await?;
            let reply = door.call(ListSessions { user }).await?;
            let items = reply["items"].as_array().cloned().unwrap_or_default();
            output.list(
                &items,
                &["id", "createdAt", "refreshedAt", "expiresAt", "userAgent"],
            )
        }
        Session::Revoke {
            user,
            session,
            all: _,
        } => {
            let session = session
                .map(|text| id::<SessionId>(&text, "session"))
                .transpose()?;
            let user = find(&user, door).await?;
            let reply = door.call(RevokeSessions { user, session }).await?;
            let ended = reply["ended"].as_array().map_or(0, Vec::len);
            output.done(&format!("{ended} sessions ended"), &reply)
        }
    }
}

async fn suspend(user: &str, suspended: bool, door: &mut Door, output: Output) -> Result<(), Failure> {
    let id = find(user, door).await?;
    let reply = door.call(SuspendUser { id, suspended }).await?;
    let sentence = if suspended {
        format!("{user} is suspended, {} sessions ended", reply["sessionsEnded"])
    } else {
        format!("{user} is suspended no more")
    };
    output.done(&sentence, &reply)
}

async fn all(door: &mut Door) -> Result<Vec<Value>, Failure> {
    let mut users: Vec<Value> = Vec::new();
    let mut after = None;
    loop {
        let page = door.call(ListUsers { after, limit: 100 }).await?;
        users.extend(page["items"].as_array().cloned().unwrap_or_default());
        let last = users.last().and_then(|user| user["id"].as_str()?.parse().ok());
        match last {
            Some(last) if page["hasMore"] == true => after = Some(last),
            Some(_) | None => return Ok(users),
        }
    }
}

/// The id of a user given by id or by name.
async fn find(user: &str, door: &mut Door) -> Result<UserId, Failure> {
    if let Ok(id) = user.parse() {
        return Ok(id);
    }
    let key = fold(user);
    let users = all(door).await?;
    let found = users.iter().find(|one| fold(text(one, "username")) == key);
    let found = found.ok_or_else(|| Failure::Wrong(format!("there is no user {user}")))?;
    id(text(found, "id"), "user")
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// A password from the standard input: typed unseen at a terminal, else the first line. Never an argument, since
/// everyone on the machine can read those.
fn password() -> Result<String, Failure> {
    let input = io::stdin();
    let typed = input.is_terminal();
    if typed {
        write!(io::stderr(), "Password: ")?;
        echo("-echo");
    }
    let mut line = String::new();
    let read = input.lock().read_line(&mut line);
    if typed {
        echo("echo");
        writeln!(io::stderr())?;
    }
    read?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::Wrong("no password on the standard input".to_owned()));
    }
    Ok(password.to_owned())
}

/// Switches the terminal's echo. Where there is no `stty` the password is seen by its own typist.
fn echo(mode: &str) {
    let _ = Command::new("stty").arg(mode).stdin(Stdio::inherit()).status();
}
